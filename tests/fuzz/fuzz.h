/* What all fuzz targets share. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

/** Runs one input; returns 0. What must not happen ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/** Ends the process with a message when `holds` is false, also in a release build. */
#define REQUIRE(holds)                                                                             \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** True when `part` lies within `whole`, or is empty. */
static inline bool view_within(struct view part, struct view whole)
{
    uintptr_t begin = (uintptr_t)part.ptr;
    uintptr_t whole_begin = (uintptr_t)whole.ptr;
    return part.len == 0 || (begin >= whole_begin && part.len <= whole.len &&
                             begin - whole_begin <= whole.len - part.len);
}
