/* Making the directory of a store; import.h says how. */
#include "store/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "store/data_dir.h"
#include "store/image.h"
#include "store/journal_files.h"
#include "store/rows.h"
#include "store/segment_writer.h"

enum {
    BATCH_ROWS = 8192, /* a transaction; see checkpoint.c */
    BATCH_BYTES = 4 * 1024 * 1024,
    SEGMENT_BYTES = 64 * 1024 * 1024,
};

struct store_import {
    struct store_import_options options; /* its texts are owned */
    char *journal_dir;
    char *run_dir;
    char *unfinished; /* path of the data file while it is being made */
    char *path;       /* and in the end */
    struct rows *rows;
    struct rows_write *write; /* the running transaction; NULL: none */
    size_t batch_rows;
    size_t batch_bytes;
    uint64_t next_rowid;

    struct segment_writer segments;
    bool is_writing;    /* `segments` is open */
    uint64_t run_epoch; /* of its segments: each run of numbers without a jump is an epoch */
    uint64_t last_lsn;  /* of the last change */
    struct buf frame;
    char error[512];
};

static enum status failed(struct store_import *self, enum status status, const char *what)
{
    (void)snprintf(self->error, sizeof self->error, "cannot write %s in %s: %s%s%s", what,
                   self->options.data_dir, status_text(status),
                   status == STATUS_IO || status == STATUS_NO_SPACE ? ": " : "",
                   status == STATUS_IO || status == STATUS_NO_SPACE ? strerror(errno) : "");
    return status;
}

const char *store_import_error(const struct store_import *self)
{
    return self->error;
}

/* ---- Sessions ------------------------------------------------------------------------------- */

static enum status commit(struct store_import *self)
{
    struct rows_write *write = self->write;
    self->write = NULL;
    self->batch_rows = 0;
    self->batch_bytes = 0;
    return rows_commit(write);
}

enum status store_import_session(struct store_import *self, struct view image)
{
    struct session session;
    enum status status = image_decode(image, &session);
    if (status != STATUS_OK) {
        (void)snprintf(self->error, sizeof self->error, "session %llu of the backup: %s",
                       (unsigned long long)self->next_rowid, status_text(status));
        return status;
    }
    if (self->write == NULL) {
        status = rows_write_begin(self->rows, &self->write);
    }
    if (status == STATUS_OK) {
        status = rows_put(self->write, self->next_rowid++, image);
    }
    self->batch_rows++;
    self->batch_bytes += image.len;
    if (status == STATUS_OK &&
        (self->batch_rows == BATCH_ROWS || self->batch_bytes >= BATCH_BYTES)) {
        status = commit(self);
    }
    return status == STATUS_OK ? STATUS_OK : failed(self, status, "the data file");
}

static enum status put_meta(struct store_import *self)
{
    struct rows_meta meta = {
        .hash_seed = self->options.hash_seed,
        .epoch = self->run_epoch,
        .applied_lsn = self->options.applied_lsn,
        .last_lsn = self->options.last_lsn,
        .next_rowid = self->next_rowid,
    };
    memcpy(meta.uuid, self->options.uuid, STORE_UUID_BYTES);
    enum status status = STATUS_OK;
    if (self->write == NULL) {
        status = rows_write_begin(self->rows, &self->write);
    }
    if (status == STATUS_OK) {
        status = rows_put_meta(self->write, &meta);
    }
    return status == STATUS_OK ? commit(self) : status;
}

/* ---- Changes -------------------------------------------------------------------------------- */

static enum status end_run(struct store_import *self)
{
    if (!self->is_writing) {
        return STATUS_OK;
    }
    /* The note says that all of it was durable: what is damaged later does not pass for a tail. */
    enum status status = segment_writer_note_durable(&self->segments, self->last_lsn);
    if (status == STATUS_OK) {
        status = segment_writer_sync(&self->segments, 0);
    }
    enum status closed = segment_writer_close(&self->segments);
    self->is_writing = false;
    return status == STATUS_OK ? closed : status;
}

static enum status begin_run(struct store_import *self, const struct store_changes *changes)
{
    static const struct ownership for_ever = {0};
    enum status status = end_run(self);
    struct segment_writer_options options = {.dir = self->journal_dir,
                                             .epoch = self->run_epoch + 1,
                                             .segment_bytes = SEGMENT_BYTES,
                                             .file = self->options.file,
                                             .owner = &for_ever};
    memcpy(options.uuid, self->options.uuid, STORE_UUID_BYTES);
    if (status == STATUS_OK) {
        status = segment_writer_open(&self->segments, &options, changes->follows_lsn,
                                     changes->first_lsn);
    }
    if (status == STATUS_OK) {
        self->run_epoch++;
        self->is_writing = true;
    }
    return status;
}

enum status store_import_changes(struct store_import *self, const struct store_changes *changes)
{
    if (changes->follows_lsn > self->last_lsn || changes->count == 0 ||
        (self->is_writing && changes->first_lsn <= self->last_lsn)) {
        (void)snprintf(
            self->error, sizeof self->error, "changes %llu to %llu are missing in the backup",
            (unsigned long long)self->last_lsn + 1, (unsigned long long)changes->follows_lsn);
        return STATUS_INVALID;
    }
    enum status status = STATUS_OK;
    if (!self->is_writing || changes->first_lsn != self->last_lsn + 1) {
        status = begin_run(self, changes);
    }
    size_t len = FRAME_HEADER_BYTES + changes->records.len;
    self->frame.len = 0;
    if (status == STATUS_OK) {
        status = buf_reserve(&self->frame, len);
    }
    if (status == STATUS_OK) {
        status = segment_writer_make_room(&self->segments, len);
    }
    if (status == STATUS_OK) {
        (void)put_view(self->frame.ptr + FRAME_HEADER_BYTES, changes->records);
        const struct frame frame = {
            .first_lsn = changes->first_lsn,
            .durable_lsn = self->last_lsn,
            .time_ms = changes->time_ms,
            .count = changes->count,
            .records = view_of(self->frame.ptr + FRAME_HEADER_BYTES, changes->records.len)};
        status = segment_writer_append(&self->segments, 0, self->frame.ptr, &frame);
    }
    uint64_t last_lsn = changes->first_lsn + changes->count - 1;
    self->last_lsn = last_lsn > self->last_lsn ? last_lsn : self->last_lsn;
    return status == STATUS_OK ? STATUS_OK : failed(self, status, "the journal");
}

/* ---- Beginning and ending ------------------------------------------------------------------- */

static void import_free(struct store_import *self)
{
    if (self->write != NULL) {
        rows_abort(self->write);
    }
    if (self->rows != NULL) {
        rows_close(self->rows);
    }
    if (self->is_writing) {
        (void)segment_writer_close(&self->segments);
    }
    if (self->run_dir != NULL && self->options.run_dir == NULL) {
        (void)rmdir(self->run_dir); /* unless LMDB left its lock file in it */
    }
    free((void *)(uintptr_t)self->options.data_dir);
    free(self->journal_dir);
    free(self->run_dir);
    free(self->unfinished);
    free(self->path);
    buf_free(&self->frame);
    free(self);
}

enum status store_import_check(const char *data_dir, char *errmsg, size_t errmsg_bytes)
{
    char *journal_dir = NULL;
    char *path = NULL;
    if (access(data_dir, F_OK) != 0 && errno == ENOENT) {
        return STATUS_OK;
    }
    if (asprintf(&journal_dir, "%s/journal", data_dir) < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = dir_make(journal_dir, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = data_file_locate(data_dir, journal_dir, &path, errmsg, errmsg_bytes);
        if (status == STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes, "there is a store in %s: %s", data_dir, path);
            status = STATUS_EXISTS;
        } else if (status == STATUS_NOT_FOUND) {
            status = STATUS_OK;
        } else if (status == STATUS_CORRUPT) { /* a journal alone */
            status = data_file_is_begun(data_dir) ? STATUS_OK : STATUS_EXISTS;
        }
    }
    free(path);
    free(journal_dir);
    return status;
}

/* There must be no store, and what an import left goes. */
static enum status require_empty(const struct store_import *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = store_import_check(self->options.data_dir, errmsg, errmsg_bytes);
    if (status == STATUS_OK && data_file_is_begun(self->options.data_dir)) {
        status = store_import_clear(self->options.data_dir, self->options.file, errmsg,
                                    errmsg_bytes);
    }
    return status;
}

static enum status open_all(struct store_import *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = dir_make(self->options.data_dir, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = dir_make(self->journal_dir, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = require_empty(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK && self->options.run_dir == NULL) {
        status = dir_make_private(&self->run_dir, errmsg, errmsg_bytes);
    } else if (status == STATUS_OK) {
        self->run_dir = strdup(self->options.run_dir);
        status = self->run_dir == NULL ? STATUS_NO_MEMORY
                                       : dir_make(self->run_dir, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        const struct rows_options rows = {.path = self->unfinished,
                                          .run_dir = self->run_dir,
                                          .map_bytes = self->options.map_bytes,
                                          .file = self->options.file};
        status = rows_create(&rows, &self->rows, errmsg, errmsg_bytes);
    }
    return status;
}

enum status store_import_begin(const struct store_import_options *options,
                               struct store_import **out, char *errmsg, size_t errmsg_bytes)
{
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    struct store_import *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->options.data_dir = strdup(options->data_dir);
    self->next_rowid = 1;
    self->run_epoch = options->epoch;
    self->last_lsn = options->applied_lsn;
    self->unfinished = data_file_path(options->data_dir, options->epoch, false);
    self->path = data_file_path(options->data_dir, options->epoch, true);
    bool named = asprintf(&self->journal_dir, "%s/journal", options->data_dir) >= 0;
    enum status status = self->options.data_dir == NULL || self->unfinished == NULL ||
                                 self->path == NULL || !named
                             ? STATUS_NO_MEMORY
                             : open_all(self, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        import_free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

enum status store_import_finish(struct store_import *self, char *errmsg, size_t errmsg_bytes)
{
    const struct file_ops *file = self->options.file;
    enum status status = end_run(self);
    if (status == STATUS_OK) {
        status = file_sync_dir(file, self->journal_dir);
    }
    if (status == STATUS_OK) {
        status = put_meta(self);
    }
    if (status == STATUS_OK) {
        status = data_file_publish(self->options.data_dir, self->unfinished, self->path, file);
    }
    if (status != STATUS_OK) {
        (void)failed(self, status, "a store");
        (void)snprintf(errmsg, errmsg_bytes, "%s", self->error);
        store_import_abort(self);
        return status;
    }
    import_free(self);
    return STATUS_OK;
}

void store_import_abort(struct store_import *self)
{
    if (self == NULL) {
        return;
    }
    char *dir = strdup(self->options.data_dir);
    const struct file_ops *file = self->options.file;
    import_free(self);
    char why[512] = "out of memory";
    if (dir == NULL || store_import_clear(dir, file, why, sizeof why) != STATUS_OK) {
        log_warn("what was begun is left behind", "why=\"%s\"", why);
    }
    free(dir);
}

/* ---- Clearing ------------------------------------------------------------------------------- */

/* LOCKED while a process writes the newest data file. */
static enum status require_unused(const char *data_dir, const char *journal_dir,
                                  const struct file_ops *file, char *errmsg, size_t errmsg_bytes)
{
    char *path = NULL;
    enum status status = data_file_locate(data_dir, journal_dir, &path, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        int fd = file->open(file->arg, path, O_RDWR, 0);
        status = fd < 0 ? status_of_errno(errno) : file_lock(file, fd, 0);
        (void)snprintf(errmsg, errmsg_bytes, "%s: %s", path, status_text(status));
        if (fd >= 0) {
            (void)file->close(file->arg, fd);
        }
    }
    free(path);
    return status == STATUS_NOT_FOUND || status == STATUS_CORRUPT ? STATUS_OK : status;
}

static enum status remove_segments(const char *journal_dir, const struct file_ops *file)
{
    DIR *listing = opendir(journal_dir);
    if (listing == NULL) {
        return STATUS_IO;
    }
    enum status status = STATUS_OK;
    for (const struct dirent *item = NULL;
         status == STATUS_OK && (item = readdir(listing)) != NULL;) {
        uint64_t epoch = 0;
        uint64_t number = 0;
        uint32_t lane = 0;
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", journal_dir, item->d_name);
        if (segment_parse_name(item->d_name, &epoch, &number, &lane) &&
            file->unlink(file->arg, path) != 0 && errno != ENOENT) {
            status = STATUS_IO;
        }
    }
    int error = errno;
    (void)closedir(listing);
    errno = error;
    return status;
}

enum status store_import_clear(const char *data_dir, const struct file_ops *file, char *errmsg,
                               size_t errmsg_bytes)
{
    char *journal_dir = NULL;
    if (asprintf(&journal_dir, "%s/journal", data_dir) < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = require_unused(data_dir, journal_dir, file, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        /* The data files first: what is left when this is cut short is no store. */
        status = data_files_tidy(data_dir, UINT64_MAX, file);
        if (status == STATUS_OK) {
            status = remove_segments(journal_dir, file);
        }
        (void)snprintf(errmsg, errmsg_bytes, "cannot clear %s: %s", data_dir, strerror(errno));
    }
    free(journal_dir);
    return status;
}
