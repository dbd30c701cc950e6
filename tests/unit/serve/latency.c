/* When requests are counted, in which histogram, and as how long. */
#include "latency.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

TestSuite(latency, .timeout = 60);

/* A connection and the histograms of its worker. */
struct stand {
    struct latency latency;
    struct metric_histogram histograms[LATENCY_OPS];
};

static void sent(struct stand *self, size_t taken, size_t unsent, int64_t now_ns)
{
    struct metric_histogram *const histograms[LATENCY_OPS] = {
        &self->histograms[LATENCY_READ],
        &self->histograms[LATENCY_CHANGE],
        &self->histograms[LATENCY_OTHER],
    };
    latency_sent(&self->latency, taken, unsent, now_ns, histograms);
}

static void add(struct stand *self, enum latency_op op, int64_t since_ns, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        latency_add(&self->latency, op, since_ns);
    }
}

static void expect(const struct stand *self, enum latency_op op, uint64_t count, uint64_t sum_ns)
{
    uint64_t counted = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        counted += self->histograms[op].buckets[i];
    }
    cr_expect(eq(u64, counted, count), "requests of op %d", op);
    cr_expect(eq(u64, self->histograms[op].sum_ns, sum_ns), "nanoseconds of op %d", op);
}

Test(latency, all_requests_that_came_together_took_until_the_one_send)
{
    struct stand self = {0};
    add(&self, LATENCY_READ, 1000, 16);
    add(&self, LATENCY_CHANGE, 1000, 2);
    cr_assert(eq(u32, self.latency.count, 1));
    sent(&self, 500, 0, 1300);
    expect(&self, LATENCY_READ, 16, 16 * 300);
    expect(&self, LATENCY_CHANGE, 2, 2 * 300);
    expect(&self, LATENCY_OTHER, 0, 0);
    sent(&self, 1, 0, 9000);
    expect(&self, LATENCY_READ, 16, 16 * 300); /* none is counted twice */
}

Test(latency, a_reply_that_was_parked_counts_from_when_its_request_came)
{
    struct stand self = {0};
    add(&self, LATENCY_CHANGE, 1000, 1); /* released by a flush, with those behind it */
    add(&self, LATENCY_CHANGE, 5000, 3);
    add(&self, LATENCY_READ, 9000, 1);
    sent(&self, 80, 0, 9500);
    expect(&self, LATENCY_CHANGE, 4, 8500 + 3 * 4500);
    expect(&self, LATENCY_READ, 1, 500);
}

Test(latency, what_the_kernel_did_not_take_goes_on_taking_time)
{
    struct stand self = {0};
    add(&self, LATENCY_READ, 100, 1);
    sent(&self, 10, 90, 200); /* 100 bytes, 10 of them gone */
    expect(&self, LATENCY_READ, 0, 0);
    add(&self, LATENCY_CHANGE, 300, 1); /* 50 bytes behind them */
    sent(&self, 60, 80, 400);
    expect(&self, LATENCY_READ, 0, 0);
    sent(&self, 30, 50, 500); /* the end of the first reply and no more */
    expect(&self, LATENCY_READ, 1, 400);
    expect(&self, LATENCY_CHANGE, 0, 0);
    sent(&self, 49, 1, 600);
    expect(&self, LATENCY_CHANGE, 0, 0);
    sent(&self, 1, 0, 700);
    expect(&self, LATENCY_CHANGE, 1, 400);
    cr_assert(eq(u32, self.latency.count, 0));
}

Test(latency, a_request_that_joins_a_batch_is_behind_what_is_known_of_it)
{
    struct stand self = {0};
    add(&self, LATENCY_READ, 100, 1);
    sent(&self, 10, 20, 200);
    add(&self, LATENCY_READ, 100, 1); /* 30 bytes more */
    sent(&self, 20, 30, 300);
    expect(&self, LATENCY_READ, 0, 0);
    sent(&self, 30, 0, 400);
    expect(&self, LATENCY_READ, 2, 2 * 300);
}

Test(latency, more_batches_than_are_kept_join_the_newest_and_look_no_shorter)
{
    struct stand self = {0};
    enum { BATCHES = 1000 };
    for (int64_t i = 0; i < BATCHES; i++) {
        add(&self, LATENCY_CHANGE, 1000 + i, 1);
    }
    cr_assert(eq(u32, self.latency.count, LATENCY_BATCHES_MAX));
    add(&self, LATENCY_READ, 10, 1); /* older than those before: its value was not in memory */
    sent(&self, 1, 0, 2000);
    /* Three of their own, and all others as old as the oldest of them. */
    expect(&self, LATENCY_CHANGE, BATCHES, 1000 + 999 + 998 + (BATCHES - 3) * 1990);
    expect(&self, LATENCY_READ, 1, 1990);
}

Test(latency, what_a_closed_connection_did_not_send_is_not_counted)
{
    struct stand self = {0};
    add(&self, LATENCY_CHANGE, 100, 5);
    sent(&self, 10, 40, 200);
    cr_assert(eq(u32, self.latency.count, 1)); /* and nobody asks for it any more */
    expect(&self, LATENCY_CHANGE, 0, 0);
}
