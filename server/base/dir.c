/* Making directories, durably or privately. */
#include "base/dir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

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
