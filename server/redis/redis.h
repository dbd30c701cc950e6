/*
 * The Redis protocol over a store, as the server's glue uses it.
 *
 *     bytes ─▶ proto/resp ─▶ command ─▶ keys ─▶ store_transact ─▶ handler: find, stage, answer
 *                               │                                     │
 *                    MULTI: queued until EXEC          commit, keyspace events, reply
 *
 * struct redis is one a process, struct redis_worker one a worker thread, struct redis_client one a
 * connection; a client and its worker belong to that thread. Replies are in the order of requests,
 * so a reply that waits for the storage holds back what is behind it; that is the glue's business.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/metric.h"
#include "store/store.h"

struct redis; /* opaque, as these */
struct redis_worker;
struct redis_client;

struct redis_options {
    uint64_t value_bytes_max; /* of a session's content */
    enum ack ack;             /* what connections have until they say otherwise */
    struct view token;        /* what AUTH wants; empty: nothing. Borrowed, as all here */
    const struct clock *clock;
    const struct metric_registry *registry; /* what INFO tells */
    /* Makes a worker call redis_deliver() soon. Any thread. */
    void (*wake)(void *worker_arg);
    /* Makes a request that is REDIS_WAITING run again, as the store's event of this name does. Any
     * thread. */
    void (*loaded)(void *waiter);
};

/** OK or NO_MEMORY. */
enum status redis_open(const struct redis_options *options, struct redis **out) MUST_CHECK;

/** Names the store, before the first client. */
void redis_set_store(struct redis *self, struct store *store);

/** When no worker and no client is left; NULL is fine. */
void redis_close(struct redis *self);

/** For a worker; `worker_arg` is what wake() gets. NULL: no memory. */
struct redis_worker *redis_worker_new(struct redis *self, void *worker_arg);
void redis_worker_free(struct redis_worker *self);

/** For a connection; `peer` and `conn_id` as CLIENT LIST tells them, `conn` for redis_deliver().
 *  NULL: no memory. Freed on its worker's thread. */
struct redis_client *redis_client_new(struct redis_worker *self, const char *peer, uint64_t conn_id,
                                      void *conn);
void redis_client_free(struct redis_client *self);

enum redis_outcome {
    REDIS_ANSWERED,   /* `used` bytes were a request; its reply, if any, is behind `out` */
    REDIS_INCOMPLETE, /* `need` bytes are wanted first */
    REDIS_WAITING,    /* a value has to be read; the same bytes again when waiter was told */
};

struct redis_request {
    struct view bytes;
    void *waiter;   /* of store_transact(); may be NULL */
    int64_t now_ms; /* wall clock */
    struct buf *out;
    /* Filled in. */
    size_t used;
    size_t need;
    uint64_t gate_lsn; /* the reply may leave when this is durable; 0: at once */
    bool reads;        /* it looked at sessions that it names, and could not change them */
    bool changes;      /* it could; EXEC: one of its commands could */
    bool ends;         /* the connection ends behind this reply */
};

/**
 * Looks at the request at the front of `*bytes` and takes it off there, without answering it:
 * `*hash` is that of the session that it is probably about (store_hash()), for a prefetch, or 0.
 * False: there is no whole request.
 */
bool redis_peek(struct redis_client *self, struct view *bytes, uint64_t *hash) MUST_CHECK;

/** Answers the request at the front of the bytes. Memory that is not there becomes an error to the
 *  client, or `ends`. */
enum redis_outcome redis_answer(struct redis_client *self,
                                struct redis_request *request) MUST_CHECK;

/** Sessions have expired: tells who subscribed to it. Any thread. */
void redis_tell_expired(struct redis *self, struct view id);

/** Hands out what was published to this worker's clients, after wake(). `send` gets the `conn` of a
 *  client and whole messages; `gate_lsn` is as above. `ends`: CLIENT KILL. */
void redis_deliver(struct redis_worker *self,
                   void (*send)(void *conn, struct view bytes, uint64_t gate_lsn, bool ends));

/** True when keyspace events of expired sessions are wanted at all. Any thread. */
bool redis_wants_expired(const struct redis *self);
