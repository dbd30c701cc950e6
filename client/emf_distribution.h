/*
 * Values of one metric between two flushes, in log-linear buckets.
 *
 *     0            2^-20                 1            2            4                  2^44
 *     ├─ zeros     ├─ 16 buckets ─┤ …    ├─ 16 of 1/16 ┤─ 16 of 1/8 ┤ …                 ┤
 *
 * Each power of two has 16 buckets of equal width, so the middle of a bucket is at most 1/32 off
 * what was observed, small or large. Values below 2^-20 or above 2^44 share the outermost buckets;
 * count, sum, least and most are exact for all. Zeroed: empty. One thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum {
    EMF_BUCKETS_PER_OCTAVE = 16,
    EMF_OCTAVE_FIRST = -20, /* the first bucket begins at 2^-20: a microsecond, in seconds */
    EMF_OCTAVES = 64,
    EMF_BUCKETS = EMF_OCTAVES * EMF_BUCKETS_PER_OCTAVE,
};

struct emf_distribution {
    uint64_t count;
    double sum;
    double least; /* valid when count > 0, as is `most` */
    double most;
    uint64_t zeros; /* values of exactly 0 */
    uint64_t buckets[EMF_BUCKETS];
};

/** Counts `value`, a finite number of at least 0. */
void emf_distribution_add(struct emf_distribution *self, double value);

/**
 * Appends {"Values":[…],"Counts":[…],"Min":…,"Max":…,"Sum":…,"Count":…} with at most
 * SATCHEL_EMF_VALUES_MAX values and `bytes_max` bytes, joining neighbouring buckets, two, four and
 * so on, until it is so. Wants a C locale for numbers. OK; TOO_LARGE: `bytes_max` is less than one
 * value takes; NO_MEMORY; `out` is then as it was.
 */
enum status emf_distribution_write(const struct emf_distribution *self, size_t bytes_max,
                                   struct buf *out) MUST_CHECK;
