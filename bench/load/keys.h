/*
 * Which session an operation is about. Keys are numbers from 0 to count - 1; on the wire they are
 * "s4be21c:000000001234". The letters in front stand for what is kept under them: runs that write
 * different values to one server do not meet each other's.
 */
#pragma once

#include <stdint.h>

#include "load/splitmix.h"
#include "load/zipf.h"

enum { KEY_BYTES = 20 };

/** More keys than this do not fit the text. */
#define KEYS_MAX UINT64_C(1000000000)

enum key_pattern {
    KEY_UNIFORM, /* all alike */
    KEY_ZIPF,    /* by Zipf's law */
    KEY_HOT,     /* some per cent of the keys get some per cent of the operations */
};

struct key_distribution {
    enum key_pattern pattern;
    double exponent;       /* ZIPF: above 0, at most 10 */
    unsigned hot_percent;  /* HOT: of the keys, 1 to 99 */
    unsigned heat_percent; /* HOT: of the operations, 1 to 99 */
};

struct keys {
    uint8_t prefix[8];
    struct key_distribution distribution;
    uint64_t count;
    uint64_t hot_count;
    uint64_t stride; /* without a common divisor with count */
    struct zipf zipf;
};

/** `count` from 1 to KEYS_MAX; `family` becomes the letters in front. Immutable afterwards: any
 *  thread may draw. */
void keys_init(struct keys *self, uint64_t count, struct key_distribution distribution,
               uint64_t family);

/** Draws a key. Frequent ones lie scattered over the numbers. */
uint64_t keys_next(const struct keys *self, struct splitmix *random);

/** Writes the text of a key, without a terminating zero. */
void keys_text(const struct keys *self, uint64_t key, uint8_t out[static KEY_BYTES]);
