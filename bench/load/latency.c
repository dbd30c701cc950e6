#include "latency.h"

/* Below LATENCY_STEPS a bucket is one nanosecond wide; from there on each power of two is cut into
 * LATENCY_STEPS of equal width. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < LATENCY_STEPS) {
        return (size_t)ns;
    }
    unsigned shift = 58U -
                     (unsigned)__builtin_clzll(ns); /* leaves LATENCY_STEPS to 2 * STEPS - 1 */
    return (size_t)shift * LATENCY_STEPS + (size_t)(ns >> shift);
}

static uint64_t upper_end(size_t bucket)
{
    if (bucket < 2 * (size_t)LATENCY_STEPS) {
        return bucket;
    }
    size_t shift = bucket / LATENCY_STEPS - 1;
    return ((bucket - shift * LATENCY_STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *self, uint64_t ns)
{
    self->buckets[bucket_of(ns)]++;
    self->count++;
}

uint64_t latency_percentile(const struct latency *self, double fraction)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += self->buckets[i];
        if (seen > 0 && (double)seen >= fraction * (double)self->count) {
            return upper_end(i);
        }
    }
    return 0;
}
