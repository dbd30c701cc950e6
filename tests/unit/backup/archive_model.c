/* Random histories. */
#include "unit/backup/archive_model.h"

#include <criterion/criterion.h>
#include <string.h>

enum { FEED_MAX = 24, JUMP_MAX = 20 };

uint64_t model_random(struct model *self, uint64_t end)
{
    self->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64, public domain */
    uint64_t z = self->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % end;
}

/* ---- The tree of changes ---- */

const struct model_change *model_change(const struct model *self, uint64_t lsn)
{
    size_t low = 0;
    size_t high = self->change_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (self->changes[middle].lsn < lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < self->change_count && self->changes[low].lsn == lsn ? &self->changes[low] : NULL;
}

static uint64_t parent(const struct model *self, uint64_t lsn)
{
    return model_change(self, lsn)->parent_lsn;
}

bool model_is_ancestor(const struct model *self, uint64_t older, uint64_t newer)
{
    while (newer > older) {
        newer = parent(self, newer);
    }
    return newer == older;
}

void model_apply(struct model_state *state, const struct model_change *change)
{
    struct model_row *row = &state->rows[change->key];
    if (row->version >= change->lsn) {
        return;
    }
    if (change->op == MODEL_PUT) {
        *row = (struct model_row){change->lsn, change->lsn};
    } else if (change->op == MODEL_DELETE) {
        *row = (struct model_row){0};
    } else if (row->version != 0) {
        *row = (struct model_row){change->lsn, row->content * 31 + change->lsn};
    }
}

struct model_state model_state(const struct model *self, uint64_t lsn)
{
    uint64_t path[MODEL_CHANGES_MAX];
    size_t len = 0;
    for (; lsn != 0; lsn = parent(self, lsn)) {
        path[len++] = lsn;
    }
    struct model_state state = {0};
    while (len != 0) {
        model_apply(&state, model_change(self, path[--len]));
    }
    return state;
}

/* ---- The archive ---- */

static void tell(struct model *self, uint64_t lsn, bool is_fence, int64_t time_ms)
{
    cr_assert(self->event_count < MODEL_EVENTS_MAX);
    self->events[self->event_count++] = (struct model_event){
        .time_ms = time_ms, .lsn = lsn, .owner = self->process.number, .is_fence = is_fence};
}

/* The feed's batches never come into the archive. */
static void drop_feed(struct model *self)
{
    for (size_t i = 0; i < self->process.feed_count; i++) {
        tell(self, slot_batch_last_lsn(&self->process.feed[i]), false,
             self->process.feed[i].time_ms);
        self->events[self->event_count - 1].is_dropped = true;
    }
    self->has_drops = self->has_drops || self->process.feed_count != 0;
    self->process.feed_count = 0;
}

/* Changes behind `follows_lsn` up to `last_lsn`, as batches without holes in their lsns. */
static void feed(struct model *self, uint64_t follows_lsn, uint64_t last_lsn)
{
    uint64_t path[MODEL_CHANGES_MAX];
    size_t len = 0;
    for (uint64_t lsn = last_lsn; lsn > follows_lsn; lsn = parent(self, lsn)) {
        path[len++] = lsn;
    }
    while (len != 0) {
        struct slot_batch batch = {
            .follows_lsn = follows_lsn, .first_lsn = path[len - 1], .time_ms = self->now_ms};
        while (len != 0 && path[len - 1] == batch.first_lsn + batch.count) {
            batch.count++;
            len--;
        }
        follows_lsn = slot_batch_last_lsn(&batch);
        if (self->process.feed_count == FEED_MAX) {
            drop_feed(self);
        }
        self->process.feed[self->process.feed_count++] = batch;
    }
}

static struct model_slot *new_slot(struct model *self)
{
    cr_assert(self->slot_count < MODEL_SLOTS_MAX);
    struct model_slot *slot = &self->slots[self->slot_count];
    *slot = (struct model_slot){.header = {.uuid = "model",
                                           .epoch = self->process.number,
                                           .seq = self->slot_count,
                                           .base_lsn = self->process.base_lsn,
                                           .first_lsn = self->process.base_lsn,
                                           .last_lsn = self->process.base_lsn,
                                           .from_ms = self->now_ms,
                                           .to_ms = self->now_ms}};
    memcpy(slot->header.nonce, &self->process.number, sizeof self->process.number);
    memcpy(slot->header.prev, &self->slot_count, sizeof self->slot_count);
    self->slot_count++;
    return slot;
}

/* The first slot. What store and archive have in common is looked up now, and what only the store
 * has stands in the feed behind it. */
static void write_fence(struct model *self, bool with_drops)
{
    uint64_t archive_lsn = self->slot_count != 0 ? self->slots[self->slot_count - 1].header.last_lsn
                                                 : 0;
    uint64_t base_lsn = self->process.recovered_lsn;
    while (base_lsn > archive_lsn) {
        base_lsn = parent(self, base_lsn);
    }
    self->process.base_lsn = base_lsn;
    self->process.shipped_lsn = base_lsn;
    self->process.has_fence = true;
    new_slot(self)->header.flags = SLOT_FENCE;
    tell(self, base_lsn, true, self->now_ms);
    struct slot_batch own[FEED_MAX];
    size_t count = self->process.feed_count;
    memcpy(own, self->process.feed, sizeof own);
    self->process.feed_count = 0;
    if (with_drops && self->process.recovered_lsn != base_lsn && model_random(self, 4) == 0) {
        self->has_drops = true; /* the journal had gone with a checkpoint */
        tell(self, self->process.recovered_lsn, false, self->now_ms);
        self->events[self->event_count - 1].is_dropped = true;
    } else {
        feed(self, base_lsn, self->process.recovered_lsn);
    }
    for (size_t i = 0; i < count; i++) {
        if (self->process.feed_count == FEED_MAX) {
            drop_feed(self);
        }
        self->process.feed[self->process.feed_count++] = own[i];
    }
}

static void ship(struct model *self, bool with_drops)
{
    if (!self->process.has_fence) {
        write_fence(self, with_drops);
        return;
    }
    if (self->process.feed_count == 0) {
        return;
    }
    struct model_slot *slot = new_slot(self);
    size_t count = 1 + model_random(self, self->process.feed_count);
    for (size_t i = 0; i < count; i++) {
        const struct slot_batch *batch = &self->process.feed[i];
        struct slot_header *header = &slot->header;
        bool is_first = header->batches == 0;
        header->first_lsn = is_first ? batch->first_lsn : header->first_lsn;
        header->last_lsn = slot_batch_last_lsn(batch);
        header->from_ms = is_first || batch->time_ms < header->from_ms ? batch->time_ms
                                                                       : header->from_ms;
        header->to_ms = is_first || batch->time_ms > header->to_ms ? batch->time_ms : header->to_ms;
        slot->batches[header->batches++] = *batch;
        tell(self, header->last_lsn, false, batch->time_ms);
        self->process.shipped_lsn = header->last_lsn;
    }
    self->process.feed_count -= count;
    memmove(self->process.feed, self->process.feed + count,
            self->process.feed_count * sizeof *self->process.feed);
}

/* ---- Snapshots ---- */

static void read_key(struct model *self)
{
    if (!self->taking.is_open) {
        return;
    }
    struct model_snapshot *snapshot = &self->taking.snapshot;
    struct model_state now = model_state(self, self->process.memory_lsn);
    unsigned key = self->taking.keys_done++;
    snapshot->rows.rows[key] = now.rows[key];
    if (self->taking.keys_done == MODEL_KEYS) {
        snapshot->manifest.through_lsn = self->process.memory_lsn;
        snapshot->manifest.time_ms = self->now_ms;
        self->taking.is_open = false;
        if (self->snapshot_count < MODEL_SNAPSHOTS_MAX) {
            self->snapshots[self->snapshot_count++] = *snapshot;
        }
    }
}

static void begin_snapshot(struct model *self)
{
    if (!self->process.has_fence || self->taking.is_open) {
        return;
    }
    self->taking.is_open = true;
    self->taking.keys_done = 0;
    /* The rows will have more than the log has by now, and the log more than what stands in the
     * next slots: where the one and the other are said to begin is free within these bounds. */
    bool is_behind = self->process.feed_count != 0 && model_random(self, 2) == 0;
    uint64_t from_lsn = is_behind ? self->process.feed[0].follows_lsn : self->process.durable_lsn;
    bool is_early = model_random(self, 4) == 0;
    self->taking.snapshot = (struct model_snapshot){
        .manifest = {.id = {.from_lsn = from_lsn,
                            .epoch = (uint32_t)self->process.number,
                            .nonce = (uint32_t)self->snapshot_count},
                     .uuid = "model",
                     .next_seq = self->slot_count - is_early},
        .owner = self->process.number};
    for (bool is_quick = model_random(self, 2) == 0; is_quick && self->taking.is_open;) {
        read_key(self);
    }
}

/* ---- What happens ---- */

static void change(struct model *self)
{
    if (self->change_count == MODEL_CHANGES_MAX) {
        return;
    }
    uint64_t lsn = ++self->high_lsn;
    self->changes[self->change_count++] = (struct model_change){
        .lsn = lsn,
        .parent_lsn = self->process.memory_lsn,
        .key = (unsigned)model_random(self, MODEL_KEYS),
        .op = (enum model_op)model_random(self, 3)};
    self->process.memory_lsn = lsn;
}

static void flush(struct model *self)
{
    if (self->process.durable_lsn != self->process.memory_lsn) {
        feed(self, self->process.durable_lsn, self->process.memory_lsn);
        self->process.durable_lsn = self->process.memory_lsn;
    }
}

/* A process takes over a store whose last change is `lsn`. */
static void start(struct model *self, uint64_t lsn)
{
    drop_feed(self);
    uint64_t number = self->process.number + 1;
    memset(&self->process, 0, sizeof self->process);
    self->process.number = number;
    self->process.recovered_lsn = lsn;
    self->process.memory_lsn = lsn;
    self->process.durable_lsn = lsn;
    self->taking.is_open = false;
    self->high_lsn += model_random(self, JUMP_MAX);
}

/* Any change that is in the archive, whatever became of it; or none at all. */
static uint64_t archived_lsn(struct model *self)
{
    const struct model_slot *slot = &self->slots[model_random(self, self->slot_count)];
    if (slot->header.batches == 0) {
        return slot->header.base_lsn;
    }
    const struct slot_batch *batch = &slot->batches[model_random(self, slot->header.batches)];
    return batch->first_lsn + model_random(self, batch->count);
}

static void step(struct model *self, bool with_drops)
{
    self->now_ms += 1 + (int64_t)model_random(self, 3);
    uint64_t dice = model_random(self, 100);
    if (dice < 28) {
        change(self);
    } else if (dice < 48) {
        flush(self);
    } else if (dice < 66) {
        ship(self, with_drops);
    } else if (dice < 72) {
        begin_snapshot(self);
    } else if (dice < 93) {
        read_key(self);
    } else if (dice < 94) {
        if (with_drops) {
            drop_feed(self);
        }
    } else if (dice < 97) {
        start(self, self->process.durable_lsn);
    } else if (self->slot_count != 0) {
        start(self, archived_lsn(self));
    }
}

void model_run(struct model *self, uint64_t seed, unsigned events, bool with_drops)
{
    memset(self, 0, sizeof *self);
    self->random = seed;
    self->now_ms = 1000;
    start(self, 0);
    ship(self, with_drops);
    begin_snapshot(self);
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        read_key(self);
    }
    for (unsigned i = 0; i < events; i++) {
        step(self, with_drops);
    }
}

void model_prune(struct model *self)
{
    size_t gone = model_random(self, self->snapshot_count);
    self->snapshot_count -= gone;
    memmove(self->snapshots, self->snapshots + gone,
            self->snapshot_count * sizeof *self->snapshots);
    uint64_t oldest_seq = UINT64_MAX;
    for (size_t i = 0; i < self->snapshot_count; i++) {
        uint64_t next_seq = self->snapshots[i].manifest.next_seq;
        oldest_seq = next_seq < oldest_seq ? next_seq : oldest_seq;
    }
    for (size_t i = 0; i + 1 < self->slot_count && i < oldest_seq; i++) {
        self->slots[i].is_lost = true;
    }
    self->has_losses = true;
}

void model_lose(struct model *self)
{
    uint64_t lost = model_random(self, 3) == 0 ? 12 : 3;
    for (size_t i = 0; i < self->slot_count; i++) {
        self->slots[i].is_lost = model_random(self, 100) < lost;
        self->slots[i].is_damaged = model_random(self, 100) < lost;
    }
    for (size_t i = 0; model_random(self, 4) == 0 && i < self->slot_count / 4; i++) {
        self->slots[self->slot_count - 1 - i].is_lost = true;
    }
    for (size_t i = 0; i < self->snapshot_count; i++) {
        if (model_random(self, 5) == 0) {
            self->snapshots[i] = self->snapshots[--self->snapshot_count];
        }
    }
    self->has_losses = true;
}

bool model_is_same(const struct manifest *a, const struct manifest *b)
{
    return a->id.from_lsn == b->id.from_lsn && a->id.epoch == b->id.epoch &&
           a->id.nonce == b->id.nonce && a->through_lsn == b->through_lsn &&
           a->next_seq == b->next_seq && a->time_ms == b->time_ms;
}
