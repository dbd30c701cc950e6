/* Connections of the ops server: from accept to close. */
#include "ops/http.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "base/log.h"

#define METRIC_OWNER struct http_metrics
METRIC_TABLE(http_metrics, HTTP_METRICS)
#undef METRIC_OWNER

/* After a failed accept, which would fail again at once. */
enum { ACCEPT_PAUSE_MS = 200 };

enum http_state { HTTP_READING, HTTP_REPLYING, HTTP_DRAINING };

struct http_conn {
    TAILQ_ENTRY(http_conn) link;
    struct http_server *server; /* borrowed; owns this connection */
    struct bufferevent *stream; /* owned; closes the socket */
    struct event *deadline;     /* owned */
    enum http_state state;
    bool peer_has_ended; /* it will send nothing more, but may still read */
};

struct http_server {
    struct event_base *base;         /* borrowed */
    struct evconnlistener *listener; /* owned; closes the socket */
    struct event *resume;            /* owned: accepts again after a pause */
    struct http_limits limits;
    http_handler_fn handler;
    void *handler_arg;             /* borrowed */
    TAILQ_HEAD(, http_conn) conns; /* oldest first; owned */
    size_t conn_count;
    struct http_metrics metrics;
};

static struct timeval timeval_of_ms(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static void conn_free(struct http_conn *self)
{
    struct http_server *server = self->server;
    TAILQ_REMOVE(&server->conns, self, link);
    server->conn_count--;
    metric_set(&server->metrics.connections, (int64_t)server->conn_count);
    event_free(self->deadline);
    bufferevent_free(self->stream);
    free(self);
}

/* Hands the reply to the socket; READING becomes REPLYING. */
static void conn_reply(struct http_conn *self, const struct http_reply *reply,
                       enum http_method method)
{
    struct buf out = {0};
    self->state = HTTP_REPLYING;
    if (http_write_reply(reply, method, &out) != STATUS_OK ||
        bufferevent_write(self->stream, out.ptr, out.len) != 0) {
        conn_free(self); /* out of memory: no answer is the answer */
    } else {
        metric_add(&self->server->metrics.requests, 1);
    }
    buf_free(&out);
}

/* Answers with the code and its name alone. */
static void conn_refuse(struct http_conn *self, unsigned code, enum http_method method)
{
    struct http_reply reply = {.code = code, .content_type = "text/plain; charset=utf-8"};
    if (buf_printf(&reply.body, "%s\n", http_reason(code)) != STATUS_OK) {
        conn_free(self);
        return;
    }
    conn_reply(self, &reply, method);
    buf_free(&reply.body);
}

static void conn_serve(struct http_conn *self, const struct http_request *request)
{
    struct http_server *server = self->server;
    struct http_reply reply = {.code = 200, .content_type = "text/plain; charset=utf-8"};
    server->handler(server->handler_arg, request, &reply);
    conn_reply(self, &reply, request->method);
    buf_free(&reply.body);
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct http_conn *self = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (self->state != HTTP_READING) { /* a body, or a second request: nobody asked for it */
        (void)evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    size_t len = evbuffer_get_length(input);
    struct view bytes = view_of(evbuffer_pullup(input, -1), len);
    size_t head_len = http_head_length(bytes);
    /* The watermark keeps the input from growing past the limit, so a longer head never ends. */
    if (head_len == 0 && len >= self->server->limits.head_bytes_max) {
        conn_refuse(self, 431, HTTP_GET);
        return;
    }
    if (head_len == 0) {
        return;
    }
    struct http_request request;
    unsigned code = http_parse_request(view_of(bytes.ptr, head_len), &request);
    if (code == 200) {
        conn_serve(self, &request);
    } else {
        conn_refuse(self, code, request.method);
    }
}

/* All is sent. Closing now while unread bytes are here would reset the connection and could take
 * the answer from the peer, so our side ends first and the peer's end is waited for. */
static void on_written(struct bufferevent *stream, void *arg)
{
    struct http_conn *self = arg;
    if (self->state != HTTP_REPLYING) {
        return;
    }
    if (self->peer_has_ended || shutdown(bufferevent_getfd(stream), SHUT_WR) != 0) {
        conn_free(self);
        return;
    }
    self->state = HTTP_DRAINING;
    on_read(stream, self);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    struct http_conn *self = arg;
    if ((what & BEV_EVENT_EOF) != 0 && self->state == HTTP_REPLYING) {
        self->peer_has_ended = true;
        return;
    }
    conn_free(self);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_conn *self = arg;
    metric_add(&self->server->metrics.closed_deadline, 1);
    conn_free(self);
}

/* The connection of an accepted socket, which is closed when there is no memory for one. */
static void conn_open(struct http_server *server, int fd)
{
    struct timeval deadline = timeval_of_ms(server->limits.deadline_ms);
    struct http_conn *self = calloc(1, sizeof *self);
    struct bufferevent *stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    struct event *timer = evtimer_new(server->base, on_deadline, self);
    if (self == NULL || stream == NULL || timer == NULL || evtimer_add(timer, &deadline) != 0) {
        goto no_memory;
    }
    bufferevent_setcb(stream, on_read, on_written, on_event, self);
    bufferevent_setwatermark(stream, EV_READ, 0, server->limits.head_bytes_max);
    if (bufferevent_enable(stream, EV_READ | EV_WRITE) != 0) {
        goto no_memory;
    }
    self->server = server;
    self->stream = stream;
    self->deadline = timer;
    TAILQ_INSERT_TAIL(&server->conns, self, link);
    server->conn_count++;
    metric_set(&server->metrics.connections, (int64_t)server->conn_count);
    return;

no_memory:
    if (timer != NULL) {
        event_free(timer);
    }
    if (stream != NULL) {
        bufferevent_free(stream);
    } else {
        (void)close(fd);
    }
    free(self);
    metric_add(&server->metrics.accept_errors, 1);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int address_len, void *arg)
{
    (void)listener, (void)address, (void)address_len;
    struct http_server *self = arg;
    if (self->conn_count == self->limits.connections_max) {
        metric_add(&self->metrics.closed_limit, 1);
        conn_free(TAILQ_FIRST(&self->conns));
    }
    conn_open(self, fd);
}

/* Most likely all file descriptors are in use. The connection stays in the queue, so accepting
 * again at once would fail again at once, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct http_server *self = arg;
    int error = errno;
    char quoted[128];
    struct timeval pause = timeval_of_ms(ACCEPT_PAUSE_MS);
    metric_add(&self->metrics.accept_errors, 1);
    if (evtimer_add(self->resume, &pause) == 0) {
        (void)evconnlistener_disable(listener);
    }
    log_warn("cannot accept an ops connection", "reason=%s",
             log_quoted(quoted, sizeof quoted, strerror(error)));
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct http_server *self = arg;
    (void)evconnlistener_enable(self->listener);
}

enum status http_server_new(struct event_base *base, int fd, const struct http_limits *limits,
                            http_handler_fn handler, void *handler_arg, struct http_server **out)
{
    struct http_server *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)close(fd);
        return STATUS_NO_MEMORY;
    }
    self->base = base;
    self->limits = *limits;
    self->handler = handler;
    self->handler_arg = handler_arg;
    TAILQ_INIT(&self->conns);
    self->listener = evconnlistener_new(base, on_accept, self,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    self->resume = evtimer_new(base, on_resume, self);
    if (self->listener == NULL || self->resume == NULL) {
        if (self->listener == NULL) {
            (void)close(fd);
        }
        http_server_free(self);
        return STATUS_NO_MEMORY;
    }
    evconnlistener_set_error_cb(self->listener, on_accept_error);
    *out = self;
    return STATUS_OK;
}

void http_server_free(struct http_server *self)
{
    if (self == NULL) {
        return;
    }
    struct http_conn *next = NULL;
    for (struct http_conn *conn = TAILQ_FIRST(&self->conns); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, link);
        conn_free(conn);
    }
    if (self->resume != NULL) {
        event_free(self->resume);
    }
    if (self->listener != NULL) {
        evconnlistener_free(self->listener);
    }
    free(self);
}

const struct http_metrics *http_server_metrics(const struct http_server *self)
{
    return &self->metrics;
}
