/*
 * A histogram of latencies: 32 buckets for each power of two, so a percentile is at most 3 % off.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_STEPS = 32, LATENCY_BUCKETS = 60 * LATENCY_STEPS };

struct latency {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t count;
};

/** Counts one latency in nanoseconds. */
void latency_add(struct latency *self, uint64_t ns);

/** The latency in nanoseconds that `fraction` (0 to 1) of all do not exceed; 0 when there are none.
 */
uint64_t latency_percentile(const struct latency *self, double fraction);
