/*
 * What the two halves of `acks` share: the options, and how a value is numbered. A log begins with
 * the line "run R"; each further line is an acknowledgement:
 *
 *     SESSION NUMBER VERSION MILLISECONDS
 *
 * One session has one request on the way at a time; the k-th value that run R writes to a session
 * has the number R << 20 | k. Milliseconds are CLOCK_MONOTONIC's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    ACKS_RUN_SHIFT = 20,
    ACKS_RUNS_MAX = 1 << 12,
    ACKS_LINE_BYTES = 80,
    ACKS_EXIT_BROKEN = 3, /* write: the connection ended early */
};

struct acks_options {
    const char *server;
    const char *to; /* the log; NULL: none */
    uint32_t run;
    uint32_t sessions;
    uint64_t count; /* 0: until the connection ends */
    uint32_t rate;  /* updates a second; 0: as fast as it goes */
    char **logs;    /* check: of all runs, in their order */
    int log_count;
};

/** The two modes; both return an exit code. */
int acks_write(const struct acks_options *options);
int acks_check(const struct acks_options *options);

/** Says why on standard error; returns EXIT_FAILURE. */
int acks_fail(const char *why);

/** Zeroed memory, which the caller frees. Ends the program when there is none. */
void *acks_table(size_t count, size_t bytes);
