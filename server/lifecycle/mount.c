/* Reading what the kernel tells about a mount, and judging it. */
#include "lifecycle/mount.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

const struct mount_sources mount_sources_system = {
    .mountinfo = "/proc/self/mountinfo",
    .mountstats = "/proc/self/mountstats",
    .recover_lost_locks = "/sys/module/nfs/parameters/recover_lost_locks",
};

/* Whether `word` stands in a list of words that commas or spaces separate. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len) {
        bool begins = at == list || at[-1] == ',' || at[-1] == ' ';
        if (begins && (at[len] == '\0' || at[len] == ',' || at[len] == '\n')) {
            return true;
        }
    }
    return false;
}

/* The options of an NFS mount, from the end of its line in mountinfo. */
static void read_nfs_options(struct mount *self, const char *options)
{
    const char *version = strstr(options, "vers=");
    self->nfs_version = version == NULL ? 0 : (unsigned)strtoul(version + 5, NULL, 10);
    self->is_soft = has_word(options, "soft") || has_word(options, "softerr");
    self->has_local_locks = has_word(options, "nolock") || has_word(options, "local_lock=all") ||
                            has_word(options, "local_lock=posix");
}

/* One line of mountinfo: "36 35 98:0 /root /point options … - type source options". */
static bool read_mountinfo_line(struct mount *self, const char *line, dev_t device)
{
    unsigned major_number = 0;
    unsigned minor_number = 0;
    char point[PATH_MAX];
    _Static_assert(PATH_MAX == 4096, "the width below");
    if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &major_number, &minor_number, point) != 3 ||
        makedev(major_number, minor_number) != device) {
        return false;
    }
    const char *rest = strstr(line, " - ");
    int options_at = 0;
    if (rest == NULL || sscanf(rest, " - %31s %*s %n", self->type, &options_at) != 1) {
        return false;
    }
    (void)snprintf(self->point, sizeof self->point, "%s", point);
    self->is_nfs = strcmp(self->type, "nfs") == 0 || strcmp(self->type, "nfs4") == 0;
    if (self->is_nfs && options_at > 0) {
        read_nfs_options(self, rest + options_at);
    }
    return true;
}

/* The lease time stands behind the line that names the mount point. */
static void read_lease_time(struct mount *self, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    bool is_ours = false;
    while (file != NULL && self->lease_ms == 0 && getline(&line, &cap, file) >= 0) {
        char point[PATH_MAX];
        if (sscanf(line, "device %*s mounted on %4095s with", point) == 1) {
            is_ours = strcmp(point, self->point) == 0;
        }
        const char *lease = is_ours ? strstr(line, "lease_time=") : NULL;
        if (lease != NULL) {
            self->lease_ms = strtoull(lease + strlen("lease_time="), NULL, 10) * 1000;
        }
    }
    free(line);
    if (file != NULL) {
        (void)fclose(file);
    }
}

static bool reads_yes(const char *path)
{
    FILE *file = fopen(path, "re");
    int first = file == NULL ? EOF : fgetc(file);
    if (file != NULL) {
        (void)fclose(file);
    }
    return first == 'Y' || first == '1';
}

void mount_look(const struct mount_sources *sources, const char *dir, struct mount *out)
{
    *out = (struct mount){0};
    struct stat info;
    FILE *file = stat(dir, &info) == 0 ? fopen(sources->mountinfo, "re") : NULL;
    char *line = NULL;
    size_t cap = 0;
    /* Mounted twice, the last one counts: it covers the others. */
    while (file != NULL && getline(&line, &cap, file) >= 0) {
        struct mount found = {0};
        if (read_mountinfo_line(&found, line, info.st_dev)) {
            *out = found;
        }
    }
    free(line);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (out->is_nfs) {
        read_lease_time(out, sources->mountstats);
        out->recovers_locks = reads_yes(sources->recover_lost_locks);
    }
}

enum status mount_judge(const struct mount *self, const char *dir, char *errmsg,
                        size_t errmsg_bytes)
{
    const char *why = NULL;
    if (!self->is_nfs) {
        return STATUS_OK;
    }
    if (self->nfs_version < 4) {
        why = "NFS before version 4 does not refuse the writes of an owner whose locks are gone; "
              "mount it with vers=4.1";
    } else if (self->has_local_locks) {
        why = "its server does not hear of locks (local_lock or nolock); mount it without";
    } else if (self->recovers_locks) {
        why = "the parameter recover_lost_locks of the kernel's nfs module is on, so an owner that "
              "was replaced would write on; set it to N";
    }
    if (why == NULL) {
        return STATUS_OK;
    }
    (void)snprintf(errmsg, errmsg_bytes, "%s cannot be owned safely: %s", dir, why);
    return STATUS_INVALID;
}
