/*
 * Options: each module declares a struct of its settings and a table that describes them; from
 * the tables come the command line, the environment (SATCHEL_…), the defaults and --help.
 *
 *     #define NET_OPTIONS(X) \
 *         X(struct net_options, listen, TEXT, "listen", "127.0.0.1:7401", "HOST:PORT", "…") \
 *
 * A value is looked for on the command line (`--name VALUE`, `--name=VALUE`), then in the
 * environment (SATCHEL_ + the name in upper case with _ for -), then the default is parsed. Given
 * twice, the last one counts. A value that itself begins with -- needs the form with =. An empty
 * text is no value: it gives NULL. There are no arguments besides options.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

enum option_type {
    OPTION_TEXT,    /* const char *: borrowed from argv, environment or table */
    OPTION_COUNT,   /* uint64_t, decimal */
    OPTION_BYTES,   /* uint64_t bytes; suffix k, m, g (or KiB, MiB, GiB) = powers of 1024 */
    OPTION_TIME_MS, /* uint64_t milliseconds; suffix ms, s, m, h, d; none = ms */
    OPTION_FLAG,    /* bool; `--name` or `--name=yes|no` */
    OPTION_CHOICE,  /* unsigned: the index in `choices` ("a|b|c") */
};

struct option_desc {
    const char *name; /* without the leading dashes */
    enum option_type type;
    const char *standard; /* default, as the user would write it; "" for no value (TEXT: NULL,
                             all others: 0, whatever `least` says) */
    const char *unit; /* shown in help: "HOST:PORT", "BYTES", "COUNT"; choices for CHOICE: "a|b" */
    const char *help; /* one sentence */
    uint64_t least;   /* smallest value allowed (COUNT, BYTES, TIME_MS) */
    uint64_t most;    /* largest value allowed; 0 = no limit */
    size_t offset;    /* of the member in the module's struct */
    const char *variable; /* its name in the environment; NULL: SATCHEL_ and the name, as above */
};

struct option_group {
    const char *title;               /* heading in --help */
    const struct option_desc *descs; /* borrowed, `count` of them */
    size_t count;
    void *into; /* the module's struct; borrowed, written by option_parse */
};

/**
 * Fills every group's struct. `environ_get` is getenv or a test's own. Returns OK, or INVALID with
 * one line in `errmsg` (unknown option, missing or unusable value, value out of range) naming the
 * option or variable. `--help` and `--version` give END with `*seen` set to that word.
 * Strings in the structs live as long as argv and the environment. Main thread only.
 */
enum status option_parse(const struct option_group *groups, size_t group_count, int argc,
                         char *const argv[], char *(*environ_get)(const char *), const char **seen,
                         char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Prints all groups with default, unit and environment name to `out`. */
void option_help(const struct option_group *groups, size_t group_count, FILE *out);
