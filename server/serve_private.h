/* What the files of the glue share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "latency.h"
#include "parked.h"
#include "proto/native.h"
#include "redis/redis.h"
#include "serve.h"

/* clang-format off */
#define SERVE_METRICS(X)                                                                           \
    X(counter, op_hello, "satchel_requests_total", "op=\"hello\"", "Requests answered.")           \
    X(counter, op_ping, "satchel_requests_total", "op=\"ping\"", "")                               \
    X(counter, op_get, "satchel_requests_total", "op=\"get\"", "")                                 \
    X(counter, op_set, "satchel_requests_total", "op=\"set\"", "")                                 \
    X(counter, op_delete, "satchel_requests_total", "op=\"delete\"", "")                           \
    X(counter, op_touch, "satchel_requests_total", "op=\"touch\"", "")                             \
    X(counter, op_patch, "satchel_requests_total", "op=\"patch\"", "")                             \
    X(counter, op_stats, "satchel_requests_total", "op=\"stats\"", "")                             \
    X(counter, op_scan, "satchel_requests_total", "op=\"scan\"", "")                               \
    X(counter, op_redis, "satchel_requests_total", "op=\"redis\"", "")                             \
    X(counter, not_found, "satchel_replies_total", "outcome=\"not_found\"",                        \
      "Replies other than plain success, by outcome.")                                             \
    X(counter, refused, "satchel_replies_total", "outcome=\"refused\"", "")                        \
    X(counter, retry, "satchel_replies_total", "outcome=\"retry\"", "")                            \
    X(counter, malformed, "satchel_malformed_requests_total", "",                                  \
      "Requests that did not follow the protocol.")                                                \
    X(counter, denied, "satchel_authentication_failures_total", "", "Wrong or missing tokens.")    \
    X(gauge, parked, "satchel_parked_replies", "", "Replies that wait for the storage.")           \
    X(histogram, read_seconds, "satchel_request_seconds", "op=\"read\"",                           \
      "Time from the arrival of a request until its reply is handed to the kernel.")               \
    X(histogram, change_seconds, "satchel_request_seconds", "op=\"change\"", "")                   \
    X(histogram, other_seconds, "satchel_request_seconds", "op=\"other\"", "")                     \
    X(histogram, durable_seconds, "satchel_durable_wait_seconds", "",                              \
      "Time that replies waited for the storage.")
/* clang-format on */
METRIC_STRUCT(serve_metrics, SERVE_METRICS)
METRIC_TABLE_DECLARE(serve_metrics)

enum {
    IN_FLIGHT_MAX = 1024, /* unanswered requests of one connection; above it is not read from */
    PARKED_BYTES_MAX = 32 * 1024 *
                       1024, /* of a worker's parked replies; above it, no more reading */
    BATCH_MAX = 32,          /* requests that are decoded before the first is executed */
    WORKERS_MAX = 128,
};

/* A connection as the glue sees it. Lives on after the connection while replies are parked. */
struct client {
    struct conn *conn;          /* borrowed; NULL when the connection is gone */
    struct redis_client *redis; /* owned; NULL: it does not speak that protocol */
    uint32_t in_flight;         /* parked replies and waiting loads */
    int64_t kept_ns; /* when what it asks and could not be answered yet came; 0: nothing is kept */
    struct latency latency;
    bool greeted;    /* HELLO was accepted */
    bool dismissed;  /* its connection is closed for what it sent: the rest is not looked at */
    bool paused;     /* by us: in_flight or the storage's backlog is at its limit */
    bool has_spoken; /* its first byte has told its protocol */
    bool is_loading; /* Redis: the value that its next request needs is being read */
    bool ends;       /* Redis: the connection closes when what is parked has left */
};

/* A request whose value is being read back from LMDB. */
struct waiting_load {
    struct waiting_load *next;
    struct serve_worker *worker; /* borrowed */
    struct client *client;       /* counted in its in_flight */
    int64_t came_ns;             /* when its bytes came */
    bool is_kept;                /* the connection has kept the request and reads it again */
    struct native_header header; /* … otherwise it is here */
    size_t body_len;
    uint8_t body[];
};

/* One frame of a batch: decoded, or to be refused in its turn. */
struct batch_item {
    size_t at;                   /* where it begins in the bytes that arrived */
    struct view body;            /* borrowed from them */
    uint64_t hash;               /* of a command's id */
    enum satchel_status verdict; /* not OK: refused, with the text `why` */
    const char *why;             /* static, may be NULL */
    const char *close_detail;    /* static; not NULL: the connection cannot go on after it */
    bool is_frame;               /* false: not even a header, nothing to answer to */
    struct native_request request;
};

struct serve_worker {
    struct serve *serve;        /* borrowed */
    struct worker *worker;      /* borrowed */
    struct redis_worker *redis; /* owned */
    struct session_scratch scratch;
    struct parked parked;
    struct batch_item batch[BATCH_MAX];
    uint64_t expected[BATCH_MAX]; /* hashes of ids that requests on their way to us ask for */
    unsigned expected_count;
    struct buf reply; /* for replies that are built in pieces */
    int64_t now_ms;   /* when the running turn began */
    int64_t now_ns;
    int64_t came_ns;    /* when the bytes of the request that is being answered came */
    enum latency_op op; /* what that request is */
    bool drained;       /* GOAWAY was sent to all */
    bool lagging;       /* clients may be paused because the storage lags behind */
    uint32_t waiting;   /* loads under way */
    bool has_run;       /* commands in this turn of the loop */
    bool is_awaiting;   /* some of their replies wait for the storage */
    struct serve_metrics metrics;
    /* The lowest lsn a parked reply waits for; 0: none. Written by the worker, read by the journal
     * thread; see serve_on_durable. */
    _Atomic uint64_t gate_lsn;
    _Atomic uint64_t busy_count; /* parked and waiting, for serve_is_idle */
    pthread_mutex_t loaded_lock;
    struct waiting_load *loaded; /* guarded by loaded_lock: done, to be run again */
};

struct serve {
    struct serve_options options;
    struct buf token;                          /* owned; empty: none needed */
    const struct clock *clock;                 /* borrowed */
    const struct metric_registry *registry;    /* borrowed: what STATS prints */
    struct redis *redis;                       /* owned */
    struct store *store;                       /* borrowed; set before workers start */
    struct ownership owner;                    /* likewise */
    struct serve_worker *workers[WORKERS_MAX]; /* owned; set before net_start returns */
    _Atomic unsigned worker_count;
    _Atomic bool draining;
};

/* Where the reply to the command that is running goes. */
struct serve_answer {
    struct serve_worker *worker;
    struct client *client;
    const struct native_request *request;
};

/** A store_reply_fn whose argument is a struct serve_answer: runs with the session locked and
 * encodes the reply straight from the session's memory. */
void serve_answer(void *arg, const struct store_reply *from);

/** Notes that a reply was appended to what its connection sends: when it leaves, its request has
 *  taken from `came_ns` until then. */
void serve_answered(struct client *client, enum latency_op op, int64_t came_ns);

/** Sends a frame that was built in worker->reply, now or when `gate_lsn` is durable. */
void serve_send(struct serve_worker *self, struct client *client, uint64_t gate_lsn);

/** Sends a reply that has a status and a text at most. */
void serve_refuse(struct serve_worker *self, struct client *client,
                  const struct native_header *header, enum satchel_status status, const char *why);

/** Ends a connection behind what is parked for it, and reads nothing more from it. */
void serve_end(struct client *client);

/* ---- The native protocol (serve_native.c) ---- */

/** Takes the first step towards the session that the request at the front of the bytes is about:
 *  serve.c makes the second one. Requests behind it are a batch of their own. */
void serve_native_arrived(struct serve_worker *self, struct view bytes);

/** Answers what arrived; as `received` of struct net_handler. */
size_t serve_native_received(struct serve_worker *self, struct client *client, struct view bytes,
                             size_t *need);

/** Runs a request again whose value was read. False: it waits once more. */
bool serve_native_again(struct serve_worker *self, struct waiting_load *load) MUST_CHECK;

/* ---- The Redis protocol (serve_redis.c) ---- */

/** The connection speaks it. False: no memory. */
bool serve_redis_begin(struct client *client) MUST_CHECK;

/** The same for a connection of this protocol as serve_native_arrived(). */
void serve_redis_arrived(struct serve_worker *self, struct client *client, struct view bytes);

/** Answers what arrived; as `received` of struct net_handler. */
size_t serve_redis_received(struct serve_worker *self, struct client *client, struct view bytes,
                            size_t *need);

/** Sends what was published to clients of this worker. */
void serve_redis_deliver(struct serve_worker *self);

/** Makes a worker deliver soon; `worker_arg` is a struct serve_worker. Any thread. */
void serve_redis_wake(void *worker_arg);

/** Stops reading from a client that has too much unanswered, or while the storage lags behind. */
bool serve_pause_if_needed(struct serve_worker *self, struct client *client);

/* The requests that are not commands on a session. */
void serve_hello(struct serve_worker *self, struct client *client,
                 const struct native_request *request);
void serve_ping(struct serve_worker *self, struct client *client,
                const struct native_request *request);
void serve_stats(struct serve_worker *self, struct client *client,
                 const struct native_request *request);
void serve_scan(struct serve_worker *self, struct client *client,
                const struct native_request *request);
void serve_goaway(struct client *client);
