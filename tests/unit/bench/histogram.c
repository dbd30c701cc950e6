/* Latencies: how close a percentile is to the truth, and what the ends do. */
#include "load/histogram.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "load/splitmix.h"

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

Test(histogram, every_percentile_is_right_within_one_128th)
{
    enum { COUNT = 20000 };
    static uint64_t all[COUNT];
    static struct histogram histogram;
    struct splitmix random = {.state = 7};
    for (size_t i = 0; i < COUNT; i++) {
        /* From nanoseconds to minutes, as many in each power of two. */
        all[i] = splitmix_next(&random) >> (23 + splitmix_below(&random, 41));
        histogram_add(&histogram, all[i]);
    }
    qsort(all, COUNT, sizeof all[0], compare);
    for (unsigned permille = 1; permille <= 1000; permille++) {
        uint64_t truth = all[(size_t)permille * COUNT / 1000 - 1];
        uint64_t told = histogram_percentile(&histogram, permille / 1000.0);
        cr_assert(told >= truth && told - truth <= truth / HISTOGRAM_STEPS,
                  "%u permille: %llu, told %llu", permille, (unsigned long long)truth,
                  (unsigned long long)told);
    }
}

Test(histogram, a_bucket_ends_where_the_next_begins)
{
    for (size_t bucket = 0; bucket + 1 < HISTOGRAM_BUCKETS; bucket++) {
        static struct histogram histogram;
        uint64_t end = histogram_upper_ns(bucket);
        histogram_add(&histogram, end);
        histogram_add(&histogram, end + 1);
        cr_assert_eq(histogram.buckets[bucket], 1, "%zu", bucket);
        cr_assert_eq(histogram.buckets[bucket + 1], 1, "%zu", bucket);
        histogram.buckets[bucket] = histogram.buckets[bucket + 1] = 0;
    }
}

Test(histogram, what_is_out_of_range_counts_and_the_maximum_is_exact)
{
    static struct histogram histogram;
    cr_assert_eq(histogram_percentile(&histogram, 0.5), 0);
    histogram_add(&histogram, 0);
    cr_assert_eq(histogram_percentile(&histogram, 1), 0);
    histogram_add(&histogram, 1000003);
    cr_assert_eq(histogram_percentile(&histogram, 1), 1000003);
    histogram_add(&histogram, UINT64_MAX);
    cr_assert_eq(histogram_percentile(&histogram, 1), UINT64_MAX);
    cr_assert_eq(histogram_percentile(&histogram, 0), 0);
    cr_assert_eq(histogram.count, 3);
}

Test(histogram, merging_is_as_if_one_had_counted_all)
{
    static struct histogram parts[2];
    static struct histogram whole;
    struct splitmix random = {.state = 8};
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t ns = splitmix_below(&random, 1000000);
        histogram_add(&parts[i % 2], ns);
        histogram_add(&whole, ns);
    }
    histogram_merge(&parts[0], &parts[1]);
    cr_assert_arr_eq(&parts[0], &whole, sizeof whole);
}
