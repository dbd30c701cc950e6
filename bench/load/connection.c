#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load/worker.h"

enum { RECEIVE_MORE_BYTES = 64 * 1024 };

static void watch(struct worker *worker, struct connection *self, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = self};
    if (epoll_ctl(worker->epoll_fd, how, self->fd, &event) != 0) {
        run_fail(worker->run, EXIT_SERVER, "epoll_ctl: %s", strerror(errno));
    }
}

static void cannot_connect(struct worker *worker, int error)
{
    run_fail(worker->run, EXIT_SERVER, "cannot connect to %s: %s", worker->run->options->server,
             strerror(error));
}

void connection_dial(struct worker *worker, struct connection *self)
{
    const struct run *run = worker->run;
    const int yes = 1;
    /* With a reset instead of the usual end no port stays behind in TIME_WAIT: logins by the
     * thousand would run out of them. Nothing is in flight when a connection is left. */
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(run->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        run_fail(worker->run, EXIT_SERVER, "socket: %s", strerror(errno));
        return;
    }
    self->fd = fd;
    self->state = CONNECTION_DIALLING;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (connect(fd, (const struct sockaddr *)&run->address, run->address_bytes) != 0 &&
        errno != EINPROGRESS) {
        cannot_connect(worker, errno);
        return;
    }
    watch(worker, self, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void connection_close(struct connection *self)
{
    if (self->state != CONNECTION_CLOSED) {
        (void)close(self->fd);
    }
    self->state = CONNECTION_CLOSED;
    self->waits_to_write = false;
    self->in.len = 0;
    self->out.len = 0;
}

void connection_flush(struct worker *worker, struct connection *self)
{
    while (self->out.len > 0 && !self->waits_to_write && self->state >= CONNECTION_GREETING) {
        ssize_t sent = send(self->fd, self->out.ptr, self->out.len, MSG_NOSIGNAL);
        if (sent >= 0) {
            buf_consume(&self->out, (size_t)sent);
        } else if (errno == EAGAIN) {
            self->waits_to_write = true;
            watch(worker, self, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        } else if (errno != EINTR) {
            run_fail(worker->run, EXIT_SERVER, "the server broke off: %s", strerror(errno));
            return;
        }
    }
}

void connection_is_dirty(struct worker *worker, struct connection *self)
{
    if (!self->is_dirty) {
        self->is_dirty = true;
        worker->dirty[worker->dirty_count++] = self;
    }
}

void worker_flush(struct worker *self)
{
    for (size_t i = 0; i < self->dirty_count; i++) {
        self->dirty[i]->is_dirty = false;
        connection_flush(self, self->dirty[i]);
    }
    self->dirty_count = 0;
}

/* The kernel has connected, or has failed to. */
static void dialled(struct worker *worker, struct connection *self)
{
    int error = 0;
    socklen_t error_bytes = sizeof error;
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0 || error != 0) {
        cannot_connect(worker, error == 0 ? errno : error);
        return;
    }
    self->state = CONNECTION_GREETING;
    watch(worker, self, EPOLL_CTL_MOD, EPOLLIN);
    if (worker->run->protocol->greet(buf_view(&worker->run->options->token), &self->out) !=
        STATUS_OK) {
        run_fail(worker->run, EXIT_SERVER, "out of memory");
        return;
    }
    connection_flush(worker, self);
}

/* The server has answered the greeting. */
static void greeted(struct worker *worker, struct connection *self, const struct answer *answer,
                    uint64_t at_ns)
{
    if (answer->kind == ANSWER_REFUSED) {
        run_fail(worker->run, EXIT_SERVER, "the server is not ready: %.*s", (int)answer->text.len,
                 (const char *)answer->text.ptr);
        return;
    }
    self->state = CONNECTION_UP;
    if (self->lanes[0].plan == NULL) {
        worker->ready_count++;
    } else {
        lane_connected(worker, &self->lanes[0], at_ns);
    }
}

/* Deals with all whole answers in `bytes`; returns how many bytes they have. */
static size_t take_answers(struct worker *worker, struct connection *self, struct view bytes,
                           uint64_t at_ns)
{
    struct run *run = worker->run;
    size_t taken = 0;
    while (taken < bytes.len && !run_failed(run)) {
        struct answer answer;
        size_t used;
        enum reading reading = run->protocol->decode(view_of(bytes.ptr + taken, bytes.len - taken),
                                                     &answer, &used);
        if (reading == READING_MORE) {
            return taken;
        }
        if (reading == READING_BAD) {
            run_fail(run, EXIT_WRONG, "%.*s", (int)answer.text.len, (const char *)answer.text.ptr);
            return bytes.len;
        }
        taken += used;
        if (answer.kind == ANSWER_PUSHED) {
            continue;
        }
        if (self->state == CONNECTION_GREETING) {
            greeted(worker, self, &answer, at_ns);
        } else if (!lane_answered(worker, self, &answer, at_ns)) {
            run_fail(run, EXIT_WRONG, "an answer that nobody waits for");
        }
        if (self->state < CONNECTION_GREETING) {
            return bytes.len; /* the lane left; the new connection begins with nothing */
        }
    }
    return taken;
}

static void receive(struct worker *worker, struct connection *self)
{
    bool is_fresh = self->in.len == 0;
    uint8_t *to = worker->received;
    size_t room = RECEIVED_BYTES;
    if (!is_fresh) {
        room = RECEIVE_MORE_BYTES;
        if (buf_reserve(&self->in, room) != STATUS_OK) {
            run_fail(worker->run, EXIT_SERVER, "out of memory");
            return;
        }
        to = self->in.ptr + self->in.len;
    }
    ssize_t got = recv(self->fd, to, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        run_fail(worker->run, EXIT_SERVER, "the server broke off: %s",
                 got == 0 ? "it closed the connection" : strerror(errno));
        return;
    }
    worker->heard_ns = now_ns();
    if (!is_fresh) {
        self->in.len += (size_t)got;
        buf_consume(&self->in, take_answers(worker, self, buf_view(&self->in), worker->heard_ns));
    } else {
        struct view bytes = view_of(to, (size_t)got);
        size_t taken = take_answers(worker, self, bytes, worker->heard_ns);
        if (taken < bytes.len &&
            buf_append(&self->in, view_of(to + taken, bytes.len - taken)) != STATUS_OK) {
            run_fail(worker->run, EXIT_SERVER, "out of memory");
        }
    }
    connection_flush(worker, self);
}

void connection_ready(struct worker *worker, struct connection *self, uint32_t events)
{
    if (self->state == CONNECTION_DIALLING) {
        dialled(worker, self);
        return;
    }
    if ((events & EPOLLOUT) != 0 && self->waits_to_write) {
        self->waits_to_write = false;
        watch(worker, self, EPOLL_CTL_MOD, EPOLLIN);
        connection_flush(worker, self);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        receive(worker, self);
    }
}
