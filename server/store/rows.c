/* Opening the environment, its meta row, and transactions; reading rows is in rows_read.c. */
#include "store/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/pages.h"
#include "store/rows_private.h"

enum {
    META_BYTES = 80,
    META_FORMAT = 1,
    DISK_FULL_BYTES = 1024 * 1024,
    GROWTH_BYTES = 1024 * 1024 * 1024, /* by which a file may grow that is only looked at */
};

/* ---- Errors --------------------------------------------------------------------------------- */

enum status rows_status(struct rows *self, int rc, const char *what)
{
    if (rc == MDB_SUCCESS) {
        return STATUS_OK;
    }
    (void)snprintf(self->error, sizeof self->error, "%s: %s", what, mdb_strerror(rc));
    switch (rc) {
    case MDB_NOTFOUND:
        return STATUS_NOT_FOUND;
    case MDB_MAP_FULL:
        return STATUS_NO_SPACE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return STATUS_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return STATUS_UNSUPPORTED;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return status_of_errno(rc);
    }
}

const char *rows_error(const struct rows *self)
{
    return self->error;
}

void rows_on_page_problem(void *arg, uint64_t offset, const char *what)
{
    struct rows *self = arg;
    if (self->error[0] == '\0') {
        (void)snprintf(self->error, sizeof self->error, "%s (at byte %" PRIu64 ")", what, offset);
    }
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* Says why the lock was not to be had; errno is fcntl's. */
static enum status refuse_lock(struct rows *self, const struct rows_options *options, char *errmsg,
                               size_t errmsg_bytes)
{
    if (errno != EAGAIN && errno != EACCES) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot lock %s: %s", options->path, strerror(errno));
        return STATUS_IO;
    }
    struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)fcntl(self->fd, F_GETLK, &holder);
    (void)snprintf(errmsg, errmsg_bytes,
                   "%s is in use by another running store (process %ld); stop it first, or use "
                   "another data directory",
                   options->path, (long)(holder.l_type == F_UNLCK ? 0 : holder.l_pid));
    return STATUS_LOCKED;
}

/* Takes the data file's lock; `fd` stays open for the life of the rows, because closing any
 * descriptor of the file would drop it. */
static enum status take_lock(struct rows *self, const struct rows_options *options, char *errmsg,
                             size_t errmsg_bytes)
{
    const struct file_ops *file = options->file;
    self->fd = file->open(file->arg, options->path, options->read_only ? O_RDONLY : O_RDWR, 0);
    if (self->fd < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", options->path, strerror(errno));
        return status_of_errno(errno);
    }
    enum status status = file_lock(file, self->fd, options->lock_wait_ms);
    return status == STATUS_OK ? STATUS_OK : refuse_lock(self, options, errmsg, errmsg_bytes);
}

/* Makes `run_dir/<device>-<inode>.mdb` point to the data file. We own the data file, so what a dead
 * owner left there may go. */
static enum status make_link(struct rows *self, const struct rows_options *options, char *errmsg,
                             size_t errmsg_bytes)
{
    struct stat info;
    char *target = realpath(options->path, NULL);
    enum status status = STATUS_OK;
    if (target == NULL || fstat(self->fd, &info) != 0 ||
        asprintf(&self->link, "%s/%lx-%lx.mdb", options->run_dir, (unsigned long)info.st_dev,
                 (unsigned long)info.st_ino) < 0) {
        self->link = NULL;
        status = STATUS_IO;
    } else {
        char lock_path[4096];
        (void)snprintf(lock_path, sizeof lock_path, "%s-lock", self->link);
        (void)unlink(lock_path);
        (void)unlink(self->link);
        if (symlink(target, self->link) != 0) {
            status = STATUS_IO;
        }
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot create a link in the run directory %s: %s",
                       options->run_dir, strerror(errno));
    }
    free(target);
    return status;
}

/* Opening the main database once fixes its handle for all. Its flags are part of the file, and
 * every one of them would change how keys are compared. */
static enum status open_database(struct rows *self)
{
    MDB_txn *txn = NULL;
    unsigned flags = 0;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_open(txn, NULL, 0, &self->dbi);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_dbi_flags(txn, self->dbi, &flags);
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    return rows_status(self, rc == MDB_SUCCESS && flags != 0 ? MDB_CORRUPTED : rc, "mdb_dbi_open");
}

/* LMDB trusts what it is about to read. */
static enum status check_beginning(struct rows *self)
{
    enum status status = pages_check_first(self->file, self->fd, rows_on_page_problem, self);
    if (status == STATUS_IO) {
        return rows_status(self, errno, "reading the file");
    }
    if (status == STATUS_NOT_FOUND) { /* an empty file: LMDB makes it one of its own */
        return STATUS_OK;
    }
    return status == STATUS_OK && self->error[0] != '\0' ? STATUS_CORRUPT : status;
}

static enum status open_env(struct rows *self, const struct rows_options *options)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
    const char *path = self->link;
    uint64_t map_bytes = options->map_bytes;
    if (options->read_only) { /* LMDB's own lock would only be one more file */
        flags |= MDB_RDONLY | MDB_NOLOCK;
        path = options->path;
        map_bytes = rows_file_bytes(self) + GROWTH_BYTES;
    }
    enum status status = check_beginning(self);
    if (status == STATUS_OK) {
        status = rows_status(self, mdb_env_create(&self->env), "mdb_env_create");
    }
    if (status == STATUS_OK) {
        status = rows_status(self, mdb_env_set_mapsize(self->env, map_bytes), "map size");
    }
    if (status == STATUS_OK) {
        /* Synchronous commits; never NOSYNC (a killed task is a crashed machine), WRITEMAP, NOLOCK
         * beside a writer (measured: wrong data) or NOMEMINIT (writes old heap memory to disk). */
        status = rows_status(self, mdb_env_open(self->env, path, flags, 0600), "mdb_env_open");
    }
    if (status == STATUS_OK) {
        status = open_database(self);
    }
    /* What a dead process left in the page cache may not be on the storage yet. */
    if (status == STATUS_OK && !options->read_only && fdatasync(self->fd) != 0) {
        status = rows_status(self, errno, "fdatasync");
    }
    return status;
}

enum status rows_open(const struct rows_options *options, struct rows **out, char *errmsg,
                      size_t errmsg_bytes)
{
    struct rows *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->file = options->file;
    enum status status = take_lock(self, options, errmsg, errmsg_bytes);
    if (status == STATUS_OK && !options->read_only) {
        status = make_link(self, options, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = open_env(self, options);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", options->path, self->error);
        }
    }
    if (status != STATUS_OK) {
        rows_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

enum status rows_create(const struct rows_options *options, struct rows **out, char *errmsg,
                        size_t errmsg_bytes)
{
    const struct file_ops *file = options->file;
    int fd = -1;
    enum status status = STATUS_OK;
    if (file->unlink(file->arg, options->path) != 0 && errno != ENOENT) {
        status = status_of_errno(errno);
    } else {
        fd = file->open(file->arg, options->path, O_RDWR | O_CREAT | O_EXCL, 0600);
        status = fd < 0 || file->close(file->arg, fd) != 0 ? status_of_errno(errno) : STATUS_OK;
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot create %s: %s", options->path,
                       strerror(errno));
        return status;
    }
    return rows_open(options, out, errmsg, errmsg_bytes);
}

void rows_close(struct rows *self)
{
    if (self->env != NULL) {
        mdb_env_close(self->env);
    }
    if (self->link != NULL) {
        char lock_path[4096];
        (void)snprintf(lock_path, sizeof lock_path, "%s-lock", self->link);
        (void)unlink(lock_path);
        (void)unlink(self->link);
        free(self->link);
    }
    if (self->fd >= 0) {
        (void)self->file->close(self->file->arg, self->fd);
    }
    free(self);
}

uint64_t rows_file_bytes(const struct rows *self)
{
    struct stat info;
    return fstat(self->fd, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* ---- Writing -------------------------------------------------------------------------------- */

enum status rows_write_begin(struct rows *self, struct rows_write **out)
{
    struct rows_write *write = calloc(1, sizeof *write);
    if (write == NULL) {
        return STATUS_NO_MEMORY;
    }
    write->rows = self;
    enum status status = rows_status(self, mdb_txn_begin(self->env, NULL, 0, &write->txn),
                                     "mdb_txn_begin");
    if (status == STATUS_OK) {
        status = rows_status(self, mdb_dbi_open(write->txn, NULL, 0, &self->dbi), "mdb_dbi_open");
    }
    if (status == STATUS_OK) {
        status = rows_status(self, mdb_cursor_open(write->txn, self->dbi, &write->cursor),
                             "mdb_cursor_open");
    }
    if (status != STATUS_OK) {
        rows_abort(write);
        return status;
    }
    MDB_val key;
    uint8_t bytes[ROW_KEY_BYTES];
    if (mdb_cursor_get(write->cursor, &key, NULL, MDB_LAST) == MDB_SUCCESS &&
        key.mv_size == sizeof bytes) {
        memcpy(bytes, key.mv_data, sizeof bytes);
        write->last_rowid = row_key_rowid(bytes);
    }
    *out = write;
    return STATUS_OK;
}

static enum status put_chunk(struct rows_write *write, uint64_t rowid, unsigned chunk,
                             MDB_val value, unsigned flags)
{
    uint8_t bytes[ROW_KEY_BYTES];
    row_key(bytes, rowid, chunk);
    MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
    return rows_status(write->rows, mdb_cursor_put(write->cursor, &key, &value, flags), "put");
}

/* Deletes the chunks of `rowid` that come after the cursor's place. */
static enum status delete_following(struct rows_write *write, uint64_t rowid)
{
    for (;;) {
        MDB_val key;
        int rc = mdb_cursor_get(write->cursor, &key, NULL, MDB_NEXT);
        if (rc == MDB_NOTFOUND ||
            (rc == MDB_SUCCESS && row_key_rowid((const uint8_t *)key.mv_data) != rowid)) {
            return STATUS_OK;
        }
        if (rc == MDB_SUCCESS) {
            rc = mdb_cursor_del(write->cursor, 0);
        }
        /* After a deletion the cursor stands on the next entry, which MDB_NEXT then returns. */
        if (rc != MDB_SUCCESS) {
            return rows_status(write->rows, rc, "delete");
        }
    }
}

enum status rows_put(struct rows_write *write, uint64_t rowid, struct view image)
{
    bool is_new = rowid > write->last_rowid;
    unsigned flags = is_new ? MDB_APPEND : 0;
    uint8_t first[ROW_CHUNK_BYTES];
    size_t in_first = sizeof first - ROW_HEADER_BYTES;
    in_first = image.len < in_first ? image.len : in_first;
    store_u64(first, hash64(image, rowid));
    store_u32(first + 8, (uint32_t)image.len);
    memcpy(first + ROW_HEADER_BYTES, image.ptr, in_first);
    MDB_val value = {.mv_size = ROW_HEADER_BYTES + in_first, .mv_data = first};
    enum status status = put_chunk(write, rowid, 0, value, flags);
    unsigned chunk = 1;
    for (size_t at = in_first; at < image.len && status == STATUS_OK; chunk++) {
        size_t part = image.len - at < ROW_CHUNK_BYTES ? image.len - at : ROW_CHUNK_BYTES;
        value = (MDB_val){.mv_size = part, .mv_data = (void *)(uintptr_t)(image.ptr + at)};
        status = put_chunk(write, rowid, chunk, value, flags);
        at += part;
    }
    if (is_new) {
        write->last_rowid = rowid;
        return status;
    }
    return status == STATUS_OK ? delete_following(write, rowid) : status;
}

enum status rows_delete(struct rows_write *write, uint64_t rowid)
{
    uint8_t bytes[ROW_KEY_BYTES];
    row_key(bytes, rowid, 0);
    MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
    int rc = mdb_cursor_get(write->cursor, &key, NULL, MDB_SET);
    if (rc == MDB_NOTFOUND) {
        return STATUS_OK;
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_del(write->cursor, 0);
    }
    return rc == MDB_SUCCESS ? delete_following(write, rowid)
                             : rows_status(write->rows, rc, "delete");
}

/* LMDB calls a short write EIO, and on a disk that is just filling up the first sign is a short
 * write. Nothing of the transaction counts then (its meta page was not written), so it may be tried
 * again. */
static bool is_disk_full(const struct rows *self)
{
    struct statvfs info;
    return fstatvfs(self->fd, &info) == 0 && info.f_bavail < DISK_FULL_BYTES / info.f_frsize;
}

enum status rows_commit(struct rows_write *write)
{
    struct rows *self = write->rows;
    mdb_cursor_close(write->cursor);
    int rc = mdb_txn_commit(write->txn);
    free(write);
    enum status status = rows_status(self, rc, "commit");
    return rc == EIO && is_disk_full(self) ? STATUS_NO_SPACE : status;
}

void rows_abort(struct rows_write *write)
{
    if (write->cursor != NULL) {
        mdb_cursor_close(write->cursor);
    }
    if (write->txn != NULL) {
        mdb_txn_abort(write->txn);
    }
    free(write);
}

/* ---- The meta row --------------------------------------------------------------------------- */

enum status rows_put_meta(struct rows_write *write, const struct rows_meta *meta)
{
    uint8_t bytes[META_BYTES] = "SATCHEL";
    store_u32(bytes + 8, META_FORMAT);
    memcpy(bytes + 16, meta->uuid, STORE_UUID_BYTES);
    store_u64(bytes + 32, meta->hash_seed);
    store_u64(bytes + 40, meta->epoch);
    store_u64(bytes + 48, meta->applied_lsn);
    store_u64(bytes + 56, meta->last_lsn);
    store_u64(bytes + 64, meta->next_rowid);
    store_u64(bytes + 72, hash64(view_of(bytes, 72), 0));
    return put_chunk(write, 0, 0, (MDB_val){.mv_size = sizeof bytes, .mv_data = bytes}, 0);
}

enum status rows_read_meta(struct rows *self, struct rows_meta *out)
{
    MDB_txn *txn = NULL;
    enum status status = rows_status(self, mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn),
                                     "mdb_txn_begin");
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t key_bytes[ROW_KEY_BYTES];
    row_key(key_bytes, 0, 0);
    MDB_val key = {.mv_size = sizeof key_bytes, .mv_data = key_bytes};
    MDB_val value;
    MDB_stat all = {0};
    status = rows_status(self, mdb_get(txn, self->dbi, &key, &value), "meta row");
    if (status == STATUS_OK) {
        const uint8_t *bytes = value.mv_data;
        if (value.mv_size != META_BYTES || memcmp(bytes, "SATCHEL", 8) != 0 ||
            load_u64(bytes + 72) != hash64(view_of(bytes, 72), 0)) {
            (void)snprintf(self->error, sizeof self->error, "the meta row is damaged");
            status = STATUS_CORRUPT;
        } else if (load_u32(bytes + 8) != META_FORMAT) {
            (void)snprintf(self->error, sizeof self->error,
                           "the data file has format %u, this program knows format %d",
                           (unsigned)load_u32(bytes + 8), META_FORMAT);
            status = STATUS_UNSUPPORTED;
        } else {
            memcpy(out->uuid, bytes + 16, STORE_UUID_BYTES);
            out->hash_seed = load_u64(bytes + 32);
            out->epoch = load_u64(bytes + 40);
            out->applied_lsn = load_u64(bytes + 48);
            out->last_lsn = load_u64(bytes + 56);
            out->next_rowid = load_u64(bytes + 64);
        }
    } else if (status == STATUS_NOT_FOUND && mdb_stat(txn, self->dbi, &all) == MDB_SUCCESS &&
               all.ms_entries != 0) {
        (void)snprintf(self->error, sizeof self->error, "the meta row is missing");
        status = STATUS_CORRUPT;
    }
    mdb_txn_abort(txn);
    return status;
}
