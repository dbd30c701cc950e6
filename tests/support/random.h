/* Numbers that look random and are the same in every run: splitmix64 (Vigna, public domain). */
#pragma once

#include <stdint.h>
#include <string.h>

struct random {
    uint64_t state; /* the seed; any value */
};

static inline uint64_t random_next(struct random *self)
{
    uint64_t z = self->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/** A number from 0 to `bound` - 1. */
static inline uint64_t random_below(struct random *self, uint64_t bound)
{
    return random_next(self) % bound;
}

static inline void random_fill(struct random *self, uint8_t *out, size_t len)
{
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = random_next(self);
        memcpy(out + at, &word, len - at < 8 ? len - at : 8);
    }
}
