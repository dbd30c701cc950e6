/* Bytes out: one send for all that was collected, and what the socket does not take. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "net/worker.h"

enum {
    HAND_OVER_BYTES = 64 * 1024, /* unsent bytes from which moving the buffer beats copying them */
};

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

enum conn_close_reason conn_reason_of_errno(int error)
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
            fail(self, conn_reason_of_errno(errno), "send failed");
        }
        return 0;
    }
    metric_add(&metrics->sent_bytes, (uint64_t)sent);
    return (size_t)sent;
}

/* To be called when the buffers are in order again. A broken connection's replies are lost. */
static void tell_sent(struct conn *self, size_t taken, size_t unsent)
{
    const struct net_handler *handler = &self->worker->net->handler;
    if (handler->sent != NULL && taken != 0 && !self->is_broken) {
        handler->sent(handler->arg, self, taken, unsent);
    }
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
    tell_sent(self, taken, unsent_bytes(self));
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

/* After sending: the connection ends, or its limits are looked at. */
static void settle(struct conn *self)
{
    if (!end_if_broken(self)) {
        limit_unsent(self);
        conn_account(self);
    }
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
    settle(self);
}

static void conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *self = arg;
    struct worker *worker = self->worker;
    worker_deliver(worker);
    if (self->is_writing) { /* what was delivered may have had an end of it */
        send_own(self);
        settle(self);
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
    tell_sent(self, taken, unsent_bytes(self));
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
        size_t taken = send_once(self, self->out.ptr + self->out_sent, unsent_bytes(self));
        self->out_sent += taken;
        tell_sent(self, taken, unsent_bytes(self));
    }
    (void)shutdown(self->fd, SHUT_WR);
    /* MSG_TRUNC makes TCP drop the bytes instead of copying them (tcp(7)), so the buffer stays as
     * it is. Only what is there already: a peer that goes on sending is reset. */
    (void)recv(self->fd, self->worker->in, IN_BYTES, MSG_TRUNC);
}
