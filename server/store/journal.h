/*
 * The journal: makes changes durable, many at a time.
 *
 *      workers                         journal threads
 *      journal_begin ─▶ chunk (open) ─▶ sealed chunks ─▶ pwrite … fdatasync ─▶ durable_lsn, event
 *
 * A change is encoded straight into the open chunk, which has room for a frame header in front, so
 * a chunk is written as it is: one frame. While one flush is in flight the next one collects:
 * natural group commit. On slow storage several are in flight (journal_private.h). What nobody
 * waits for collects a little longer. A failed write or sync is never asked again: what it covered
 * may or may not be on the storage, and the second answer lies (invariant 8). It ends everything,
 * except on a full disk: then the records wait here and go into a new segment when there is space.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metric.h"
#include "base/ownership.h"
#include "base/status.h"
#include "store/segment.h"

struct journal; /* opaque */

#define JOURNAL_METRICS(X)                                                                         \
    X(counter, records, "satchel_journal_records_total", "", "Changes written to the journal.")    \
    X(counter, bytes, "satchel_journal_written_bytes_total", "", "Bytes written to the journal.")  \
    X(counter, segments, "satchel_journal_segments_total", "", "Segments started.")                \
    X(histogram, flush_seconds, "satchel_journal_flush_seconds", "",                               \
      "Time of one flush: write and fdatasync.")
METRIC_STRUCT(journal_metrics, JOURNAL_METRICS)
METRIC_TABLE_DECLARE(journal_metrics)

struct journal_options {
    const char *dir; /* the journal directory, exists; copied */
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t epoch;       /* higher than any epoch seen in the directory */
    uint64_t follows_lsn; /* the last lsn that was found in rows and journal */
    uint64_t next_lsn;    /* the first lsn to give out, higher than any that may have been seen */
    uint64_t segment_bytes;
    uint64_t spare_bytes;          /* of covered segments' files, which are kept to be used again */
    uint64_t undurable_bytes_max;  /* journal_begin refuses above */
    const struct clock *clock;     /* borrowed */
    const struct file_ops *file;   /* borrowed */
    const struct ownership *owner; /* borrowed */
    struct journal_metrics *metrics; /* borrowed */
    /* On any of the journal's threads; the first two one call at a time, in the order of lsns.
     * `flushed`: durable_lsn has moved. `written`: after that, for each frame that is durable now,
     * which is borrowed. `failed`: see above, once; `why` is valid during the call, and nothing is
     * made durable any more. */
    void (*flushed)(void *arg);
    void (*written)(void *arg, const struct frame *frame);
    void (*failed)(void *arg, const char *why);
    void *arg; /* borrowed */
};

/** Creates the first segment of this epoch, durably, and starts the threads. On OK the caller owns
 *  `*out`; otherwise `errmsg` holds a line. Blocks on the storage. */
enum status journal_open(const struct journal_options *options, struct journal **out, char *errmsg,
                         size_t errmsg_bytes) MUST_CHECK;

/** Flushes what is there, ends the thread, closes the segment. Returns the status of the last
 * flush. */
enum status journal_close(struct journal *self);

/**
 * Opens the journal for `count` records of `bytes` in all, which become part of one frame: returns
 * where to encode them one behind the other, and the lsn of the first, with the journal locked
 * until journal_end(). NULL when more than undurable_bytes_max is waiting, out of memory or failed;
 * then it is not locked and no lsn was given out. Called with a shard locked, which makes the order
 * of records the order of changes (invariant 2). Any thread.
 */
uint8_t *journal_begin(struct journal *self, size_t bytes, uint32_t count,
                       uint64_t *first_lsn) MUST_CHECK;

/** Ends what journal_begin() began; journal_flush() sends it on its way. */
void journal_end(struct journal *self);

/**
 * Makes the records so far durable: now when somebody waits for it (`awaited`), otherwise within
 * milliseconds, together with what comes until then. Call it after each batch of records; once a
 * batch costs little, once a record would cost a thread's wake-up. Any thread.
 */
void journal_flush(struct journal *self, bool awaited);

/** Everything up to this lsn is on stable storage. Any thread (acquire: what the flush covered is
 *  visible to who sees the number). */
uint64_t journal_durable_lsn(const struct journal *self);

/** The last lsn given out. Any thread. */
uint64_t journal_last_lsn(struct journal *self);

/** Waits until durable_lsn >= lsn. OK; IO: the journal failed; NO_SPACE: the storage is full. */
enum status journal_wait_durable(struct journal *self, uint64_t lsn) MUST_CHECK;

/** False while the storage is full: journal_begin() refuses, and what it took before waits. Any
 *  thread. */
bool journal_has_space(const struct journal *self);

/** When the running flush began, on the monotonic clock; 0: none runs. Any thread. */
int64_t journal_busy_since_ns(const struct journal *self);

/** Bytes given out and not durable yet. Any thread, relaxed. */
uint64_t journal_undurable_bytes(const struct journal *self);

/** Bytes given out since the journal was opened. Any thread, relaxed. */
uint64_t journal_total_bytes(const struct journal *self);

/** A checkpoint covers everything up to `lsn`: closed segments that end there or before are
 * recycled or removed (invariant 5). Checkpoint thread; blocks on the storage. */
enum status journal_drop_covered(struct journal *self, uint64_t lsn) MUST_CHECK;
