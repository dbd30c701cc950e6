/*
 * Exports: sessions as the data file has them, for a backup.
 *
 * The checkpoint thread reads them, part by part, between its own duties: only it knows which data
 * file is in use, and between two of its checkpoints the file does not change. Row ids stay the
 * same when it is written anew, so an export goes on where it was.
 */
#include <stdlib.h>

#include "store/image.h"
#include "store/store_private.h"

/* A part that somebody waits for. */
struct export_work {
    struct store_export *state; /* borrowed, as all here */
    size_t bytes;
    struct buf *into;
    bool is_fresh;   /* the checkpoint that it has to wait for has begun, or it needs none */
    bool is_running; /* the checkpoint thread reads right now */
    enum status status;
};

static enum status append_row(void *arg, uint64_t rowid, const struct session *session)
{
    struct buf *into = arg;
    (void)rowid;
    /* The image itself: its bytes begin in front of the id, wherever it was read to. Encoding the
     * session again would move its expiry. */
    struct view image = view_of(session->id.ptr - IMAGE_HEADER_BYTES, image_bytes(session));
    uint8_t length[4];
    store_u32(length, (uint32_t)image.len);
    enum status status = buf_append(into, view_of(length, sizeof length));
    return status == STATUS_OK ? buf_append(into, image) : status;
}

bool store_export_is_due(const struct store *self)
{
    return self->export != NULL && !self->export->is_fresh;
}

void store_freshen_export(struct store *self)
{
    if (self->export != NULL) {
        self->export->is_fresh = true;
    }
}

void store_work_export(struct store *self)
{
    struct export_work *work = self->export;
    if (work == NULL || !work->is_fresh) {
        return;
    }
    work->is_running = true;
    (void)pthread_mutex_unlock(&self->keeper_lock);
    uint64_t next = 0;
    enum status status = rows_scan_part(self->rows, work->state->next_rowid, work->bytes,
                                        append_row, work->into, &next);
    if (status == STATUS_OK) {
        work->state->next_rowid = next;
        work->state->applied_lsn = self->meta.applied_lsn;
        status = next == 0 ? STATUS_END : STATUS_OK;
    }
    (void)pthread_mutex_lock(&self->keeper_lock);
    work->status = status;
    self->export = NULL;
    (void)pthread_cond_broadcast(&self->export_done);
}

enum status store_export_part(struct store *self, struct store_export *state, size_t bytes,
                              struct buf *into)
{
    struct export_work work = {.state = state,
                               .bytes = bytes,
                               .into = into,
                               .is_fresh = state->next_rowid != 0,
                               .status = STATUS_AGAIN};
    (void)pthread_mutex_lock(&self->keeper_lock);
    if (!self->stopping && !self->exports_ended && !self->keeper_gone) {
        self->export = &work;
        (void)pthread_cond_signal(&self->keeper_wake);
        /* What is being read is waited for: `work` must stay. */
        while (self->export == &work && !self->keeper_gone &&
               (work.is_running || !self->exports_ended)) {
            (void)pthread_cond_wait(&self->export_done, &self->keeper_lock);
        }
        self->export = NULL;
    }
    (void)pthread_mutex_unlock(&self->keeper_lock);
    return work.status;
}

void store_end_exports(struct store *self)
{
    (void)pthread_mutex_lock(&self->keeper_lock);
    self->exports_ended = true;
    (void)pthread_cond_broadcast(&self->export_done);
    (void)pthread_mutex_unlock(&self->keeper_lock);
}

void store_identify(const struct store *self, struct store_identity *out)
{
    *out = (struct store_identity){
        .hash_seed = self->meta.hash_seed,
        .epoch = self->meta.epoch,
        .last_lsn = self->found_lsn,
        .first_lsn = self->first_lsn,
    };
    memcpy(out->uuid, self->meta.uuid, STORE_UUID_BYTES);
}
