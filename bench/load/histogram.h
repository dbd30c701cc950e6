/*
 * Latencies, counted so that every percentile is right within 1/128 of its value, whatever its size
 * (the log-linear buckets of HdrHistogram).
 *
 * Below 128 ns a bucket is one nanosecond wide; from there on each power of two is cut into 128
 * buckets of equal width. What is longer than 2^41 ns (37 minutes) counts in the last one. One
 * thread writes; read after it ended, or merge.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_STEPS_LOG2 = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEPS_LOG2,
    HISTOGRAM_TOP_LOG2 = 41,
    HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_LOG2 - HISTOGRAM_STEPS_LOG2 + 1) * HISTOGRAM_STEPS,
};

/* All zero: empty. */
struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *self, uint64_t ns);

/** Adds all that `other` counted. */
void histogram_merge(struct histogram *self, const struct histogram *other);

/** The latency that `fraction` (0 to 1) of all did not exceed: the upper end of its bucket, at most
 *  the maximum; 0 when nothing was counted. */
uint64_t histogram_percentile(const struct histogram *self, double fraction);

/** The largest latency that counts in this bucket. */
uint64_t histogram_upper_ns(size_t bucket);
