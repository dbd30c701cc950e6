/*
 * One HTTP request to an address beside this process, such as the agent of ECS: sent from an event
 * base, bounded in time and size, and never in the way of anything else on that base.
 *
 *     http_call_start() ─▶ connecting, sending, reading ─▶ done() once, from the base ─▶ freed
 *                                     └─ http_call_cancel(): freed without done()
 *
 * The host has to be a numeric address, because looking a name up could block the thread. TLS is
 * not spoken. Redirects are answers like any other. Thread of the event base only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/status.h"

struct event_base;
struct http_call; /* opaque */

struct http_call_request {
    const char *url;        /* http://ADDRESS[:PORT]/PATH */
    const char *body;       /* JSON: sent with PUT; NULL: the request is a GET */
    int deadline_ms;        /* from the start to done(), whatever the peer does */
    size_t reply_bytes_max; /* a longer body is no answer */
};

/* All borrowed for the call of done(). */
struct http_call_result {
    unsigned code;    /* of the answer; 0: there was none */
    struct view body; /* of the answer, whatever its code */
    const char *why;  /* one line; "" when there was an answer */
};

/** Called once, from the base, never from within http_call_start(). The call is freed afterwards.
 */
typedef void (*http_call_done_fn)(void *arg, const struct http_call_result *result);

/**
 * Sends a request. OK: `*out` is the call until done() was called or http_call_cancel(); `request`
 * was copied. INVALID: the URL is not of the form above; NO_MEMORY; then `errmsg` holds one line
 * and done() is not called.
 */
enum status http_call_start(struct event_base *base, const struct http_call_request *request,
                            http_call_done_fn done, void *done_arg, struct http_call **out,
                            char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Gives a call up; NULL is fine. Not from within its done(). */
void http_call_cancel(struct http_call *self);
