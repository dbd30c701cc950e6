/*
 * The snapshotter: a thread that takes a snapshot when one is due, and lets old ones go afterwards.
 *
 * Due is one when somebody asks, when the log owes one, and by the clock: when the newest in the
 * archive is older than the interval. By the clock none is taken when nothing at all has changed
 * since the newest, unless that is a day old: an archive should not hang on one object for ever,
 * nor fall to a rule that deletes by age. A failed one is tried again after a minute.
 *
 * Snapshots are numbered as they begin, from 1 in each process: so who asks can tell whether one
 * has been stored that began later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/place.h"
#include "backup/pruner.h"
#include "backup/shipper.h"
#include "backup/snapshot.h"

#define SNAPSHOTTER_METRICS(X)                                                                     \
    X(counter, taken, "satchel_backup_snapshots_total", "", "Snapshots that were stored.")         \
    X(counter, failed, "satchel_backup_snapshot_failures_total", "",                               \
      "Snapshots that could not be taken or stored.")                                              \
    X(counter, skipped, "satchel_backup_snapshots_skipped_total", "",                              \
      "Snapshots that were not taken, because nothing had changed since the newest.")              \
    X(gauge, age_seconds, "satchel_backup_snapshot_age_seconds", "",                               \
      "Age of the newest good snapshot; -1: there is none.")                                       \
    X(gauge, confirmed_seconds, "satchel_backup_snapshot_confirmed_seconds", "",                   \
      "Time since the newest good snapshot was stored, or found to lack no change; -1: there is "  \
      "none.")                                                                                     \
    X(gauge, stored_bytes, "satchel_backup_snapshot_bytes", "",                                    \
      "Size of the newest snapshot of this process, compressed.")                                  \
    X(gauge, running, "satchel_backup_snapshot_running", "", "1 while a snapshot is being taken.")
METRIC_STRUCT(snapshotter_metrics, SNAPSHOTTER_METRICS)
METRIC_TABLE_DECLARE(snapshotter_metrics)

struct snapshotter_options {
    uint64_t interval_ms; /* 0: only when asked, or owed */
    uint64_t retry_ms;    /* 0: a minute */
    struct pruner_options pruner;
};

/* All borrowed until the snapshotter is closed. */
struct snapshotter_deps {
    struct s3 *s3;       /* the snapshotter's alone … */
    struct stop *stop;   /* … which this ends */
    struct place *place; /* more connections for pruning */
    struct store *store;
    struct shipper *shipper;
    const struct clock *clock;
};

struct snapshotter; /* opaque */

/** Starts the thread; the store serves. OK or NO_MEMORY. */
enum status snapshotter_open(const struct snapshotter_options *options,
                             const struct snapshotter_deps *deps,
                             struct snapshotter **out) MUST_CHECK;

/** Asks for a snapshot, or one more when one is being taken, and at once, even when one has just
 *  failed. Returns the number it will have. Any thread. */
uint64_t snapshotter_want(struct snapshotter *self);

/** Requests do not matter any more: from now on snapshots need not stand back behind them (see
 *  thread_stand_back()), the one that is being taken neither. Any thread. */
void snapshotter_hurry(struct snapshotter *self);

/** The log owes one. Any thread. */
void snapshotter_owe(struct snapshotter *self);

/** Does the newest snapshot lack no change? Any thread. */
bool snapshotter_is_current(struct snapshotter *self);

/** Ends the thread; request its stop first, or a snapshot is waited for. NULL is fine. Once. */
void snapshotter_stop(struct snapshotter *self);

/** Frees it, after snapshotter_stop(). NULL is fine. */
void snapshotter_close(struct snapshotter *self);

/* For people and alarms. */
struct snapshotter_status {
    int64_t newest_ms;    /* wall clock of the newest good snapshot; 0: there is none */
    int64_t confirmed_ms; /* … when it was last known to lack no change */
    uint64_t through_lsn; /* it is whole when the log has all changes up to there */
    uint64_t sessions;    /* in it */
    uint64_t stored_bytes;
    uint64_t taken;
    uint64_t failed;
    uint64_t skipped;
    uint64_t number;        /* of the one that is running, or was the last to begin; 0: none did */
    uint64_t stored_number; /* of the last that was stored; 0: none was */
    uint64_t failed_number; /* of the last that failed; 0: none did */
    struct snapshot_progress progress; /* of `number` */
    bool is_running;
    bool is_failing;                   /* the last attempt failed */
    char error[SNAPSHOT_ERRMSG_BYTES]; /* of the last that failed; "": none did */
    struct pruner_status pruning;
};

/** Any thread. */
void snapshotter_status(struct snapshotter *self, struct snapshotter_status *out);

/** Adds its metrics. The registry must not outlive it. */
enum status snapshotter_register_metrics(struct snapshotter *self,
                                         struct metric_registry *registry) MUST_CHECK;
