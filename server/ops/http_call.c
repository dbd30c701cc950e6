/* One request by libevent's HTTP client, with a deadline for all of it. */
#include "ops/http_call.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES_MAX = 16 * 1024, HTTP_PORT = 80, HOST_BYTES = 64, WHY_BYTES = 160 };

struct http_call {
    struct evhttp_connection *connection; /* owned, with the request on it */
    struct event *end; /* owned; the deadline, and what ends the call outside of libevent's own
                          callback, in which its connection must not be freed */
    http_call_done_fn done;
    void *done_arg; /* borrowed */
    unsigned code;
    struct buf body;
    char why[WHY_BYTES];
};

void http_call_cancel(struct http_call *self)
{
    if (self == NULL) {
        return;
    }
    if (self->connection != NULL) {
        evhttp_connection_free(self->connection);
    }
    if (self->end != NULL) {
        event_free(self->end);
    }
    buf_free(&self->body);
    free(self);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_call *self = arg;
    const struct http_call_result result = {
        .code = self->code, .body = view_of(self->body.ptr, self->body.len), .why = self->why};
    self->done(self->done_arg, &result);
    http_call_cancel(self);
}

static void on_answer(struct evhttp_request *request, void *arg)
{
    struct http_call *self = arg;
    const struct timeval at_once = {0};
    int code = request == NULL ? 0 : evhttp_request_get_response_code(request);
    (void)snprintf(self->why, sizeof self->why, "no answer, or one that is none");
    if (code > 0) {
        struct evbuffer *input = evhttp_request_get_input_buffer(request);
        size_t len = evbuffer_get_length(input);
        const uint8_t *bytes = evbuffer_pullup(input, -1);
        if (len == 0 ||
            (bytes != NULL && buf_append(&self->body, view_of(bytes, len)) == STATUS_OK)) {
            self->code = (unsigned)code;
            self->why[0] = '\0';
        }
    }
    (void)evtimer_add(self->end, &at_once); /* it was added before: this moves it */
}

/* "http://169.254.170.2/v4/1" to host and port; NULL path components become "/". */
static enum status take_apart(const struct evhttp_uri *uri, char host[static HOST_BYTES],
                              uint16_t *port)
{
    const char *scheme = uri == NULL ? NULL : evhttp_uri_get_scheme(uri);
    const char *named = uri == NULL ? NULL : evhttp_uri_get_host(uri);
    if (scheme == NULL || strcmp(scheme, "http") != 0 || named == NULL) {
        return STATUS_INVALID;
    }
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = strlen(named);
    bool is_bracketed = len > 2 && named[0] == '[' && named[len - 1] == ']';
    int written = is_bracketed ? snprintf(host, HOST_BYTES, "%.*s", (int)len - 2, named + 1)
                               : snprintf(host, HOST_BYTES, "%s", named);
    int number = evhttp_uri_get_port(uri);
    *port = number < 0 ? HTTP_PORT : (uint16_t)number;
    bool is_numeric = written > 0 && written < HOST_BYTES &&
                      inet_pton(is_bracketed ? AF_INET6 : AF_INET, host,
                                is_bracketed ? (void *)&v6 : (void *)&v4) == 1;
    return is_numeric && number <= UINT16_MAX ? STATUS_OK : STATUS_INVALID;
}

/* Gives the request to the connection, which owns it from then on. */
static enum status send_request(struct http_call *self, const struct http_call_request *wanted,
                                const struct evhttp_uri *uri, const char *host)
{
    char target[2048];
    const char *path = evhttp_uri_get_path(uri);
    const char *query = evhttp_uri_get_query(uri);
    int len = snprintf(target, sizeof target, "%s%s%s",
                       path == NULL || path[0] == '\0' ? "/" : path, query == NULL ? "" : "?",
                       query == NULL ? "" : query);
    struct evhttp_request *request = evhttp_request_new(on_answer, self);
    if (request == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    bool is_whole = len > 0 && (size_t)len < sizeof target &&
                    evhttp_add_header(headers, "Host", host) == 0 &&
                    evhttp_add_header(headers, "Connection", "close") == 0;
    if (is_whole && wanted->body != NULL) {
        is_whole = evhttp_add_header(headers, "Content-Type", "application/json") == 0 &&
                   evbuffer_add(evhttp_request_get_output_buffer(request), wanted->body,
                                strlen(wanted->body)) == 0;
    }
    if (!is_whole) {
        evhttp_request_free(request);
        return STATUS_NO_MEMORY;
    }
    return evhttp_make_request(self->connection, request,
                               wanted->body != NULL ? EVHTTP_REQ_PUT : EVHTTP_REQ_GET, target) == 0
               ? STATUS_OK
               : STATUS_NO_MEMORY;
}

static enum status start(struct http_call *self, struct event_base *base,
                         const struct http_call_request *request, const struct evhttp_uri *uri)
{
    char host[HOST_BYTES];
    uint16_t port = 0;
    const struct timeval deadline = {.tv_sec = request->deadline_ms / 1000,
                                     .tv_usec = (request->deadline_ms % 1000) * 1000};
    if (take_apart(uri, host, &port) != STATUS_OK) {
        return STATUS_INVALID;
    }
    self->end = evtimer_new(base, on_end, self);
    self->connection = evhttp_connection_base_new(base, NULL, host, port);
    if (self->end == NULL || self->connection == NULL || evtimer_add(self->end, &deadline) != 0) {
        return STATUS_NO_MEMORY;
    }
    evhttp_connection_set_max_headers_size(self->connection, HEAD_BYTES_MAX);
    evhttp_connection_set_max_body_size(self->connection, (ev_ssize_t)request->reply_bytes_max);
    (void)snprintf(self->why, sizeof self->why, "no answer within %d ms", request->deadline_ms);
    return send_request(self, request, uri, evhttp_uri_get_host(uri));
}

enum status http_call_start(struct event_base *base, const struct http_call_request *request,
                            http_call_done_fn done, void *done_arg, struct http_call **out,
                            char *errmsg, size_t errmsg_bytes)
{
    struct http_call *self = calloc(1, sizeof *self);
    struct evhttp_uri *uri = evhttp_uri_parse(request->url);
    enum status status = self == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    *out = NULL;
    if (status == STATUS_OK) {
        self->done = done;
        self->done_arg = done_arg;
        status = start(self, base, request, uri);
    }
    if (uri != NULL) {
        evhttp_uri_free(uri);
    }
    if (status == STATUS_INVALID) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "\"%s\" is not http://ADDRESS[:PORT]/PATH with a numeric address",
                       request->url);
    } else if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "%s", status_text(status));
    }
    if (status != STATUS_OK) {
        http_call_cancel(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}
