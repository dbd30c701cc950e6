/* What kernels say about mounts, as they say it, and which of these mounts can be owned. */
#include "lifecycle/mount.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "support/temp_dir.h"

/* The options that a mount of EFS has, but for its beginning. */
#define EFS_REST                                                                                   \
    "rsize=1048576,wsize=1048576,namlen=255,hard,noresvport,proto=tcp,timeo=600,retrans=2,"        \
    "sec=sys,clientaddr=10.0.1.5,local_lock=none,addr=10.0.1.77"

/* A directory and the kernel's files about it. */
struct view_of_mounts {
    char dir[TEMP_DIR_BYTES];
    char info[TEMP_DIR_BYTES + 16];
    char stats[TEMP_DIR_BYTES + 16];
    char recover[TEMP_DIR_BYTES + 16];
    char device[32]; /* that the directory is on: "8:1" */
    struct mount_sources sources;
};

static void view_init(struct view_of_mounts *self)
{
    struct stat info;
    temp_dir_make(self->dir);
    (void)snprintf(self->info, sizeof self->info, "%s/mountinfo", self->dir);
    (void)snprintf(self->stats, sizeof self->stats, "%s/mountstats", self->dir);
    (void)snprintf(self->recover, sizeof self->recover, "%s/recover", self->dir);
    cr_assert(eq(int, stat(self->dir, &info), 0));
    (void)snprintf(self->device, sizeof self->device, "%u:%u", major(info.st_dev),
                   minor(info.st_dev));
    self->sources = (struct mount_sources){
        .mountinfo = self->info, .mountstats = self->stats, .recover_lost_locks = self->recover};
}

/* Writes `text` with the directory's device for each "DEV". */
static void write_text(const struct view_of_mounts *self, const char *path, const char *text)
{
    struct buf out = {0};
    for (const char *mark = NULL; (mark = strstr(text, "DEV")) != NULL; text = mark + 3) {
        cr_assert(eq(int, buf_append(&out, view_of((const uint8_t *)text, (size_t)(mark - text))),
                     STATUS_OK));
        cr_assert(eq(int, buf_append(&out, view_str(self->device)), STATUS_OK));
    }
    cr_assert(eq(int, buf_append(&out, view_str(text)), STATUS_OK));
    temp_file_write(path, buf_view(&out));
    buf_free(&out);
}

static void look_at(struct view_of_mounts *self, const char *mountinfo, struct mount *out)
{
    write_text(self, self->info, mountinfo);
    mount_look(&self->sources, self->dir, out);
}

Test(mount, its_line_in_mountinfo_is_understood)
{
    static const struct {
        const char *mountinfo;
        struct mount is;
        enum status judged;
    } cases[] = {
        {"25 30 DEV / / rw,relatime shared:1 - ext4 /dev/root rw,discard\n",
         {.type = "ext4", .point = "/"},
         STATUS_OK},
        {"92 25 DEV / /mnt/efs rw,relatime shared:41 - nfs4 fs-1.efs:/ rw,vers=4.1," EFS_REST "\n",
         {.type = "nfs4", .point = "/mnt/efs", .is_nfs = true, .nfs_version = 4},
         STATUS_OK},
        {"92 25 DEV / /mnt/efs rw - nfs4 fs-1.efs:/ rw,vers=4.0,soft,local_lock=none\n",
         {.type = "nfs4", .point = "/mnt/efs", .is_nfs = true, .nfs_version = 4, .is_soft = true},
         STATUS_OK},
        {"92 25 DEV / /mnt/efs rw - nfs4 fs-1.efs:/ rw,vers=4.2,softerr,proto=tcp\n",
         {.type = "nfs4", .point = "/mnt/efs", .is_nfs = true, .nfs_version = 4, .is_soft = true},
         STATUS_OK},
        {"92 25 DEV /export /mnt rw - nfs filer:/export rw,vers=3,hard,proto=tcp,mountvers=3,"
         "mountport=635,local_lock=none,addr=10.0.1.77\n",
         {.type = "nfs", .point = "/mnt", .is_nfs = true, .nfs_version = 3},
         STATUS_INVALID},
        {"92 25 DEV / /mnt rw - nfs4 filer:/ rw,vers=4.1,hard,local_lock=posix,addr=10.0.1.77\n",
         {.type = "nfs4",
          .point = "/mnt",
          .is_nfs = true,
          .nfs_version = 4,
          .has_local_locks = true},
         STATUS_INVALID},
        {"92 25 DEV / /mnt rw - nfs4 filer:/ rw,vers=4.1,hard,local_lock=all,addr=10.0.1.77\n",
         {.type = "nfs4",
          .point = "/mnt",
          .is_nfs = true,
          .nfs_version = 4,
          .has_local_locks = true},
         STATUS_INVALID},
        {"92 25 DEV / /mnt rw - nfs filer:/ rw,vers=3,hard,nolock,mountvers=3\n",
         {.type = "nfs",
          .point = "/mnt",
          .is_nfs = true,
          .nfs_version = 3,
          .has_local_locks = true},
         STATUS_INVALID},
        /* The local locks of flock() are none of ours. */
        {"92 25 DEV / /mnt rw - nfs4 filer:/ rw,vers=4.1,hard,local_lock=flock\n",
         {.type = "nfs4", .point = "/mnt", .is_nfs = true, .nfs_version = 4},
         STATUS_OK},
        /* Words that only contain ours. */
        {"92 25 DEV / /mnt rw - nfs4 filer:/ rw,vers=4.1,hard,softreval,fsc=nolock\n",
         {.type = "nfs4", .point = "/mnt", .is_nfs = true, .nfs_version = 4},
         STATUS_OK},
        /* A source whose name looks like options, and a type whose name looks like NFS. */
        {"92 25 DEV / /mnt rw - nfs4 soft,vers=3,nolock:/ rw,vers=4.1,hard\n",
         {.type = "nfs4", .point = "/mnt", .is_nfs = true, .nfs_version = 4},
         STATUS_OK},
        {"92 25 DEV / /proc/fs/nfsd rw - nfsd nfsd rw,vers=3,nolock\n",
         {.type = "nfsd", .point = "/proc/fs/nfsd"},
         STATUS_OK},
        /* Other devices come before and after; of two mounts of ours the later one covers. */
        {"25 30 0:999 / / rw - nfs4 other:/ rw,vers=4.0,soft\n"
         "91 25 DEV / /mnt/efs rw - nfs4 filer:/ rw,vers=3,hard\n"
         "92 91 DEV / /mnt/efs rw - nfs4 filer:/ rw,vers=4.1,hard\n"
         "93 25 0:998 / /mnt/efs/below rw - nfs4 other:/ rw,vers=3,nolock\n",
         {.type = "nfs4", .point = "/mnt/efs", .is_nfs = true, .nfs_version = 4},
         STATUS_OK},
        {"92 25 DEV / /mnt/with\\040space\\011and\\134more rw - nfs4 a\\040b:/ rw,vers=4.1\n",
         {.type = "nfs4",
          .point = "/mnt/with\\040space\\011and\\134more",
          .is_nfs = true,
          .nfs_version = 4},
         STATUS_OK},
        /* What is not understood stays unknown and is not refused. */
        {"", {.type = ""}, STATUS_OK},
        {"nonsense\n92 25 DEV\n92 25 DEV / /mnt rw - \n", {.type = ""}, STATUS_OK},
        {"92 25 0:999 / /mnt rw - nfs filer:/ rw,vers=3\n", {.type = ""}, STATUS_OK},
    };
    struct view_of_mounts view;
    view_init(&view);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount found;
        char errmsg[512] = "";
        look_at(&view, cases[i].mountinfo, &found);
        cr_assert(eq(str, found.type, (char *)cases[i].is.type), "case %zu", i);
        cr_assert(eq(str, found.point, (char *)cases[i].is.point), "case %zu", i);
        cr_assert(eq(int, found.is_nfs, cases[i].is.is_nfs), "case %zu", i);
        cr_assert(eq(uint, found.nfs_version, cases[i].is.nfs_version), "case %zu", i);
        cr_assert(eq(int, found.is_soft, cases[i].is.is_soft), "case %zu", i);
        cr_assert(eq(int, found.has_local_locks, cases[i].is.has_local_locks), "case %zu", i);
        cr_assert(eq(u64, found.lease_ms, 0), "case %zu", i);
        cr_assert(eq(int, mount_judge(&found, view.dir, errmsg, sizeof errmsg), cases[i].judged),
                  "case %zu", i);
        bool is_told = strstr(errmsg, view.dir) != NULL && strchr(errmsg, '\n') == NULL;
        cr_assert(eq(int, is_told, cases[i].judged != STATUS_OK), "case %zu: %s", i, errmsg);
    }
    temp_dir_remove(view.dir);
}

/* As a machine with three NFS mounts and much else shows it. */
static const char mountstats[] =
    "device proc mounted on /proc with fstype proc\n"
    "device fs-0.efs:/ mounted on /mnt/efs-old with fstype nfs4 statvers=1.1\n"
    "\topts:\trw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,acregmin=3,hard\n"
    "\tage:\t7701\n"
    "\tnfsv4:\tbm0=0xf8f3b77e,bm1=0x40b0be3a,bm2=0x60803,acl=0x3,sessions,pnfs=not configured,"
    "lease_time=60,lease_expired=0\n"
    "\tsec:\tflavor=1,pseudoflavor=1\n"
    "\n"
    "device fs-1.efs:/ mounted on /mnt/efs with fstype nfs4 statvers=1.1\n"
    "\topts:\trw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,acregmin=3,hard\n"
    "\tage:\t7700\n"
    "\timpl_id:\tname='',domain='',date='0,0'\n"
    "\tcaps:\tcaps=0x3ffbffff,wtmult=512,dtsize=1048576,bsize=0,namlen=255\n"
    "\tnfsv4:\tbm0=0xf8f3b77e,bm1=0x40b0be3a,bm2=0x60803,acl=0x3,sessions,pnfs=not configured,"
    "lease_time=90,lease_expired=0\n"
    "\tevents:\t6 40 0 0 4 3 47 0 0 0 0 0 0 0 3 0 0 3 0 0 0 0 0 0 0 0 0\n"
    "\txprt:\ttcp 780 1 2 0 7 131 131 0 131 0 2 0 0\n"
    "\n"
    "device tmpfs mounted on /run with fstype tmpfs\n"
    "device filer:/ mounted on /mnt/with\\040space with fstype nfs4 statvers=1.1\n"
    "\tnfsv4:\tbm0=0xf8f3b77e,sessions,lease_time=30,lease_expired=0\n"
    "device filer:/export mounted on /mnt/v3 with fstype nfs statvers=1.1\n"
    "\topts:\trw,vers=3\n";

Test(mount, the_lease_time_of_its_own_server_is_found)
{
    static const struct {
        const char *point;
        uint64_t lease_ms;
    } cases[] = {
        {"/mnt/efs", 90000},           {"/mnt/efs-old", 60000}, {"/mnt/with\\040space", 30000},
        {"/mnt/v3", 0 /* has none */}, {"/mnt/ef", 0},          {"/mnt/efs/below", 0},
    };
    struct view_of_mounts view;
    struct mount found;
    char mountinfo[512];
    view_init(&view);
    temp_file_write(view.stats, view_str(mountstats));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(mountinfo, sizeof mountinfo,
                       "92 25 DEV / %s rw - nfs4 fs-1.efs:/ rw,vers=4.1," EFS_REST "\n",
                       cases[i].point);
        look_at(&view, mountinfo, &found);
        cr_assert(eq(u64, found.lease_ms, cases[i].lease_ms), "%s", cases[i].point);
    }
    /* A local mount has no lease, whatever else is mounted at its place. */
    look_at(&view, "92 25 DEV / /mnt/efs rw - ext4 /dev/vdb rw\n", &found);
    cr_assert(eq(u64, found.lease_ms, 0));
    temp_dir_remove(view.dir);
}

Test(mount, a_client_that_takes_lost_locks_again_is_refused)
{
    static const struct {
        const char *text; /* NULL: there is no such file, the module is not loaded */
        bool recovers;
    } cases[] = {{NULL, false}, {"N\n", false}, {"0\n", false},
                 {"", false},   {"Y\n", true},  {"1\n", true}};
    struct view_of_mounts view;
    view_init(&view);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mount found;
        char errmsg[512] = "";
        if (cases[i].text != NULL) {
            temp_file_write(view.recover, view_str(cases[i].text));
        }
        look_at(&view, "92 25 DEV / /mnt rw - nfs4 fs-1.efs:/ rw,vers=4.1," EFS_REST "\n", &found);
        cr_assert(eq(int, found.recovers_locks, cases[i].recovers), "case %zu", i);
        cr_assert(eq(int, mount_judge(&found, view.dir, errmsg, sizeof errmsg),
                     cases[i].recovers ? STATUS_INVALID : STATUS_OK),
                  "case %zu", i);
        cr_assert(eq(int, strstr(errmsg, "recover_lost_locks") != NULL, cases[i].recovers));
        /* It says nothing about a local file system. */
        look_at(&view, "25 30 DEV / / rw - ext4 /dev/root rw\n", &found);
        cr_assert(not(found.recovers_locks));
    }
    temp_dir_remove(view.dir);
}

Test(mount, of_a_directory_that_is_not_there_nothing_is_known)
{
    struct view_of_mounts view;
    struct mount found;
    char errmsg[256];
    char path[TEMP_DIR_BYTES + 16];
    view_init(&view);
    (void)snprintf(path, sizeof path, "%s/absent", view.dir);
    write_text(&view, view.info, "92 25 DEV / /mnt rw - nfs filer:/ rw,vers=3\n");
    mount_look(&view.sources, path, &found);
    cr_assert(eq(str, found.type, (char *)""));
    cr_assert(eq(int, mount_judge(&found, path, errmsg, sizeof errmsg), STATUS_OK));
    temp_dir_remove(view.dir);
}

/* The kernel that the test runs on. */
Test(mount, the_systems_own_files_are_understood)
{
    struct mount found;
    mount_look(&mount_sources_system, "/proc", &found);
    cr_assert(eq(str, found.type, (char *)"proc"));
    cr_assert(eq(str, found.point, (char *)"/proc"));
    cr_assert(not(found.is_nfs));
}
