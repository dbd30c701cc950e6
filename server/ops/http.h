/*
 * A small HTTP server for health checks and scrapes: one request a connection, no request bodies,
 * everything bounded. It does not use libevent's evhttp, which can limit neither
 * the number of connections nor the time that one may take as a whole.
 *
 *     accepted ─▶ READING ──a whole head──▶ REPLYING ──all sent──▶ DRAINING ──peer closes──▶ freed
 *
 * A connection that has not come to its end after its deadline is closed in whichever state it is.
 * When there are as many connections as allowed already, a new one replaces the oldest: health
 * checks, which are done in a moment, get through while others hold connections open.
 *
 * Everything runs on the thread of the event base.
 */
#pragma once

#include <stdint.h>

#include "base/metric.h"
#include "ops/http_message.h"

#define HTTP_METRICS(X)                                                                            \
    X(counter, requests, "satchel_ops_requests_total", "",                                         \
      "Requests for health and metrics that were answered.")                                       \
    X(gauge, connections, "satchel_ops_connections", "", "Connections to the ops address.")        \
    X(counter, closed_limit, "satchel_ops_connections_closed_total", "reason=\"limit\"",           \
      "Connections to the ops address that were closed before their end.")                         \
    X(counter, closed_deadline, "satchel_ops_connections_closed_total", "reason=\"deadline\"",     \
      "Connections to the ops address that were closed before their end.")                         \
    X(counter, accept_errors, "satchel_ops_accept_errors_total", "",                               \
      "Connections to the ops address that could not be accepted.")
METRIC_STRUCT(http_metrics, HTTP_METRICS)
METRIC_TABLE_DECLARE(http_metrics)

struct event_base;
struct http_server; /* opaque */

struct http_limits {
    size_t connections_max; /* at least 1 */
    size_t head_bytes_max;  /* request line and headers; above: 431 */
    int deadline_ms;        /* from accept to close */
};

/** Fills the reply to a request, which is valid during the call; `reply` comes empty with code 200
 *  and text/plain, and goes to the peer after the call (to a HEAD without its body). */
typedef void (*http_handler_fn)(void *arg, const struct http_request *request,
                                struct http_reply *reply);

/** Serves the connections of a listening, non-blocking socket from `base` (borrowed). Takes
 *  ownership of `fd`, also when it fails. OK or NO_MEMORY. */
enum status http_server_new(struct event_base *base, int fd, const struct http_limits *limits,
                            http_handler_fn handler, void *handler_arg,
                            struct http_server **out) MUST_CHECK;

/** Closes the socket and all connections; NULL is fine. Not from within the handler. */
void http_server_free(struct http_server *self);

/** What it counts; lives as long as the server. */
const struct http_metrics *http_server_metrics(const struct http_server *self);
