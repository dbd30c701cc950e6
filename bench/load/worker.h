/*
 * One thread of the load and the connections that it owns. All members are the worker's own while
 * it runs, but `progress`; main reads the rest when the thread has ended.
 *
 * A connection has `pipeline` lanes: each lane is one request in flight at most, and walks through
 * one plan after the other. The files: worker.c is the loop and the phases, connection.c the
 * sockets, lane.c what is asked, answer_check.c whether the answers are right, arrivals.c the open
 * loop.
 */
#pragma once

#include <pthread.h>

#include "load/histogram.h"
#include "load/run.h"
#include "load/splitmix.h"

enum { RECEIVED_BYTES = 256 * 1024 }; /* what one recv may bring */

/* A request in flight, or a place for one. */
struct lane {
    struct connection *connection; /* shared */
    const struct plan *plan;       /* what it walks through; NULL when idle */
    struct lane *next;             /* in the connection's line, or among the idle ones */
    uint64_t begin_ns;             /* of the present step: when it was due, in an open loop */
    uint64_t key;
    uint32_t serial;   /* counts the requests, so that a late or doubled answer is noticed */
    uint16_t number;   /* in its connection */
    uint8_t step;      /* of the plan */
    uint8_t operation; /* of the step */
    uint8_t item;      /* PATCH: which field */
    uint8_t answers;   /* that are still due; 0: nothing is in flight */
    bool is_missing;   /* an answer said so */
    bool is_bad;       /* an answer was a refusal, or none that the request can get */
    bool is_alone[ITEM_COUNT];    /* of a write: see ledger.h */
    uint32_t numbers[ITEM_COUNT]; /* of a write: of its values; of a read: their floors */
};

/* Lanes one behind the other. */
struct lane_line {
    struct lane *first;
    struct lane *last;
};

static inline void line_push(struct lane_line *self, struct lane *lane)
{
    lane->next = NULL;
    if (self->first == NULL) {
        self->first = lane;
    } else {
        self->last->next = lane;
    }
    self->last = lane;
}

static inline struct lane *line_pop(struct lane_line *self)
{
    struct lane *lane = self->first;
    if (lane != NULL) {
        self->first = lane->next;
    }
    return lane;
}

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_DIALLING,
    CONNECTION_GREETING,
    CONNECTION_UP
};

struct connection {
    int fd; /* owned unless CLOSED */
    enum connection_state state;
    bool waits_to_write;  /* the socket takes no more; epoll will tell */
    bool is_dirty;        /* among the worker's dirty ones */
    struct buf in;        /* owned: the beginning of an answer whose rest has not come */
    struct buf out;       /* owned: not sent yet */
    struct lane *lanes;   /* owned by the worker: `lane_count` of them */
    struct lane_line due; /* in the order of their requests, where answers come so */
};

/* When operations are due that do not wait for each other. */
struct arrivals {
    double interval_ns; /* between two plans of this worker; 0: closed loop */
    double first_ns;    /* after load_ns */
    uint64_t started;
    uint64_t no_lane_ns; /* when one was last due and every lane busy */
    uint64_t late;       /* started over 1 ms too late, though a lane was idle */
    uint64_t late_ns_max;
};

enum phase { PHASE_PRELOAD, PHASE_LOAD, PHASE_DRAIN };

struct tally {
    uint64_t operations;       /* answered while it was measured */
    uint64_t operations_total; /* answered since the warm-up began, those after the end too */
    uint64_t errors;           /* refusals and answers that do not fit, in the whole run */
    uint64_t misses;           /* no such session, while it was measured */
    uint64_t verified_gets;
    uint64_t wrong_values;
};

struct worker {
    struct run *run; /* shared */
    pthread_t thread;
    unsigned number;
    int epoll_fd;
    struct connection *connections; /* owned */
    struct lane *lanes;             /* owned */
    size_t connection_count;
    size_t lane_count; /* of one connection */
    uint8_t *received; /* owned: RECEIVED_BYTES */
    uint8_t *value;    /* owned: room for ITEM_COUNT values that are being made */
    struct splitmix random;
    enum phase phase;
    size_t ready_count;    /* connections that were UP once */
    size_t in_flight;      /* lanes that wait for an answer */
    uint64_t heard_ns;     /* when something last came */
    uint64_t preload_next; /* key */
    struct lane_line idle; /* open loop */
    struct arrivals arrivals;
    struct connection **dirty; /* owned: connections with something new to send */
    size_t dirty_count;
    struct tally tally;
    struct histogram *histograms[OPERATION_COUNT]; /* owned; NULL where the mix has no such */
    /* Operations so far, for whoever shows progress. Relaxed: one writer, and nothing else depends
     * on it. */
    _Atomic uint64_t progress;
};

/** Makes worker `number` of the run. True, or false when memory or descriptors run out;
 *  worker_free() is due in both cases. */
bool worker_init(struct worker *self, struct run *run, unsigned number);

void worker_free(struct worker *self);

/** What the thread does; `arg` is the worker. */
void *worker_main(void *arg);

/* ---- connection.c ---- */

/** Begins to connect. A failure ends the run. */
void connection_dial(struct worker *worker, struct connection *self);

/** Sends what is there to send. A failure ends the run. */
void connection_flush(struct worker *worker, struct connection *self);

/** Deals with what epoll has told. */
void connection_ready(struct worker *worker, struct connection *self, uint32_t events);

/** Leaves the server; nothing may be in flight. */
void connection_close(struct connection *self);

/** Marks that there is something to send; worker_flush() does. */
void connection_is_dirty(struct worker *worker, struct connection *self);

/** Flushes the dirty connections. */
void worker_flush(struct worker *self);

/* ---- lane.c ---- */

/** Starts what is next on an idle lane in this phase, if anything; `begin_ns` is when it was due.
 */
void lane_start(struct worker *worker, struct lane *lane, uint64_t begin_ns);

/** A connection's lane 0 has its new connection (operation CONNECT). */
void lane_connected(struct worker *worker, struct lane *lane, uint64_t at_ns);

/** Gives an answer to the lane that waits for it and starts what follows. False when nobody waits.
 */
bool lane_answered(struct worker *worker, struct connection *connection,
                   const struct answer *answer, uint64_t at_ns);

/* ---- answer_check.c ---- */

/** Checks one answer to what the lane asked, and counts and tells what is wrong. False when it is a
 *  refusal or none that this request can get; a wrong value is counted, but an answer. */
bool answer_check(struct worker *worker, struct lane *lane, const struct answer *answer);

/* ---- arrivals.c ---- */

void arrivals_init(struct arrivals *self, const struct run *run, unsigned worker_number);

/** Starts all plans that are due. Returns when to come again: nanoseconds, UINT64_MAX for when
 *  something was answered. */
uint64_t arrivals_start(struct worker *worker, uint64_t at_ns);

/** How many plans that were due before the end were never started. */
uint64_t arrivals_unstarted(const struct worker *worker);
