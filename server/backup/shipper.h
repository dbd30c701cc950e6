/*
 * The shipper: a thread that writes durable changes to the archive's log, a slot a second.
 *
 *     starting ──▶ shipping ◀──▶ failing ──▶ … stopped
 *         │            │            │
 *         └────────────┴────────────┴──▶ fenced, refused     for good: see shipper_events.ended
 *
 * Nobody waits for it and it ends nothing because the storage is away: changes wait in the feed,
 * the lag grows, and a line is logged when that begins and when it is over. Only what cannot become
 * right again ends it: another process writes the archive (chain.h), or this one must not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/chain.h"
#include "backup/feed.h"
#include "backup/s3.h"
#include "backup/stop.h"

/* name, label */
#define SHIPPER_STATE_TABLE(X)                                                                     \
    X(STARTING, starting) /* the log was not taken over yet */                                     \
    X(SHIPPING, shipping)                                                                          \
    X(FAILING, failing) /* the last attempt to do one of the two did not work */                   \
    X(FENCED, fenced)   /* another process writes the archive */                                   \
    X(REFUSED, refused) /* the archive or its storage must not be used */                          \
    X(STOPPED, stopped)

enum shipper_state {
#define X(name, label) SHIPPER_##name,
    SHIPPER_STATE_TABLE(X)
#undef X
};

#define SHIPPER_METRICS(X)                                                                         \
    X(gauge, state_starting, "satchel_backup_state", "state=\"starting\"",                         \
      "1 for the state that shipping is in.")                                                      \
    X(gauge, state_shipping, "satchel_backup_state", "state=\"shipping\"", "")                     \
    X(gauge, state_failing, "satchel_backup_state", "state=\"failing\"", "")                       \
    X(gauge, state_fenced, "satchel_backup_state", "state=\"fenced\"", "")                         \
    X(gauge, state_refused, "satchel_backup_state", "state=\"refused\"", "")                       \
    X(gauge, state_stopped, "satchel_backup_state", "state=\"stopped\"", "")                       \
    X(gauge, lag_seconds, "satchel_backup_lag_seconds", "",                                        \
      "Age of the oldest durable change that was not shipped.")                                    \
    X(gauge, snapshot_owed, "satchel_backup_snapshot_owed", "",                                    \
      "1 while changes are missing in the log and no snapshot mends that.")                        \
    X(counter, slots, "satchel_backup_slots_total", "", "Slots of the log that were written.")     \
    X(counter, changes_bytes, "satchel_backup_changes_bytes_total", "",                            \
      "Bytes of changes that were shipped.")                                                       \
    X(counter, shipped_bytes, "satchel_backup_shipped_bytes_total", "",                            \
      "Bytes of the slots that were written, which are compressed.")                               \
    X(counter, failures, "satchel_backup_failures_total", "",                                      \
      "Attempts to take the log over or to ship that failed.")                                     \
    X(counter, gaps, "satchel_backup_gaps_total", "",                                              \
      "Times that changes were found to be missing in the log.")
METRIC_STRUCT(shipper_metrics, SHIPPER_METRICS)
METRIC_TABLE_DECLARE(shipper_metrics)

/* Called on the shipper's thread; have to return soon, and must not call shipper_stop(). */
struct shipper_events {
    /* FENCED or REFUSED, once: nothing will be shipped any more. `why` is one line, valid during
     * the call. */
    void (*ended)(void *arg, enum shipper_state state, const char *why);
    /* Changes are missing in the log: a snapshot is to be taken, now that its position will be
     * behind them. Again for each gap. */
    void (*snapshot_owed)(void *arg);
    void *arg; /* borrowed */
};

struct shipper_options {
    uint8_t uuid[SLOT_UUID_BYTES];
    uint64_t epoch;        /* of the store */
    uint64_t store_lsn;    /* its last change after recovery */
    int64_t recovered_ms;  /* wall clock: when that was over */
    bool is_single_writer; /* a storage without conditions will do */
    uint64_t interval_ms;  /* 0: 1 s */
    uint64_t pause_ms_max; /* after failures, beside the client's own; 0: 10 s */
    uint64_t stale_ms;     /* see chain.h */
};

/* All borrowed until the shipper is closed. */
struct shipper_deps {
    struct s3 *s3; /* the shipper's alone */
    struct feed *feed;
    struct stop *stop; /* ends calls of `s3`; requested here when stopping takes too long */
    const struct clock *clock;
    struct shipper_events events;
};

struct shipper; /* opaque */

/** Starts the thread, when the store has recovered and told the feed so. OK or NO_MEMORY. */
enum status shipper_open(const struct shipper_options *options, const struct shipper_deps *deps,
                         struct shipper **out) MUST_CHECK;

/**
 * Ships what is left for at most `ms`, then ends the thread. OK: all is shipped; AGAIN: some is
 * not. Blocks. Once; nobody gives to the feed any more.
 */
enum status shipper_stop(struct shipper *self, uint64_t ms) MUST_CHECK;

/** Frees it, after shipper_stop(). NULL is fine. */
void shipper_close(struct shipper *self);

/* Where the log is. */
struct shipper_position {
    uint64_t next_seq;    /* slots from this one on … */
    uint64_t shipped_lsn; /* … have, or will have, all changes above this one */
};

/** The position a snapshot begins with; false: not known yet. Any thread. */
bool shipper_position(struct shipper *self, struct shipper_position *out);

/** A snapshot that began at this next_seq is stored. Any thread. */
void shipper_note_snapshot(struct shipper *self, uint64_t next_seq);

/* For people and alarms. */
struct shipper_status {
    enum shipper_state state;
    struct shipper_position position; /* zeros: not known yet */
    bool is_shipped;                  /* known, and nothing that the feed was given waits */
    uint64_t lag_ms;                  /* age of the oldest that does; 0: none does */
    uint64_t failing_ms;              /* for how long; 0: it is not */
    bool owes_snapshot;
    bool is_conditional;            /* the storage keeps two writers apart */
    bool is_deletable;              /* the credentials may delete, so retention can work */
    char error[CHAIN_ERRMSG_BYTES]; /* the last one, also when it is over; "": none yet */
};

/** Any thread. */
void shipper_status(struct shipper *self, struct shipper_status *out);

/** "starting", … */
const char *shipper_state_text(enum shipper_state state);

/** Adds the shipper's metrics. The registry must not outlive it. */
enum status shipper_register_metrics(struct shipper *self,
                                     struct metric_registry *registry) MUST_CHECK;
