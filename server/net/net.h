/*
 * Moves bytes between sockets and callbacks, with limits. Knows nothing of protocols.
 *
 * N workers; each owns a libevent base, a listener (SO_REUSEPORT) and the connections it accepted.
 * All callbacks and all functions that take a connection run on that connection's worker thread.
 *
 * Per wake-up of a connection: one recv into the worker's shared buffer, one call of `received`
 * with everything that is there, one send of everything that conn_out() collected. Up to 16
 * connections are received from before the first of them is answered. A connection
 * that has nothing half-read and nothing unsent owns no buffer. Answers that become ready
 * elsewhere (in `woken`, in a callback of another connection) are collected too and leave when the
 * running callback returns: one send a connection, however many they are.
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
    uint64_t held_bytes_max;   /* half requests and unread replies of all connections together */
    uint64_t stall_ms; /* half a request, or a peer that takes nothing, for this long: closed */
};

extern const struct option_desc net_option_descs[];
extern const size_t net_option_count;

enum conn_close_reason {
    CONN_CLOSE_PEER,     /* the peer closed or reset */
    CONN_CLOSE_PROTOCOL, /* it sent what cannot be understood */
    CONN_CLOSE_STALLED,  /* half a request, or unread replies, for too long */
    CONN_CLOSE_LIMIT,    /* a request without end, or out of memory */
    CONN_CLOSE_ASKED,    /* it asked for it in its protocol, and is still there */
    CONN_CLOSE_STOPPING, /* we stop */
    CONN_CLOSE_ERROR,    /* a socket error */
};

/*
 * What the protocol layer does; none of the functions but `sent` may be NULL. All run on the
 * connection's worker thread. They may call everything here that takes a connection of that worker,
 * also conn_close() of the one they are about or of another.
 */
struct net_handler {
    /* A worker thread starts / ends; what `worker_started` returns is worker_state() from then on.
     * net_start() returns when all have started. */
    void *(*worker_started)(void *arg, struct worker *worker);
    void (*worker_stopped)(void *arg, struct worker *worker);
    /* A connection was accepted. */
    void (*opened)(void *arg, struct conn *conn);
    /* Bytes arrived, and `received` will see them before the worker waits again, when it has asked
     * some more connections: a chance to have from memory what they will need, nothing else. */
    void (*arrived)(void *arg, struct conn *conn, struct view bytes);
    /* Bytes are there (or the connection was resumed). Returns how many were used; the rest is kept
     * and comes again with what follows. `*need` (0 at first) may be set to the number of bytes,
     * counted from the first unused one, without which calling again is useless; a large request
     * is then received into a buffer of that size without being moved. A handler that stops early
     * because conn_is_full() or conn_pause() leaves *need at 0 and is called again by itself when
     * there is room or conn_resume() was called. `bytes` is valid during the call. */
    size_t (*received)(void *arg, struct conn *conn, struct view bytes, size_t *need);
    /* The kernel took `taken` more bytes of what was appended, and `unsent` bytes are left: called
     * behind each send that took any. Nothing is to be appended or closed here. NULL: nobody wants
     * to know. */
    void (*sent)(void *arg, struct conn *conn, size_t taken, size_t unsent);
    /* The connection is gone; conn is valid during the call, never afterwards, and conn_out() is
     * not to be called any more. */
    void (*closed)(void *arg, struct conn *conn);
    /* Everything that had arrived was handled, and the worker is about to receive or to wait for
     * more. What is appended here leaves like everywhere. */
    void (*turned)(void *arg, struct worker *worker);
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

/** Closes the listeners; connections stay, and those the kernel had completed before are still
 *  accepted. Any thread but the workers', returns once no worker accepts any more. */
void net_stop_accepting(struct net *self);

/** Connections that are open. Any thread. */
uint64_t net_connection_count(const struct net *self);

/** Closes all connections (what conn_out holds is sent first as far as the socket takes it at
 * once) and ends the threads. worker_wake() and the counts stay callable, and do nothing. Main
 * thread. */
void net_stop(struct net *self);

/** Frees everything; stops first if that was not done. Nobody may call anything here any more,
 *  worker_wake() included. NULL is fine. Main thread. */
void net_free(struct net *self);

/** Registers one set a worker; the registry must not be read after net_free(). TOO_LARGE when it is
 *  full. Before others read the registry. */
enum status net_register_metrics(struct net *self, struct metric_registry *registry) MUST_CHECK;

/** Makes the worker call `woken` soon; calls in between are merged into one. What the caller wrote
 *  before is visible to `woken`. Any thread, the worker's own included. */
void worker_wake(struct worker *self);

void *worker_state(const struct worker *self);

/** When the bytes came that `received` is shown now, monotonic in nanoseconds: the clock is looked
 *  at once for all connections that are received from together. For bytes that it sees once more,
 *  because it had stopped early, that is the time of this second look. Worker thread. */
int64_t worker_received_ns(const struct worker *self);

/** Visits every connection of the worker. The callback may call conn_out, conn_pause, conn_resume
 *  and conn_close, for any of them. Worker thread. */
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
 * Where to append what shall be sent; it may hold earlier bytes, which must stay. They leave when
 * the running callback returns, whichever it is. Ask anew in every callback: the buffer may be
 * another one. Never NULL; not after the connection closed.
 */
struct buf *conn_out(struct conn *self);

/** Makes sure that what was appended leaves when the running callback returns; needed only when
 *  the buffer was asked for in an earlier callback. Does nothing when the connection is closed. */
void conn_flush(struct conn *self);

/** More than unsent_bytes_max is collected or unsent: do not add replies, let `received` return.
 *  It is a limit to keep, not one that is enforced on what is appended. */
bool conn_is_full(const struct conn *self);

/** Stops and resumes reading; after resume `received` is called soon with what is kept, if any. */
void conn_pause(struct conn *self);
void conn_resume(struct conn *self);

/** Sends what is unsent as far as the socket takes it at once, then closes; `closed` is called
 *  before conn_close returns or, inside this connection's `opened` or `received`, after that
 *  returns. The first call counts, further ones do nothing. `detail` goes to the log: static text
 *  or NULL. */
void conn_close(struct conn *self, enum conn_close_reason reason, const char *detail);
