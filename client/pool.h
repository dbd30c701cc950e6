/*
 * The connections of a blocking client. A call takes one for its duration, so a connection has one
 * request in flight at most. The one that was used last is taken first: a pool that is larger than
 * the load lets the others rest.
 */
#pragma once

#include <pthread.h>

#include "client/channel.h"

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t given; /* on CLOCK_MONOTONIC; signalled when a place becomes free */
    struct channel *idle; /* owned; guarded by lock */
    unsigned taken;       /* places in use by calls; guarded by lock */
    unsigned taken_max;   /* immutable */
};

/** NO_MEMORY: nothing is held. */
enum status pool_init(struct pool *self, unsigned connections_max) MUST_CHECK;

/** Closes the idle connections. No call may be running. */
void pool_close(struct pool *self);

/**
 * Takes a place in the pool, and with it an idle connection when there is a usable one (`*out` is
 * NULL otherwise: the caller may open one). False when no place became free until the deadline.
 * A place that was taken is given back by pool_give(). Any thread.
 */
bool pool_take(struct pool *self, int64_t deadline_ns, struct channel **out);

/** Gives a place back, with the connection (which becomes the pool's) or without (NULL). */
void pool_give(struct pool *self, struct channel *channel);
