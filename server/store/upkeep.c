/* What runs beside commands: reclaiming what expired, keeping memory within its budget, and scans.
 */
#include "store/store_private.h"

enum {
    SWEEP_SHARDS = TABLE_SHARDS / 8, /* a call; ten calls a second visit all within one */
    SWEEP_RECLAIM_MAX = 512,         /* of one shard in one call: the lock is held that long */
};

/* ---- Expiry --------------------------------------------------------------------------------- */

static void tell_expired(const struct store *self, const struct entry *entry)
{
    const struct store_events *events = &self->deps.events;
    if (events->expired != NULL) {
        events->expired(events->arg, entry_id(entry));
    }
}

/* Reclaims an expired entry: gone at once when nothing of it is anywhere else, otherwise a
 * tombstone until the next checkpoint has deleted its row. No record is journalled: after a crash
 * it is found expired again. */
static bool reclaim(struct store *self, struct shard *shard, struct slot *slot)
{
    struct entry *entry = slot->entry;
    uint32_t hash = slot->hash;
    bool nowhere_else = entry->rowid == 0 && entry->state == ENTRY_DIRTY &&
                        entry_gate(shard, entry) <= journal_durable_lsn(self->journal);
    if (nowhere_else) {
        tell_expired(self, entry);
        shard_remove(shard, slot);
        return true;
    }
    if (shard_reserve(shard, 1, 1) != STATUS_OK) {
        return false; /* the dirty list is full: later */
    }
    tell_expired(self, entry);
    slot = shard_find(shard, hash, entry_id(entry)); /* reserving moves slots */
    shard_bury(shard, slot, entry_gate(shard, entry));
    return true;
}

static void sweep_shard(struct store *self, struct shard *shard, int64_t now_ms)
{
    uint32_t now_s = (uint32_t)(now_ms / 1000);
    uint64_t reclaimed = 0;
    shard_lock(shard);
    for (uint32_t at = 0; at < shard->slot_count && reclaimed < SWEEP_RECLAIM_MAX;) {
        struct slot *slot = shard_slot(shard, at);
        if (slot->expires_s == 0 || slot->expires_s > now_s || slot->entry->tombstone ||
            !session_is_expired((int64_t)slot->entry->expires_ms, now_ms)) {
            at++;
            continue;
        }
        uint32_t slots_before = shard->slot_count;
        if (!reclaim(self, shard, slot)) {
            break;
        }
        reclaimed++;
        if (shard->slot_count != slots_before) {
            break; /* the index moved: the rest next time */
        }
        /* The same place again: another entry may have moved into it. */
    }
    shard_unlock(shard);
    metric_add(&self->metrics.expired, reclaimed);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* CLOCK: what was not used since the hand came by last, and is clean, loses its content. */
static uint64_t evict_from(struct store *self, struct shard *shard, uint64_t bytes)
{
    uint64_t evicted = 0;
    shard_lock(shard);
    uint64_t before = shard->entry_bytes;
    for (uint32_t step = 0; step < 2 * shard->slot_count && before - shard->entry_bytes < bytes;
         step++) {
        shard->clock_hand = (shard->clock_hand + 1) % shard->slot_count;
        struct slot *slot = shard_slot(shard, shard->clock_hand);
        struct entry *entry = slot->entry;
        if (entry == NULL || !entry->resident || entry->state != ENTRY_CLEAN || entry->tombstone) {
            continue;
        }
        if (entry->referenced) {
            entry->referenced = 0;
            continue;
        }
        if (entry->content_len > 0) {
            shard_evict(shard, slot);
            evicted++;
        }
    }
    uint64_t freed = before - shard->entry_bytes;
    shard_unlock(shard);
    metric_add(&self->metrics.evicted, evicted);
    return freed;
}

static uint64_t memory_in_use(struct store *self)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        bytes += shard_footprint(shard);
        shard_unlock(shard);
    }
    return bytes;
}

/* Over the budget, values leave. What is still over it by an eighth afterwards is dirty or index:
 * then changes that need memory are refused until a checkpoint has made it clean. */
void store_keep_budget(struct store *self)
{
    uint64_t budget = self->options.memory_bytes;
    uint64_t used = memory_in_use(self);
    for (unsigned i = 0; i < TABLE_SHARDS && used > budget; i++) {
        unsigned left = TABLE_SHARDS - i;
        used -= evict_from(self, &self->table.shards[i], (used - budget) / left + 1);
    }
    bool over = used > budget + budget / 8;
    if (over) {
        store_want_checkpoint(self);
    }
    /* Relaxed: a worker that sees it a moment later is as right. */
    atomic_store_explicit(&self->over_budget, over, memory_order_relaxed);
}

void store_sweep(struct store *self, int64_t now_ms)
{
    if (store_state(self) != STORE_SERVING) {
        return;
    }
    for (unsigned i = 0; i < SWEEP_SHARDS; i++) {
        sweep_shard(self, &self->table.shards[self->sweep_shard], now_ms);
        self->sweep_shard = (self->sweep_shard + 1) % TABLE_SHARDS;
    }
    store_keep_budget(self);
}

/* ---- Scans ---------------------------------------------------------------------------------- */

struct scan {
    struct view prefix;
    int64_t now_ms;
    store_scan_fn visit;
    void *visit_arg;
    uint64_t gate_lsn;
    uint64_t count; /* visited so far */
};

static void scan_entry(struct scan *self, const struct shard *shard, const struct entry *entry)
{
    struct view id = entry_id(entry);
    uint64_t gate = entry_gate(shard, entry);
    self->gate_lsn = gate > self->gate_lsn ? gate : self->gate_lsn;
    if (entry->tombstone || session_is_expired((int64_t)entry->expires_ms, self->now_ms) ||
        id.len < self->prefix.len || !view_equal(view_of(id.ptr, self->prefix.len), self->prefix)) {
        return;
    }
    struct store_scan_entry item = {
        .id = id,
        .version = entry->version,
        .expires_ms = (int64_t)entry->expires_ms,
        .kind = (enum satchel_kind)entry->kind,
        .content_bytes = entry->content_len,
    };
    self->visit(self->visit_arg, &item);
    self->count++;
}

/*
 * Visits a shard from `hash` on until `count` entries were visited; returns the hash to go on with,
 * 2^32 at the end. Entries lie in the order of their hashes but for displacement, and an empty slot
 * says that all whose home is at or before it have been passed: only there the scan may stop.
 */
static uint64_t scan_shard(struct scan *self, const struct shard *shard, uint64_t hash,
                           uint64_t count)
{
    uint32_t at = shard_home(shard, (uint32_t)hash);
    for (;; at++) {
        const struct slot *slot = shard_slot(shard, at);
        if (slot->entry != NULL) {
            if (slot->hash >= hash) {
                scan_entry(self, shard, slot->entry);
            }
            continue;
        }
        uint64_t next = shard_home_hash(shard, at + 1);
        if (next >> 32 != 0 || self->count >= count) {
            return next >> 32 != 0 ? UINT64_C(1) << 32 : next;
        }
    }
}

uint64_t store_scan(struct store *self, uint64_t cursor, uint64_t count, struct view prefix,
                    int64_t now_ms, store_scan_fn visit, void *visit_arg, uint64_t *gate_lsn)
{
    struct scan scan = {.prefix = prefix, .now_ms = now_ms, .visit = visit, .visit_arg = visit_arg};
    /* A cursor is shard << 32 | hash. */
    uint64_t index = cursor >> 32;
    uint64_t hash = cursor & UINT32_MAX;
    while (index < TABLE_SHARDS && scan.count < count) {
        struct shard *shard = &self->table.shards[index];
        shard_lock(shard);
        hash = scan_shard(&scan, shard, hash, count);
        shard_unlock(shard);
        if (hash >> 32 != 0) {
            index++;
            hash = 0;
        }
    }
    *gate_lsn = scan.gate_lsn;
    return index < TABLE_SHARDS ? index << 32 | hash : 0;
}

uint64_t store_cursor_anywhere(uint64_t random)
{
    return random % ((uint64_t)TABLE_SHARDS << 32);
}
