#include "load/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    DIALS_MAX = 64,     /* at a time: a server's backlog has an end */
    PRELOAD_DEPTH = 16, /* requests in flight on a connection, at least */
};

static const uint64_t NS_PER_S = UINT64_C(1000000000);
static const uint64_t PAUSE_NS_MAX = UINT64_C(100000000); /* then look whether the run has failed */
static const uint64_t DIAL_S_MAX = 10;
static const uint64_t ANSWER_S_MAX = 30;
static const uint64_t DRAIN_S_MAX = 10;

bool worker_init(struct worker *self, struct run *run, unsigned number)
{
    const struct options *options = run->options;
    size_t threads = options->threads;
    size_t depth = options->pipeline;
    if (options->preload && depth < PRELOAD_DEPTH) {
        depth = PRELOAD_DEPTH;
    }
    *self = (struct worker){
        .run = run,
        .number = number,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .connection_count = options->connections / threads +
                            (number < options->connections % threads),
        .lane_count = depth,
        .random = {.state = splitmix_mix(options->seed) + number},
    };
    self->connections = calloc(self->connection_count, sizeof self->connections[0]);
    self->lanes = calloc(self->connection_count * depth, sizeof self->lanes[0]);
    self->dirty = calloc(self->connection_count, sizeof(struct connection *));
    self->received = malloc(RECEIVED_BYTES);
    self->value = malloc((size_t)options->value_shape.bytes_max * ITEM_COUNT);
    if (self->epoll_fd < 0 || self->connections == NULL || self->lanes == NULL ||
        self->dirty == NULL || self->received == NULL || self->value == NULL) {
        return false;
    }
    for (size_t i = 0; i < self->connection_count; i++) {
        struct connection *connection = &self->connections[i];
        connection->lanes = &self->lanes[i * depth];
        for (size_t k = 0; k < depth; k++) {
            connection->lanes[k] = (struct lane){.connection = connection, .number = (uint16_t)k};
        }
    }
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        if (mix_has(&options->mix, (enum operation)i)) {
            self->histograms[i] = calloc(1, sizeof(struct histogram));
            if (self->histograms[i] == NULL) {
                return false;
            }
        }
    }
    return true;
}

void worker_free(struct worker *self)
{
    for (size_t i = 0; self->connections != NULL && i < self->connection_count; i++) {
        connection_close(&self->connections[i]);
        buf_free(&self->connections[i].in);
        buf_free(&self->connections[i].out);
    }
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        free(self->histograms[i]);
    }
    if (self->epoll_fd >= 0) {
        (void)close(self->epoll_fd);
    }
    free(self->connections);
    free(self->lanes);
    free(self->dirty);
    free(self->received);
    free(self->value);
}

/* Waits for events until `until_ns` (UINT64_MAX: no time) and deals with them. Returns the time,
 * which is that of the last answer when there was one: a closed loop needs no other clock. */
static uint64_t serve(struct worker *self, uint64_t at_ns, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t pause_ns = until_ns <= at_ns ? 0 : until_ns - at_ns;
    if (pause_ns > PAUSE_NS_MAX) {
        pause_ns = PAUSE_NS_MAX;
    }
    struct timespec pause = {.tv_nsec = (long)pause_ns};
    int count = epoll_pwait2(self->epoll_fd, events, EVENTS_MAX, &pause, NULL);
    if (count < 0 && errno != EINTR) {
        run_fail(self->run, EXIT_SERVER, "epoll_pwait2: %s", strerror(errno));
    }
    for (int i = 0; i < count && !run_failed(self->run); i++) {
        connection_ready(self, events[i].data.ptr, events[i].events);
    }
    return count > 0 && self->arrivals.interval_ns <= 0 ? self->heard_ns : now_ns();
}

/* Ends the run when nothing has come for so long. */
static void check_silence(struct worker *self, uint64_t at_ns, uint64_t seconds, const char *doing)
{
    if (at_ns > self->heard_ns && at_ns - self->heard_ns > seconds * NS_PER_S) {
        run_fail(self->run, EXIT_SERVER, "%s: the server has said nothing for %u s", doing,
                 (unsigned)seconds);
    }
}

static void connect_all(struct worker *self)
{
    size_t dialled = 0;
    uint64_t at_ns = self->heard_ns = now_ns();
    while (self->ready_count < self->connection_count && !run_failed(self->run)) {
        while (dialled < self->connection_count && dialled - self->ready_count < DIALS_MAX &&
               !run_failed(self->run)) {
            connection_dial(self, &self->connections[dialled++]);
        }
        (void)serve(self, at_ns, UINT64_MAX);
        at_ns = now_ns();
        check_silence(self, at_ns, DIAL_S_MAX, "connecting");
    }
}

/* Starts `lanes` lanes of every connection. */
static void start_lanes(struct worker *self, size_t lanes)
{
    for (size_t i = 0; i < self->connection_count && !run_failed(self->run); i++) {
        struct connection *connection = &self->connections[i];
        uint64_t at_ns = now_ns();
        for (size_t k = 0; k < lanes; k++) {
            lane_start(self, &connection->lanes[k], at_ns);
        }
        connection_flush(self, connection);
    }
}

static void preload(struct worker *self)
{
    self->phase = PHASE_PRELOAD;
    self->preload_next = self->number;
    uint64_t at_ns = self->heard_ns = now_ns();
    start_lanes(self, self->lane_count);
    while (self->in_flight > 0 && !run_failed(self->run)) {
        at_ns = serve(self, at_ns, UINT64_MAX);
        check_silence(self, at_ns, ANSWER_S_MAX, "writing the sessions");
    }
}

/* The closed loop: every answer starts the next request. */
static void load_closed(struct worker *self)
{
    uint64_t at_ns = self->heard_ns = now_ns();
    start_lanes(self, self->run->options->pipeline);
    while (at_ns < self->run->end_ns && !run_failed(self->run)) {
        at_ns = serve(self, at_ns, self->run->end_ns);
        check_silence(self, at_ns, ANSWER_S_MAX, "under load");
    }
}

/* Waits for what is still in flight. */
static void drain_closed(struct worker *self, uint64_t patience_ns)
{
    uint64_t at_ns = now_ns();
    self->phase = PHASE_DRAIN;
    while (self->in_flight > 0 && at_ns < patience_ns && !run_failed(self->run)) {
        (void)serve(self, at_ns, patience_ns);
        at_ns = now_ns();
    }
}

/* The open loop: the times decide. Lanes come in turn, so that all connections are used alike. */
static void load_open(struct worker *self, uint64_t end_ns)
{
    uint64_t at_ns = self->heard_ns = now_ns();
    while (at_ns < end_ns && !run_failed(self->run)) {
        uint64_t next_ns = arrivals_start(self, at_ns);
        worker_flush(self);
        if (next_ns == UINT64_MAX && self->in_flight == 0 && at_ns >= self->run->end_ns) {
            return; /* nothing more is due */
        }
        at_ns = serve(self, at_ns, next_ns < end_ns ? next_ns : end_ns);
        if (self->in_flight > 0) {
            check_silence(self, at_ns, ANSWER_S_MAX, "under load");
        } else {
            self->heard_ns = at_ns;
        }
    }
}

static void load(struct worker *self)
{
    const struct run *run = self->run;
    uint64_t patience_ns = run->end_ns + DRAIN_S_MAX * NS_PER_S;
    self->phase = PHASE_LOAD;
    arrivals_init(&self->arrivals, run, self->number);
    if (self->arrivals.interval_ns > 0) {
        (void)prctl(PR_SET_TIMERSLACK, 1UL); /* times are meant as they are */
        for (size_t k = 0; k < run->options->pipeline; k++) {
            for (size_t i = 0; i < self->connection_count; i++) {
                line_push(&self->idle, &self->connections[i].lanes[k]);
            }
        }
        load_open(self, patience_ns);
    } else {
        load_closed(self);
        drain_closed(self, patience_ns);
    }
    /* An open loop may end with more due than the server can do, but not with a server that is
     * silent. */
    bool is_silent = self->arrivals.interval_ns <= 0 || self->heard_ns < run->end_ns;
    if (self->in_flight > 0 && is_silent) {
        run_fail(self->run, EXIT_SERVER, "%zu requests were not answered within %u s after the end",
                 self->in_flight, (unsigned)DRAIN_S_MAX);
    }
}

void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct run *run = self->run;
    connect_all(self);
    (void)pthread_barrier_wait(&run->barrier);
    if (run->options->preload && !run_failed(run)) {
        preload(self);
    }
    (void)pthread_barrier_wait(&run->barrier);
    (void)pthread_barrier_wait(&run->barrier); /* main has set the times */
    if (!run_failed(run)) {
        load(self);
    }
    return NULL;
}
