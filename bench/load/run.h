/*
 * What the threads of a run share: the plan, immutable once they run, and how the run goes.
 *
 *     main                                    each worker
 *     ----                                    -----------
 *                                             opens its connections
 *     ............................ barrier ............................
 *     shows progress                          writes its share of the sessions (preload)
 *     ............................ barrier ............................
 *     sets the times
 *     ............................ barrier ............................
 *     reads the CPU times at begin and end    loads until the end, then waits for what is in flight
 *
 * A worker that fails says so here and goes on to the next barrier without doing anything; the
 * others see it and do the same.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "load/ledger.h"
#include "load/options.h"
#include "load/protocol.h"

enum { WHY_BYTES = 256 };

/* How the program ends. */
enum {
    EXIT_MEASURED = 0,
    EXIT_WRONG = 1,
    EXIT_USAGE = 2,
    EXIT_SERVER = 3,
};

struct run {
    /* Immutable while workers run. */
    const struct options *options; /* borrowed */
    const struct protocol *protocol;
    struct dialect dialect;
    struct keys keys;
    struct values values;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    bool sessions_stay; /* nothing in this run can remove a session */
    pthread_barrier_t barrier;
    struct ledger ledger; /* of the values, under the numbers of run_value() */

    /* Set by main between two barriers. Nanoseconds of CLOCK_MONOTONIC. */
    uint64_t load_ns;  /* the first operation */
    uint64_t begin_ns; /* what is measured */
    uint64_t end_ns;

    /* Release and acquire: who sees it set also sees `why` and `exit_code`. */
    atomic_bool failed;
    atomic_uint complaints; /* lines on standard error about answers */
    pthread_mutex_t lock;   /* guards the two below until `failed` is set */
    int exit_code;
    char why[WHY_BYTES];
};

/** Prepares everything but the connections. True, or false with one line in `why`; run_free() is
 * due in both cases. */
bool run_init(struct run *self, const struct options *options, char why[static WHY_BYTES]);

void run_free(struct run *self);

/** Ends the run with this code and line; the first caller's count. Any thread. */
void run_fail(struct run *self, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool run_failed(const struct run *self)
{
    return atomic_load_explicit(&self->failed, memory_order_acquire);
}

/** Says on standard error what is wrong with an answer about this key; only the first few are
 *  said. Any thread. */
void run_complain(struct run *self, enum operation operation, struct view key, struct view what);

/** The number under which a value is made, checked and in the ledger: the key's, or that of one of
 *  its fields. */
static inline uint64_t run_value(const struct run *self, uint64_t key, unsigned item)
{
    return self->dialect.has_fields ? key * ITEM_COUNT + item : key;
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
