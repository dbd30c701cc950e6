/*
 * The snapshotter: a thread that takes a snapshot when one is due.
 *
 * Due is one when the newest in the archive is older than the interval, when the log owes one, and
 * when somebody asks. A failed one is tried again after a minute.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/shipper.h"
#include "backup/snapshot.h"

#define SNAPSHOTTER_METRICS(X)                                                                     \
    X(counter, taken, "satchel_backup_snapshots_total", "", "Snapshots that were stored.")         \
    X(counter, failed, "satchel_backup_snapshot_failures_total", "",                               \
      "Snapshots that could not be taken or stored.")                                              \
    X(gauge, age_seconds, "satchel_backup_snapshot_age_seconds", "",                               \
      "Age of the newest good snapshot; -1: there is none.")                                       \
    X(gauge, stored_bytes, "satchel_backup_snapshot_bytes", "",                                    \
      "Size of the newest snapshot of this process, compressed.")                                  \
    X(gauge, running, "satchel_backup_snapshot_running", "", "1 while a snapshot is being taken.")
METRIC_STRUCT(snapshotter_metrics, SNAPSHOTTER_METRICS)
METRIC_TABLE_DECLARE(snapshotter_metrics)

struct snapshotter_options {
    uint64_t interval_ms; /* 0: only when asked, or owed */
    uint64_t retry_ms;    /* 0: a minute */
};

/* All borrowed until the snapshotter is closed. */
struct snapshotter_deps {
    struct s3 *s3; /* the snapshotter's alone; its stop ends a snapshot */
    struct store *store;
    struct shipper *shipper;
    const struct clock *clock;
};

struct snapshotter; /* opaque */

/** Starts the thread; the store serves. OK or NO_MEMORY. */
enum status snapshotter_open(const struct snapshotter_options *options,
                             const struct snapshotter_deps *deps,
                             struct snapshotter **out) MUST_CHECK;

/** Asks for a snapshot, or one more when one is being taken. Any thread. */
void snapshotter_want(struct snapshotter *self);

/** Ends the thread; request its stop first, or a snapshot is waited for. NULL is fine. Once. */
void snapshotter_stop(struct snapshotter *self);

/** Frees it, after snapshotter_stop(). NULL is fine. */
void snapshotter_close(struct snapshotter *self);

/* For people and alarms. */
struct snapshotter_status {
    int64_t newest_ms; /* wall clock of the newest good snapshot; 0: there is none */
    uint64_t taken;
    uint64_t failed;
    bool is_running;
    bool is_failing;                   /* the last attempt failed */
    char error[SNAPSHOT_ERRMSG_BYTES]; /* of the last that failed; "": none did */
};

/** Any thread. */
void snapshotter_status(struct snapshotter *self, struct snapshotter_status *out);

/** Adds its metrics. The registry must not outlive it. */
enum status snapshotter_register_metrics(struct snapshotter *self,
                                         struct metric_registry *registry) MUST_CHECK;
