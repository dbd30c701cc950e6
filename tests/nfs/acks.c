/*
 * acks write --server HOST:PORT --run R [--sessions N] [--count N] [--rate N] [--to FILE]
 * acks check --server HOST:PORT [--sessions N] LOG…
 *
 *     write   overwrites sessions, with durable acknowledgements, until `count` are acknowledged or
 *             the connection ends, and adds a line for each acknowledgement to FILE as it comes
 *     check   reads the logs of runs, in the order of the runs, and holds the server against them:
 *             a session has the value and version that were acknowledged last, or those of the one
 *             request that was on the way when a run ended; and its version never went back
 *
 * Exit code 0; 1: something is lost or wrong; 2: usage; 3 (write): the connection ended early.
 */
#include "nfs/acks.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int acks_fail(const char *why)
{
    (void)fprintf(stderr, "acks: %s\n", why);
    return EXIT_FAILURE;
}

void *acks_table(size_t count, size_t bytes)
{
    void *table = calloc(count, bytes);
    if (table == NULL) {
        abort();
    }
    return table;
}

static bool parse(struct acks_options *options, int argc, char *argv[])
{
    int i = 2;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        const char *name = argv[i];
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(name, "--server") == 0) {
            options->server = argv[i + 1];
        } else if (strcmp(name, "--to") == 0) {
            options->to = argv[i + 1];
        } else if (strcmp(name, "--run") == 0) {
            options->run = (uint32_t)number;
        } else if (strcmp(name, "--sessions") == 0) {
            options->sessions = (uint32_t)number;
        } else if (strcmp(name, "--count") == 0) {
            options->count = number;
        } else if (strcmp(name, "--rate") == 0) {
            options->rate = (uint32_t)number;
        } else {
            return false;
        }
    }
    options->logs = argv + i;
    options->log_count = argc - i;
    return options->server != NULL && options->sessions >= 2 && options->run < ACKS_RUNS_MAX;
}

int main(int argc, char *argv[])
{
    struct acks_options options = {.sessions = 500, .run = 1};
    if (argc >= 2 && parse(&options, argc, argv)) {
        if (strcmp(argv[1], "write") == 0 && options.log_count == 0) {
            return acks_write(&options);
        }
        if (strcmp(argv[1], "check") == 0) {
            return acks_check(&options);
        }
    }
    (void)fprintf(stderr, "usage: acks write --server HOST:PORT --run R [--sessions N] [--count N] "
                          "[--rate N] [--to FILE]\n"
                          "       acks check --server HOST:PORT [--sessions N] LOG…\n");
    return 2;
}
