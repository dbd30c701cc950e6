/*
 * What is stored, such that every answer can be checked without remembering what was written.
 *
 * A value is a function of its key and its generation, the number of the write to that key:
 *
 *     plain:  key u64 | generation u64 | bytes from the pool
 *     JSON:   {"key":"<16 hex>","gen":"<16 hex>","data":"<letters from the pool>"}
 *
 * Its length, and where in the pool its bytes begin, follow from both numbers. So making one is a
 * copy, checking one is a comparison, and a byte that is wrong, missing, another key's or another
 * generation's is seen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    VALUE_PLAIN_BYTES_MIN = 16, /* key and generation */
    VALUE_JSON_BYTES_MIN = 61,  /* the same with all around them */
};

struct value_shape {
    bool json;
    uint32_t bytes_min; /* at least VALUE_…_BYTES_MIN */
    uint32_t bytes_max; /* lengths between the two are equally frequent */
};

struct values {
    struct value_shape shape;
    uint8_t *pool; /* owned; immutable after init */
};

/** Makes the pool. OK or NO_MEMORY. Afterwards any thread may use it. */
enum status values_init(struct values *self, struct value_shape shape) MUST_CHECK;

void values_free(struct values *self);

/** Writes the value of `key` in `generation` to `to`, which has room for bytes_max; returns its
 *  length. */
size_t values_make(const struct values *self, uint64_t key, uint64_t generation, uint8_t *to);

enum value_verdict {
    VALUE_GOOD,
    VALUE_DAMAGED,   /* nothing that was ever written */
    VALUE_OTHER_KEY, /* whole or not, it says to be another key's */
};

/** Checks a value of `key`; `*generation` is set when it is GOOD. */
enum value_verdict values_check(const struct values *self, uint64_t key, struct view value,
                                uint64_t *generation);
