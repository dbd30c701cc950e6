/*
 * One blocking connection: a core, a socket and poll(2). Every wait has a deadline in nanoseconds
 * of CLOCK_MONOTONIC. One thread at a time.
 */
#pragma once

#include "client/attempt.h"
#include "client/request.h"
#include "client/resolve.h"
#include "client/settings.h"

struct channel {
    int fd; /* owned */
    struct core core;
    struct channel *next; /* in the pool's stack of idle ones */
};

/**
 * Resolves, connects and says HELLO; each address gets settings->connect_ms. OK: the caller owns
 * `*out`. Otherwise the status and text of the last address that was tried are in `*ended`:
 * UNREACHABLE, NO_MEMORY, BAD_REPLY, or what the server answered to HELLO.
 */
enum satchel_status channel_open(const struct settings *settings, struct resolver *resolver,
                                 int64_t deadline_ns, struct channel **out, struct attempt *ended);

void channel_close(struct channel *self);

/** False when an idle connection has met its end: the server closed it, said GOAWAY, or sent what
 *  nobody asked for. Does not wait. */
bool channel_is_usable(struct channel *self);

/** Sends a request and waits for its answer. Fills `*ended`: has_reply, or TIMED_OUT, DISCONNECTED,
 *  BAD_REPLY, TOO_LARGE or NO_MEMORY. Ask channel_is_usable() before the connection is used again.
 */
void channel_call(struct channel *self, const struct request *request, int64_t deadline_ns,
                  struct attempt *ended);
