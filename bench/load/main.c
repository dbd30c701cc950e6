/*
 * satchel-bench: puts load on a session store and measures it. bench/README.md says how to use it;
 * run.h shows what happens when.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/report.h"
#include "load/scenario.h"
#include "tools/summary.h"

static const uint64_t NS_PER_S = UINT64_C(1000000000);

/* A complaint is the summary's reason, unless it was measured all the same. */
static int complain(struct summary *summary, const char *why, int exit_code)
{
    if (exit_code != EXIT_MEASURED) {
        summary_fail(summary, why);
    }
    fprintf(stderr, "satchel-bench: %s\n", why);
    return exit_code;
}

/* Makes room for a descriptor a connection. */
static bool raise_descriptor_limit(const struct options *options, char why[static WHY_BYTES])
{
    enum { OTHERS = 64 };
    rlim_t wanted = options->connections + options->threads + OTHERS;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        (void)snprintf(why, WHY_BYTES,
                       "connections: %llu open files would be needed, the limit is %llu"
                       " (ulimit -n)",
                       (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        return false;
    }
    return true;
}

static uint64_t progress_of(const struct worker *workers, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += atomic_load_explicit(&workers[i].progress, memory_order_relaxed);
    }
    return sum;
}

/* One line on a terminal that is written over and over. */
struct progress {
    bool is_shown;
    const struct worker *workers; /* shared */
    size_t worker_count;
    uint64_t seen;
    uint64_t seen_ns;
};

static void show(struct progress *self, const char *doing)
{
    uint64_t at_ns = now_ns();
    uint64_t count = progress_of(self->workers, self->worker_count);
    if (self->is_shown && at_ns > self->seen_ns) {
        double rate = (double)(count - self->seen) * 1e9 / (double)(at_ns - self->seen_ns);
        fprintf(stderr, "\r%-28s %12llu operations %10.0f/s ", doing, (unsigned long long)count,
                rate);
    }
    self->seen = count;
    self->seen_ns = at_ns;
}

static void wipe(const struct progress *self)
{
    if (self->is_shown) {
        fprintf(stderr, "\r%70s\r", "");
    }
}

/* Sleeps until `until_ns`, at most a second at a time between two lines of progress; returns early
 * when the run has failed. */
static void sleep_until(const struct run *run, uint64_t until_ns, struct progress *progress,
                        const char *doing)
{
    for (uint64_t at_ns = now_ns(); at_ns < until_ns && !run_failed(run); at_ns = now_ns()) {
        uint64_t next_ns = at_ns + NS_PER_S < until_ns ? at_ns + NS_PER_S : until_ns;
        struct timespec next = {.tv_sec = (time_t)(next_ns / NS_PER_S),
                                .tv_nsec = (long)(next_ns % NS_PER_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        show(progress, doing);
    }
}

/* Shows how the preload goes, until all is written. */
static void watch_preload(const struct run *run, struct progress *progress)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    unsigned turns = 0;
    while (progress->is_shown && run->options->preload && !run_failed(run) &&
           progress_of(progress->workers, progress->worker_count) < run->options->keys) {
        (void)nanosleep(&pause, NULL);
        if (++turns % 10 == 0) {
            show(progress, "writing the sessions");
        }
    }
}

/* The measured time: CPU times at its begin and its end. */
static void measure(struct run *run, struct progress *progress, struct result *result)
{
    uint64_t pid = run->options->server_pid;
    struct cpu_time server_begin;
    struct cpu_time server_end;
    sleep_until(run, run->begin_ns, progress, "warming up");
    struct cpu_time client_begin = cpu_of_self();
    bool known = pid != 0 && cpu_of_process(pid, &server_begin);
    sleep_until(run, run->end_ns, progress, "measuring");
    result->client_cpu = cpu_between(client_begin, cpu_of_self());
    result->has_server_cpu = known && cpu_of_process(pid, &server_end);
    if (result->has_server_cpu) {
        result->server_cpu = cpu_between(server_begin, server_end);
    }
}

/* Runs the workers, which are made, to their end. */
static void run_workers(struct run *run, struct worker *workers, struct result *result)
{
    const struct options *options = run->options;
    struct progress progress = {.is_shown = !options->quiet && isatty(STDERR_FILENO) == 1,
                                .workers = workers,
                                .worker_count = options->threads,
                                .seen_ns = now_ns()};
    for (size_t i = 0; i < options->threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            /* The others wait at the barrier for one that will never come. */
            fputs("satchel-bench: cannot start a thread\n", stderr);
            exit(EXIT_SERVER);
        }
    }
    (void)pthread_barrier_wait(&run->barrier);
    watch_preload(run, &progress);
    (void)pthread_barrier_wait(&run->barrier);
    run->load_ns = now_ns();
    run->begin_ns = run->load_ns + (uint64_t)(options->warmup * 1e9);
    run->end_ns = run->begin_ns + (uint64_t)(options->seconds * 1e9);
    (void)pthread_barrier_wait(&run->barrier);
    measure(run, &progress, result);
    for (size_t i = 0; i < options->threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        result_add(result, &workers[i]);
    }
    wipe(&progress);
}

/* The figures that a log should keep; --json FILE has all. */
static void summarize(const struct result *result, struct summary *summary)
{
    const struct tally *tally = &result->tally;
    summary_set(summary, json_pack("{s:I, s:f, s:I, s:I, s:I, s:f, s:f}", "operations",
                                   (json_int_t)tally->operations, "ops_per_s",
                                   (double)tally->operations / result->seconds, "errors",
                                   (json_int_t)tally->errors, "misses", (json_int_t)tally->misses,
                                   "wrong_values", (json_int_t)tally->wrong_values, "p50_us",
                                   (double)histogram_percentile(&result->all, 0.5) / 1e3, "p99_us",
                                   (double)histogram_percentile(&result->all, 0.99) / 1e3));
}

/* Tells what came out; returns the exit code. */
static int report(const struct result *result, const struct options *options,
                  struct summary *summary)
{
    char why[WHY_BYTES];
    summarize(result, summary);
    bool json_on_stdout = options->json != NULL && strcmp(options->json, "-") == 0;
    const struct tally *tally = &result->tally;
    if (!options->quiet && !json_on_stdout) {
        report_text(result, options, stdout);
    }
    if (options->json != NULL && !report_json(result, options, options->json, why)) {
        return complain(summary, why, EXIT_USAGE);
    }
    if (result->late_arrivals * 100 > tally->operations) {
        (void)complain(summary,
                       "the load itself could not keep to its times: more threads, or a lower rate",
                       EXIT_MEASURED);
    }
    if (options->server_pid != 0 && !result->has_server_cpu) {
        (void)complain(summary, "server-pid: its CPU time could not be read", EXIT_MEASURED);
    }
    return tally->errors + tally->wrong_values == 0 ? EXIT_MEASURED : EXIT_WRONG;
}

static int bench(const struct options *options, struct summary *summary)
{
    char why[WHY_BYTES] = "out of memory";
    struct run run;
    struct cpu_time ignored;
    size_t made = 0;
    if (!raise_descriptor_limit(options, why)) {
        return complain(summary, why, EXIT_USAGE);
    }
    if (options->server_pid != 0 && !cpu_of_process(options->server_pid, &ignored)) {
        return complain(summary, "server-pid: there is no such process", EXIT_USAGE);
    }
    struct worker *workers = calloc(options->threads, sizeof workers[0]);
    struct result *result = calloc(1, sizeof *result);
    bool ready = run_init(&run, options, why) && workers != NULL && result != NULL;
    int exit_code = run.exit_code == EXIT_MEASURED ? EXIT_USAGE : run.exit_code;
    while (ready && made < options->threads) {
        ready = worker_init(&workers[made], &run, (unsigned)made);
        made++;
    }
    if (!ready) {
        (void)complain(summary, why, exit_code);
    } else {
        result->seconds = options->seconds;
        (void)getloadavg(result->load_average, 3);
        run_workers(&run, workers, result);
        exit_code = run_failed(&run) ? complain(summary, run.why, run.exit_code)
                                     : report(result, options, summary);
    }
    for (size_t i = 0; i < made; i++) {
        worker_free(&workers[i]);
    }
    run_free(&run);
    free(workers);
    free(result);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct options options;
    char why[OPTIONS_WHY_BYTES];
    int exit_code = EXIT_MEASURED;
    struct summary summary;
    summary_begin(&summary, 0, NULL); /* by its variable alone: --json is a file here */
    summary.command = "bench";
    if (!options_read(&options, argc, argv, why, sizeof why)) {
        exit_code = complain(&summary, why, EXIT_USAGE);
    } else if (options.help) {
        summary.is_wanted = false;
        options_help(stdout);
    } else if (options.version) {
        summary.is_wanted = false;
        puts("satchel-bench " SATCHEL_VERSION_TEXT);
    } else if (options.list_scenarios) {
        scenario_list(stdout);
    } else {
        exit_code = bench(&options, &summary);
    }
    options_free(&options);
    summary_end(&summary, exit_code);
    return exit_code;
}
