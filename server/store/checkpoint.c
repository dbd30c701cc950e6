/*
 * Checkpoints: changed sessions go from the table into LMDB, and the journal that held them goes.
 *
 * 1. applied = the last lsn given out. Whatever has an lsn up to it is in LMDB already or in a
 *    dirty list by the time the list's shard is locked: lsn and list are set under that lock.
 *
 * 2. Round by round, a few shards each: lock, freeze the dirty list, copy the images, unlock. New
 *    sessions get their row ids here, in the order of time.
 *
 * 3. Wait until the highest version copied is durable (invariant 4), write the rows in the order
 *    of their ids, commit with sync.
 *
 * 4. Lock again: what is still frozen did not change meanwhile and is clean; tombstones go. If
 *    there was no space, it is dirty again instead, and the next checkpoint tries again.
 *
 * 5. The last transaction also sets applied_lsn. Crashing before it is harmless: the journal is
 *    replayed from the older applied_lsn and skips what rows already have.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/image.h"
#include "store/store_private.h"

enum {
    ROUND_ROWS = 40000,             /* a transaction stays below LMDB's 131,071 dirty pages */
    ROUND_BYTES = 32 * 1024 * 1024, /* of images copied at a time */
};

/* A row to be written, or deleted when image_len is 0. */
struct row_change {
    uint64_t rowid;
    size_t image_at; /* in the round's images */
    size_t image_len;
};

struct round {
    unsigned first_shard; /* of those frozen in this round */
    unsigned end_shard;
    struct row_change *changes; /* owned */
    size_t count;
    size_t cap;
    struct buf images;
    uint64_t version_max;
};

static enum status round_reserve(struct round *round, size_t extra)
{
    if (round->cap - round->count >= extra) {
        return STATUS_OK;
    }
    size_t cap = round->count + extra + round->cap / 2;
    struct row_change *grown = realloc(round->changes, cap * sizeof *grown);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    round->changes = grown;
    round->cap = cap;
    return STATUS_OK;
}

static enum status copy_entry(struct store *self, struct round *round, struct entry *entry)
{
    assert(round->changes != NULL && round->count < round->cap);
    struct row_change *change = &round->changes[round->count];
    if (entry->tombstone) {
        if (entry->rowid != 0) { /* otherwise it came and went between two checkpoints */
            *change = (struct row_change){.rowid = entry->rowid};
            round->count++;
        }
    } else {
        struct session session = entry_session(entry);
        size_t len = image_bytes(&session);
        enum status status = buf_reserve(&round->images, len);
        if (status != STATUS_OK) {
            return status;
        }
        if (entry->rowid == 0) {
            entry->rowid = self->meta.next_rowid++ & ((UINT64_C(1) << 44) - 1);
        }
        image_encode(round->images.ptr + round->images.len, &session, session.version);
        *change = (struct row_change){
            .rowid = entry->rowid, .image_at = round->images.len, .image_len = len};
        round->images.len += len;
        round->count++;
    }
    if (entry->version > round->version_max) {
        round->version_max = entry->version;
    }
    return STATUS_OK;
}

/* Step 2 for one shard. */
static enum status copy_shard(struct store *self, struct round *round, struct shard *shard)
{
    shard_lock(shard);
    enum status status = round_reserve(round, shard->dirty.count);
    if (status == STATUS_OK) {
        shard_freeze(shard);
        for (uint32_t i = 0; i < shard->frozen.count && status == STATUS_OK; i++) {
            if (shard->frozen.items[i] != NULL) {
                status = copy_entry(self, round, shard->frozen.items[i]);
            }
        }
        /* The rows hold touches that may not be durable yet. */
        if (shard->frozen.count != 0 && shard->touch_lsn > round->version_max) {
            round->version_max = shard->touch_lsn;
        }
    }
    shard_unlock(shard);
    return status;
}

static int by_rowid(const void *a, const void *b)
{
    const struct row_change *left = a;
    const struct row_change *right = b;
    return (left->rowid > right->rowid) - (left->rowid < right->rowid);
}

/* Steps 3 and, with `meta`, 5. */
static enum status write_round(struct store *self, struct round *round,
                               const struct rows_meta *meta)
{
    enum status status = journal_wait_durable(self->journal, round->version_max);
    if (status != STATUS_OK) {
        return status;
    }
    if (round->count != 0) { /* without changes there is no array to sort */
        qsort(round->changes, round->count, sizeof *round->changes, by_rowid);
    }
    struct rows_write *write = NULL;
    status = rows_write_begin(self->rows, &write);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < round->count && status == STATUS_OK; i++) {
        const struct row_change *change = &round->changes[i];
        status = change->image_len == 0
                     ? rows_delete(write, change->rowid)
                     : rows_put(write, change->rowid,
                                view_of(round->images.ptr + change->image_at, change->image_len));
    }
    if (status == STATUS_OK && meta != NULL) {
        status = rows_put_meta(write, meta);
    }
    if (status == STATUS_OK && !ownership_holds(&self->deps.owner)) {
        status = STATUS_LOCKED; /* somebody else may own the directory by now */
    }
    if (status != STATUS_OK) {
        rows_abort(write);
        return status;
    }
    metric_add(&self->metrics.rows_written, round->count);
    return rows_commit(write);
}

/* Step 4. */
static void thaw_round(struct store *self, const struct round *round)
{
    for (unsigned i = round->first_shard; i < round->end_shard; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        shard_thaw(shard, &self->table);
        shard_unlock(shard);
    }
}

/* Instead of step 4 when there was no space. */
static enum status unfreeze_round(struct store *self, const struct round *round)
{
    enum status status = STATUS_OK;
    for (unsigned i = round->first_shard; i < round->end_shard && status == STATUS_OK; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        status = shard_unfreeze(shard);
        shard_unlock(shard);
    }
    return status == STATUS_OK ? STATUS_NO_SPACE : status;
}

/* One round from shard `first` on; the last one of a checkpoint writes the meta row. */
static enum status run_round(struct store *self, struct round *round, unsigned first,
                             uint64_t applied_lsn)
{
    store_begin_io(self);
    round->first_shard = first;
    round->end_shard = first;
    round->count = 0;
    round->images.len = 0;
    round->version_max = 0;
    enum status status = STATUS_OK;
    while (round->end_shard < TABLE_SHARDS && round->count < ROUND_ROWS &&
           round->images.len < ROUND_BYTES && status == STATUS_OK) {
        status = copy_shard(self, round, &self->table.shards[round->end_shard++]);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_last = round->end_shard == TABLE_SHARDS;
    struct rows_meta meta = self->meta;
    if (is_last) {
        meta.applied_lsn = applied_lsn;
        meta.last_lsn = journal_last_lsn(self->journal);
        /* What is applied has to be durable even if no row of this round carries it. */
        if (round->version_max < applied_lsn) {
            round->version_max = applied_lsn;
        }
    }
    status = write_round(self, round, is_last ? &meta : NULL);
    if (status == STATUS_NO_SPACE) {
        return unfreeze_round(self, round);
    }
    if (status == STATUS_OK) {
        self->meta = meta;
        thaw_round(self, round);
    }
    return status;
}

enum status store_checkpoint(struct store *self, char *errmsg, size_t errmsg_bytes)
{
    uint64_t total_bytes = journal_total_bytes(self->journal);
    uint64_t applied_lsn = journal_last_lsn(self->journal);
    int64_t start_ns = clock_mono_ns(self->deps.clock);
    struct round round = {0};
    enum status status = STATUS_OK;
    for (unsigned shard = 0; shard < TABLE_SHARDS && status == STATUS_OK; shard = round.end_shard) {
        status = run_round(self, &round, shard, applied_lsn);
    }
    free(round.changes);
    buf_free(&round.images);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot write a checkpoint: %s: %s",
                       status_text(status), rows_error(self->rows));
        return status;
    }
    atomic_store_explicit(&self->checkpointed_bytes, total_bytes, memory_order_relaxed);
    metric_add(&self->metrics.checkpoints, 1);
    metric_set(&self->metrics.file_bytes, (int64_t)rows_file_bytes(self->rows));
    metric_set(&self->metrics.applied_lsn, (int64_t)applied_lsn);
    metric_observe_ns(&self->metrics.checkpoint_seconds,
                      clock_mono_ns(self->deps.clock) - start_ns);
    /* Whoever is not the owner any more removes nothing: the next one may need it. */
    status = ownership_holds(&self->deps.owner) ? journal_drop_covered(self->journal, applied_lsn)
                                                : STATUS_LOCKED;
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot remove old journal segments: %s",
                       status_text(status));
    }
    return status;
}
