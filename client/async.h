/*
 * The asynchronous client from the inside. One loop's thread owns everything here.
 *
 *                        deadline                         no answer, or one that
 *     submit ──▶ WAITING ────────▶ done                   asks to come again
 *                  │  ▲                              ┌───────────────────────────┐
 *         sent on  │  └────────── pause over ──── PAUSED                         │
 *         the link ▼                                                             │
 *              IN_FLIGHT ──── answered, or given up at the deadline ──▶ done     │
 *                  └─────────────────────────────────────────────────────────────┘
 *
 * Every request has one entry in the heap `due` (its deadline, or the end of its pause), and the
 * heap one timer of the loop: a thousand requests in flight cost one timer.
 *
 * Getting a connection (async_dial.c) and using one (async_link.c) are apart: a link that the
 * server has asked to leave lives on until its last answer, while the client dials anew.
 */
#pragma once

#include <event2/event.h>
#include <sys/queue.h>

#include "client/async_due.h"
#include "client/attempt.h"
#include "client/request.h"
#include "client/resolve.h"
#include "client/result.h"
#include "client/settings.h"

enum {
    ASYNC_REQUESTS_MAX = 16384,         /* not answered yet, in whatever state */
    ASYNC_BYTES_MAX = 64 * 1024 * 1024, /* of their frames */
    ASYNC_NS_PER_MS = 1000000,
};

struct async_link;

enum async_request_state { ASYNC_WAITING, ASYNC_IN_FLIGHT, ASYNC_PAUSED, ASYNC_REFUSED };

struct async_request {
    struct request wire; /* owned */
    satchel_async_fn done;
    void *arg; /* the user's */
    enum async_request_state state;
    int64_t deadline_ns;
    struct due_entry due;
    unsigned failures;
    enum satchel_status ambiguous;    /* of an attempt that may have been applied; OK = none */
    enum satchel_status refused;      /* REFUSED: the status to answer */
    const char *why;                  /* REFUSED: static text */
    struct async_link *link;          /* IN_FLIGHT */
    uint64_t id;                      /* IN_FLIGHT: on the link */
    uint64_t end;                     /* IN_FLIGHT: see core_was_sent() */
    int64_t put_ns;                   /* IN_FLIGHT: when it went to the link */
    TAILQ_ENTRY(async_request) entry; /* in waiting, refused, paused or the link's in_flight */
};

TAILQ_HEAD(async_list, async_request);

/* One connection. */
struct async_link {
    struct satchel_async *client; /* borrowed */
    int fd;                       /* owned */
    struct core core;
    struct event *readable; /* owned */
    struct event *writable; /* owned */
    bool is_connected;      /* TCP; HELLO may still be unanswered */
    bool has_answered;      /* a request, not only HELLO */
    int64_t received_ns;    /* when bytes came last */
    struct async_list in_flight;
    TAILQ_ENTRY(async_link) entry; /* in `leaving` */
};

TAILQ_HEAD(async_links, async_link);

enum async_phase {
    ASYNC_IDLE,      /* no connection, and none wanted yet */
    ASYNC_RESOLVING, /* waiting for addresses */
    ASYNC_DIALING,   /* `link` connects and says HELLO; dial_timer is its limit */
    ASYNC_OPEN,      /* `link` is in use */
    ASYNC_BACKOFF,   /* dial_timer ends it */
};

struct satchel_async {
    struct event_base *base; /* borrowed */
    struct settings settings;
    struct resolver resolver;
    bool is_closing;

    struct due due;
    struct event *due_timer; /* owned */
    int64_t due_timer_ns;    /* when it will fire; INT64_MAX: not armed */
    struct event *kick;      /* owned: runs the client once in the next turn of the loop */

    struct async_list waiting;
    struct async_list paused;
    struct async_list refused;
    size_t request_count; /* in all lists and links */
    size_t request_bytes;

    enum async_phase phase;
    struct event *dial_timer;       /* owned */
    struct event *resolved;         /* owned; RESOLVING */
    struct resolve_job *job;        /* a reference; RESOLVING and DIALING */
    const struct addrinfo *address; /* in job; DIALING: the one being tried */
    unsigned dial_failures;         /* in a row */
    struct attempt not_connected;   /* why there is no connection; status OK = not known */
    struct async_link *link;        /* owned; DIALING and OPEN */
    struct async_links leaving;     /* owned */
};

/* ---- async.c: requests ---- */

/** Takes over `request` (from calloc) and sees to it that `done` is called once. */
void async_submit(struct satchel_async *self, struct async_request *request);

/** Runs the client in the next turn of the loop: sends what waits, answers what was refused. */
void async_kick(struct satchel_async *self);

/** An attempt at a request, which is in no list now, has ended: done, or paused for another one.
 *  Calls the user. */
void async_attempt_ended(struct satchel_async *self, struct async_request *request,
                         const struct attempt *ended);

/** Puts a request that was not sent back to the front of those waiting. */
void async_wait_first(struct satchel_async *self, struct async_request *request);

/** Answers all that are waiting with why there is no connection. Calls the user. */
void async_fail_waiting(struct satchel_async *self);

/** Nanoseconds until the moment `at_ns` as libevent wants them; never negative. */
struct timeval async_until(int64_t at_ns);
struct timeval async_ms(uint64_t ms);

/* ---- async_dial.c: getting a connection ---- */

/** Starts dialing; the phase is IDLE. */
void async_dial(struct satchel_async *self);

/** The link being dialed has ended without being opened: `not_connected` says why. It is closed
 *  already. Tries the next address, or pauses. May call the user. */
void async_dial_failed(struct satchel_async *self);

/** The link being dialed is open now. */
void async_dial_succeeded(struct satchel_async *self);

/** The open link broke or leaves: dials again when somebody waits, after a pause unless the link
 *  was of use. */
void async_dial_again(struct satchel_async *self, bool was_of_use);

/** The timer's callback, and that of the look-up's end. */
void async_on_dial_timer(evutil_socket_t fd, short what, void *arg);

/** Forgets whatever is going on. */
void async_dial_stop(struct satchel_async *self);

/* ---- async_link.c: one connection ---- */

/** A link on a socket that is connected or connecting; takes the socket over, also on failure.
 *  NULL: out of memory. */
struct async_link *async_link_open(struct satchel_async *client, int fd);

/** Sends what waits, as far as the server's limits go, in one write. */
void async_link_send(struct async_link *self);

/** Ends the link and frees it: what was not sent waits again, attempts that were sent end with
 *  `status` (OK: their requests were dealt with already). Calls the user. */
void async_link_close(struct async_link *self, enum satchel_status status, const char *text);
