/* What support code checks with: it serves Criterion tests and plain programs alike. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

/** Ends the process with a message when `holds` is false, also in a release build. */
#define REQUIRE(holds)                                                                             \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
