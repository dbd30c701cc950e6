/* The life of a connection: accepted, watched, paused, closed, freed. */
#include "net/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/worker.h"

enum {
    CLOSE_LOG_LINES_MAX = 20,      /* in a period of log_gate_open() */
    HELD_FREELY_BYTES = 64 * 1024, /* what a connection may hold however much all hold together */
};

static void link_conn(struct conn *self)
{
    struct worker *worker = self->worker;
    self->next = worker->conns;
    if (self->next != NULL) {
        self->next->prev = self;
    }
    worker->conns = self;
}

static void unlink_conn(struct conn *self)
{
    struct worker *worker = self->worker;
    for (struct walk *walk = worker->walks; walk != NULL; walk = walk->outer) {
        if (walk->next == self) {
            walk->next = self->next;
        }
    }
    if (self->prev != NULL) {
        self->prev->next = self->next;
    } else {
        worker->conns = self->next;
    }
    if (self->next != NULL) {
        self->next->prev = self->prev;
    }
}

static void count_open(struct worker *worker, int64_t by)
{
    int64_t open_now = metric_gauge_get(&worker->metrics.connections);
    metric_set(&worker->metrics.connections, open_now + by);
}

void conn_open(struct worker *worker, int fd, const struct sockaddr_storage *peer)
{
    struct conn *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)close(fd);
        atomic_fetch_sub_explicit(&worker->net->connections, 1, memory_order_relaxed);
        metric_add(&worker->metrics.refused, 1);
        return;
    }
    self->worker = worker;
    self->fd = fd;
    self->id = ++worker->conns_seen * worker->net->worker_count + worker->index;
    address_text(peer, self->peer);
    (void)event_assign(&self->read_event, worker->base, fd, EV_READ | EV_PERSIST, conn_on_readable,
                       self);
    link_conn(self);
    metric_add(&worker->metrics.accepted, 1);
    count_open(worker, 1);

    conn_enter(self);
    worker->net->handler.opened(worker->net->handler.arg, self);
    conn_leave(self);
}

void conn_watch(struct conn *self)
{
    bool wants = !self->is_paused && !self->is_choked && !self->is_dead;
    if (wants == self->is_reading) {
        return;
    }
    if (!wants) {
        (void)event_del(&self->read_event);
        self->is_reading = false;
        self->is_replaying = false; /* event_del took that back as well */
        return;
    }
    if (event_add(&self->read_event, NULL) != 0) {
        conn_close(self, CONN_CLOSE_LIMIT, "no memory for an event");
        return;
    }
    self->is_reading = true;
    self->took_ms = self->worker->now_ms; /* while we did not read, the peer could not progress */
}

void conn_replay(struct conn *self)
{
    if (self->is_reading && self->in.len != 0 && self->in.len >= self->need) {
        self->is_replaying = true;
        event_active(&self->read_event, EV_TIMEOUT, 0);
    }
}

void conn_check_stall(struct conn *self, uint64_t stall_ms)
{
    /* The stamps are as old as the tick before the bytes came, so one tick is given away. */
    int64_t now_ms = self->worker->now_ms;
    int64_t patience_ms = (int64_t)stall_ms + self->worker->tick_ms;
    if (self->is_writing && now_ms - self->gave_ms > patience_ms) {
        conn_close(self, CONN_CLOSE_STALLED, "does not read its replies");
    } else if (self->is_reading && self->in.len != 0 && now_ms - self->took_ms > patience_ms) {
        conn_close(self, CONN_CLOSE_STALLED, "half a request");
    }
}

static struct metric_counter *closed_counter(struct net_metrics *metrics,
                                             enum conn_close_reason reason)
{
    switch (reason) {
    case CONN_CLOSE_PEER:
        return &metrics->closed_peer;
    case CONN_CLOSE_PROTOCOL:
        return &metrics->closed_protocol;
    case CONN_CLOSE_STALLED:
        return &metrics->closed_stalled;
    case CONN_CLOSE_LIMIT:
        return &metrics->closed_limit;
    case CONN_CLOSE_ASKED:
        return &metrics->closed_asked;
    case CONN_CLOSE_STOPPING:
        return &metrics->closed_stopping;
    case CONN_CLOSE_ERROR:
        break;
    }
    return &metrics->closed_error;
}

static void log_close(struct conn *self)
{
    static const char *const words[] = {
        [CONN_CLOSE_PEER] = "peer",       [CONN_CLOSE_PROTOCOL] = "protocol",
        [CONN_CLOSE_STALLED] = "stalled", [CONN_CLOSE_LIMIT] = "limit",
        [CONN_CLOSE_ASKED] = "asked",     [CONN_CLOSE_STOPPING] = "stopping",
        [CONN_CLOSE_ERROR] = "error",
    };
    char detail[160];
    log_quoted(detail, sizeof detail, self->close_detail);
    if (self->close_reason == CONN_CLOSE_PEER || self->close_reason == CONN_CLOSE_ASKED ||
        self->close_reason == CONN_CLOSE_STOPPING) {
        log_debug("connection closed", "peer=%s reason=%s detail=%s", self->peer,
                  words[self->close_reason], detail);
        return;
    }
    struct worker *worker = self->worker;
    uint64_t held_back;
    int64_t now_ms = clock_mono_ns(&worker->net->clock) / 1000000;
    if (log_gate_open(&worker->close_log, now_ms, CLOSE_LOG_LINES_MAX, &held_back)) {
        log_info("connection closed", "peer=%s reason=%s detail=%s lines_held_back=%llu",
                 self->peer, words[self->close_reason], detail, (unsigned long long)held_back);
    }
}

void conn_finish(struct conn *self)
{
    struct worker *worker = self->worker;
    conn_send_last(self);
    if (self->close_reason == CONN_CLOSE_STALLED && self->is_writing) {
        /* The kernel would go on offering what it holds to a peer that does not take it. */
        (void)setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                         sizeof(struct linger));
    }
    self->is_dead = true;
    conn_watch(self);
    if (self->write_event != NULL) {
        event_free(self->write_event);
        self->write_event = NULL;
    }
    (void)close(self->fd); /* says nothing about a socket that is of use to us */
    self->fd = -1;
    unlink_conn(self);
    metric_add(closed_counter(&worker->metrics, self->close_reason), 1);
    count_open(worker, -1);
    atomic_fetch_sub_explicit(&worker->net->connections, 1, memory_order_relaxed);
    log_close(self);
    worker->net->handler.closed(worker->net->handler.arg, self);

    if (worker->dead == NULL) {
        (void)event_add(&worker->reap_event, &(struct timeval){0});
    }
    self->next = worker->dead;
    worker->dead = self;
}

void conn_close(struct conn *self, enum conn_close_reason reason, const char *detail)
{
    if (!self->is_closing) {
        self->is_closing = true;
        self->close_reason = reason;
        self->close_detail = detail;
        if (self->worker->current != self) {
            conn_finish(self);
        }
    }
}

void conn_enter(struct conn *self)
{
    assert(self->worker->current == NULL && self->worker->out.len == 0);
    self->worker->current = self;
}

void conn_leave(struct conn *self)
{
    bool was_full = conn_is_full(self);
    conn_send_collected(self);
    self->worker->current = NULL;
    if (self->is_closing) {
        conn_finish(self);
        return;
    }
    conn_account(self);
    if (self->is_dead) {
        return;
    }
    conn_watch(self);
    /* The handler stopped early because of what was unsent, but the socket took it all; or it
     * paused and changed its mind. What it left over would otherwise wait for new bytes. */
    if (was_full || self->is_resumed) {
        conn_replay(self);
    }
    self->is_resumed = false;
}

void conn_account(struct conn *self)
{
    size_t holds = self->in.cap + self->out.cap;
    if (holds == self->held) {
        return;
    }
    struct net *net = self->worker->net;
    bool grew = holds > self->held;
    uint64_t change = (uint64_t)holds - self->held; /* wraps when it shrank, and so does the sum */
    /* Relaxed: a limit on a sum, nothing else is read by it. */
    uint64_t total = atomic_fetch_add_explicit(&net->held_bytes, change, memory_order_relaxed);
    metric_move_shared(&self->worker->metrics.held, (int64_t)change);
    self->held = holds;
    if (grew && holds > HELD_FREELY_BYTES && total + change > net->options.held_bytes_max) {
        conn_close(self, CONN_CLOSE_LIMIT, "too many half requests and unread replies in all");
    }
}

void conn_free(struct conn *self)
{
    buf_free(&self->in);
    buf_free(&self->out);
    conn_account(self);
    free(self);
}

void conn_pause(struct conn *self)
{
    self->is_paused = true;
    if (self->worker->current != self && !self->is_closing) {
        conn_watch(self);
    }
}

void conn_resume(struct conn *self)
{
    if (!self->is_paused || self->is_closing) {
        return;
    }
    self->is_paused = false;
    if (self->worker->current == self) {
        self->is_resumed = true;
        return;
    }
    conn_watch(self);
    conn_replay(self);
}

void *conn_state(const struct conn *self)
{
    return self->state;
}

void conn_set_state(struct conn *self, void *state)
{
    self->state = state;
}

struct worker *conn_worker(const struct conn *self)
{
    return self->worker;
}

uint64_t conn_id(const struct conn *self)
{
    return self->id;
}

const char *conn_peer(const struct conn *self)
{
    return self->peer;
}
