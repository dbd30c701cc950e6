/*
 * The store: keeps sessions in memory, makes changes durable through a journal, folds them into
 * LMDB.
 *
 * Every function here may be called from any thread unless it says otherwise. None of them does
 * file I/O, except store_open and store_close.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/metric.h"
#include "base/ownership.h"
#include "base/status.h"
#include "session/session.h"
#include "session/transaction.h"
#include "store/segment.h"

struct store; /* opaque */

/* Where a store is between starting and stopped. */
enum store_state { STORE_LOADING, STORE_SERVING, STORE_FAILED };

/* Changes that are durable, as they are in the journal (record.h): the n-th record has the number
 * first_lsn + n. Between `follows_lsn` and first_lsn there were none. */
struct store_changes {
    uint64_t follows_lsn;
    uint64_t first_lsn;
    uint64_t time_ms; /* wall clock: after they were asked for, before anybody heard of them */
    uint32_t count;
    struct view records; /* borrowed */
};

/* Called by the store's threads; must return soon and must not call back into the store. */
struct store_events {
    void (*durable)(
        void *arg);           /* durable_lsn has moved: parked replies may leave. Journal thread */
    void (*ready)(void *arg); /* recovery is done, commands are served. Checkpoint thread */
    /* Something happened after which nothing may be acknowledged: `why` is one line, valid during
     * the call. The process has to end; the store stays as it is. Any store thread */
    void (*failed)(void *arg, const char *why);
    /* A value that store_execute found not in memory is there now (or the store failed):
     * call it again. `waiter` is what was given. Reader thread */
    void (*loaded)(void *arg, void *waiter);
    /* Told all changes that the data file may lack at a start, and then every change when it is
     * durable: in order, each once. NULL: nobody wants to know. Checkpoint thread until the store
     * serves, then one journal thread after the other */
    void (*changes)(void *arg, const struct store_changes *changes);
    /* A session that had expired is gone from memory; `id` is valid during the call, and the
     * session is locked. NULL: nobody wants to know. The thread of store_sweep() */
    void (*expired)(void *arg, struct view id);
    void *arg; /* borrowed */
};

struct store_options {
    const char *data_dir;  /* must exist or be creatable; on EFS */
    const char *run_dir;   /* local directory for LMDB's lock file; NULL: a private one in /tmp */
    uint64_t memory_bytes; /* budget for resident sessions; 0: none may stay */
    uint64_t checkpoint_ms;
    uint64_t checkpoint_bytes;
    uint64_t segment_bytes;
    uint64_t undurable_pause_bytes; /* above: store_pressure() says PAUSE */
    uint64_t undurable_busy_bytes;  /* above: writes are answered BUSY */
    uint64_t map_bytes;             /* LMDB's map size: the largest data file */
};

struct store_deps {
    const struct clock *clock;   /* borrowed for the store's life */
    const struct file_ops *file; /* borrowed for the store's life */
    struct ownership owner;      /* what it borrows lives as long as the store */
    /* Files of epochs up to this one may be written: who wrote them has said that it is done. Files
     * of later epochs belong to an owner that may not be gone, and are only read (invariant 9). */
    uint64_t released_epoch;
    uint64_t lock_wait_ms; /* for the locks of an owner that is just ending */
    struct store_events events;
};

/**
 * Opens the directory: creates it when absent, locks the data file, starts recovery on the store's
 * own thread and returns while that runs (state LOADING). LOCKED when another process owns it, IO,
 * CORRUPT, NO_SPACE or UNSUPPORTED otherwise; `errmsg` then holds one line that says what and
 * where. On OK the caller owns `*out` until store_close.
 */
enum status store_open(const struct store_options *options, const struct store_deps *deps,
                       struct store **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Flushes the journal, writes a final checkpoint, ends the threads, gives the locks up and frees
 * the store. No other call may run or follow. Blocks as long as the storage does. OK: everything is
 * in the data file. AGAIN: everything is durable, but the data file lacks what the journal has,
 * because the store was closed before it had a data file of its own. Otherwise what the last flush
 * and checkpoint returned. The store is freed in any case.
 */
enum status store_close(struct store *self);

enum store_state store_state(const struct store *self);

/* The outcome of one command, given to the callback while the session is locked. */
struct store_reply {
    enum satchel_status status;
    uint64_t gate_lsn;      /* the reply may leave when store_durable_lsn() >= this; 0 = at once */
    struct session session; /* valid during the call; version 0: there is none */
    int64_t now_ms;         /* the time the command ran at */
    struct view returned;   /* PATCH: see struct change */
};

/** Runs on the calling thread with a shard locked: copy what is needed and return. */
typedef void (*store_reply_fn)(void *arg, const struct store_reply *reply);

/** Hash of an id for this store; compute once, then prefetch and execute. */
uint64_t store_hash(const struct store *self, struct view id);

/* Two steps of prefetching for a batch: the index slot, then the session it points to. */
void store_prefetch_slot(struct store *self, uint64_t hash);
void store_prefetch_session(struct store *self, uint64_t hash);

/**
 * Runs one command and calls `answer` exactly once, unless it returns AGAIN: then the value is not
 * in memory and nothing has happened. With a `waiter` a reader fetches it and events.loaded(waiter)
 * will be called, after which the command is to be run again; without one (NULL) nothing is begun.
 * `scratch` belongs to the calling thread. Returns OK or AGAIN.
 */
enum status store_execute(struct store *self, const struct command *cmd, uint64_t hash,
                          int64_t now_ms, struct session_scratch *scratch, void *waiter,
                          store_reply_fn answer, void *answer_arg) MUST_CHECK;

/* What came of a transaction. */
struct store_outcome {
    enum satchel_status status; /* OK: it is done; LOADING, STOPPING: the body did not run; BUSY,
                                   NO_SPACE, TOO_LARGE: it ran, and nothing has changed */
    uint64_t gate_lsn;          /* as in struct store_reply */
};

/** Reads and stages with transaction.h; the sessions are locked. Runs on the calling thread. */
typedef void (*store_body_fn)(void *arg, struct transaction *transaction);

/**
 * Runs `body` on the sessions that the transaction names and commits what it staged: all of it or,
 * when that fails, nothing. Returns OK, or AGAIN: a value is not in memory, nothing has happened,
 * and if `waiter` is not NULL, events.loaded(waiter) will be called, after which it is to be tried
 * again. Any thread that runs commands.
 */
enum status store_transact(struct store *self, struct transaction *transaction, void *waiter,
                           store_body_fn body, void *body_arg,
                           struct store_outcome *out) MUST_CHECK;

/** Makes the changes so far durable: now when somebody waits for it (`awaited`), otherwise within
 *  milliseconds. To be called after each batch of store_execute(). */
void store_flush(struct store *self, bool awaited);

/** Makes the store write a checkpoint now, or right after the one in progress. Any thread. */
void store_want_checkpoint(struct store *self);

/* What tells this store, and this life of it, from others. */
struct store_identity {
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t hash_seed;
    uint64_t epoch;     /* grows with every life */
    uint64_t last_lsn;  /* of the last change before this life */
    uint64_t first_lsn; /* of the first change of this life, if it makes any; lsns jump there */
};

/** Once the store serves; it does not change. Any thread. */
void store_identify(const struct store *self, struct store_identity *out);

/* Where an export is. */
struct store_export {
    uint64_t next_rowid;  /* 0 at first */
    uint64_t applied_lsn; /* told: the rows had all changes up to it when the last part was read */
};

/**
 * Appends sessions to `into` as the data file has them, `bytes` or a little more in all: for each
 * the length of its image (u32) and the image (image.h). The first call waits for a checkpoint of
 * everything so far, each further one goes on: OK, there may be more; END, that was the last.
 * Sessions that change meanwhile are exported as they were at some moment of it. AGAIN: the store
 * closes or has failed, or store_end_exports() was called. Blocks until the checkpoint thread has a
 * moment. One thread at a time, not a worker's.
 */
enum status store_export_part(struct store *self, struct store_export *state, size_t bytes,
                              struct buf *into) MUST_CHECK;

/** Makes an export that waits for a checkpoint, or for the checkpoint thread, return AGAIN, and all
 *  later ones: stopping must not wait for what nobody will use. Once, any thread. */
void store_end_exports(struct store *self);

/** How long the storage call that is running has not come back, in ms; 0: none runs. A flush takes
 *  milliseconds and a checkpoint about a second; much more means that the storage hangs. */
uint64_t store_stalled_ms(const struct store *self);

/** Everything up to this lsn is on stable storage (acquire). */
uint64_t store_durable_lsn(const struct store *self);

enum store_pressure { PRESSURE_NONE, PRESSURE_PAUSE, PRESSURE_BUSY };

/** How much is waiting to become durable, against the limits. */
enum store_pressure store_pressure(const struct store *self);

/** Reclaims some expired sessions; call about ten times a second from one thread. Each call looks
 *  at a part of the shards, so that all are visited within a second. */
void store_sweep(struct store *self, int64_t now_ms);

struct store_scan_entry {
    struct view id;
    uint64_t version;
    int64_t expires_ms;
    enum satchel_kind kind;
    uint64_t content_bytes;
};

typedef void (*store_scan_fn)(void *arg, const struct store_scan_entry *entry);

/**
 * Visits about `count` live sessions from `cursor` (0: the start) whose id begins with `prefix`;
 * the callback runs with a shard locked. Returns the cursor to go on with, 0 at the end. A session
 * that exists during a whole scan is visited at least once. `*gate_lsn`: as in struct store_reply.
 */
uint64_t store_scan(struct store *self, uint64_t cursor, uint64_t count, struct view prefix,
                    int64_t now_ms, store_scan_fn visit, void *visit_arg, uint64_t *gate_lsn);

/** A cursor for store_scan() that lies anywhere, as the random number says. */
uint64_t store_cursor_anywhere(uint64_t random);

/** Sessions in the store, expired ones that were not reclaimed yet included. */
uint64_t store_session_count(struct store *self);

/** Adds the store's metrics; before threads are started elsewhere. The registry must not outlive
 * it. */
enum status store_register_metrics(struct store *self, struct metric_registry *registry) MUST_CHECK;
