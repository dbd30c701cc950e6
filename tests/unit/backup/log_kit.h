/* What the tests of the log's writers share: a feed with real changes, and a look at the bucket. */
#pragma once

#include "backup/chain.h"
#include "unit/backup/bucket.h"

/** A feed with these metrics. */
struct feed *log_feed_open(struct feed_metrics *metrics);

/** Gives `count` changes from first_lsn on, which follow `follows_lsn`. */
void log_give_after(struct feed *feed, uint64_t follows_lsn, uint64_t first_lsn, uint32_t count);

/** Gives `count` changes that follow first_lsn - 1. */
void log_give(struct feed *feed, uint64_t first_lsn, uint32_t count);

/** Changes are dated this from now on, in milliseconds. */
void log_set_time(uint64_t time_ms);

/* What the bucket's log has. */
struct log_found {
    uint64_t slots;
    uint64_t fences;
    uint64_t changes;  /* in all slots, those counted that a fence abandoned later */
    uint64_t gaps;     /* batches that do not follow what was there before them */
    uint64_t last_lsn; /* of this history, as a reader would see it */
    uint64_t epoch;    /* of the last slot */
    uint32_t flags;    /* of the last slot */
    int64_t fenced_ms; /* of the last fence */
};

/** Reads the log from `first_seq` on and checks that it is one chain: dense numbers, each slot
 * whole and with the hash of the one before, epochs that never go back, no change told twice. */
struct log_found log_read(uint64_t first_seq);

/** The bytes of a slot, borrowed. */
struct view log_slot(uint64_t seq);

/** Stores a slot as another process would have: a fence of that epoch. */
void log_put_fence(uint64_t seq, uint64_t epoch, const uint8_t uuid[static SLOT_UUID_BYTES]);
