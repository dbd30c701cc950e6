/*
 * A data file of our own, after an owner that did not say that it is done (invariant 9).
 *
 * It may be cut off and not know it, and a storage that does not fence it would let it write into
 * its files at any time. So its rows are copied, in their order and packed, into a file of this
 * epoch, and everything goes on there; its file is removed. All of that happens behind the serving
 * store, before the first checkpoint, for which what changes meanwhile waits in memory and journal.
 *
 *     data-<epoch>.mdb.new ── rows, meta row, sync ──▶ renamed, directory synced ──▶ in use
 *
 * A crash at any point leaves the old file, or both of which the later epoch counts: their rows are
 * the same, and the journal is replayed on either.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/data_dir.h"
#include "store/image.h"
#include "store/store_private.h"

enum {
    BATCH_ROWS = 8192, /* a transaction; see checkpoint.c */
    BATCH_BYTES = 4 * 1024 * 1024,
};

struct renewal {
    struct store *store;
    struct rows *fresh;       /* owned until it is in use */
    struct rows_write *write; /* the running transaction; NULL: none */
    struct buf image;
    uint64_t rows;
    size_t batch_rows;
    size_t batch_bytes;
    int64_t shown_ns;
};

/* Ends the running transaction, and with it a batch. */
static enum status commit(struct renewal *self)
{
    struct rows_write *write = self->write;
    self->write = NULL;
    self->batch_rows = 0;
    self->batch_bytes = 0;
    return rows_commit(write);
}

static void show_progress(struct renewal *self)
{
    int64_t now_ns = clock_mono_ns(self->store->deps.clock);
    if (now_ns - self->shown_ns > INT64_C(1000000000)) {
        self->shown_ns = now_ns;
        log_info("writing a new data file", "rows=%" PRIu64, self->rows);
    }
}

static enum status copy_row(void *arg, uint64_t rowid, const struct session *session)
{
    struct renewal *self = arg;
    size_t len = image_bytes(session);
    enum status status = STATUS_OK;
    if (self->write == NULL) {
        store_begin_io(self->store);
        status = store_is_stopping(self->store) ? STATUS_END
                                                : rows_write_begin(self->fresh, &self->write);
    }
    self->image.len = 0;
    if (status == STATUS_OK) {
        status = buf_reserve(&self->image, len);
    }
    if (status == STATUS_OK) {
        image_encode(self->image.ptr, session, session->version);
        status = rows_put(self->write, rowid, view_of(self->image.ptr, len));
    }
    if (status != STATUS_OK) {
        return status;
    }
    self->rows++;
    self->batch_rows++;
    self->batch_bytes += len;
    if (self->batch_rows < BATCH_ROWS && self->batch_bytes < BATCH_BYTES) {
        return STATUS_OK;
    }
    show_progress(self);
    return commit(self);
}

/* The rows, then the meta row that makes them a data file. */
static enum status copy_all(struct renewal *self)
{
    struct store *store = self->store;
    enum status status = rows_scan(store->rows, copy_row, self);
    if (status == STATUS_OK && self->write == NULL) {
        status = rows_write_begin(self->fresh, &self->write);
    }
    if (status == STATUS_OK) {
        struct rows_meta meta = store->meta;
        meta.last_lsn = journal_last_lsn(store->journal);
        status = rows_put_meta(self->write, &meta);
    }
    if (status == STATUS_OK) {
        status = commit(self);
    }
    if (self->write != NULL) {
        rows_abort(self->write);
    }
    buf_free(&self->image);
    return status;
}

/* An empty file under the name of one that is being made, opened and locked. */
static enum status open_fresh(struct store *store, const char *path, struct rows **out,
                              char *errmsg, size_t errmsg_bytes)
{
    const struct rows_options options = {.path = path,
                                         .run_dir = store->run_dir,
                                         .map_bytes = store->options.map_bytes,
                                         .file = store->deps.file};
    return rows_create(&options, out, errmsg, errmsg_bytes);
}

/* Gives the finished file its name, durably. */
static enum status publish(const struct store *store, const char *from, const char *to)
{
    if (!ownership_holds(&store->deps.owner)) {
        return STATUS_LOCKED; /* somebody else may own the directory by now */
    }
    return data_file_publish(store->options.data_dir, from, to, store->deps.file);
}

enum status store_begin_data_file(struct store *store, char *errmsg, size_t errmsg_bytes)
{
    enum { FIRST_EPOCH = 1 };
    char *unfinished = data_file_path(store->options.data_dir, FIRST_EPOCH, false);
    char *path = data_file_path(store->options.data_dir, FIRST_EPOCH, true);
    enum status status = unfinished == NULL || path == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    if (status == STATUS_OK) {
        status = open_fresh(store, unfinished, &store->rows, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = publish(store, unfinished, path);
        (void)snprintf(errmsg, errmsg_bytes, "cannot create %s: %s", path, strerror(errno));
    }
    free(unfinished);
    free(path);
    return status;
}

/* Goes on with the new file and removes the old one. */
static enum status switch_over(struct store *store, struct rows *fresh)
{
    struct rows *old = store->rows;
    store->rows = fresh;
    enum status status = loader_use(store->loader, fresh);
    if (status == STATUS_OK) {
        rows_close(old);
        status = data_files_tidy(store->options.data_dir, store->meta.epoch, store->deps.file);
    }
    return status;
}

enum status store_renew(struct store *store, char *errmsg, size_t errmsg_bytes)
{
    struct renewal self = {.store = store, .shown_ns = clock_mono_ns(store->deps.clock)};
    char *unfinished = data_file_path(store->options.data_dir, store->meta.epoch, false);
    char *path = data_file_path(store->options.data_dir, store->meta.epoch, true);
    enum status status = unfinished == NULL || path == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    store_begin_io(store);
    if (status == STATUS_OK) {
        status = open_fresh(store, unfinished, &self.fresh, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = copy_all(&self);
        if (status == STATUS_OK) {
            status = publish(store, unfinished, path);
        }
        if (status == STATUS_OK) {
            status = switch_over(store, self.fresh);
        } else {
            int error = errno;
            rows_close(self.fresh);
            errno = error;
        }
        (void)snprintf(errmsg, errmsg_bytes, "cannot write the new data file %s: %s: %s", path,
                       status_text(status), strerror(errno));
    }
    if (status == STATUS_NO_SPACE) { /* what it takes may be just what the journal lacks */
        (void)store->deps.file->unlink(store->deps.file->arg, unfinished);
    }
    free(unfinished);
    free(path);
    if (status == STATUS_OK) {
        store->must_renew = false;
        metric_add(&store->metrics.renewals, 1);
        log_info("new data file", "epoch=%" PRIu64 " rows=%" PRIu64, store->meta.epoch, self.rows);
    }
    return status;
}
