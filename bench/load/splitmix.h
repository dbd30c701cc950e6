/*
 * Numbers that look random, at the cost of a few instructions: splitmix64 (Vigna, public domain).
 * The same seed gives the same load in every run.
 */
#pragma once

#include <stdint.h>

struct splitmix {
    uint64_t state; /* the seed; any value */
};

/** Spreads the bits of `x` over the whole word; a bijection. */
static inline uint64_t splitmix_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t splitmix_next(struct splitmix *self)
{
    return splitmix_mix(self->state += UINT64_C(0x9e3779b97f4a7c15));
}

/** Maps a random word to 0 … `bound` - 1 by a multiplication (Lemire), which is cheaper than a
 *  division; the bias is below bound / 2^64. */
static inline uint64_t splitmix_scale(uint64_t word, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)word * bound) >> 64);
}

/** A number from 0 to `bound` - 1. */
static inline uint64_t splitmix_below(struct splitmix *self, uint64_t bound)
{
    return splitmix_scale(splitmix_next(self), bound);
}

/** A number from 0 up to, not including, 1. */
static inline double splitmix_unit(struct splitmix *self)
{
    return (double)(splitmix_next(self) >> 11) * 0x1p-53;
}
