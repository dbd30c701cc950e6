/*
 * Checkpoints: changed sessions go from the table into LMDB, and the journal that held them goes.
 *
 * 1. applied = the last lsn given out. Whatever has an lsn up to it is in LMDB already or in a
 *    dirty list by the time the list's shard is locked: lsn and list are set under that lock.
 *
 * 2. Take the dirty lists, shard by shard, and plan: all rows to be written, in the order of their
 *    ids, which is the order of LMDB's pages: a page is written once however many of its rows have
 *    changed. New sessions get their row ids here.
 *
 * 3. Round by round, as many rows as fit into a transaction: copy the images (as they are now; what
 *    changed since step 2 is newer than it has to be), wait until the highest version copied is
 *    durable (invariant 4), write the rows, commit with sync. What did not change since it was
 *    copied is clean then; tombstones go. If there was no space, all is dirty again instead, and
 *    the next checkpoint tries again.
 *
 * 4. The last transaction also sets applied_lsn. Crashing before it is harmless: the journal is
 *    replayed from the older applied_lsn and skips what rows already have.
 */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/image.h"
#include "store/store_private.h"

enum {
    ROUND_ROWS = 8192,             /* a transaction; LMDB keeps the memory of its pages */
    ROUND_BYTES = 4 * 1024 * 1024, /* of images copied at a time */
};

/* Where a row that is to be written is: which shard has taken it, and its place there. */
struct plan_row {
    uint64_t rowid; /* 0: nothing to write, the session came and went between two checkpoints */
    uint32_t shard;
    uint32_t place;
};

struct plan {
    struct plan_row *rows; /* owned; by row id */
    size_t count;
    size_t cap;
};

/* A row to be written, or deleted when image_len is 0. */
struct row_change {
    uint64_t rowid;
    size_t image_at; /* in the round's images */
    size_t image_len;
};

struct round {
    size_t first; /* of the plan's rows that are in this round */
    size_t end;
    struct row_change changes[ROUND_ROWS];
    size_t count;
    struct buf images;
    uint64_t version_max;
};

/* ---- The plan ------------------------------------------------------------------------------- */

static enum status plan_reserve(struct plan *plan, size_t extra)
{
    if (plan->cap - plan->count >= extra) {
        return STATUS_OK;
    }
    size_t cap = plan->count + extra + plan->cap / 2;
    struct plan_row *grown = realloc(plan->rows, cap * sizeof *grown);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    plan->rows = grown;
    plan->cap = cap;
    return STATUS_OK;
}

static void give_rowid(struct store *self, struct entry *entry)
{
    if (entry->rowid == 0 && !entry->tombstone) {
        entry->rowid = self->meta.next_rowid++ & ((UINT64_C(1) << 44) - 1);
    }
}

static enum status take_shard(struct store *self, struct plan *plan, unsigned index)
{
    struct shard *shard = &self->table.shards[index];
    shard_lock(shard);
    enum status status = plan_reserve(plan, shard->dirty.count);
    if (status == STATUS_OK) {
        shard_take(shard);
        for (uint32_t place = 0; place < shard->taken.count; place++) {
            struct entry *entry = shard->taken.items[place];
            if (entry != NULL) {
                give_rowid(self, entry);
                assert(plan->rows != NULL && plan->count < plan->cap); /* there is room for all */
                plan->rows[plan->count++] = (struct plan_row){
                    .rowid = entry->rowid, .shard = index, .place = place};
            }
        }
    }
    shard_unlock(shard);
    return status;
}

static int by_rowid(const void *a, const void *b)
{
    const struct plan_row *left = a;
    const struct plan_row *right = b;
    return (left->rowid > right->rowid) - (left->rowid < right->rowid);
}

/* Step 2. */
static enum status make_plan(struct store *self, struct plan *plan)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < TABLE_SHARDS && status == STATUS_OK; i++) {
        status = take_shard(self, plan, i);
    }
    if (status == STATUS_OK && plan->count != 0) { /* otherwise there is no array to sort */
        qsort(plan->rows, plan->count, sizeof *plan->rows, by_rowid);
    }
    return status;
}

/* ---- Rounds --------------------------------------------------------------------------------- */

/* Copies what is to be written of this entry, which is locked. */
static enum status copy_entry(struct store *self, struct round *round, const struct shard *shard,
                              struct entry *entry)
{
    struct row_change *change = &round->changes[round->count];
    entry->state = ENTRY_WRITING;
    give_rowid(self, entry); /* a tombstone when it was taken, and alive again */
    if (entry->rowid == 0) {
        return STATUS_OK;
    }
    *change = (struct row_change){.rowid = entry->rowid, .image_at = round->images.len};
    if (!entry->tombstone) {
        struct session session = entry_session(entry);
        change->image_len = image_bytes(&session);
        enum status status = buf_reserve(&round->images, change->image_len);
        if (status != STATUS_OK) {
            return status;
        }
        image_encode(round->images.ptr + round->images.len, &session, session.version);
        round->images.len += change->image_len;
    }
    round->count++;
    uint64_t gate = entry_gate(shard, entry); /* its touches may not be durable yet either */
    round->version_max = gate > round->version_max ? gate : round->version_max;
    return STATUS_OK;
}

static enum status copy_round(struct store *self, struct round *round, const struct plan *plan)
{
    enum status status = STATUS_OK;
    while (round->end < plan->count && round->count < ROUND_ROWS &&
           round->images.len < ROUND_BYTES && status == STATUS_OK) {
        const struct plan_row *row = &plan->rows[round->end++];
        struct shard *shard = &self->table.shards[row->shard];
        shard_lock(shard);
        struct entry *entry = shard->taken.items[row->place];
        if (entry != NULL) { /* otherwise it has left the table */
            status = copy_entry(self, round, shard, entry);
        }
        shard_unlock(shard);
    }
    return status;
}

/* Waits, writes and commits; with `meta`, step 4. */
static enum status write_round(struct store *self, const struct round *round,
                               const struct rows_meta *meta)
{
    enum status status = journal_wait_durable(self->journal, round->version_max);
    if (status != STATUS_OK) {
        return status;
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

/* What the round has written is clean, unless it changed meanwhile. */
static void settle_round(struct store *self, const struct round *round, const struct plan *plan)
{
    for (size_t i = round->first; i < round->end; i++) {
        struct shard *shard = &self->table.shards[plan->rows[i].shard];
        shard_lock(shard);
        shard_written(shard, &self->table, plan->rows[i].place);
        shard_unlock(shard);
    }
}

static enum status run_round(struct store *self, struct round *round, const struct plan *plan,
                             uint64_t applied_lsn)
{
    store_begin_io(self);
    round->first = round->end;
    round->count = 0;
    round->images.len = 0;
    round->version_max = 0;
    enum status status = copy_round(self, round, plan);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_last = round->end == plan->count;
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
    if (status == STATUS_OK) {
        self->meta = meta;
        settle_round(self, round, plan);
    }
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------ */

/* There was no space: everything is dirty again that was not written. */
static enum status give_back(struct store *self)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < TABLE_SHARDS && status == STATUS_OK; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        status = shard_give_back(shard);
        shard_unlock(shard);
    }
    return status == STATUS_OK ? STATUS_NO_SPACE : status;
}

static void end_taken(struct store *self)
{
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        shard_end_taken(shard);
        shard_unlock(shard);
    }
    /* The lists leave holes between the sessions, 8 bytes for each that was in them. */
    (void)malloc_trim(0);
}

static enum status write_all(struct store *self, uint64_t applied_lsn)
{
    struct plan plan = {0};
    struct round *round = calloc(1, sizeof *round);
    enum status status = round == NULL ? STATUS_NO_MEMORY : make_plan(self, &plan);
    bool done = false;
    while (status == STATUS_OK && !done) { /* at least one: for applied_lsn */
        status = run_round(self, round, &plan, applied_lsn);
        done = round->end == plan.count;
    }
    if (round != NULL) {
        buf_free(&round->images);
    }
    free(round);
    free(plan.rows);
    if (status == STATUS_OK) {
        end_taken(self);
    }
    return status == STATUS_NO_SPACE ? give_back(self) : status;
}

/* The last change so far. Each life begins with a jump of lsns; until its first change what lies in
 * between are none, and who reads the data file must not take them for changes that went missing.
 */
static uint64_t last_change(const struct store *self)
{
    uint64_t last_lsn = journal_last_lsn(self->journal);
    return last_lsn >= self->first_lsn ? last_lsn : self->found_lsn;
}

enum status store_checkpoint(struct store *self, char *errmsg, size_t errmsg_bytes)
{
    /* Now, or every flush until the end of this one would ask for another. */
    atomic_store_explicit(&self->checkpointed_bytes, journal_total_bytes(self->journal),
                          memory_order_relaxed);
    const uint64_t applied_lsn = last_change(self);
    int64_t start_ns = clock_mono_ns(self->deps.clock);
    enum status status = write_all(self, applied_lsn);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot write a checkpoint: %s: %s",
                       status_text(status), rows_error(self->rows));
        return status;
    }
    metric_add(&self->metrics.checkpoints, 1);
    metric_set(&self->metrics.file_bytes, (int64_t)rows_file_bytes(self->rows));
    metric_set(&self->metrics.applied_lsn, (int64_t)applied_lsn);
    const int64_t end_ns = clock_mono_ns(self->deps.clock);
    metric_observe_ns(&self->metrics.checkpoint_seconds, end_ns - start_ns);
    /* Relaxed: it stands for itself. */
    atomic_store_explicit(&self->checkpointed_ns, end_ns, memory_order_relaxed);
    /* Whoever is not the owner any more removes nothing: the next one may need it. */
    status = ownership_holds(&self->deps.owner) ? journal_drop_covered(self->journal, applied_lsn)
                                                : STATUS_LOCKED;
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot remove old journal segments: %s",
                       status_text(status));
    }
    return status;
}
