/* Batches of answered requests whose replies have not left; see latency.h. */
#include "latency.h"

/* The batch that a request which came at `since_ns` belongs to. */
static struct latency_batch *batch_of(struct latency *self, int64_t since_ns)
{
    struct latency_batch *newest = self->count == 0 ? NULL : &self->batches[self->count - 1];
    if (newest != NULL && newest->since_ns == since_ns) {
        return newest;
    }
    if (self->count < LATENCY_BATCHES_MAX) {
        newest = &self->batches[self->count++];
        *newest = (struct latency_batch){.since_ns = since_ns};
    } else if (since_ns < newest->since_ns) {
        newest->since_ns = since_ns;
    }
    return newest;
}

void latency_add(struct latency *self, enum latency_op op, int64_t since_ns)
{
    struct latency_batch *batch = batch_of(self, since_ns);
    batch->counts[op]++;
    batch->unsent = SIZE_MAX; /* this reply is behind what was known */
}

static void count_batch(const struct latency_batch *batch, int64_t now_ns,
                        struct metric_histogram *const histograms[LATENCY_OPS])
{
    for (unsigned op = 0; op < LATENCY_OPS; op++) {
        if (batch->counts[op] != 0) {
            metric_observe_many_ns(histograms[op], now_ns - batch->since_ns, batch->counts[op]);
        }
    }
}

void latency_sent(struct latency *self, size_t taken, size_t unsent, int64_t now_ns,
                  struct metric_histogram *const histograms[LATENCY_OPS])
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        struct latency_batch *batch = &self->batches[i];
        /* Where its replies end is not known: behind all there is, at the latest. */
        size_t before = batch->unsent == SIZE_MAX ? taken + unsent : batch->unsent;
        if (before <= taken) {
            count_batch(batch, now_ns, histograms);
            continue;
        }
        batch->unsent = before - taken;
        self->batches[kept++] = *batch;
    }
    self->count = kept;
}
