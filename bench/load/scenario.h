/* Scenario files: where they are, and their lines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "load/options.h"

/* What a file sets. */
struct scenario {
    char *path;                        /* owned: where it was found */
    char *text;                        /* owned: the file; `values` point into it */
    const char *values[SETTING_TOTAL]; /* NULL: not set */
    unsigned lines[SETTING_TOTAL];     /* where it is set, from 1 */
};

/**
 * Reads the file `name`: a path, or the name of a file of bench/scenarios without its ending. True,
 * or false with one line in `why`; scenario_free() is due in both cases.
 */
bool scenario_read(struct scenario *self, const char *name, char *why, size_t why_bytes);

void scenario_free(struct scenario *self);

/** Prints name and description of every file of bench/scenarios. False when there are none. */
bool scenario_list(FILE *to);
