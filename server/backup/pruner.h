/*
 * Retention as the server does it: after a snapshot was stored, and at most about once an hour,
 * what the policy gives up is deleted (retention.h says what that is, prune.h in which order).
 *
 * That it fails is counted, logged once and shown, and has no other consequence: backups go on,
 * they only take more room.
 *
 * pruner_run() belongs to one thread, everything else to any.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backup/prune.h"
#include "base/clock.h"
#include "base/metric.h"

#define PRUNER_METRICS(X)                                                                          \
    X(counter, objects, "satchel_backup_deleted_objects_total", "",                                \
      "Objects of the archive that retention has deleted.")                                        \
    X(counter, bytes, "satchel_backup_deleted_bytes_total", "", "Their bytes.")                    \
    X(counter, failures, "satchel_backup_prune_failures_total", "",                                \
      "Times that retention could not delete what was to go.")                                     \
    X(gauge, kept_snapshots, "satchel_backup_kept_snapshots", "",                                  \
      "Snapshots that were left when retention last ran.")                                         \
    X(gauge, kept_bytes, "satchel_backup_kept_bytes", "",                                          \
      "Bytes of the snapshots that were left when retention last ran.")
METRIC_STRUCT(pruner_metrics, PRUNER_METRICS)
METRIC_TABLE_DECLARE(pruner_metrics)

/* For people and alarms. */
struct pruner_status {
    bool is_on;
    bool is_failing;              /* the last attempt failed */
    int64_t last_ms;              /* wall clock of the last attempt; 0: there was none */
    uint64_t objects;             /* deleted by this process */
    uint64_t bytes;               /* … */
    uint64_t failures;            /* … */
    char error[PRUNE_TEXT_BYTES]; /* of the last that failed; "": none did */
};

struct pruner_options {
    struct retention_policy policy; /* both 0: nothing is ever deleted */
    uint64_t pause_ms;              /* between two attempts; 0: 50 minutes */
};

/* Members are private. */
struct pruner {
    struct pruner_options options; /* immutable */
    const struct clock *clock;     /* borrowed */
    struct pruner_metrics metrics;
    int64_t last_ns;      /* monotonic, of the last attempt; its thread's */
    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    struct pruner_status status;
};

/** `clock` is borrowed for the pruner's life. */
void pruner_init(struct pruner *self, const struct pruner_options *options,
                 const struct clock *clock);

void pruner_close(struct pruner *self);

/** Deletes what may go, unless nothing ever does or the last attempt was just now. The storage is
 *  what `job` names: archive, place and stop; the rest of it is filled in. Blocks. */
void pruner_run(struct pruner *self, struct prune_job job);

void pruner_status(struct pruner *self, struct pruner_status *out);

/** The registry must not outlive it. */
enum status pruner_register_metrics(const struct pruner *self,
                                    struct metric_registry *registry) MUST_CHECK;
