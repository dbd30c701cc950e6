/*
 * One worker: a thread with a libevent base, a listener and the connections it accepted.
 * Inside net/ only. Everything here is the worker thread's alone unless it says otherwise.
 */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "net/metrics.h"
#include "net/net.h"

enum {
    WORKERS_MAX = 128,
    IN_BYTES = 256 * 1024, /* the worker's receive buffer: the most one recv takes */
    INPUTS_MAX = 16,       /* connections that are received from before any is answered */
    OUT_KEPT_BYTES = 2 * 1024 * 1024, /* a send buffer that grew beyond this is given back */
    SPARE_BUFFERS = 256,              /* send buffers kept for connections that answer later, */
    SPARE_BYTES_MAX = 16 * 1024,      /* none of them larger than this */
};

/* All workers. */
struct net {
    struct net_options options; /* immutable after start; `listen` is not looked at again */
    struct net_handler handler; /* immutable after start */
    struct clock clock;         /* immutable after start */
    struct worker *workers[WORKERS_MAX]; /* owned; immutable after start */
    unsigned worker_count;               /* immutable after start */
    unsigned workers_running;     /* threads; main thread, immutable between start and stop */
    uint16_t port;                /* immutable after start */
    _Atomic uint64_t connections; /* open ones; any thread */
    _Atomic uint64_t held_bytes;  /* in buffers of connections; any thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* of the two counts below */
    unsigned workers_started;   /* guarded by lock */
    unsigned workers_accepting; /* guarded by lock */
};

/* Lets a few lines of a kind through in each period and counts the others, so that nobody outside
 * can fill the log. */
struct log_gate {
    int64_t period_start_ms;
    unsigned lines;
    uint64_t held_back;
};

/* A walk over the connections that survives the closing of any of them: unlinking a connection
 * moves the walks that would visit it next. Walks may be nested. */
struct walk {
    struct conn *next;
    struct walk *outer;
};

/* What other threads ask of a worker; bits of worker.orders. */
enum { ORDER_WAKE = 1, ORDER_STOP_ACCEPTING = 2, ORDER_STOP = 4 };

/* What a connection has received and `received` has not been shown yet. */
struct input {
    struct conn *conn;
    struct view bytes; /* in worker.in */
};

struct worker {
    struct net *net;         /* borrowed, outlives the worker */
    struct event_base *base; /* owned */
    void *state;             /* what the handler's worker_started returned */
    unsigned index;

    /* The hot buffers. `in` is what recv fills and `received` reads in place; `out` collects the
     * replies of `current`, the connection inside a callback (NULL: none). */
    uint8_t *in; /* owned, IN_BYTES */
    struct buf out;
    struct conn *current;
    struct input inputs[INPUTS_MAX]; /* one a connection at most */
    unsigned input_count;
    size_t in_used;      /* of `in`, by inputs */
    int64_t received_ns; /* see worker_received_ns() */

    struct conn *conns;     /* all open connections */
    struct walk *walks;     /* innermost first */
    struct conn *unflushed; /* those with something to send when the running callback ends */
    struct conn *dead;      /* closed ones, freed by the next turn of the loop */
    struct event reap_event;
    struct buf spare[SPARE_BUFFERS]; /* empty send buffers */
    unsigned spare_count;
    uint64_t conns_seen; /* for ids */

    int64_t now_ms; /* the clock as of the last tick: good enough for stalls */
    int64_t tick_ms;
    struct event tick_event;
    struct log_gate close_log;

    int listen_fd; /* -1: closed */
    struct event listen_event;
    struct event listen_retry_event; /* armed while accepting is paused */
    struct log_gate accept_log;
    struct log_gate refuse_log;

    pthread_t thread;
    struct event wake_event;
    int wake_fd;

    /* Any thread writes `orders`, all threads may read metrics: each on its own cache lines. */
    alignas(64) _Atomic unsigned orders;
    alignas(64) struct net_metrics metrics;
};

/**
 * Makes a worker that listens on `listen_fd` (taken over in any case). OK, NO_MEMORY or IO with
 * errno. Not running yet; main thread.
 */
enum status worker_open(struct net *net, unsigned index, int listen_fd,
                        struct worker **out) MUST_CHECK;

/** Starts the thread; IO with errno when there is none to have. Main thread. */
enum status worker_run(struct worker *self) MUST_CHECK;

/** Asks for one of the ORDER_… bits. Any thread. */
void worker_order(struct worker *self, unsigned order);

/** Waits for the end of a thread that was ordered to stop. Main thread. */
void worker_join(struct worker *self);

/** Frees a worker whose thread never ran or has ended; NULL is fine. Main thread. */
void worker_free(struct worker *self);

/** Shows the handler what was received since the last time and sends the answers. To be called
 *  before anything but receiving is done, so that nothing else meets a connection in between. Not
 *  inside a callback of a connection. May end connections. */
void worker_deliver(struct worker *self);

/** Sends what the callback that just ended left for connections other than its own. */
void worker_flush(struct worker *self);

/** True when a line may be written; `*held_back` is how many were not since the last one. */
bool log_gate_open(struct log_gate *self, int64_t now_ms, unsigned lines_max, uint64_t *held_back);

/* The listener: accept.c */

/** Prepares the listener's events; IO when libevent refuses. */
enum status listener_init(struct worker *self) MUST_CHECK;

/** Takes what already waits in the kernel's queue (closing would reset it), then closes. Does
 *  nothing when closed. */
void listener_close(struct worker *self);
