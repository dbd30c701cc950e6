/* Scenarios: those that are built in, files of the same form, and their lines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "load/options.h"

/* What a file sets. */
struct scenario {
    char *path;                        /* owned: the file, or its name when it is built in */
    char *text;                        /* owned: what it says; `values` point into it */
    const char *values[SETTING_TOTAL]; /* NULL: not set */
    unsigned lines[SETTING_TOTAL];     /* where it is set, from 1 */
};

/**
 * Reads the scenario `name`: a file, which is what has a slash or exists, or else one that is built
 * in, a file of bench/scenarios without its ending. True, or false with one line in `why`, which
 * lists the built-in names when it is neither; scenario_free() is due in both cases.
 */
bool scenario_read(struct scenario *self, const char *name, char *why, size_t why_bytes);

void scenario_free(struct scenario *self);

/** Prints name and description of every scenario that is built in. */
void scenario_list(FILE *to);
