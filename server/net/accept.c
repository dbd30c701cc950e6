/* The listener of a worker: accepts within limits, and waits when the process has no more room. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/conn.h"
#include "net/worker.h"

enum {
    ACCEPTS_A_TURN = 64,      /* then the connections that are open get their turn */
    ACCEPT_PAUSE_MS = 100,    /* without descriptors the listener would be ready all the time */
    ACCEPT_LOG_LINES_MAX = 1, /* in a period of log_gate_open() */
};

static void log_full(struct worker *self, struct log_gate *gate, const char *event, int error)
{
    uint64_t held_back;
    int64_t now_ms = clock_mono_ns(&self->net->clock) / 1000000;
    if (log_gate_open(gate, now_ms, ACCEPT_LOG_LINES_MAX, &held_back)) {
        log_warn(event, "connections=%llu connections_max=%llu errno=%d lines_held_back=%llu",
                 (unsigned long long)net_connection_count(self->net),
                 (unsigned long long)self->net->options.connections_max, error,
                 (unsigned long long)held_back);
    }
}

static void pause_accepting(struct worker *self, int error)
{
    static const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};
    metric_add(&self->metrics.accept_pauses, 1);
    log_full(self, &self->accept_log, "no room to accept connections", error);
    if (event_add(&self->listen_retry_event, &pause) == 0) {
        (void)event_del(&self->listen_event);
    }
}

static void take_in(struct worker *self, int fd, const struct sockaddr_storage *peer)
{
    struct net *net = self->net;
    /* Relaxed: only the number counts, nothing is published with it. */
    uint64_t before = atomic_fetch_add_explicit(&net->connections, 1, memory_order_relaxed);
    if (before < net->options.connections_max) {
        conn_open(self, fd, peer);
        return;
    }
    atomic_fetch_sub_explicit(&net->connections, 1, memory_order_relaxed);
    (void)close(fd);
    metric_add(&self->metrics.refused, 1);
    log_full(self, &self->refuse_log, "connection refused: connections-max is reached", 0);
}

/* Accepts one connection; false when there is none to be had now. */
static bool accept_one(struct worker *self)
{
    struct sockaddr_storage peer = {0};
    socklen_t peer_bytes = sizeof peer;
    int fd = accept4(self->listen_fd, (struct sockaddr *)&peer, &peer_bytes,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        take_in(self, fd, &peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_accepting(self, errno);
        return false;
    default:
        return true; /* that one connection failed before it was accepted (accept(2)) */
    }
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct worker *self = arg;
    for (int i = 0; i < ACCEPTS_A_TURN && accept_one(self); i++) {
    }
    worker_flush(self);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct worker *self = arg;
    if (event_add(&self->listen_event, NULL) != 0) {
        pause_accepting(self, ENOMEM);
    }
}

enum status listener_init(struct worker *self)
{
    (void)event_assign(&self->listen_event, self->base, self->listen_fd, EV_READ | EV_PERSIST,
                       on_connection, self);
    (void)evtimer_assign(&self->listen_retry_event, self->base, on_retry, self);
    return event_add(&self->listen_event, NULL) == 0 ? STATUS_OK : STATUS_IO;
}

void listener_close(struct worker *self)
{
    if (self->listen_fd < 0) {
        return;
    }
    while (accept_one(self)) {
    }
    (void)event_del(&self->listen_event);
    (void)event_del(&self->listen_retry_event);
    (void)close(self->listen_fd);
    self->listen_fd = -1;

    struct net *net = self->net;
    (void)pthread_mutex_lock(&net->lock);
    net->workers_accepting--;
    (void)pthread_cond_broadcast(&net->changed);
    (void)pthread_mutex_unlock(&net->lock);
}
