/*
 * Moves bytes between sockets and callbacks, with limits. Knows nothing of protocols.
 *
 * N workers; each owns a libevent base, a listener (SO_REUSEPORT) and the connections it accepted.
 * All callbacks and all functions that take a connection run on that connection's worker thread.
 *
 * Per wake-up of a connection: one recv into the worker's shared buffer, one call of `received`
 * with everything that is there, one send of everything that conn_out() collected. A connection
 * that has nothing half-read and nothing unsent owns no buffer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"

struct net;    /* opaque: all workers */
struct worker; /* opaque: one thread */
struct conn;   /* opaque: one connection */

struct net_options {
    const char *listen;        /* HOST:PORT */
    uint64_t workers;          /* 0: one per processor */
    uint64_t connections_max;  /* over all workers */
    uint64_t unsent_bytes_max; /* a connection with more than this unsent is not read from */
    uint64_t stall_ms; /* half a request, or a peer that takes nothing, for this long: closed */
};

extern const struct option_desc net_option_descs[];
extern const size_t net_option_count;

enum conn_close_reason {
    CONN_CLOSE_PEER,     /* the peer closed or reset */
    CONN_CLOSE_PROTOCOL, /* it sent what cannot be understood */
    CONN_CLOSE_STALLED,  /* half a request, or unread replies, for too long */
    CONN_CLOSE_LIMIT,    /* too many connections, or out of memory */
    CONN_CLOSE_STOPPING, /* we stop */
    CONN_CLOSE_ERROR,    /* a socket error */
};

/* What the protocol layer does. All run on the connection's worker thread. */
struct net_handler {
    /* A worker thread starts / ends; what `worker_started` returns is worker_state() from then on.
     */
    void *(*worker_started)(void *arg, struct worker *worker);
    void (*worker_stopped)(void *arg, struct worker *worker);
    /* A connection was accepted. */
    void (*opened)(void *arg, struct conn *conn);
    /* Bytes arrived (or the connection was resumed). Returns how many were used; the rest is kept
     * and comes again with what follows. `*need` may be set to the total number of bytes without
     * which calling again is useless. `bytes` is valid during the call. */
    size_t (*received)(void *arg, struct conn *conn, struct view bytes, size_t *need);
    /* The connection is gone; conn is valid during the call, never afterwards. */
    void (*closed)(void *arg, struct conn *conn);
    /* worker_wake() was called at least once since the last time. */
    void (*woken)(void *arg, struct worker *worker);
    void *arg; /* borrowed */
};

/**
 * Binds (all workers to one address; port 0 = the kernel's choice) and starts the threads. OK, or
 * INVALID (address), EXISTS (in use), IO, NO_MEMORY with one line in `errmsg`.
 */
enum status net_start(const struct net_options *options, const struct net_handler *handler,
                      const struct clock *clock, struct net **out, char *errmsg,
                      size_t errmsg_bytes) MUST_CHECK;

/** The port that is listened on. Any thread. */
uint16_t net_port(const struct net *self);

/** Number of workers, and the i-th. Any thread. */
unsigned net_worker_count(const struct net *self);
struct worker *net_worker(const struct net *self, unsigned index);

/** Closes the listeners; connections stay. Any thread, returns once no worker accepts any more. */
void net_stop_accepting(struct net *self);

/** Connections that are open. Any thread. */
uint64_t net_connection_count(const struct net *self);

/** Closes all connections (what conn_out holds is sent first as far as the socket takes it at
 * once), ends the threads and frees everything. Main thread. */
void net_stop(struct net *self);

enum status net_register_metrics(struct net *self, struct metric_registry *registry) MUST_CHECK;

/** Makes the worker call `woken` soon; calls in between are merged into one. Any thread. */
void worker_wake(struct worker *self);

void *worker_state(const struct worker *self);

/** Visits every connection of the worker. The callback may call conn_out, conn_resume, conn_close.
 */
void worker_each_conn(struct worker *self, void (*visit)(void *arg, struct conn *conn), void *arg);

/** What the protocol layer attached to a connection; NULL at first. */
void *conn_state(const struct conn *self);
void conn_set_state(struct conn *self, void *state);

struct worker *conn_worker(const struct conn *self);

/** A number that no other connection of this process ever has. */
uint64_t conn_id(const struct conn *self);

/** "203.0.113.7:40112" for logs; valid as long as the connection. */
const char *conn_peer(const struct conn *self);

/**
 * Where to append what shall be sent. Inside `received` the bytes leave when it returns; elsewhere
 * call conn_flush() afterwards. The buffer must not be used after the connection closed.
 */
struct buf *conn_out(struct conn *self);

/** Sends what conn_out() holds as far as the socket takes it; the rest follows by itself. */
void conn_flush(struct conn *self);

/** Stops and resumes reading; after resume `received` is called soon with what is kept, if any. */
void conn_pause(struct conn *self);
void conn_resume(struct conn *self);

/** Sends what is unsent as far as the socket takes it at once, then closes; `closed` is called
 *  before conn_close returns or, inside `received`, after that returns. */
void conn_close(struct conn *self, enum conn_close_reason reason, const char *detail);
