#include "load/histogram.h"

#include <math.h>

static size_t bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS) {
        return (size_t)ns;
    }
    if (ns >> HISTOGRAM_TOP_LOG2 != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    /* The shift leaves STEPS … 2 * STEPS - 1. */
    unsigned shift = 63U - HISTOGRAM_STEPS_LOG2 - (unsigned)__builtin_clzll(ns);
    return (size_t)shift * HISTOGRAM_STEPS + (size_t)(ns >> shift);
}

uint64_t histogram_upper_ns(size_t bucket)
{
    if (bucket < 2 * (size_t)HISTOGRAM_STEPS) {
        return bucket;
    }
    size_t shift = bucket / HISTOGRAM_STEPS - 1;
    return ((bucket - shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *self, uint64_t ns)
{
    self->buckets[bucket_of(ns)]++;
    self->count++;
    self->sum_ns += ns;
    if (ns > self->max_ns) {
        self->max_ns = ns;
    }
}

void histogram_merge(struct histogram *self, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        self->buckets[i] += other->buckets[i];
    }
    self->count += other->count;
    self->sum_ns += other->sum_ns;
    if (other->max_ns > self->max_ns) {
        self->max_ns = other->max_ns;
    }
}

uint64_t histogram_percentile(const struct histogram *self, double fraction)
{
    /* A little less, or 0.138 of 20,000 would be rounded up to 2,761. */
    uint64_t rank = (uint64_t)ceil(fraction * (double)self->count * (1 - 1e-12));
    uint64_t seen = 0;
    if (rank == 0) {
        rank = 1;
    }
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += self->buckets[i];
        if (seen >= rank) {
            uint64_t upper_ns = histogram_upper_ns(i);
            return upper_ns < self->max_ns && i < HISTOGRAM_BUCKETS - 1 ? upper_ns : self->max_ns;
        }
    }
    return self->max_ns;
}
