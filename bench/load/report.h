/* What came out, for people and for programs. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "load/cpu.h"
#include "load/histogram.h"
#include "load/run.h"
#include "load/worker.h"

struct result {
    double seconds; /* measured */
    struct tally tally;
    bool has_server_cpu;
    struct cpu_time server_cpu;
    struct cpu_time client_cpu;
    uint64_t unfinished; /* open loop: plans that were due and did not end */
    uint64_t late_arrivals;
    uint64_t late_ns_max;
    double load_average[3]; /* when it began */
    struct histogram all;
    struct histogram by_operation[OPERATION_COUNT];
};

/** Adds what a worker counted. */
void result_add(struct result *self, const struct worker *worker);

/** Microseconds per operation; 0 when there was none. */
double result_us_per_operation(const struct result *self, double us);

/** The table for people. */
void report_text(const struct result *result, const struct options *options, FILE *to);

/** Writes the JSON object to the file, "-" for standard output. False with the reason in `why`. */
bool report_json(const struct result *result, const struct options *options, const char *file,
                 char why[static WHY_BYTES]);
