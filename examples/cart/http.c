#include "http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/listener.h>
#include <netdb.h>

struct http {
    struct event_base *base;            /* borrowed */
    struct evhttp *evhttp;              /* owned */
    struct evhttp_bound_socket *socket; /* owned by evhttp; NULL when not listening */
    struct event *drain_deadline;       /* owned; NULL when not draining */
    struct metrics *metrics;            /* borrowed */
    http_fn handle;
    void *site;
    size_t exchanges; /* not yet answered, or the answer is not yet on the wire */
    char address[HTTP_ADDRESS_BYTES];
};

void http_log(const char *level, const char *event, const char *format, ...)
{
    struct timespec now;
    struct tm utc;
    char at[32] = "";
    char rest[512] = "";
    if (clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &utc)) {
        (void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    va_list args;
    va_start(args, format);
    vsnprintf(rest, sizeof(rest), format, args);
    va_end(args);
    fprintf(stderr, "%s %s %s %s\n", at, level, event, rest);
}

/* ---- Exchanges ------------------------------------------------------------------------------ */

static void end_exchange(struct exchange *exchange)
{
    struct http *self = exchange->http;
    self->exchanges--;
    free(exchange);
    if (self->drain_deadline && self->exchanges == 0) {
        (void)event_base_loopexit(self->base, NULL);
    }
}

/* The answer is on the wire; the connection stays for another request. */
static void on_complete(struct evhttp_request *req, void *arg)
{
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
    end_exchange(arg);
}

/* The connection broke. An answered request goes with it; one that is not answered yet stays ours
 * until it is: evhttp then frees it instead of sending. */
static void on_close(struct evhttp_connection *connection, void *arg)
{
    struct exchange *exchange = arg;
    (void)connection;
    if (exchange->answered) {
        end_exchange(exchange);
    } else {
        exchange->connection_gone = true;
    }
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct http *self = arg;
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange) {
        evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
        return;
    }
    *exchange = (struct exchange){
        .http = self, .req = req, .site = self->site, .began_ms = metrics_now_ms()};
    self->exchanges++;
    evhttp_request_set_on_complete_cb(req, on_complete, exchange);
    evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_close, exchange);
    if (self->exchanges > HTTP_EXCHANGES_MAX) {
        http_add_header(exchange, "Retry-After", "1");
        http_answer_error(exchange, HTTP_SERVUNAVAIL, "busy", "Too many requests at one time.");
    } else {
        self->handle(self->site, exchange);
    }
}

/* ---- Server --------------------------------------------------------------------------------- */

struct http *http_new(struct event_base *base, struct metrics *metrics, http_fn handle, void *site)
{
    struct http *self = calloc(1, sizeof(*self));
    if (!self) {
        return NULL;
    }
    *self = (struct http){.base = base, .metrics = metrics, .handle = handle, .site = site};
    self->evhttp = evhttp_new(base);
    if (!self->evhttp) {
        free(self);
        return NULL;
    }
    evhttp_set_gencb(self->evhttp, on_request, self);
    evhttp_set_max_headers_size(self->evhttp, HTTP_HEADER_BYTES_MAX);
    /* evhttp answers larger bodies itself, with HTML, and closes. Somewhat more than the limit is
     * read, so that an honest mistake gets the service's own answer. */
    evhttp_set_max_body_size(self->evhttp, 16 * HTTP_BODY_BYTES_MAX);
    evhttp_set_timeout(self->evhttp, HTTP_IDLE_S);
    evhttp_set_allowed_methods(self->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                                 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    return self;
}

static void remember_address(struct http *self, evutil_socket_t fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {0};
    socklen_t len = sizeof(at);
    char ip[INET6_ADDRSTRLEN] = "?";
    if (getsockname(fd, &at.any, &len) != 0) {
        return;
    }
    if (at.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &at.v6.sin6_addr, ip, sizeof(ip));
        snprintf(self->address, sizeof(self->address), "[%s]:%u", ip, ntohs(at.v6.sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &at.v4.sin_addr, ip, sizeof(ip));
        snprintf(self->address, sizeof(self->address), "%s:%u", ip, ntohs(at.v4.sin_port));
    }
}

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT" and looks it up. NULL: not usable. */
static struct addrinfo *resolve(const char *address)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':');
    char host[256];
    if (!colon || colon[1] == '\0' || (size_t)(colon - address) >= sizeof(host)) {
        return NULL;
    }
    bool bracketed = address[0] == '[' && colon > address && colon[-1] == ']';
    int len = (int)(colon - address) - (bracketed ? 2 : 0);
    snprintf(host, sizeof(host), "%.*s", len, address + (bracketed ? 1 : 0));
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

bool http_listen(struct http *self, const char *address, char *why, size_t why_bytes)
{
    struct addrinfo *at = resolve(address);
    if (!at) {
        snprintf(why, why_bytes, "cannot listen on \"%s\": that is not an ADDRESS:PORT", address);
        return false;
    }
    struct evconnlistener *listener = evconnlistener_new_bind(
        self->base, NULL, NULL,
        LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, -1,
        at->ai_addr, (int)at->ai_addrlen);
    freeaddrinfo(at);
    if (!listener) {
        snprintf(why, why_bytes, "cannot listen on %s: %s", address, strerror(errno));
        return false;
    }
    remember_address(self, evconnlistener_get_fd(listener));
    self->socket = evhttp_bind_listener(self->evhttp, listener);
    if (!self->socket) {
        evconnlistener_free(listener);
        snprintf(why, why_bytes, "out of memory");
        return false;
    }
    (void)evconnlistener_enable(listener);
    return true;
}

const char *http_address(const struct http *self)
{
    return self->address;
}

static void on_drain_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct http *self = arg;
    (void)fd;
    (void)what;
    http_log("warn", "stopping with requests in flight", "requests=%zu", self->exchanges);
    (void)event_base_loopexit(self->base, NULL);
}

void http_drain(struct http *self)
{
    if (self->socket) {
        evhttp_del_accept_socket(self->evhttp, self->socket);
        self->socket = NULL;
    }
    if (!self->drain_deadline) {
        self->drain_deadline = evtimer_new(self->base, on_drain_deadline, self);
        (void)evtimer_add(self->drain_deadline, &(struct timeval){.tv_sec = HTTP_DRAIN_S});
    }
    if (self->exchanges == 0) {
        (void)event_base_loopexit(self->base, NULL);
    }
}

void http_free(struct http *self)
{
    if (!self) {
        return;
    }
    if (self->drain_deadline) {
        event_free(self->drain_deadline);
        self->drain_deadline = NULL; /* what evhttp_free cuts off must not end a loop again */
    }
    evhttp_free(self->evhttp);
    free(self);
}

/* ---- Requests ------------------------------------------------------------------------------- */

const char *http_request_header(const struct exchange *exchange, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(exchange->req), name);
}

bool http_request_cookie(const struct exchange *exchange, const char *name, char *out,
                         size_t out_bytes)
{
    const char *at = http_request_header(exchange, "Cookie");
    size_t name_len = strlen(name);
    while (at && *at) {
        at += strspn(at, "; ");
        size_t len = strcspn(at, ";");
        if (len > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0) {
            size_t value_len = len - name_len - 1;
            if (value_len >= out_bytes) {
                return false;
            }
            memcpy(out, at + name_len + 1, value_len);
            out[value_len] = '\0';
            return true;
        }
        at += len;
    }
    return false;
}

/* ---- Answers -------------------------------------------------------------------------------- */

void http_add_header(struct exchange *exchange, const char *name, const char *value)
{
    (void)evhttp_add_header(evhttp_request_get_output_headers(exchange->req), name, value);
}

static void answer(struct exchange *exchange, int status, struct evbuffer *body)
{
    /* The page needs nothing from elsewhere, and nobody else may frame it. */
    http_add_header(exchange, "Content-Security-Policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    http_add_header(exchange, "X-Content-Type-Options", "nosniff");
    http_add_header(exchange, "Referrer-Policy", "no-referrer");
    http_add_header(exchange, "Cross-Origin-Resource-Policy", "same-origin");
    if (exchange->http->drain_deadline) {
        http_add_header(exchange, "Connection", "close");
    }
    exchange->answered = true;
    metrics_request(exchange->http->metrics, status, metrics_now_ms() - exchange->began_ms);
    bool gone = exchange->connection_gone;
    evhttp_send_reply(exchange->req, status, NULL, body);
    if (gone) { /* nobody will call on_complete or on_close any more */
        end_exchange(exchange);
    }
}

void http_answer_json(struct exchange *exchange, int status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct evbuffer *buffer = evbuffer_new();
    if (!text || !buffer || evbuffer_add(buffer, text, strlen(text)) != 0) {
        status = HTTP_INTERNAL;
    }
    http_add_header(exchange, "Content-Type", "application/json");
    http_add_header(exchange, "Cache-Control", "no-store");
    answer(exchange, status, buffer);
    if (buffer) {
        evbuffer_free(buffer);
    }
    free(text);
    json_decref(body);
}

void http_answer_error(struct exchange *exchange, int status, const char *error,
                       const char *message)
{
    http_answer_json(exchange, status, json_pack("{s:s, s:s}", "error", error, "message", message));
}

void http_answer_file(struct exchange *exchange, const char *content_type, const void *bytes,
                      size_t len)
{
    struct evbuffer *buffer = evbuffer_new();
    int status = HTTP_OK;
    if (!buffer || evbuffer_add_reference(buffer, bytes, len, NULL, NULL) != 0) {
        status = HTTP_INTERNAL;
    }
    http_add_header(exchange, "Content-Type", content_type);
    http_add_header(exchange, "Cache-Control", "no-cache");
    answer(exchange, status, buffer);
    if (buffer) {
        evbuffer_free(buffer);
    }
}
