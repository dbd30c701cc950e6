/* When operations are due in an open loop. */
#include <criterion/criterion.h>

#include "load/worker.h"

enum { THREADS = 2 };

/* 1000 operations a second in sequences of two, by two workers: each has one every 4 ms. */
static struct options options = {.rate = 1000, .threads = THREADS};
static struct run run = {
    .options = &options, .load_ns = 1000000000, .begin_ns = 1000000000, .end_ns = 3000000000};

static struct worker make_worker(unsigned number)
{
    char why[100];
    struct worker worker = {.run = &run, .number = number};
    cr_assert(mix_parse("get+set 1", &options.mix, why, sizeof why));
    arrivals_init(&worker.arrivals, &run, number);
    return worker;
}

Test(arrivals, those_of_all_workers_lie_evenly_between_each_other)
{
    for (unsigned i = 0; i < THREADS; i++) {
        struct worker worker = make_worker(i);
        uint64_t first_ns = run.load_ns + i * UINT64_C(2000000);
        cr_assert_float_eq(worker.arrivals.interval_ns, 4e6, 1);
        cr_assert_eq(arrivals_unstarted(&worker), 500);
        if (i > 0) {
            cr_assert_eq(arrivals_start(&worker, run.load_ns), first_ns, "nothing is due yet");
        }
        worker.arrivals.started = 3;
        cr_assert_eq(arrivals_start(&worker, first_ns), first_ns + 12000000);
        cr_assert_eq(arrivals_unstarted(&worker), 497);
    }
}

Test(arrivals, what_is_due_waits_while_every_lane_is_busy_and_ends_with_the_run)
{
    struct worker worker = make_worker(0);
    cr_assert_eq(arrivals_start(&worker, run.load_ns + 9000000), UINT64_MAX);
    cr_assert_eq(worker.arrivals.started, 0);
    cr_assert_eq(worker.arrivals.no_lane_ns, run.load_ns + 9000000);
    worker.arrivals.started = 500;
    cr_assert_eq(arrivals_start(&worker, run.end_ns + 1), UINT64_MAX);
    cr_assert_eq(arrivals_unstarted(&worker), 0);
}

Test(arrivals, a_closed_loop_has_none)
{
    struct options closed = {.rate = 0, .threads = 1};
    struct run closed_run = {.options = &closed, .end_ns = 1000000000};
    struct worker worker = {.run = &closed_run};
    arrivals_init(&worker.arrivals, &closed_run, 0);
    cr_assert_eq(arrivals_unstarted(&worker), 0);
}
