/* Finding, naming and removing data files. */
#include "store/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/segment.h"

/* The epoch in a data file's name; 0: it is none. */
static uint64_t epoch_of_name(const char *name, bool is_whole)
{
    uint64_t epoch = 0;
    char same[64];
    if (sscanf(name, "data-%" SCNu64 ".mdb", &epoch) != 1) {
        return 0;
    }
    (void)snprintf(same, sizeof same, "data-%010" PRIu64 ".mdb%s", epoch, is_whole ? "" : ".new");
    return strcmp(same, name) == 0 ? epoch : 0;
}

struct listing {
    uint64_t epoch_max; /* of data files; 0: none */
    uint64_t begun_max; /* of those that were never finished; 0: none */
    bool has_segments;
};

/* The first data file of a new store has this epoch. One of a later epoch, without a whole one
 * beside it, was begun by an import: of a store that has been, and is not to start as an empty one.
 */
enum { FIRST_EPOCH = 1 };

static enum status list_dir(const char *dir, struct listing *out)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        return STATUS_IO;
    }
    errno = 0;
    for (const struct dirent *item = NULL; (item = readdir(listing)) != NULL; errno = 0) {
        uint64_t epoch = epoch_of_name(item->d_name, true);
        uint64_t begun = epoch_of_name(item->d_name, false);
        uint64_t number = 0;
        uint32_t lane = 0;
        if (epoch > out->epoch_max) {
            out->epoch_max = epoch;
        } else if (segment_parse_name(item->d_name, &epoch, &number, &lane)) {
            out->has_segments = true;
        } else if (begun > out->begun_max) {
            out->begun_max = begun;
        }
    }
    enum status status = errno == 0 ? STATUS_OK : STATUS_IO;
    (void)closedir(listing);
    return status;
}

bool data_file_is_begun(const char *dir)
{
    struct listing found = {0};
    return list_dir(dir, &found) == STATUS_OK && found.begun_max != 0 && found.epoch_max == 0;
}

bool data_file_parse_name(const char *name, uint64_t *epoch, bool *is_whole)
{
    *epoch = epoch_of_name(name, true);
    *is_whole = *epoch != 0;
    *epoch = *is_whole ? *epoch : epoch_of_name(name, false);
    return *epoch != 0;
}

char *data_file_path(const char *dir, uint64_t epoch, bool is_whole)
{
    char *path = NULL;
    return asprintf(&path, "%s/data-%010" PRIu64 ".mdb%s", dir, epoch, is_whole ? "" : ".new") < 0
               ? NULL
               : path;
}

enum status data_file_publish(const char *dir, const char *unfinished, const char *path,
                              const struct file_ops *file)
{
    if (file->rename(file->arg, unfinished, path) != 0) {
        return status_of_errno(errno);
    }
    return file_sync_dir(file, dir);
}

enum status data_files_tidy(const char *dir, uint64_t keep, const struct file_ops *file)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        return STATUS_IO;
    }
    enum status status = STATUS_OK;
    errno = 0;
    for (const struct dirent *item = NULL; status == STATUS_OK && (item = readdir(listing)) != NULL;
         errno = 0) {
        uint64_t whole = epoch_of_name(item->d_name, true);
        uint64_t unfinished = epoch_of_name(item->d_name, false);
        bool is_old = (whole != 0 && whole < keep) || (unfinished != 0 && unfinished <= keep);
        if (!is_old) {
            continue;
        }
        char *path = data_file_path(dir, whole != 0 ? whole : unfinished, whole != 0);
        if (path == NULL) {
            status = STATUS_NO_MEMORY;
        } else if (file->unlink(file->arg, path) != 0 && errno != ENOENT) {
            status = STATUS_IO;
        }
        free(path);
    }
    if (status == STATUS_OK && errno != 0) {
        status = STATUS_IO;
    }
    int error = errno;
    (void)closedir(listing);
    errno = error;
    return status;
}

static enum status path_of_epoch(const char *dir, uint64_t epoch, char **out, char *errmsg,
                                 size_t errmsg_bytes)
{
    *out = data_file_path(dir, epoch, true);
    if (*out == NULL) {
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
    if (found.begun_max > FIRST_EPOCH) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "%s has a data file that was never finished: a restore was cut short; "
                       "restore again",
                       dir);
        return STATUS_CORRUPT;
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
