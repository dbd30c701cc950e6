/*
 * The hand-over of durable changes from the store's thread to the shipper's, in bounded memory.
 *
 *     feed_changes() ─▶ chunk ─ chunk ─ chunk (open) ─▶ feed_take() … feed_return()
 *                         ▲                                              │
 *                         └───────────────── spare chunks ◀──────────────┘
 *
 * Giving copies into chunks and never waits for anybody who does I/O: the shipper holds the lock
 * only to take chunks over. When there is more than the limit, the oldest chunks are dropped.
 *
 * That is a gap when the storage was away for too long: what is left fits no more to what was
 * shipped before, which whoever reads the archive sees, and only a snapshot mends. It is none when
 * a store recovers a journal larger than the limit, which it tells as a whole before the shipper
 * runs: the archive has all of it but the end, since the process before shipped every second.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/metric.h"
#include "store/store.h"

#define FEED_METRICS(X)                                                                            \
    X(gauge, bytes, "satchel_backup_feed_bytes", "",                                               \
      "Bytes of changes that wait in memory to be shipped.")                                       \
    X(counter, overflows, "satchel_backup_feed_overflows_total", "",                               \
      "How often changes that waited began to be dropped because there were too many.")            \
    X(counter, dropped, "satchel_backup_feed_dropped_changes_total", "",                           \
      "Changes that were dropped before they were shipped.")
METRIC_STRUCT(feed_metrics, FEED_METRICS)
METRIC_TABLE_DECLARE(feed_metrics)

struct feed; /* opaque */

struct feed_options {
    size_t bytes_max;             /* held at most; 0: 64 MiB */
    struct feed_metrics *metrics; /* borrowed for the feed's life */
};

/** OK or NO_MEMORY. */
enum status feed_open(const struct feed_options *options, struct feed **out) MUST_CHECK;

/** Frees it with everything in it; nobody may be using it any more. NULL is fine. */
void feed_close(struct feed *self);

/** Gives changes as the store tells them (at least one, less than 4 GiB of records), which are
 *  copied. They may get lost; see above. One thread at a time. */
void feed_changes(struct feed *self, const struct store_changes *batch);

/* What was dropped since the last take. */
struct feed_gap {
    uint64_t changes; /* 0: nothing, and the rest means nothing */
    uint64_t first_lsn;
    uint64_t last_lsn;
};

struct feed_chunk; /* opaque */

/* What was taken. The shipper's alone. */
struct feed_taken {
    struct feed_chunk *chunks; /* owned until feed_return(); NULL: there was nothing */
    struct feed_gap gap;       /* before the first batch */
    uint64_t oldest_ms; /* time of the oldest change not taken before, dropped ones included */
    size_t bytes;
};

/** Takes chunks from the front, as many as hold `bytes_max` together, but at least one when there
 *  is any. A gap is told with the first chunk behind it. One thread at a time. */
void feed_take(struct feed *self, size_t bytes_max, struct feed_taken *out);

/* Where a reader of what was taken is. Zeroed: at the beginning. */
struct feed_cursor {
    struct feed_chunk *chunk;
    size_t at;
    bool has_begun;
};

/** The next batch, which borrows from what was taken; false: there is none. Batches of one
 *  millisecond may have become one. */
bool feed_next(const struct feed_taken *taken, struct feed_cursor *cursor,
               struct store_changes *out);

/** Gives the memory back, for what comes; `taken` is zeroed. Same thread as feed_take(). */
void feed_return(struct feed *self, struct feed_taken *taken);

/** Waits until there is a MiB or more, feed_wake() is called, or `ms` milliseconds are over. Same
 *  thread as feed_take(). */
void feed_wait(struct feed *self, uint64_t ms);

/** Waits like feed_wait(), but whatever comes. */
void feed_pause(struct feed *self, uint64_t ms);

/** Ends a wait or pause, the present one or else the next one. Any thread. */
void feed_wake(struct feed *self);

/** The time of the oldest change that was not taken, dropped ones included; 0: there is none. Any
 *  thread. */
uint64_t feed_oldest_ms(struct feed *self);
