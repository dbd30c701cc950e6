/* The store's members, for the files of this folder. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "store/journal.h"
#include "store/journal_files.h"
#include "store/loader.h"
#include "store/rows.h"
#include "store/store.h"
#include "store/table.h"

#define STORE_METRICS(X)                                                                           \
    X(gauge, sessions, "satchel_sessions", "", "Sessions in the store.")                           \
    X(gauge, dirty, "satchel_dirty_sessions", "", "Sessions changed since the last checkpoint.")   \
    X(gauge, memory, "satchel_memory_bytes", "", "Memory of sessions and index.")                  \
    X(gauge, memory_max, "satchel_memory_limit_bytes", "", "The budget for it.")                   \
    X(gauge, undurable, "satchel_journal_undurable_bytes", "",                                     \
      "Bytes of changes that are not on stable storage yet.")                                      \
    X(gauge, durable_lsn, "satchel_durable_lsn", "", "Number of the last durable change.")         \
    X(gauge, applied_lsn, "satchel_applied_lsn", "", "Number up to which LMDB has all changes.")   \
    X(gauge, file_bytes, "satchel_data_file_bytes", "",                                            \
      "Size of the LMDB data file at the last checkpoint.")                                        \
    X(counter, expired, "satchel_expired_sessions_total", "", "Sessions reclaimed after expiry.")  \
    X(counter, evicted, "satchel_evicted_values_total", "", "Values that left memory.")            \
    X(counter, loaded, "satchel_loaded_values_total", "", "Values read back from LMDB.")           \
    X(counter, busy, "satchel_store_busy_total", "", "Changes refused with BUSY.")                 \
    X(counter, checkpoints, "satchel_checkpoints_total", "", "Checkpoints written.")               \
    X(counter, renewals, "satchel_data_file_renewals_total", "",                                   \
      "Data files written anew after an owner that did not end in order.")                         \
    X(counter, rows_written, "satchel_checkpoint_rows_total", "", "Rows written and deleted.")     \
    X(histogram, checkpoint_seconds, "satchel_checkpoint_seconds", "", "Time of one checkpoint.")  \
    X(gauge, checkpoint_age, "satchel_checkpoint_age_seconds", "",                                 \
      "Time since this process completed a checkpoint; -1: it has not yet.")                       \
    X(gauge, stalled, "satchel_storage_stalled_seconds", "",                                       \
      "Whole seconds for which a write to the storage has been without an answer.")
METRIC_STRUCT(store_metrics, STORE_METRICS)
METRIC_TABLE_DECLARE(store_metrics)

struct store {
    struct store_options options; /* immutable; strings are owned */
    struct store_deps deps;       /* immutable */
    char *journal_dir;            /* owned, immutable */
    char *run_dir;                /* owned, immutable */
    struct rows_meta meta;        /* recovery, then checkpoint thread */
    struct rows *rows;            /* owned; keeper thread, once threads have started */
    bool must_renew;              /* the data file is a predecessor's; keeper thread */
    struct journal *journal;      /* owned; set before the state is SERVING */
    struct loader *loader;        /* owned; likewise */
    struct table table;
    uint64_t found_lsn; /* of the last change before this life; set by recovery */
    uint64_t first_lsn; /* of the first change of this life; likewise */
    uint64_t told_lsn;  /* of the last change that was told; its thread: see store_events */
    struct store_metrics metrics;
    struct journal_metrics journal_metrics;

    _Atomic int state;        /* enum store_state; release when recovery has filled the table */
    _Atomic bool over_budget; /* memory is full of what cannot leave it: changes are BUSY */

    pthread_t keeper; /* the checkpoint thread: recovery, then checkpoints */
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake;
    bool stopping;              /* guarded by keeper_lock */
    bool checkpoint_due;        /* guarded by keeper_lock */
    bool keeper_gone;           /* guarded by keeper_lock: it does no more work */
    struct export_work *export; /* guarded by keeper_lock: for the keeper; NULL: none */
    bool exports_ended;         /* guarded by keeper_lock: nobody exports any more */
    pthread_cond_t export_done;
    enum status last_status;         /* of the keeper; read after it was joined */
    bool disk_full;                  /* keeper thread */
    _Atomic int64_t busy_since_ns;   /* monotonic: when this part of a checkpoint began; 0: none */
    _Atomic int64_t checkpointed_ns; /* monotonic: when the last checkpoint was complete; 0: none */
    _Atomic uint64_t checkpointed_bytes; /* journal_total_bytes when the last checkpoint began */

    struct journal_files old; /* segments of earlier epochs; keeper thread */

    unsigned sweep_shard; /* where store_sweep goes on; its thread only */
};

/** Reads the meta row, or makes it in a new data file. Before threads start. */
enum status store_read_meta(struct store *self) MUST_CHECK;

/**
 * Rebuilds the table from rows and journal, and writes nothing. `*last_lsn` becomes the last change
 * found, `*replayed` how many came from the journal. On failure `errmsg` holds a line.
 */
enum status store_rebuild(struct store *self, uint64_t *last_lsn, uint64_t *replayed, char *errmsg,
                          size_t errmsg_bytes) MUST_CHECK;

/** Rebuilds the table and opens the journal for this epoch. Keeper thread. */
enum status store_recover(struct store *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Writes a data file of this epoch with the rows of the predecessor's, goes on with it and removes
 * the other. END: the store closes, nothing was changed. Keeper thread.
 */
enum status store_renew(struct store *store, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Makes and opens the first data file of a directory. It gets its name when it is whole: one that
 * was only begun could not be told from a damaged one. NO_SPACE, IO, NO_MEMORY, LOCKED.
 */
enum status store_begin_data_file(struct store *store, char *errmsg,
                                  size_t errmsg_bytes) MUST_CHECK;

/** True when the store is to close. Any thread. */
bool store_is_stopping(struct store *self);

/* An export that waits, if there is one; keeper thread, with keeper_lock held. */

/** It has to wait for a checkpoint that begins now. */
bool store_export_is_due(const struct store *self);

/** A checkpoint is about to begin. */
void store_freshen_export(struct store *self);

/** Does it, unless it has to wait for a checkpoint. The lock is given up meanwhile. */
void store_work_export(struct store *self);

/** Writes all changes so far to LMDB and lets the journal go that they were in. Keeper thread. */
enum status store_checkpoint(struct store *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Tells changes to who wants to know; see store_events. */
void store_tell(struct store *self, uint64_t first_lsn, uint64_t time_ms, uint32_t count,
                struct view records);

/** A checkpoint is due with so much in the journal since the last one. */
uint64_t store_checkpoint_bytes(const struct store *self);

/* The journal's events; `arg` is the store. Journal thread. */
void store_on_flushed(void *arg);
void store_on_written(void *arg, const struct frame *frame);
void store_on_journal_failed(void *arg, const char *why);

/** Lets values leave memory that is over its budget. The thread of store_sweep(), or recovery. */
void store_keep_budget(struct store *self);

/** Why the store does not take a change for now. Any thread. */
enum satchel_status store_refusal(struct store *self);

/** Notes that a part of a checkpoint begins now, for store_stalled_ms(). Keeper thread. */
void store_begin_io(struct store *self);

/** Tells the owner, once, that nothing may be acknowledged any more. Any thread. */
void store_fail(struct store *self, const char *why);

/** The lsn a reply about this entry has to wait for. The shard is locked. */
static inline uint64_t entry_gate(const struct shard *shard, const struct entry *entry)
{
    return entry->touched && shard->touch_lsn > entry->version ? shard->touch_lsn : entry->version;
}
