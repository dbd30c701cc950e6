/* A worker's thread: its loop, its orders from other threads, its timers. */
#include "net/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "net/conn.h"

enum {
    LOG_PERIOD_MS = 10000,
    /* Stalls are looked for four times in the time they may take, within these bounds. */
    TICK_MS_MIN = 10,
    TICK_MS_MAX = 5000,
};

bool log_gate_open(struct log_gate *self, int64_t now_ms, unsigned lines_max, uint64_t *held_back)
{
    if (self->lines == 0 || now_ms - self->period_start_ms >= LOG_PERIOD_MS) {
        self->period_start_ms = now_ms;
        self->lines = 0;
    }
    if (self->lines >= lines_max) {
        self->held_back++;
        return false;
    }
    self->lines++;
    *held_back = self->held_back;
    self->held_back = 0;
    return true;
}

/*
 * Orders are bits of one word. Who finds it zero writes to the eventfd, everybody else knows that a
 * wake-up is on its way: so any number of wakes between two turns costs one system call.
 *
 * Release when setting, acquire when taking: what the caller wrote before (a new durable_lsn) is
 * seen by `woken`, also for those who found a bit set and wrote nothing, because every one of these
 * read-modify-writes continues the release sequence that the taking exchange reads from.
 */
void worker_order(struct worker *self, unsigned order)
{
    if (atomic_fetch_or_explicit(&self->orders, order, memory_order_release) == 0) {
        static const uint64_t one = 1;
        /* It fails only with EAGAIN when the counter is full, after 2^64 wake-ups. */
        ssize_t written = write(self->wake_fd, &one, sizeof one);
        (void)written;
    }
}

void worker_wake(struct worker *self)
{
    worker_order(self, ORDER_WAKE);
}

void *worker_state(const struct worker *self)
{
    return self->state;
}

int64_t worker_received_ns(const struct worker *self)
{
    return self->received_ns;
}

void worker_each_conn(struct worker *self, void (*visit)(void *arg, struct conn *conn), void *arg)
{
    struct walk walk = {.next = self->conns, .outer = self->walks};
    self->walks = &walk;
    while (walk.next != NULL) {
        struct conn *conn = walk.next;
        walk.next = conn->next;
        visit(arg, conn);
    }
    self->walks = walk.outer;
}

void worker_flush(struct worker *self)
{
    assert(self->current == NULL);
    while (self->unflushed != NULL) {
        struct conn *conn = self->unflushed;
        self->unflushed = conn->next_unflushed;
        conn->is_unflushed = false;
        if (!conn->is_dead) {
            conn_send(conn);
        }
    }
}

static void close_as_stopping(void *arg, struct conn *conn)
{
    (void)arg;
    conn_close(conn, CONN_CLOSE_STOPPING, NULL);
}

/* The eventfd is registered edge-triggered: each write is an event of its own, so the counter never
 * has to be read. An order that is taken before its write was made leaves an event without orders
 * behind, which does nothing. */
static void on_orders(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct worker *self = arg;
    worker_deliver(self);
    unsigned orders = atomic_exchange_explicit(&self->orders, 0, memory_order_acquire);
    if ((orders & ORDER_WAKE) != 0) {
        metric_add(&self->metrics.wakeups, 1);
        self->net->handler.woken(self->net->handler.arg, self);
    }
    if ((orders & (ORDER_STOP_ACCEPTING | ORDER_STOP)) != 0) {
        listener_close(self);
    }
    if ((orders & ORDER_STOP) != 0) {
        worker_flush(self);
        worker_each_conn(self, close_as_stopping, NULL);
        (void)event_base_loopbreak(self->base);
    }
    worker_flush(self);
}

static void read_clock(struct worker *self)
{
    self->now_ms = clock_mono_ns(&self->net->clock) / 1000000;
}

static void check_stall(void *arg, struct conn *conn)
{
    const struct worker *self = arg;
    conn_check_stall(conn, self->net->options.stall_ms);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct worker *self = arg;
    worker_deliver(self);
    read_clock(self);
    worker_each_conn(self, check_stall, self);
    worker_flush(self);
}

/* libevent may have more to report about a connection in the turn that closed it, and the functions
 * that led to the closing are still on the stack; so the memory goes one turn later. */
static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct worker *self = arg;
    assert(self->unflushed == NULL);
    while (self->dead != NULL) {
        struct conn *conn = self->dead;
        self->dead = conn->next;
        conn_free(conn);
    }
}

static struct event_base *open_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    /* Only the worker's thread touches its base, so it needs no locks. IGNORE_ENV: a variable in
     * the environment must not choose how we wait. */
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0 &&
        event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

static enum status open_events(struct worker *self)
{
    uint64_t tick_ms = self->net->options.stall_ms / 4;
    tick_ms = tick_ms < TICK_MS_MIN ? TICK_MS_MIN : tick_ms;
    tick_ms = tick_ms > TICK_MS_MAX ? TICK_MS_MAX : tick_ms;
    self->tick_ms = (int64_t)tick_ms;
    const struct timeval tick = {.tv_sec = (time_t)(tick_ms / 1000),
                                 .tv_usec = (suseconds_t)(tick_ms % 1000 * 1000)};
    (void)evtimer_assign(&self->reap_event, self->base, on_reap, self);
    (void)event_assign(&self->tick_event, self->base, -1, EV_PERSIST, on_tick, self);
    (void)event_assign(&self->wake_event, self->base, self->wake_fd, EV_READ | EV_PERSIST | EV_ET,
                       on_orders, self);
    if (event_add(&self->tick_event, &tick) != 0 || event_add(&self->wake_event, NULL) != 0) {
        return STATUS_IO;
    }
    return listener_init(self);
}

enum status worker_open(struct net *net, unsigned index, int listen_fd, struct worker **out)
{
    struct worker *self = aligned_alloc(alignof(struct worker), sizeof *self);
    if (self == NULL) {
        (void)close(listen_fd);
        return STATUS_NO_MEMORY;
    }
    memset(self, 0, sizeof *self);
    self->net = net;
    self->index = index;
    self->listen_fd = listen_fd;
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    self->in = malloc(IN_BYTES);
    self->base = open_base();
    read_clock(self);
    enum status status = STATUS_OK;
    if (self->in == NULL || self->base == NULL) {
        status = STATUS_NO_MEMORY;
    } else if (self->wake_fd < 0) {
        status = STATUS_IO;
    } else {
        status = open_events(self);
    }
    if (status != STATUS_OK) {
        int error = errno;
        worker_free(self);
        errno = error;
        return status;
    }
    *out = self;
    return STATUS_OK;
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct net *net = self->net;
    thread_be_prompt();
    self->state = net->handler.worker_started(net->handler.arg, self);
    (void)pthread_mutex_lock(&net->lock);
    net->workers_started++;
    (void)pthread_cond_broadcast(&net->changed);
    (void)pthread_mutex_unlock(&net->lock);

    while (event_base_loop(self->base, EVLOOP_ONCE) == 0 && !event_base_got_break(self->base)) {
        worker_deliver(self);
        net->handler.turned(net->handler.arg, self);
        worker_flush(self);
    }
    on_reap(-1, 0, self);
    net->handler.worker_stopped(net->handler.arg, self);
    return NULL;
}

enum status worker_run(struct worker *self)
{
    char name[16];
    (void)snprintf(name, sizeof name, "net-%u", self->index);
    return thread_start(&self->thread, name, worker_main, self);
}

void worker_join(struct worker *self)
{
    (void)pthread_join(self->thread, NULL);
}

void worker_free(struct worker *self)
{
    if (self == NULL) {
        return;
    }
    assert(self->conns == NULL && self->dead == NULL);
    if (self->base != NULL) {
        event_base_free(self->base);
    }
    if (self->wake_fd >= 0) {
        (void)close(self->wake_fd);
    }
    if (self->listen_fd >= 0) {
        (void)close(self->listen_fd);
    }
    while (self->spare_count != 0) {
        buf_free(&self->spare[--self->spare_count]);
    }
    buf_free(&self->out);
    free(self->in);
    free(self);
}
