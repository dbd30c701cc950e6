/*
 * What the files of base/option share: the names in the environment, and values from text.
 * Nobody else includes this.
 */
#pragma once

#include "base/option.h"

enum { OPTION_NAME_BYTES_MAX = 64 }; /* longest name with its prefix and terminating zero */

/* Where the one line that says what is wrong goes. */
struct option_complaint {
    char *text; /* borrowed */
    size_t bytes;
};

/** Writes the line (cut to fit) and returns INVALID. */
enum status option_complain(const struct option_complaint *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Writes the option's variable: SATCHEL_RUN_DIR for "run-dir", unless it has one of its own. */
void option_environment_name(char out[static OPTION_NAME_BYTES_MAX],
                             const struct option_desc *desc);

/**
 * Parses `text` into the option's member. `source` says in a complaint where the text was found
 * ("--listen", a variable). OK, or INVALID with a complaint written.
 */
enum status option_set_value(const struct option_desc *desc, void *member, const char *text,
                             const char *source, const struct option_complaint *complaint);

/** What an option without value and default is: NULL, 0, no, the first choice. */
void option_set_nothing(const struct option_desc *desc, void *member);
