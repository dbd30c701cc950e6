/*
 * One connection. Inside net/ only; the worker thread's alone.
 *
 * What it waits for is decided in one place, conn_watch(): it is read from unless the handler
 * paused it or the peer leaves too many replies unread (`is_choked`).
 *
 *     open ──conn_close()──▶ closing ──last send, `closed`──▶ dead ──next turn──▶ freed
 *            inside a callback of this connection the middle step waits for its end
 *
 * The way of bytes through it:
 *
 *     socket ─recv─▶ worker.in ─▶ received() ─conn_out()─▶ worker.out ─send─▶ socket
 *                     ▲    │left over                         │not taken       ▲
 *                     │    ▼                                  ▼                │
 *                     └─ conn.in                           conn.out ─writable──┘
 *                 (a large request goes                    (replies that come from elsewhere
 *                  straight into conn.in)                   start here)
 *
 * One recv a wake-up: asking again only to hear EAGAIN costs as much as a request. One send for all
 * replies of a wake-up. `in` and `out` of the worker serve all its connections in turn, so they
 * stay in the processor's cache and a connection owns memory only while it has something half done.
 */
#pragma once

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "net/net.h"

struct conn {
    struct event read_event;
    struct event *write_event; /* owned; NULL until a send falls short for the first time */
    struct worker *worker;
    struct conn *next; /* in worker.conns, or in worker.dead */
    struct conn *prev;
    struct conn *next_unflushed;
    void *state; /* the handler's */
    uint64_t id;

    struct buf in;   /* what `received` left over; without memory when empty */
    size_t need;     /* bytes without which calling `received` again is useless */
    struct buf out;  /* unsent replies behind `out_sent`; without memory when there are none */
    size_t out_sent; /* bytes at the start of `out` that are gone already */
    size_t held;     /* of `in` and `out` together, as counted in net.held_bytes */
    int64_t took_ms; /* worker time when bytes last arrived */
    int64_t gave_ms; /* worker time when the peer last took bytes */
    const char *close_detail; /* static text or NULL */
    int fd;
    enum conn_close_reason close_reason;

    bool is_reading;   /* the read event is registered */
    bool is_writing;   /* the write event is registered: sending waits for the socket */
    bool is_paused;    /* by the handler */
    bool is_choked;    /* by its unsent replies */
    bool is_resumed;   /* by the handler, inside a callback of this very connection */
    bool is_unflushed; /* in worker.unflushed */
    bool is_replaying; /* `received` is to be called with `in` although nothing new arrived */
    bool is_closing;   /* conn_close() was called */
    bool is_broken;    /* the socket takes nothing any more */
    bool is_dead;      /* `closed` was or is being called */
    char peer[ADDRESS_TEXT_BYTES];
};

_Static_assert(sizeof(struct conn) <= 448, "10,000 idle connections must stay cheap");

/** Makes a connection of an accepted socket (taken over in any case) and calls `opened`. */
void conn_open(struct worker *worker, int fd, const struct sockaddr_storage *peer);

/** Sends what is unsent once; what the socket does not take follows on its write event. May end
 *  the connection. Not inside a callback of this connection. */
void conn_send(struct conn *self);

/** Closes the connection when it made no progress for `stall_ms` while we waited for the peer. */
void conn_check_stall(struct conn *self, uint64_t stall_ms);

/** Counts what the connection's buffers hold, and closes it when it grew while all connections
 *  together hold too much. To be called when the buffers have changed. */
void conn_account(struct conn *self);

/** Frees the memory of a dead connection. */
void conn_free(struct conn *self);

/* The edges between conn.c (life), conn_in.c and conn_out.c (bytes). */

/** Registers and removes the read event as the flags say. */
void conn_watch(struct conn *self);

/** Lets `received` see again what it left over, when that can lead anywhere. */
void conn_replay(struct conn *self);

/** Begins a callback of this connection: conn_out() is the worker's buffer, closing waits. */
void conn_enter(struct conn *self);

/** Ends it: sends what was collected, closes if that was asked for. */
void conn_leave(struct conn *self);

/** Sends what the worker's buffer collected for this connection during its callback. */
void conn_send_collected(struct conn *self);

/** Sends the last words, closes the socket and calls `closed`; once, outside a callback. */
void conn_finish(struct conn *self);

/** The last words: sends what the socket takes, ends our side, and throws away what the peer sent
 *  meanwhile, because closing over unread bytes would reset the connection and lose the words. */
void conn_send_last(struct conn *self);

/** Why a socket call with this errno ends the connection. */
enum conn_close_reason conn_reason_of_errno(int error);

void conn_on_readable(evutil_socket_t fd, short what, void *arg);
