/*
 * HTTP on libevent's evhttp: one exchange is one request and its answer.
 *
 * The server counts its exchanges, so that it can stop without cutting one off: http_drain() closes
 * the listener, answers from then on say `Connection: close`, and when the last answer is on the
 * wire the loop ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>

#include "metrics.h"

enum {
    HTTP_BODY_BYTES_MAX = 4096,    /* more is answered with 413 */
    HTTP_HEADER_BYTES_MAX = 16384, /* of one request; more ends the connection */
    HTTP_EXCHANGES_MAX = 4096,     /* at one time; more are answered with 503 */
    HTTP_IDLE_S = 60,              /* a connection without a request is closed after this */
    HTTP_DRAIN_S = 10,             /* longest wait for the last answers */
    HTTP_ADDRESS_BYTES = 64,       /* of "ADDRESS:PORT" */
};

struct http;

/** One request and its answer. Lives until it is answered; on the loop's thread. */
struct exchange {
    struct http *http;          /* borrowed */
    struct evhttp_request *req; /* libevent's; for reading headers and the body */
    void *site;                 /* what http_new was given */
    char cart_id[33];           /* for the handler: whose cart it is about */
    double began_ms;            /* when the request was complete, on the clock of metrics.h */
    bool answered;
    bool connection_gone;
};

/** Handles a request: must answer it, now or later, with one of the functions below. */
typedef void (*http_fn)(void *site, struct exchange *exchange);

/** A server on `base` (borrowed) that calls `handle` for every request, and counts in `metrics`
 *  (borrowed) what was answered. NULL: no memory. */
struct http *http_new(struct event_base *base, struct metrics *metrics, http_fn handle, void *site);

/** Listens on "ADDRESS:PORT". False with a text in `why` when that cannot be. */
bool http_listen(struct http *self, const char *address, char *why, size_t why_bytes);

/** Where it listens, with the real port; valid as long as the server. */
const char *http_address(const struct http *self);

/** Stops accepting; ends the loop when the last exchange is answered, or after HTTP_DRAIN_S. */
void http_drain(struct http *self);

/** Frees the server; NULL is fine. Every exchange has to be answered. */
void http_free(struct http *self);

/** The value of a request header, or NULL; borrowed until the answer. */
const char *http_request_header(const struct exchange *exchange, const char *name);

/** Copies the value of cookie `name` into `out`; false when there is none or it does not fit. */
bool http_request_cookie(const struct exchange *exchange, const char *name, char *out,
                         size_t out_bytes);

/** Adds a header to the answer. Before answering. */
void http_add_header(struct exchange *exchange, const char *name, const char *value);

/** Answers with JSON; takes the reference `body` (NULL: out of memory, answered with 500). */
void http_answer_json(struct exchange *exchange, int status, json_t *body);

/** Answers with {error, message}: a word for programs and a sentence for people. */
void http_answer_error(struct exchange *exchange, int status, const char *error,
                       const char *message);

/** Answers with `len` bytes of a file that browsers may keep, but have to ask about. The bytes are
 *  not copied and have to stay. */
void http_answer_file(struct exchange *exchange, const char *content_type, const void *bytes,
                      size_t len);

/** One line on standard error: `time level event rest`. */
void http_log(const char *level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
