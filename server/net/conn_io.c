/*
 * The way of bytes through a connection.
 *
 *     socket ─recv─▶ worker.in ─────────────▶ received() ─conn_out()─▶ worker.out ─send─▶ socket
 *                      ▲  └─left over─▶ conn.in ▲ │ other                 └─not taken─▶ conn.out ─┘
 *                      └───copied in front──┘   │ └─connections─▶ their conn.out ─one send each─▶
 *                                          large ones grow here
 *
 * One recv a wake-up: asking again only to hear EAGAIN costs as much as a request. One send for all
 * replies of a wake-up. `in` and `out` of the worker serve all its connections in turn, so they
 * stay in the processor's cache and a connection owns memory only while it has something half done.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net/worker.h"

enum {
    /* A left-over up to this size is copied in front of what the next recv brings, so that a
     * stream of small requests is always parsed in the worker's buffer with one large recv; behind
     * a larger one recv goes directly. */
    LEFT_OVER_COPIED_MAX = 16 * 1024,
    RECV_ROOM_UNKNOWN = 64 * 1024,    /* behind a large left-over whose size is not known */
    LEFT_OVER_MAX = 64 * 1024 * 1024, /* no protocol here has requests near this size */
    HAND_OVER_BYTES = 64 * 1024, /* unsent bytes from which moving the buffer beats copying them */
};

/* ---- out ---- */

static size_t unsent_bytes(const struct conn *self)
{
    return self->out.len - self->out_sent;
}

bool conn_is_full(const struct conn *self)
{
    const struct worker *worker = self->worker;
    size_t collected = worker->current == self ? worker->out.len : 0;
    return unsent_bytes(self) + collected > worker->net->options.unsent_bytes_max;
}

static void take_spare(struct conn *self)
{
    struct worker *worker = self->worker;
    if (self->out.cap == 0 && worker->spare_count != 0) {
        self->out = worker->spare[--worker->spare_count];
    }
}

static void release_out(struct conn *self)
{
    struct worker *worker = self->worker;
    if (self->out.cap != 0 && self->out.cap <= SPARE_BYTES_MAX &&
        worker->spare_count < SPARE_BUFFERS) {
        self->out.len = 0;
        worker->spare[worker->spare_count++] = self->out;
    } else {
        buf_free(&self->out);
    }
    self->out = (struct buf){0};
    self->out_sent = 0;
}

static void mark_unflushed(struct conn *self)
{
    if (!self->is_unflushed) {
        self->is_unflushed = true;
        self->next_unflushed = self->worker->unflushed;
        self->worker->unflushed = self;
    }
}

struct buf *conn_out(struct conn *self)
{
    assert(!self->is_dead);
    if (self->worker->current == self && self->out.len == 0) {
        return &self->worker->out;
    }
    take_spare(self);
    mark_unflushed(self);
    return &self->out;
}

void conn_flush(struct conn *self)
{
    if (!self->is_dead && self->out.len != 0) {
        mark_unflushed(self);
    }
}

/* The socket is of no more use; the connection ends where its caller looks at is_closing. */
static void fail(struct conn *self, enum conn_close_reason reason, const char *detail)
{
    self->is_broken = true;
    if (!self->is_closing) {
        self->is_closing = true;
        self->close_reason = reason;
        self->close_detail = detail;
    }
}

static enum conn_close_reason reason_of_errno(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ETIMEDOUT ? CONN_CLOSE_PEER
                                                                       : CONN_CLOSE_ERROR;
}

/* One send; returns how much the socket took. */
static size_t send_once(struct conn *self, const uint8_t *bytes, size_t len)
{
    struct net_metrics *metrics = &self->worker->metrics;
    metric_add(&metrics->send_calls, 1);
    ssize_t sent = send(self->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            fail(self, reason_of_errno(errno), "send failed");
        }
        return 0;
    }
    metric_add(&metrics->sent_bytes, (uint64_t)sent);
    return (size_t)sent;
}

static void conn_on_writable(evutil_socket_t fd, short what, void *arg);

static void wait_writable(struct conn *self)
{
    if (self->is_writing) {
        return;
    }
    if (self->write_event == NULL) {
        self->write_event = event_new(self->worker->base, self->fd, EV_WRITE | EV_PERSIST,
                                      conn_on_writable, self);
    }
    if (self->write_event == NULL || event_add(self->write_event, NULL) != 0) {
        fail(self, CONN_CLOSE_LIMIT, "no memory for an event");
        return;
    }
    self->is_writing = true;
    self->gave_ms = self->worker->now_ms;
}

/* Stops reading above the limit and starts again below half of it: between the two nothing changes,
 * so that a peer at the limit does not cost two system calls a reply. */
static void limit_unsent(struct conn *self)
{
    uint64_t unsent_max = self->worker->net->options.unsent_bytes_max;
    if (!self->is_choked && unsent_bytes(self) > unsent_max) {
        self->is_choked = true;
        metric_add(&self->worker->metrics.choked, 1);
        conn_watch(self);
    } else if (self->is_choked && unsent_bytes(self) < unsent_max / 2) {
        self->is_choked = false;
        conn_watch(self);
        conn_replay(self);
    }
}

static void send_own(struct conn *self)
{
    size_t taken = send_once(self, self->out.ptr + self->out_sent, unsent_bytes(self));
    self->out_sent += taken;
    if (self->is_broken) {
        return;
    }
    if (self->out_sent == self->out.len) {
        release_out(self);
        if (self->is_writing) {
            (void)event_del(self->write_event);
            self->is_writing = false;
        }
    } else {
        wait_writable(self);
        if (taken != 0) {
            self->gave_ms = self->worker->now_ms;
        }
        /* Moving the rest only when less than half remains keeps the copying linear, for a buffer
         * that is at most twice as long as what is unsent. */
        if (self->out_sent > self->out.len / 2) {
            buf_consume(&self->out, self->out_sent);
            self->out_sent = 0;
        }
    }
}

/* Ends a connection that fail() condemned outside a callback of its own. */
static bool end_if_broken(struct conn *self)
{
    if (!self->is_broken) {
        return false;
    }
    conn_finish(self);
    return true;
}

void conn_send(struct conn *self)
{
    assert(self->worker->current != self);
    if (unsent_bytes(self) == 0) {
        release_out(self); /* asked for, but nothing was appended */
        return;
    }
    if (!self->is_writing) { /* otherwise the socket is full and says when it is not */
        send_own(self);
    }
    if (!end_if_broken(self)) {
        limit_unsent(self);
    }
}

static void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *self = arg;
    struct worker *worker = self->worker;
    send_own(self);
    if (!end_if_broken(self)) {
        limit_unsent(self);
    }
    worker_flush(worker);
}

/* Keeps what the socket did not take of the worker's buffer. */
static void keep_unsent(struct conn *self, struct buf *collected, size_t taken)
{
    size_t rest = collected->len - taken;
    if (rest >= HAND_OVER_BYTES) {
        self->out = *collected;
        self->out_sent = taken;
        *collected = (struct buf){0};
    } else {
        take_spare(self);
        if (buf_append(&self->out, view_of(collected->ptr + taken, rest)) != STATUS_OK) {
            fail(self, CONN_CLOSE_LIMIT, "no memory for its replies");
            return;
        }
    }
    wait_writable(self);
}

void conn_send_collected(struct conn *self)
{
    struct buf *collected = &self->worker->out;
    if (collected->len == 0) {
        return;
    }
    assert(self->out.len == 0);
    size_t taken = send_once(self, collected->ptr, collected->len);
    if (taken != collected->len && !self->is_broken) {
        keep_unsent(self, collected, taken);
        limit_unsent(self);
    }
    collected->len = 0;
    if (collected->cap > OUT_KEPT_BYTES) {
        buf_free(collected);
    }
}

void conn_send_last(struct conn *self)
{
    if (self->is_broken || self->close_reason == CONN_CLOSE_PEER ||
        self->close_reason == CONN_CLOSE_ERROR) {
        return;
    }
    if (unsent_bytes(self) != 0 && !self->is_writing) {
        (void)send_once(self, self->out.ptr + self->out_sent, unsent_bytes(self));
    }
    (void)shutdown(self->fd, SHUT_WR);
    /* MSG_TRUNC makes TCP drop the bytes instead of copying them (tcp(7)), so the buffer stays as
     * it is. Only what is there already: a peer that goes on sending is reset. */
    (void)recv(self->fd, self->worker->in, IN_BYTES, MSG_TRUNC);
}

/* ---- in ---- */

/* Keeps bytes[used..]; `bytes` begins with what `in` holds. */
static void keep_left_over(struct conn *self, struct view bytes, size_t used)
{
    size_t rest = bytes.len - used;
    size_t room = self->need > rest ? self->need : rest;
    if (rest == 0) {
        buf_free(&self->in);
        return;
    }
    enum status status = room <= LEFT_OVER_MAX ? STATUS_OK : STATUS_TOO_LARGE;
    if (status == STATUS_OK && used == 0) {
        struct view fresh = view_of(bytes.ptr + self->in.len, bytes.len - self->in.len);
        status = buf_reserve(&self->in, room - self->in.len);
        if (status == STATUS_OK) {
            status = buf_append(&self->in, fresh);
        }
    } else if (status == STATUS_OK) {
        /* A new buffer: the old one may be much larger than what remains. */
        struct buf kept = {0};
        status = buf_reserve(&kept, room);
        if (status == STATUS_OK) {
            kept.len = (size_t)(put_view(kept.ptr, view_of(bytes.ptr + used, rest)) - kept.ptr);
            buf_free(&self->in);
            self->in = kept;
        }
    }
    if (status != STATUS_OK) {
        conn_close(self, CONN_CLOSE_LIMIT,
                   status == STATUS_TOO_LARGE ? "a request without end"
                                              : "no memory for a request");
    }
}

/* Shows the handler all bytes there are: what was left over and, behind it, what is new. */
static void deliver(struct conn *self, struct view bytes)
{
    const struct net_handler *handler = &self->worker->net->handler;
    if (bytes.len < self->need) {
        keep_left_over(self, bytes, 0);
        return;
    }
    conn_enter(self);
    self->need = 0;
    size_t used = handler->received(handler->arg, self, bytes, &self->need);
    assert(used <= bytes.len);
    if (!self->is_closing) {
        keep_left_over(self, bytes, used);
    }
    conn_leave(self);
}

/* One recv; 0 when there is nothing to deliver, and the connection may be closed. */
static size_t recv_once(struct conn *self, uint8_t *into, size_t room)
{
    struct net_metrics *metrics = &self->worker->metrics;
    metric_add(&metrics->recv_calls, 1);
    ssize_t got = recv(self->fd, into, room, 0);
    if (got > 0) {
        metric_add(&metrics->received_bytes, (uint64_t)got);
        self->took_ms = self->worker->now_ms;
        return (size_t)got;
    }
    if (got == 0) {
        conn_close(self, CONN_CLOSE_PEER, self->in.len != 0 ? "in the middle of a request" : NULL);
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_close(self, reason_of_errno(errno), "recv failed");
    }
    return 0;
}

static void receive(struct conn *self)
{
    struct buf *in = &self->in;
    if (self->need <= IN_BYTES && in->len <= LEFT_OVER_COPIED_MAX) {
        uint8_t *shared = self->worker->in;
        uint8_t *behind = put_view(shared, buf_view(in));
        size_t got = recv_once(self, behind, IN_BYTES - in->len);
        if (got != 0) {
            deliver(self, view_of(shared, in->len + got));
        }
        return;
    }
    /* A large request grows in place. The recv ends where it ends, so that nothing of what follows
     * has to be moved. */
    size_t room = self->need > in->len ? self->need - in->len : RECV_ROOM_UNKNOWN;
    if (buf_reserve(in, room) != STATUS_OK) {
        conn_close(self, CONN_CLOSE_LIMIT, "no memory for a request");
        return;
    }
    size_t got = recv_once(self, in->ptr + in->len, room);
    if (got != 0) {
        in->len += got;
        deliver(self, buf_view(in));
    }
}

void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *self = arg;
    struct worker *worker = self->worker;
    if (self->is_replaying) {
        /* If the socket is readable as well, it will say so again: events are level-triggered. */
        self->is_replaying = false;
        deliver(self, buf_view(&self->in));
    } else {
        receive(self);
    }
    worker_flush(worker);
}
