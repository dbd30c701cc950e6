/*
 * Reading many objects at a time: several clients fetch, one callback takes what they bring, in
 * order. A storage answers a small read after tens of milliseconds, so reading one after the other
 * would take minutes where this takes seconds.
 *
 *     want(0) want(1) …  ─▶  threads, a client each  ─▶  cells  ─▶  take(0) take(1) …
 *                            ahead of what is taken by GATHER_CELLS objects
 *                            and `window_bytes` of memory at most
 *
 * A gather belongs to one thread at a time: the one that calls gather_run(), on which `take` runs.
 * Between two runs that thread may use the first client, for lists.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backup/place.h"
#include "backup/s3.h"

enum {
    GATHER_CLIENTS_MAX = 16,
    GATHER_KEY_BYTES = 128,
    GATHER_ERRMSG_BYTES = 512,
};

struct gather {
    struct s3 *clients[GATHER_CLIENTS_MAX]; /* owned, unless they came by gather_init() */
    unsigned client_count;
    bool is_owner;
    size_t window_bytes;              /* of objects that are being read or wait to be taken */
    char errmsg[GATHER_ERRMSG_BYTES]; /* readable: one line, after a run that failed */
};

/** Opens `count` clients of the place (0: 8) whose calls `stop` ends; both are borrowed until
 *  gather_close(). `window_bytes` 0: 64 MiB. INVALID or NO_MEMORY: `errmsg` has a line, and there
 * is nothing to close. */
enum status gather_open(struct gather *self, struct place *place, struct stop *stop, unsigned count,
                        size_t window_bytes, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** The same with clients that are there: `count` (at least 1) are borrowed. */
void gather_init(struct gather *self, struct s3 *const *clients, unsigned count,
                 size_t window_bytes);

/** Closes the clients it opened. A zeroed one is fine. */
void gather_close(struct gather *self);

/** The client for calls between two runs. */
static inline struct s3 *gather_client(const struct gather *self)
{
    return self->clients[0];
}

/* An object that is wanted. */
struct gather_want {
    char key[GATHER_KEY_BYTES];
    struct s3_range range; /* with 0 bytes: from the offset to the end */
    size_t bytes_max;      /* what comes is never more; an object that is larger is TOO_LARGE. It
                              counts as its size for the window, so it should be near to that */
};

struct gather_job {
    size_t count; /* of objects */
    /* Says what object `index` is. On any thread, several at a time: it only reads. `want` is
     * zeroed. */
    void (*want)(void *arg, size_t index, struct gather_want *want);
    /*
     * Takes object `index`, in ascending order, on the caller's thread. `got` says how reading it
     * went: S3_OK, or what is the object's own matter: NOT_FOUND, TOO_LARGE, CHANGED, REFUSED (the
     * range begins behind the end), and `bytes`, valid during the call, are then none. Any answer
     * but OK ends the run.
     */
    enum status (*take)(void *arg, size_t index, enum s3_status got, struct view bytes);
    void *arg;
};

/**
 * Reads them all. OK: each was taken; or what `take` answered; IO: the storage failed, or denies
 * access; AGAIN: the clients were stopped; NO_MEMORY. For the last three `errmsg` has a line.
 * Whatever fails first, in order, is what is told. Blocks until no thread of it is left.
 */
enum status gather_run(struct gather *self, const struct gather_job *job) MUST_CHECK;

/** What a call of some client that failed comes to, for who reads: CANCELLED is AGAIN, NO_MEMORY
 *  itself, everything else IO. `errmsg` gets "cannot DOING: why". */
enum status gather_failed(const struct s3 *client, const char *doing, char *errmsg,
                          size_t errmsg_bytes);
