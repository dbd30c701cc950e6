/*
 * Continuous backup of one store, as the server uses it:
 *
 *     backup_open ─▶ store opens, tells changes ─▶ backup_start ─▶ shipping, snapshots
 *                                                       ⋮
 *     backup_stop_snapshots ─▶ the store closes, tells the last ones ─▶ backup_stop ─▶ backup_close
 *
 * Nothing here makes a request wait, and an object storage that is away ends nothing: the state is
 * in the metrics and in backup_describe(). Only when another process has taken the archive over, or
 * it must not be written, `ended` is called: the process has to end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/place.h"
#include "base/bytes.h"
#include "base/metric.h"
#include "store/store.h"

struct backup; /* opaque */

struct backup_options {
    struct place_options place; /* place.url NULL: no backups */
    uint64_t snapshot_ms;       /* between two snapshots; 0: none by the clock */
    uint64_t lag_ms_max;        /* above it backup_describe() says that all is not well */
    bool is_single_writer;
    uint64_t exit_snapshot_ms; /* that a last snapshot may take when the server stops; 0: none */
    uint64_t keep_count;       /* retention.h; both 0: nothing is ever deleted */
    uint64_t keep_ms;
};

extern const struct option_desc backup_option_descs[];
extern const size_t backup_option_count;

struct backup_events {
    /* One line, valid during the call. Once, on a thread of the backup. */
    void (*ended)(void *arg, const char *why);
    void *arg; /* borrowed */
};

/** Gets ready to take changes. `*out` is NULL when there is no place for backups, which all other
 *  functions take. OK; NOT_FOUND: no credentials; INVALID, NO_MEMORY with a line in `errmsg`. */
enum status backup_open(const struct backup_options *options, const struct backup_events *events,
                        struct backup **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Takes changes: the `changes` of store_events, with the backup as its argument. */
void backup_changes(struct backup *self, const struct store_changes *changes);

/** Starts shipping and taking snapshots; the store serves, and stays until backup_stop_snapshots().
 *  OK or NO_MEMORY. Main thread, as all below. */
enum status backup_start(struct backup *self, struct store *store, char *errmsg,
                         size_t errmsg_bytes) MUST_CHECK;

/** Asks for a snapshot. OK: `*number` is that of one that begins after this call; NOT_FOUND: there
 *  are no backups; AGAIN: not started yet, or stopped. */
enum status backup_want_snapshot(struct backup *self, uint64_t *number) MUST_CHECK;

/* What became of a snapshot that was asked for. */
enum backup_outcome { BACKUP_PENDING, BACKUP_STORED, BACKUP_FAILED };

/** … or of one after it. Only for a number that was given. */
enum backup_outcome backup_snapshot_outcome(struct backup *self, uint64_t number);

/** Requests do not matter any more: snapshots need not stand back behind them. NULL is fine. Any
 *  thread. */
void backup_hurry(struct backup *self);

/** Are all changes that the store has told in the archive's log? True when there are no backups. */
bool backup_is_shipped(struct backup *self);

/** Does the newest snapshot lack no change? */
bool backup_is_snapshot_current(struct backup *self);

/** Gives up the snapshot that is being taken, and takes none any more. Soon over, but for a read of
 *  the data file that has begun. */
void backup_stop_snapshots(struct backup *self);

/** Ships what is left for at most `ms`; the store tells nothing any more. OK; AGAIN: some is left.
 */
enum status backup_stop(struct backup *self, uint64_t ms) MUST_CHECK;

/** Frees it after backup_stop(), or when it was never started. */
void backup_close(struct backup *self);

/** Appends a JSON object about shipping and snapshots. `*is_well` is false when somebody should
 *  look: nothing can be shipped, it lags, a snapshot failed. OK, or NO_MEMORY. */
enum status backup_describe(struct backup *self, struct buf *out, bool *is_well) MUST_CHECK;

/** After backup_start(); the registry must not be read after backup_close(). */
enum status backup_register_metrics(struct backup *self,
                                    struct metric_registry *registry) MUST_CHECK;
