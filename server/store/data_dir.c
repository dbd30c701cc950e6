/* Directories and the name of the data file. */
#include "store/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/segment.h"

/* Makes one directory, durably: a journal is of no use in a directory that a crash takes away. 0,
 * or -1 with errno set. */
static int make_one(const char *path)
{
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : -1;
    }
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int parent_len = slash == NULL ? 0 : (int)(slash - path);
    (void)snprintf(parent, sizeof parent, "%.*s%s", parent_len, path,
                   slash == NULL     ? "."
                   : parent_len == 0 ? "/"
                                     : "");
    return file_sync_dir(&file_ops_system, parent) == STATUS_OK ? 0 : -1;
}

enum status dir_make(const char *path, char *errmsg, size_t errmsg_bytes)
{
    char *partial = strdup(path);
    if (partial == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    int rc = 0;
    for (char *at = partial + 1; rc == 0 && at[-1] != '\0'; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        rc = make_one(partial);
        *at = kept;
    }
    int error = errno;
    struct stat info;
    if (rc == 0 && stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
        rc = -1;
        error = ENOTDIR;
    }
    free(partial);
    if (rc != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot create the directory %s: %s", path,
                       strerror(error));
        return status_of_errno(error);
    }
    return STATUS_OK;
}

enum status dir_make_private(char **out, char *errmsg, size_t errmsg_bytes)
{
    char *path = NULL;
    if (asprintf(&path, "/tmp/satchel-%u", (unsigned)geteuid()) < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    struct stat info;
    bool usable = (mkdir(path, 0700) == 0 || errno == EEXIST) && lstat(path, &info) == 0 &&
                  S_ISDIR(info.st_mode) && info.st_uid == geteuid() && (info.st_mode & 0077) == 0;
    if (!usable) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "%s cannot be used as a private directory; name one with --run-dir", path);
        free(path);
        return STATUS_INVALID;
    }
    *out = path;
    return STATUS_OK;
}

/* The highest epoch among data files, and whether there is any segment; `kind` tells which. */
struct listing {
    uint64_t epoch_max; /* of data files; 0: none */
    bool has_segments;
};

static enum status list_dir(const char *dir, struct listing *out)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        return STATUS_IO;
    }
    errno = 0;
    for (const struct dirent *item = NULL; (item = readdir(listing)) != NULL; errno = 0) {
        uint64_t epoch = 0;
        uint64_t number = 0;
        char same[64];
        if (sscanf(item->d_name, "data-%" SCNu64 ".mdb", &epoch) == 1) {
            (void)snprintf(same, sizeof same, "data-%010" PRIu64 ".mdb", epoch);
            if (strcmp(same, item->d_name) == 0 && epoch > out->epoch_max) {
                out->epoch_max = epoch;
            }
        } else if (segment_parse_name(item->d_name, &epoch, &number)) {
            out->has_segments = true;
        }
    }
    enum status status = errno == 0 ? STATUS_OK : STATUS_IO;
    (void)closedir(listing);
    return status;
}

static enum status create_data_file(const char *dir, const char *path, const struct file_ops *file)
{
    /* Not O_EXCL: two starting stores may both come here; the lock decides which of them goes on.
     */
    int fd = file->open(file->arg, path, O_RDWR | O_CREAT, 0600);
    if (fd < 0) {
        return status_of_errno(errno);
    }
    if (file->close(file->arg, fd) != 0) {
        return status_of_errno(errno);
    }
    return file_sync_dir(file, dir);
}

static enum status path_of_epoch(const char *dir, uint64_t epoch, char **out, char *errmsg,
                                 size_t errmsg_bytes)
{
    if (asprintf(out, "%s/data-%010" PRIu64 ".mdb", dir, epoch) < 0) {
        *out = NULL;
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

enum status data_file_locate(const char *dir, const char *journal_dir, char **out, char *errmsg,
                             size_t errmsg_bytes)
{
    struct listing found = {0};
    const char *listed = dir;
    enum status status = list_dir(dir, &found);
    if (status == STATUS_OK) {
        listed = journal_dir;
        status = list_dir(journal_dir, &found);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot list %s: %s", listed, strerror(errno));
        return status;
    }
    if (found.epoch_max != 0) {
        return path_of_epoch(dir, found.epoch_max, out, errmsg, errmsg_bytes);
    }
    if (found.has_segments) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "%s has a journal but no data file: restore data-*.mdb, or remove both",
                       dir);
        return STATUS_CORRUPT;
    }
    (void)snprintf(errmsg, errmsg_bytes, "%s has neither a data file nor a journal", dir);
    return STATUS_NOT_FOUND;
}

enum status data_file_find(const char *dir, const char *journal_dir, const struct file_ops *file,
                           char **out, char *errmsg, size_t errmsg_bytes)
{
    enum status status = data_file_locate(dir, journal_dir, out, errmsg, errmsg_bytes);
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    char *path = NULL;
    status = path_of_epoch(dir, 1, &path, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    status = create_data_file(dir, path, file);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot create %s: %s", path, strerror(errno));
        free(path);
        return status;
    }
    *out = path;
    return STATUS_OK;
}
