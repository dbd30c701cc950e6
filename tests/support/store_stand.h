/*
 * A store on a directory of its own, to be opened, commanded, killed and opened again by tests.
 * Whatever should have worked and did not ends the process with a message, so this serves Criterion
 * tests and plain programs alike. stand_run() may be called from several threads, each with its
 * own scratch; everything else from one.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"
#include "support/temp_dir.h"

struct stand {
    char dir[TEMP_DIR_BYTES];
    char run_dir[TEMP_DIR_BYTES];
    struct store_options options; /* to be changed before stand_open(); data_dir is filled in */
    const struct file_ops *file;  /* likewise; the system's at first */
    struct ownership owner;       /* likewise; all zero at first: owned for ever */
    void (*changes)(void *arg, const struct store_changes *changes); /* likewise; NULL at first */
    void *changes_arg;
    uint64_t released_epoch;        /* likewise; UINT64_MAX at first: every owner ends in order */
    struct store *store;            /* NULL while it is closed */
    int64_t now_ms;                 /* the time commands run at; the test moves it */
    struct session_scratch scratch; /* for the helpers below */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool is_ready;
    bool has_failed;
    char why[512]; /* of the failure */
};

/* What a command answered, with its own copies of everything. */
struct answer {
    enum satchel_status status;
    uint64_t gate_lsn;
    struct session session; /* borrows from `bytes` */
    struct view returned;   /* likewise */
    struct buf bytes;       /* owned */
};

/** Makes the directories and sets options under which nothing happens by itself: checkpoints once
 * an hour, 64 MiB of memory, segments of 1 MiB. */
void stand_init(struct stand *self);

/** Closes the store if it is open and removes the directories. */
void stand_end(struct stand *self);

/** Opens the store; returns while it is loading. */
enum status stand_try_open(struct stand *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Opens the store and waits until it serves. */
void stand_open(struct stand *self);

/** Waits until recovery is over: true when the store serves, false when it failed. */
bool stand_wait_ready(struct stand *self);

/** Waits until the store has failed. */
void stand_wait_failed(struct stand *self);

/** Closes the store, which must go well. */
void stand_close(struct stand *self);

/** As if the process were killed here: what is in the files now is what the next open finds. No
 *  checkpoint may be under way. */
void stand_kill(struct stand *self);

/** Runs one command; waits for its value when that is not in memory. `out` may be used again; it is
 *  freed with answer_free(). */
void stand_run(struct stand *self, const struct command *cmd, struct session_scratch *scratch,
               struct answer *out);

void answer_free(struct answer *self);

/* Commands as one-liners, on the stand's own scratch; each returns the status. */
enum satchel_status stand_set(struct stand *self, const char *id, struct view content);
enum satchel_status stand_delete(struct stand *self, const char *id);
enum satchel_status stand_get(struct stand *self, const char *id, struct answer *out);

/** Sets, with the lsn of the change as the result. */
uint64_t stand_set_lsn(struct stand *self, const char *id, struct view content);

/** Waits until the store says that `lsn` is durable. */
void stand_wait_durable(struct stand *self, uint64_t lsn);

/** Waits until everything so far is durable. */
void stand_settle(struct stand *self);

/** Writes a checkpoint of everything so far and waits until it is done, files removed included. */
void stand_checkpoint(struct stand *self);

/** Sweeps often enough to visit every shard at the stand's time. */
void stand_sweep(struct stand *self);

/** Sleeps for a moment of a wait; ends the process when the wait began (in nanoseconds of the
 *  system's clock) more than 30 s ago. */
void stand_pause(int64_t began_ns);
