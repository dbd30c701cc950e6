/*
 * Bytes in: one recv a wake-up, the handler, and what it leaves over.
 *
 * Several connections are received from before the first is answered. `arrived` tells the handler
 * of each at once, so it can have what they need on its way from memory while others are received.
 */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "net/worker.h"

enum {
    /* A left-over up to this size is copied in front of what the next recv brings, so that a
     * stream of small requests is always parsed in the worker's buffer with one large recv; behind
     * a larger one recv goes directly. */
    LEFT_OVER_COPIED_MAX = 16 * 1024,
    RECV_ROOM_LEAST = 64 * 1024,      /* of the worker's buffer, for a recv into it */
    RECV_ROOM_UNKNOWN = 64 * 1024,    /* behind a large left-over whose size is not known */
    LEFT_OVER_MAX = 64 * 1024 * 1024, /* no protocol here has requests near this size */
};

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
        conn_account(self);
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
        conn_close(self, conn_reason_of_errno(errno), "recv failed");
    }
    return 0;
}

static void note_time(struct worker *worker)
{
    worker->received_ns = clock_mono_ns(&worker->net->clock);
}

/* Receives into the worker's buffer, behind what was left over. */
static void receive_shared(struct conn *self)
{
    struct worker *worker = self->worker;
    const struct net_handler *handler = &worker->net->handler;
    size_t wanted = LEFT_OVER_COPIED_MAX + RECV_ROOM_LEAST;
    wanted = self->need > wanted ? self->need : wanted;
    if (worker->input_count == INPUTS_MAX || IN_BYTES - worker->in_used < wanted) {
        worker_deliver(worker);
        if (self->is_dead || !self->is_reading) {
            return; /* another connection's request had that effect */
        }
    }
    uint8_t *start = worker->in + worker->in_used;
    uint8_t *behind = put_view(start, buf_view(&self->in));
    size_t got = recv_once(self, behind, IN_BYTES - worker->in_used - self->in.len);
    if (got == 0) {
        return;
    }
    if (worker->input_count == 0) {
        note_time(worker);
    }
    struct view bytes = view_of(start, self->in.len + got);
    worker->in_used += bytes.len;
    worker->inputs[worker->input_count++] = (struct input){.conn = self, .bytes = bytes};
    if (bytes.len >= self->need) {
        handler->arrived(handler->arg, self, bytes);
    }
}

/* Receives a large request, which grows in place. The recv ends where the request ends, so that
 * nothing of what follows has to be moved. */
static void receive_large(struct conn *self)
{
    struct buf *in = &self->in;
    size_t room = self->need > in->len ? self->need - in->len : RECV_ROOM_UNKNOWN;
    if (buf_reserve(in, room) != STATUS_OK) {
        conn_close(self, CONN_CLOSE_LIMIT, "no memory for a request");
        return;
    }
    conn_account(self);
    if (self->is_dead) {
        return;
    }
    size_t got = recv_once(self, in->ptr + in->len, room);
    if (got != 0) {
        in->len += got;
        note_time(self->worker);
        deliver(self, buf_view(in));
    }
}

void worker_deliver(struct worker *self)
{
    unsigned count = self->input_count;
    for (unsigned i = 0; i < count; i++) {
        const struct input *input = &self->inputs[i];
        if (!input->conn->is_dead) {
            deliver(input->conn, input->bytes);
        }
    }
    self->input_count = 0;
    self->in_used = 0;
    if (count != 0) {
        self->net->handler.turned(self->net->handler.arg, self);
    }
    worker_flush(self);
}

void conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *self = arg;
    struct worker *worker = self->worker;
    if (!self->is_replaying && self->need <= IN_BYTES && self->in.len <= LEFT_OVER_COPIED_MAX) {
        receive_shared(self);
        return;
    }
    worker_deliver(worker);
    if (self->is_replaying) {
        /* If the socket is readable as well, it will say so again: events are level-triggered. */
        self->is_replaying = false;
        note_time(worker);
        deliver(self, buf_view(&self->in));
    } else if (self->is_reading) {
        receive_large(self);
    }
    worker_flush(worker);
}
