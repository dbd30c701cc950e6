/* The queue and its thread: order, bounds, receivers that do not take, and the end. */
#include "ops/emf_sink.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { DEADLINE_MS = 20000, WAITING_BYTES_MAX = 100000, LINE_BYTES = 4000 };

static struct emf_sink *sink;
static int ends[2];

static void start_pipe(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    cr_assert(eq(int, pipe(ends), 0));
    const struct emf_sink_options options = {.fd = ends[1], .waiting_bytes_max = WAITING_BYTES_MAX};
    cr_assert(eq(int, emf_sink_start(&options, &sink), STATUS_OK));
}

/* Line `number`: its number, padded. */
static bool offer(unsigned number)
{
    char line[LINE_BYTES + 1];
    (void)snprintf(line, sizeof line, "%0*u\n", LINE_BYTES - 1, number);
    return emf_sink_offer(sink, view_of(line, LINE_BYTES), 1);
}

/* Reads whole lines from `fd` and checks that they are those from `first` to `last`. */
static void expect_lines(int fd, unsigned first, unsigned last)
{
    char line[LINE_BYTES + 1] = "";
    for (unsigned number = first; number <= last; number++) {
        for (size_t have = 0; have < LINE_BYTES;) {
            struct pollfd readable = {.fd = fd, .events = POLLIN};
            cr_assert(eq(int, poll(&readable, 1, DEADLINE_MS), 1), "line %u does not come", number);
            ssize_t len = read(fd, line + have, LINE_BYTES - have);
            cr_assert(len > 0, "line %u does not come", number);
            have += (size_t)len;
        }
        cr_assert(eq(uint, (unsigned)strtoul(line, NULL, 10), number));
    }
}

static void wait_for(const struct metric_counter *counter, uint64_t least)
{
    const int64_t end_ns = clock_mono_ns(&clock_system) + (int64_t)DEADLINE_MS * 1000000;
    while (metric_counter_get(counter) < least) {
        cr_assert(clock_mono_ns(&clock_system) < end_ns, "it does not come to %lu",
                  (unsigned long)least);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

Test(emf_sink, writes_in_order_and_flushes_at_the_end)
{
    start_pipe();
    for (unsigned number = 1; number <= 10; number++) {
        cr_assert(offer(number));
    }
    emf_sink_stop(sink, DEADLINE_MS);
    expect_lines(ends[0], 1, 10);
}

Test(emf_sink, a_reader_that_pauses_gets_all_that_was_taken)
{
    start_pipe();
    unsigned taken = 0;
    while (offer(taken + 1)) {
        taken++;
        cr_assert(taken < 1000, "the queue has no end");
    }
    cr_assert(eq(u64, metric_counter_get(&emf_sink_metrics(sink)->dropped), 1));
    cr_assert(metric_gauge_get(&emf_sink_metrics(sink)->waiting_bytes) <= WAITING_BYTES_MAX);
    expect_lines(ends[0], 1, taken);
    cr_assert(offer(taken + 1));
    expect_lines(ends[0], taken + 1, taken + 1);
    emf_sink_stop(sink, DEADLINE_MS);
}

Test(emf_sink, nobody_who_reads_does_not_hold_up_the_end)
{
    start_pipe();
    while (offer(1)) {
    }
    const int64_t start_ns = clock_mono_ns(&clock_system);
    emf_sink_stop(sink, 100);
    cr_assert(clock_mono_ns(&clock_system) - start_ns < INT64_C(5000000000));
}

Test(emf_sink, a_closed_pipe_is_counted_and_no_busy_loop)
{
    start_pipe();
    (void)close(ends[0]);
    cr_assert(offer(1));
    struct emf_metrics *metrics = emf_sink_metrics(sink);
    wait_for(&metrics->dropped, 1);
    clock_t before = clock();
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    cr_assert(clock() - before < CLOCKS_PER_SEC / 20);
    cr_assert(eq(u64, metric_counter_get(&metrics->lines), 0));
    emf_sink_stop(sink, DEADLINE_MS);
}

static void start_agent(int *listener, struct host_port *agent)
{
    char errmsg[200];
    (void)snprintf(agent->host, sizeof agent->host, "127.0.0.1");
    cr_assert(eq(int,
                 address_listen("127.0.0.1:0", 1, listener, &agent->port, errmsg, sizeof errmsg),
                 STATUS_OK));
    const struct emf_sink_options options = {
        .fd = -1, .agent = agent, .waiting_bytes_max = WAITING_BYTES_MAX};
    cr_assert(eq(int, emf_sink_start(&options, &sink), STATUS_OK));
}

static int accept_agent(int listener)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    cr_assert(eq(int, poll(&waiting, 1, DEADLINE_MS), 1), "nobody connects");
    int fd = accept(listener, NULL, NULL);
    cr_assert(fd >= 0);
    return fd;
}

Test(emf_sink, an_agent_that_goes_away_gets_the_next_lines_when_it_is_back)
{
    int listener;
    struct host_port agent = {.host = ""};
    start_agent(&listener, &agent);
    struct emf_metrics *metrics = emf_sink_metrics(sink);
    cr_assert(offer(1));
    int fd = accept_agent(listener);
    expect_lines(fd, 1, 1);
    wait_for(&metrics->lines, 1);
    (void)close(listener);
    (void)close(fd);
    /* Either the end of the connection or the refusal of the next is found first; the line that is
     * sent into a connection that is closed already is lost, as nobody acknowledges lines. */
    uint64_t before = metric_counter_get(&metrics->connections);
    for (unsigned number = 2; metric_counter_get(&metrics->connections) < before + 1; number++) {
        (void)offer(2);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        cr_assert(number < DEADLINE_MS / 10, "the connection is not missed");
    }
    char where[40];
    char errmsg[200];
    (void)snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)agent.port);
    cr_assert(
        eq(int, address_listen(where, 1, &listener, &agent.port, errmsg, sizeof errmsg), STATUS_OK),
        "%s", errmsg);
    fd = accept_agent(listener);
    expect_lines(fd, 2, 2);
    emf_sink_stop(sink, DEADLINE_MS);
}

Test(emf_sink, an_agent_that_nobody_answers_for_does_not_hold_up_the_end)
{
    int listener;
    struct host_port agent = {.host = ""};
    start_agent(&listener, &agent);
    (void)close(listener);
    cr_assert(offer(1));
    wait_for(&emf_sink_metrics(sink)->connections, 1);
    const int64_t start_ns = clock_mono_ns(&clock_system);
    emf_sink_stop(sink, 100);
    cr_assert(clock_mono_ns(&clock_system) - start_ns < INT64_C(5000000000));
}
