/*
 * The table: all sessions in memory, in 256 shards, each with its own lock.
 *
 * A shard's index is one flat array of slots, open addressing with linear probing:
 *
 *     slot:  | entry pointer 8 | hash 4 | expiry in s 4 |      16 bytes, four to a cache line
 *
 * An id's home slot is hash * capacity / 2^32. That map keeps order, so the index is (nearly)
 * sorted by hash, which gives scans a cursor that survives growing: the hash itself. Probing never
 * wraps: behind the last home slot there is a tail for what is displaced.
 *
 * The expiry column makes a timing wheel unnecessary: finding what has expired is a sequential
 * pass over the slots, about 1 ms for a million sessions, needs no memory and no re-arming, and a
 * touch only rewrites a number in the slot that the lookup has just read.
 *
 * Changed entries are in the shard's dirty list until a checkpoint takes the list; what changes
 * while it is being written moves back from the taken list to the dirty one.
 */
#pragma once

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "store/entry.h"

enum { TABLE_SHARDS = 256 };

struct slot {
    struct entry *entry; /* owned; NULL: the slot is empty */
    uint32_t hash;       /* low half of the id's hash */
    uint32_t expires_s;  /* the entry's expiry rounded up to seconds; 0 = never */
};

struct entry_list {
    struct entry **items; /* owned array of borrowed entries; NULL items are gaps */
    uint32_t count;
    uint32_t cap;
};

struct shard {
    alignas(64) pthread_mutex_t lock; /* guards everything below and all entries of the shard */
    _Atomic(struct slot *) slots;     /* owned; atomic only for prefetching without the lock */
    _Atomic uint32_t capacity;        /* home slots; likewise */
    uint32_t slot_count;              /* capacity and tail */
    uint32_t used;                    /* slots in use, tombstones included */
    uint32_t live;                    /* sessions, tombstones excluded */
    uint32_t clock_hand;              /* slot where eviction goes on */
    struct entry_list dirty;
    struct entry_list taken; /* by the checkpoint in progress */
    uint64_t entry_bytes;    /* footprint of all entries */
    uint64_t touch_lsn;      /* lsn of the last journalled touch of any entry */
};

struct table {
    struct shard shards[TABLE_SHARDS];
    uint64_t seed; /* immutable after init */
};

/** Initialises an empty table in place. NO_MEMORY leaves nothing to close. */
enum status table_init(struct table *self, uint64_t seed) MUST_CHECK;

/** Frees all entries and the index. No other thread may use the table. */
void table_close(struct table *self);

uint64_t table_hash(const struct table *self, struct view id);

static inline struct shard *table_shard(struct table *self, uint64_t hash)
{
    return &self->shards[hash >> 56];
}

void table_prefetch_slot(struct table *self, uint64_t hash);

/** Looks the slot up (under the lock) and starts loading its entry into the cache. */
void table_prefetch_entry(struct table *self, uint64_t hash);

/* ---- With the shard's lock held ------------------------------------------------------------- */

void shard_lock(struct shard *self);
void shard_unlock(struct shard *self);

/** The slot of `id`, tombstones included, or NULL. Valid until the shard changes. */
struct slot *shard_find(struct shard *self, uint64_t hash, struct view id);

enum { SHARD_INSERTS_MAX = 32 };

/** Makes sure that `inserts` entries can be inserted and `changes` put into the dirty list without
 *  failing. NO_MEMORY; TOO_LARGE: more than SHARD_INSERTS_MAX inserts, the shard's dirty list is
 *  full, or too many of its ids share one hash. Slots move. */
enum status shard_reserve(struct shard *self, uint32_t inserts, uint32_t changes) MUST_CHECK;

/** Inserts an entry whose id is not there; shard_reserve() was called. Takes ownership. */
struct slot *shard_insert(struct shard *self, uint64_t hash, struct entry *entry);

/** Puts `fresh` in the place of the slot's entry, list membership and rowid included, and frees
 *  the old one. Takes ownership. */
void shard_replace(struct shard *self, struct slot *slot, struct entry *fresh);

/** Removes and frees the slot's entry. Slots behind it move up into the gap. */
void shard_remove(struct shard *self, struct slot *slot);

/** To be called after an entry was changed in place: dirty, counted, its expiry in the slot. */
void shard_changed(struct shard *self, struct slot *slot);

/** Copies the entry's expiry into the slot's column. */
void slot_set_expiry(struct slot *slot);

/** Turns the slot's entry into a tombstone of version `version` and drops its content. */
void shard_bury(struct shard *self, struct slot *slot, uint64_t version);

/** Drops the content of a clean entry; only LMDB has it then. Its size stays known. */
void shard_evict(struct shard *self, struct slot *slot);

/** Gives a clean, not resident entry its content back. NO_MEMORY: it stays as it was. */
enum status shard_restore(struct shard *self, struct slot *slot, struct view content) MUST_CHECK;

/** Makes the dirty list the taken one (which must be empty): a checkpoint begins. The places in it
 *  stay the same until shard_end_taken(); whatever leaves it leaves a gap. */
void shard_take(struct shard *self);

/** The checkpoint has written what it copied from this place (or there was nothing to write): it is
 *  clean, and a tombstone leaves the table, unless it has changed since then. */
void shard_written(struct shard *self, const struct table *table, uint32_t place);

/** The checkpoint could not write: what it took is dirty again, behind what changed meanwhile.
 *  NO_MEMORY: nothing has changed. */
enum status shard_give_back(struct shard *self) MUST_CHECK;

/** After a checkpoint that has written all it took: gives back memory that is not needed now. */
void shard_end_taken(struct shard *self);

/** Memory of index and entries. */
uint64_t shard_footprint(const struct shard *self);

/** The slot at a place below slot_count. */
static inline struct slot *shard_slot(const struct shard *self, uint32_t index)
{
    return atomic_load_explicit(&self->slots, memory_order_relaxed) + index;
}

/** First slot whose home can hold `hash`, and the smallest hash whose home is slot `index`. */
uint32_t shard_home(const struct shard *self, uint32_t hash);
uint64_t shard_home_hash(const struct shard *self, uint32_t index);
