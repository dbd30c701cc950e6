/*
 * What every administrative command ends with when it was asked for JSON: the last line of standard
 * output is one object, whatever happened.
 *
 *     {"command":"backup prune","ok":true,"exit_code":0,"seconds":1.204, … the command's result …}
 *     {"command":"verify","ok":false,"exit_code":3,"seconds":0.001,"error":"in use by …"}
 *
 * So a scheduled task of ECS leaves one line in its log that a filter can be put on. Asked for by
 * --json or SATCHEL_JSON=yes. Main thread only.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct summary {
    bool is_wanted;
    const char *command; /* borrowed; "" until it is known */
    int64_t begin_ns;
    json_t *result; /* owned; NULL: none yet */
};

/** Begins the clock. Looks for --json among the arguments and for the variable, so that arguments
 *  which cannot be used are told in JSON as well; once the options are parsed, the caller sets
 *  `is_wanted`. */
void summary_begin(struct summary *self, int argc, char *const argv[]);

/** Takes the result, an object; a later one replaces it. NULL: out of memory, or a text that was
 * not UTF-8, which the summary then says. */
void summary_set(struct summary *self, json_t *result);

/** The result is that it failed, and why: one line. */
void summary_fail(struct summary *self, const char *why);

/** Prints the line, if it is wanted, and frees the result. */
void summary_end(struct summary *self, int exit_code);
