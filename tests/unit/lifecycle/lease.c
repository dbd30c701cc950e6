/* Taking the lease, finding it taken, waiting for it, and what the next owner is told. */
#include "lifecycle/lease.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lease_kit.h"

TestSuite(lease, .timeout = 60); /* what waits for ever is a failure */

Test(lease, who_takes_it_owns_the_directory_and_says_so)
{
    static struct lease_kit kit;
    char expected[64];
    kit_init(&kit);
    cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
    cr_assert(ownership_holds(&kit.owner));
    cr_assert(eq(u64, lease_left_ms(kit.lease), KIT_LEASE_MS));
    cr_assert(eq(u64, lease_released_epoch(kit.lease), 0));
    struct lease_record record = kit_record(&kit);
    (void)snprintf(expected, sizeof expected, " pid %ld", (long)getpid());
    cr_assert(ne(ptr, strstr(record.owner, expected), NULL), "%s", record.owner);
    cr_assert(eq(str, record.address, (char *)"10.0.1.5:7401"));
    cr_assert(not(record.is_released));
    cr_assert(ge(u64, record.heartbeats, 1));
    cr_assert(eq(i64, record.at_ms, atomic_load(&kit.wall_ms)));
    cr_assert(eq(uint, kit.acquired, 0)); /* for a standby only: who opens knows by the result */
    lease_set_address(kit.lease, "10.0.1.5:40001"); /* in the next heartbeat */
    cr_assert(eq(int, ownership_confirm(&kit.owner, 1), STATUS_OK));
    record = kit_record(&kit);
    cr_assert(eq(str, record.address, (char *)"10.0.1.5:40001"));
    lease_set_task(kit.lease, "158d1c8083dd49d6"); /* likewise */
    cr_assert(eq(int, ownership_confirm(&kit.owner, 1), STATUS_OK));
    record = kit_record(&kit);
    (void)snprintf(expected, sizeof expected, "task 158d1c8083dd49d6 pid %ld", (long)getpid());
    cr_assert(eq(str, record.owner, expected));
    cr_assert(eq(int, kit_close(&kit, true), STATUS_OK));
    cr_assert(kit_record(&kit).is_released);
    kit_end(&kit);
}

Test(lease, the_next_owner_is_told_how_the_last_one_ended)
{
    static const struct {
        enum other_end how;
        uint64_t released_epoch;
    } cases[] = {{END_RELEASED, OTHER_EPOCH}, {END_UNRELEASED, 0}, {END_KILLED, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct lease_kit kit;
        kit_init(&kit);
        struct other_owner other = other_start(&kit);
        other_end(&other, cases[i].how, 0);
        other_wait(&other);
        cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
        cr_assert(eq(u64, lease_released_epoch(kit.lease), cases[i].released_epoch), "case %zu", i);
        /* Until it has an epoch of its own, it stands in for the last one. */
        struct lease_record record = kit_record(&kit);
        cr_assert(eq(u64, record.epoch, OTHER_EPOCH));
        cr_assert(not(record.is_released));
        cr_assert(eq(int, ownership_confirm(&kit.owner, OTHER_EPOCH + 1), STATUS_OK));
        cr_assert(eq(int, kit_close(&kit, true), STATUS_OK));
        record = kit_record(&kit);
        cr_assert(eq(u64, record.epoch, OTHER_EPOCH + 1));
        cr_assert(record.is_released);
        kit_end(&kit);
    }
}

/* Killed before it had an epoch, after an owner that had released: its files may not be written. */
Test(lease, an_owner_that_did_nothing_is_not_its_released_predecessor)
{
    static struct lease_kit kit;
    kit_init(&kit);
    struct other_owner other = other_start(&kit);
    other_end(&other, END_RELEASED, 0);
    other_wait(&other);
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    cr_assert(eq(u64, lease_released_epoch(kit.lease), OTHER_EPOCH));
    cr_assert(eq(int, kit_close(&kit, false), STATUS_OK));
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    cr_assert(eq(u64, lease_released_epoch(kit.lease), 0));
    kit_end(&kit);
}

Test(lease, what_is_no_record_is_no_release)
{
    static const char *const texts[] = {"", "satchel lease 1\nepoch 9\nstate released\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        static struct lease_kit kit;
        char path[TEMP_DIR_BYTES + 16];
        kit_init(&kit);
        (void)snprintf(path, sizeof path, "%s/lease", kit.dir);
        temp_file_write(path, view_str(texts[i]));
        cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
        cr_assert(eq(u64, lease_released_epoch(kit.lease), 0));
        kit_end(&kit);
    }
}

Test(lease, who_finds_it_taken_is_told_by_whom_in_one_line)
{
    static struct lease_kit kit;
    char expected[128];
    kit_init(&kit);
    struct other_owner other = other_start(&kit);
    struct lease_record before = kit_record(&kit);
    atomic_fetch_add(&kit.wall_ms, 65000);
    cr_assert(eq(int, kit_open(&kit), STATUS_LOCKED));
    (void)snprintf(expected, sizeof expected,
                   " pid %ld at 10.0.1.5:7401, epoch %d, last heartbeat 65 s ago", (long)other.pid,
                   OTHER_EPOCH);
    cr_assert(ne(ptr, strstr(kit.errmsg, expected), NULL), "%s", kit.errmsg);
    cr_assert(ne(ptr, strstr(kit.errmsg, kit.dir), NULL), "%s", kit.errmsg);
    cr_assert(eq(ptr, strchr(kit.errmsg, '\n'), NULL), "%s", kit.errmsg);
    struct lease_record after = kit_record(&kit);
    cr_assert(eq(str, after.owner, before.owner)); /* who is refused writes nothing */
    cr_assert(ge(u64, after.heartbeats, before.heartbeats));
    other_end(&other, END_RELEASED, 0);
    other_wait(&other);
    kit_end(&kit);
}

Test(lease, an_owner_that_is_just_ending_is_waited_for)
{
    static struct lease_kit kit;
    kit_init(&kit);
    struct other_owner other = other_start(&kit);
    other_end(&other, END_RELEASED, 300);
    cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
    cr_assert(eq(u64, lease_released_epoch(kit.lease), OTHER_EPOCH));
    other_wait(&other);
    kit_end(&kit);
}

Test(lease, a_standby_waits_and_takes_over_when_the_owner_is_gone)
{
    static const enum other_end ends[] = {END_RELEASED, END_UNRELEASED, END_KILLED};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        static struct lease_kit kit;
        char expected[32];
        char text[512];
        kit_init(&kit);
        kit.options.wait = true;
        struct other_owner other = other_start(&kit);
        cr_assert(eq(int, kit_open(&kit), STATUS_AGAIN), "%s", kit.errmsg);
        cr_assert(not(ownership_holds(&kit.owner)));
        cr_assert(eq(u64, lease_left_ms(kit.lease), 0));
        lease_describe_owner(kit.lease, text, sizeof text);
        (void)snprintf(expected, sizeof expected, " pid %ld at ", (long)other.pid);
        cr_assert(ne(ptr, strstr(text, expected), NULL), "%s", text);
        other_end(&other, ends[i], 0);
        kit_wait_acquired(&kit);
        cr_assert(ownership_holds(&kit.owner));
        cr_assert(
            eq(u64, lease_released_epoch(kit.lease), ends[i] == END_RELEASED ? OTHER_EPOCH : 0));
        cr_assert(eq(int, ownership_confirm(&kit.owner, OTHER_EPOCH + 1), STATUS_OK));
        other_wait(&other);
        (void)snprintf(expected, sizeof expected, " pid %ld", (long)getpid());
        cr_assert(ne(ptr, strstr(kit_record(&kit).owner, expected), NULL));
        cr_assert(eq(uint, kit.lost, 0));
        kit_end(&kit);
    }
}

Test(lease, a_standby_can_be_closed_and_has_touched_nothing)
{
    static struct lease_kit kit;
    kit_init(&kit);
    kit.options.wait = true;
    struct other_owner other = other_start(&kit);
    cr_assert(eq(int, kit_open(&kit), STATUS_AGAIN));
    cr_assert(eq(int, kit_close(&kit, true), STATUS_OK));
    struct lease_record record = kit_record(&kit);
    cr_assert(eq(u64, record.epoch, OTHER_EPOCH));
    cr_assert(not(record.is_released));
    cr_assert(eq(uint, fake_disk_count(kit.disk, FAKE_PWRITE), 0));
    other_end(&other, END_RELEASED, 0); /* which checks that it still owns */
    other_wait(&other);
    cr_assert(eq(u64, kit_record(&kit).epoch, OTHER_EPOCH));
    kit_end(&kit);
}

Test(lease, a_standby_that_cannot_take_it_over_says_so)
{
    static const enum fake_call calls[] = {FAKE_PWRITE, FAKE_FDATASYNC, FAKE_FSYNC};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        static struct lease_kit kit;
        kit_init(&kit);
        kit.options.wait = true;
        struct other_owner other = other_start(&kit);
        cr_assert(eq(int, kit_open(&kit), STATUS_AGAIN));
        fake_disk_fail(kit.disk, calls[i], 1, EIO);
        other_end(&other, END_KILLED, 0);
        other_wait(&other);
        kit_wait_lost(&kit);
        cr_assert(ne(ptr, strstr(kit.why, kit.dir), NULL), "%s", kit.why);
        cr_assert(eq(uint, kit.acquired, 0));
        cr_assert(not(ownership_holds(&kit.owner)));
        kit_end(&kit);
    }
}

Test(lease, every_call_of_opening_may_fail)
{
    static const struct {
        enum fake_call call;
        int error;
        enum status status;
    } cases[] = {{FAKE_OPEN, EACCES, STATUS_IO},
                 {FAKE_OPEN, ENOSPC, STATUS_NO_SPACE},
                 {FAKE_LOCK, EIO, STATUS_IO},
                 {FAKE_LOCK, ENOLCK, STATUS_IO},
                 {FAKE_PREAD, EIO, STATUS_IO},
                 {FAKE_PWRITE, EIO, STATUS_IO},
                 {FAKE_PWRITE, EDQUOT, STATUS_NO_SPACE},
                 {FAKE_FDATASYNC, ESTALE, STATUS_IO},
                 {FAKE_FSYNC, EIO, STATUS_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct lease_kit kit;
        kit_init(&kit);
        fake_disk_fail(kit.disk, cases[i].call, 1, cases[i].error);
        cr_assert(eq(int, kit_open(&kit), cases[i].status), "case %zu", i);
        cr_assert(ne(ptr, strstr(kit.errmsg, strerror(cases[i].error)), NULL), "case %zu: %s", i,
                  kit.errmsg);
        cr_assert(ne(ptr, strstr(kit.errmsg, kit.dir), NULL), "case %zu: %s", i, kit.errmsg);
        cr_assert(eq(uint, kit.lost, 0));
        cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg); /* nothing is in the way */
        kit_end(&kit);
    }
}

/* Makes the kernel say that the kit's directory is on this NFS mount. */
static void pretend_mount(struct lease_kit *kit, const char *options, unsigned lease_s)
{
    static char info_path[TEMP_DIR_BYTES + 16];
    static char stats_path[TEMP_DIR_BYTES + 16];
    char text[512];
    struct stat info;
    cr_assert(eq(int, stat(kit->dir, &info), 0));
    (void)snprintf(info_path, sizeof info_path, "%s/mountinfo", kit->dir);
    (void)snprintf(stats_path, sizeof stats_path, "%s/mountstats", kit->dir);
    (void)snprintf(text, sizeof text, "92 25 %u:%u / /mnt/efs rw - nfs4 efs:/ rw,%s\n",
                   major(info.st_dev), minor(info.st_dev), options);
    temp_file_write(info_path, view_str(text));
    (void)snprintf(text, sizeof text,
                   "device efs:/ mounted on /mnt/efs with fstype nfs4 statvers=1.1\n"
                   "\tnfsv4:\tbm0=0xf8f3b77e,sessions,lease_time=%u,lease_expired=0\n",
                   lease_s);
    temp_file_write(stats_path, view_str(text));
    kit->mounts.mountinfo = info_path;
    kit->mounts.mountstats = stats_path;
}

Test(lease, a_mount_on_which_owners_cannot_be_fenced_is_refused)
{
    static struct lease_kit kit;
    char path[TEMP_DIR_BYTES + 16];
    kit_init(&kit);
    pretend_mount(&kit, "vers=4.1,local_lock=all", 90);
    cr_assert(eq(int, kit_open(&kit), STATUS_INVALID));
    cr_assert(ne(ptr, strstr(kit.errmsg, "local_lock"), NULL), "%s", kit.errmsg);
    (void)snprintf(path, sizeof path, "%s/lease", kit.dir);
    cr_assert(ne(int, access(path, F_OK), 0));
    kit_end(&kit);
}

/* Our clock has to run out before the server gives our locks to somebody else. */
Test(lease, its_time_is_what_the_mount_allows)
{
    static const struct {
        const char *mount; /* NULL: a local file system */
        unsigned server_s;
        uint64_t option_ms;
        uint64_t lease_ms;
    } cases[] = {
        {NULL, 0, 0, 60000},
        {NULL, 0, 5000, 5000},
        {NULL, 0, 3600000, 3600000},
        {"vers=4.1,hard", 90, 0, 78750},
        {"vers=4.1,soft", 60, 0, 52500},
        {"vers=4.1,hard", 90, 20000, 20000},
        {"vers=4.1,hard", 90, 90000, 78750},
        {"vers=4.1,hard", 0 /* not told */, 0, 60000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct lease_kit kit;
        kit_init(&kit);
        kit.options.lease_ms = cases[i].option_ms;
        if (cases[i].mount != NULL) {
            pretend_mount(&kit, cases[i].mount, cases[i].server_s);
        }
        cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
        cr_assert(eq(u64, lease_left_ms(kit.lease), cases[i].lease_ms), "case %zu", i);
        kit_end(&kit);
    }
}
