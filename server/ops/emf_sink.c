/* The thread "emf": takes what waits, and writes it a line at a time. */
#include "ops/emf_sink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "ops/emf_agent.h"

enum {
    RETRY_MS_FIRST = 500, /* before an agent is called again, doubled each time */
    RETRY_MS_MOST = 30000,
    JOIN_MS = 300,          /* for a thread that was told that time is over */
    CHUNK_BYTES_MAX = 4096, /* PIPE_BUF: so much goes without waiting when poll(2) says so */
    NS_PER_MS = 1000000,
};

#define METRIC_OWNER struct emf_metrics
METRIC_TABLE(emf_metrics, EMF_METRICS)
#undef METRIC_OWNER

struct emf_sink {
    struct emf_metrics metrics; /* `dropped` is shared, the others have one writer each */
    size_t waiting_bytes_max;   /* immutable, as the next two */
    bool is_agent;
    struct host_port agent;
    int wake_fd; /* owned */
    pthread_t thread;

    pthread_mutex_t lock;
    struct buf waiting;     /* guarded by lock: whole lines */
    unsigned waiting_lines; /* guarded by lock */
    _Atomic int64_t end_ns; /* 0: not stopping. When to give up; release, acquire: it stands alone,
                               but what waits is written before */

    /* Of the thread. */
    int fd;             /* -1: no connection; of an agent: owned */
    struct buf writing; /* whole lines */
    unsigned lines;     /* in it that are not written */
    size_t at;          /* where the line that is being written begins in it */
    size_t sent;        /* of that line */
    int64_t retry_ms;   /* between the last attempt to connect and the next */
    int64_t retry_at_ns;
    bool is_failing; /* and this was logged */
};

struct emf_metrics *emf_sink_metrics(struct emf_sink *self)
{
    return &self->metrics;
}

/* ---- main ------------------------------------------------------------------------------------ */

static void wake(const struct emf_sink *self)
{
    const uint64_t one = 1;
    (void)!write(self->wake_fd, &one, sizeof one); /* fails only when it is awake already */
}

bool emf_sink_offer(struct emf_sink *self, struct view lines, unsigned count)
{
    (void)pthread_mutex_lock(&self->lock);
    const bool fits = lines.len <= self->waiting_bytes_max - self->waiting.len &&
                      buf_append(&self->waiting, lines) == STATUS_OK;
    self->waiting_lines += fits ? count : 0;
    metric_set(&self->metrics.waiting_bytes, (int64_t)self->waiting.len);
    (void)pthread_mutex_unlock(&self->lock);
    if (fits) {
        wake(self);
    } else {
        metric_add_shared(&self->metrics.dropped, count);
    }
    return fits;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* Takes all that waits when nothing is left of what was taken before. */
static void take(struct emf_sink *self)
{
    if (self->lines != 0) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    const struct buf taken = self->waiting;
    self->waiting = self->writing; /* its memory is used again */
    self->waiting.len = 0;
    self->writing = taken;
    self->lines = self->waiting_lines;
    self->waiting_lines = 0;
    metric_set(&self->metrics.waiting_bytes, 0);
    (void)pthread_mutex_unlock(&self->lock);
    self->at = 0;
    self->sent = 0;
}

/* What is being written cannot be, and another attempt would not help. */
static void drop(struct emf_sink *self)
{
    metric_add_shared(&self->metrics.dropped, self->lines);
    self->lines = 0;
}

static void log_failure(struct emf_sink *self, int error)
{
    if (!self->is_failing) {
        char quoted[200];
        self->is_failing = true;
        log_warn("emf: metrics cannot be written", "to=%s why=%s",
                 self->is_agent ? "agent" : "stdout",
                 log_quoted(quoted, sizeof quoted, error == 0 ? "closed" : strerror(error)));
    }
}

/* The agent is gone: later it gets the line again that it may have the half of. */
static void lose_agent(struct emf_sink *self, int error)
{
    log_failure(self, error);
    (void)close(self->fd);
    self->fd = -1;
    self->sent = 0;
}

static void connect_agent(struct emf_sink *self)
{
    metric_add(&self->metrics.connections, 1);
    self->retry_at_ns = clock_mono_ns(&clock_system) + self->retry_ms * NS_PER_MS;
    self->retry_ms = self->retry_ms * 2 < RETRY_MS_MOST ? self->retry_ms * 2 : RETRY_MS_MOST;
    self->fd = emf_agent_connect(&self->agent);
    if (self->fd < 0) {
        log_failure(self, errno);
    }
}

/* Writes the rest of the line, or as much as is taken. The descriptor is ready for that. */
static void write_line(struct emf_sink *self)
{
    const uint8_t *line = self->writing.ptr + self->at;
    const uint8_t *end = memchr(line, '\n', self->writing.len - self->at);
    const size_t bytes = (size_t)(end - line) + 1;
    const size_t left = bytes - self->sent;
    const size_t chunk = left < CHUNK_BYTES_MAX ? left : CHUNK_BYTES_MAX;
    ssize_t written = self->is_agent
                          ? send(self->fd, line + self->sent, chunk, MSG_NOSIGNAL | MSG_DONTWAIT)
                          : write(self->fd, line + self->sent, chunk);
    if (written < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return;
        }
        if (self->is_agent) {
            lose_agent(self, errno);
        } else {
            log_failure(self, errno);
            drop(self);
        }
        return;
    }
    self->sent += (size_t)written;
    if (self->sent == bytes) {
        self->at += bytes;
        self->sent = 0;
        self->lines--;
        self->retry_ms = RETRY_MS_FIRST;
        self->is_failing = false;
        metric_add(&self->metrics.lines, 1);
    }
}

/* An agent says nothing; what can be read is its end, or is thrown away. */
static void hear_agent(struct emf_sink *self)
{
    char ignored[256];
    ssize_t len = recv(self->fd, ignored, sizeof ignored, MSG_DONTWAIT);
    if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR)) {
        lose_agent(self, len == 0 ? 0 : errno);
    }
}

/* How long poll(2) may wait, from two moments of which 0 means never. */
static int ms_until(int64_t a_ns, int64_t b_ns)
{
    int64_t at_ns = a_ns == 0 || (b_ns != 0 && b_ns < a_ns) ? b_ns : a_ns;
    if (at_ns == 0) {
        return -1;
    }
    int64_t left_ms = (at_ns - clock_mono_ns(&clock_system) + NS_PER_MS - 1) / NS_PER_MS;
    return left_ms < 0 ? 0 : (int)(left_ms < RETRY_MS_MOST ? left_ms : RETRY_MS_MOST);
}

/* One round: waits until something can be done, and does it. */
static void turn(struct emf_sink *self, int64_t end_ns)
{
    const bool has_lines = self->lines != 0;
    bool wants_agent = has_lines && self->fd < 0;
    if (wants_agent && clock_mono_ns(&clock_system) >= self->retry_at_ns) {
        connect_agent(self);
        wants_agent = self->fd < 0;
    }
    /* Standard output is asked for nothing but room: closed at the other end it would never rest.
     */
    const bool is_watched = self->is_agent || has_lines;
    const short events = (short)((self->is_agent ? POLLIN : 0) | (has_lines ? POLLOUT : 0));
    struct pollfd fds[] = {{.fd = self->wake_fd, .events = POLLIN},
                           {.fd = is_watched ? self->fd : -1, .events = events}};
    (void)poll(fds, 2, ms_until(end_ns, wants_agent ? self->retry_at_ns : 0));
    if (fds[0].revents != 0) {
        uint64_t count;
        (void)!read(self->wake_fd, &count, sizeof count); /* resets it */
    }
    if (has_lines && (fds[1].revents & (POLLOUT | POLLERR | POLLNVAL)) != 0) {
        write_line(self);
    }
    if (self->is_agent && self->fd >= 0 && (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        hear_agent(self);
    }
}

static void *run(void *arg)
{
    struct emf_sink *self = arg;
    for (;;) {
        /* Before taking: what was offered before the end began is seen. */
        int64_t end_ns = atomic_load_explicit(&self->end_ns, memory_order_acquire);
        take(self);
        if (end_ns != 0 && (self->lines == 0 || clock_mono_ns(&clock_system) >= end_ns)) {
            break;
        }
        turn(self, end_ns);
    }
    if (self->is_agent && self->fd >= 0) {
        (void)close(self->fd);
    }
    return NULL;
}

/* ---- Start and end --------------------------------------------------------------------------- */

static void free_all(struct emf_sink *self)
{
    buf_free(&self->waiting);
    buf_free(&self->writing);
    (void)close(self->wake_fd);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

enum status emf_sink_start(const struct emf_sink_options *options, struct emf_sink **out)
{
    struct emf_sink *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->waiting_bytes_max = options->waiting_bytes_max;
    self->is_agent = options->fd < 0;
    self->fd = options->fd;
    self->retry_ms = RETRY_MS_FIRST;
    if (self->is_agent) {
        self->agent = *options->agent;
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0) {
        (void)pthread_mutex_destroy(&self->lock);
        free(self);
        return STATUS_NO_MEMORY;
    }
    if (thread_start(&self->thread, "emf", run, self) != STATUS_OK) {
        free_all(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

void emf_sink_stop(struct emf_sink *self, unsigned flush_ms)
{
    const int64_t flush_ns = (int64_t)flush_ms * NS_PER_MS;
    atomic_store_explicit(&self->end_ns, clock_mono_ns(&clock_system) + flush_ns,
                          memory_order_release);
    wake(self);
    const struct timespec limit = clock_moment_in(flush_ns + (int64_t)JOIN_MS * NS_PER_MS);
    if (pthread_clockjoin_np(self->thread, NULL, CLOCK_MONOTONIC, &limit) != 0) {
        log_warn("emf: the last metrics could not be written", NULL);
        return;
    }
    if (self->lines != 0 || self->waiting_lines != 0) {
        log_warn("emf: the last metrics could not be written", "lines=%u",
                 self->lines + self->waiting_lines);
    }
    free_all(self);
}
