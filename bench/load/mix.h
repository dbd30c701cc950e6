/*
 * What is asked of the server, and how often:
 *
 *     get 80, set 20              four reads to a write
 *     get+touch 90, get+set 10    sequences: one after the other, on the same key and connection
 *
 * Weights are relative. Operations:
 *
 *     get      read a session
 *     set      write a whole session, with its time to live
 *     touch    start its idle time again
 *     delete   remove it
 *     patch    write one field
 *     incr     add one to a number in a field
 *     connect  leave the connection, open another one and greet
 *
 * A mix with patch or incr is about sessions of fields (what Redis calls hashes), any other about
 * sessions that are one value.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/splitmix.h"

#define OPERATIONS(X)                                                                              \
    X(GET, "get")                                                                                  \
    X(SET, "set")                                                                                  \
    X(TOUCH, "touch") X(PATCH, "patch") X(DELETE, "delete") X(CONNECT, "connect") X(INCR, "incr")

enum operation {
#define X(name, word) OPERATION_##name,
    OPERATIONS(X)
#undef X
        OPERATION_COUNT
};

enum { MIX_PLANS_MAX = 16, PLAN_STEPS_MAX = 8, MIX_WEIGHT_MAX = 1000000 };

/* One sequence of operations. */
struct plan {
    uint32_t weight; /* at least 1 */
    uint8_t step_count;
    uint8_t steps[PLAN_STEPS_MAX]; /* enum operation */
};

struct mix {
    size_t plan_count;
    struct plan plans[MIX_PLANS_MAX];
    uint64_t weight_total;
};

/** Parses the form above. False with one line in `why` that says what is wrong. */
bool mix_parse(const char *text, struct mix *out, char *why, size_t why_bytes);

/** Draws a plan by its weight; it lives as long as the mix. */
const struct plan *mix_next(const struct mix *self, struct splitmix *random);

/** Is there a plan with this operation? */
bool mix_has(const struct mix *self, enum operation operation);

/** Is the mix about sessions of fields? */
bool mix_has_fields(const struct mix *self);

/** How many operations a plan has on average. */
double mix_steps_mean(const struct mix *self);

/** Does it write values? */
static inline bool operation_writes(enum operation operation)
{
    return operation == OPERATION_SET || operation == OPERATION_PATCH;
}

/** "get" and so on. */
const char *operation_word(enum operation operation);
