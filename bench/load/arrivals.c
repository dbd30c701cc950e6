/*
 * The open loop: plans are due at fixed times, whether or not the server has answered the others.
 *
 * Plan i of a worker is due at load_ns + first_ns + i * interval_ns; the workers' times lie evenly
 * between each other's. A plan that is due while every lane is busy starts as soon as one is not,
 * and its latency counts from when it was due: a server that stalls is not spared the requests that
 * users would have sent meanwhile.
 */
#include "load/worker.h"

static const uint64_t LATE_NS = 1000000;

void arrivals_init(struct arrivals *self, const struct run *run, unsigned worker_number)
{
    const struct options *options = run->options;
    *self = (struct arrivals){.interval_ns = 0};
    if (options->rate > 0) {
        double plans_per_s = options->rate / mix_steps_mean(&options->mix);
        self->interval_ns = 1e9 / plans_per_s * (double)options->threads;
        self->first_ns = self->interval_ns * worker_number / (double)options->threads;
    }
}

static uint64_t due_ns(const struct arrivals *self, uint64_t load_ns, uint64_t plan)
{
    return load_ns + (uint64_t)(self->first_ns + (double)plan * self->interval_ns);
}

/* How late the load itself is, not the server. */
static void note_lateness(struct arrivals *self, uint64_t at_ns, uint64_t planned_ns)
{
    if (planned_ns <= self->no_lane_ns) {
        return; /* it had to wait for the server */
    }
    uint64_t late_ns = at_ns - planned_ns;
    self->late += late_ns > LATE_NS;
    if (late_ns > self->late_ns_max) {
        self->late_ns_max = late_ns;
    }
}

uint64_t arrivals_start(struct worker *worker, uint64_t at_ns)
{
    struct arrivals *self = &worker->arrivals;
    const struct run *run = worker->run;
    for (;;) {
        uint64_t planned_ns = due_ns(self, run->load_ns, self->started);
        if (planned_ns >= run->end_ns) {
            return UINT64_MAX;
        }
        if (planned_ns > at_ns) {
            return planned_ns;
        }
        struct lane *lane = line_pop(&worker->idle);
        if (lane == NULL) {
            self->no_lane_ns = at_ns;
            return UINT64_MAX;
        }
        self->started++;
        if (planned_ns >= run->begin_ns) {
            note_lateness(self, at_ns, planned_ns);
        }
        lane_start(worker, lane, planned_ns);
        connection_is_dirty(worker, lane->connection);
    }
}

uint64_t arrivals_unstarted(const struct worker *worker)
{
    const struct arrivals *self = &worker->arrivals;
    const struct run *run = worker->run;
    uint64_t count = 0;
    while (self->interval_ns > 0 &&
           due_ns(self, run->load_ns, self->started + count) < run->end_ns) {
        count++;
    }
    return count;
}
