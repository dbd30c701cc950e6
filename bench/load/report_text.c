#include <inttypes.h>

#include "load/report.h"

void result_add(struct result *self, const struct worker *worker)
{
    const struct tally *from = &worker->tally;
    self->tally.operations += from->operations;
    self->tally.operations_total += from->operations_total;
    self->tally.errors += from->errors;
    self->tally.misses += from->misses;
    self->tally.verified_gets += from->verified_gets;
    self->tally.wrong_values += from->wrong_values;
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        if (worker->histograms[i] != NULL) {
            histogram_merge(&self->by_operation[i], worker->histograms[i]);
            histogram_merge(&self->all, worker->histograms[i]);
        }
    }
    self->unfinished += worker->in_flight + arrivals_unstarted(worker);
    self->late_arrivals += worker->arrivals.late;
    if (worker->arrivals.late_ns_max > self->late_ns_max) {
        self->late_ns_max = worker->arrivals.late_ns_max;
    }
}

double result_us_per_operation(const struct result *self, double us)
{
    return self->tally.operations == 0 ? 0 : us / (double)self->tally.operations;
}

static void print_row(const char *name, const struct histogram *histogram, FILE *to)
{
    static const double fractions[] = {0.5, 0.9, 0.99, 0.999, 1};
    if (histogram->count == 0) {
        return;
    }
    fprintf(to, "%-8s %10" PRIu64, name, histogram->count);
    fprintf(to, " %10.1f", (double)histogram->sum_ns / (double)histogram->count / 1e3);
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
        fprintf(to, " %10.1f", (double)histogram_percentile(histogram, fractions[i]) / 1e3);
    }
    fputc('\n', to);
}

void report_text(const struct result *result, const struct options *options, FILE *to)
{
    const struct tally *tally = &result->tally;
    fprintf(to, "%-8s %10s %10s %10s %10s %10s %10s %10s\n", "us", "count", "mean", "p50", "p90",
            "p99", "p99.9", "max");
    print_row("all", &result->all, to);
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        print_row(operation_word((enum operation)i), &result->by_operation[i], to);
    }
    fprintf(to, "%.0f operations/s in %.1f s", (double)tally->operations / result->seconds,
            result->seconds);
    if (result->has_server_cpu) {
        fprintf(to, "; CPU us/operation: server %.2f (user %.2f, system %.2f)",
                result_us_per_operation(result,
                                        result->server_cpu.user_us + result->server_cpu.system_us),
                result_us_per_operation(result, result->server_cpu.user_us),
                result_us_per_operation(result, result->server_cpu.system_us));
    }
    fprintf(
        to, "; load %.2f\n",
        result_us_per_operation(result, result->client_cpu.user_us + result->client_cpu.system_us));
    fprintf(to,
            "%" PRIu64 " values checked, %" PRIu64 " wrong; %" PRIu64 " errors; %" PRIu64
            " without a session\n",
            tally->verified_gets, tally->wrong_values, tally->errors, tally->misses);
    if (options->rate > 0) {
        fprintf(to,
                "%" PRIu64 " unfinished; the load itself was late by over 1 ms %" PRIu64
                " times, at most %.1f ms\n",
                result->unfinished, result->late_arrivals, (double)result->late_ns_max / 1e6);
    }
}
