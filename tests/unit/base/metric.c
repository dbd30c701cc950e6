/* Metrics: buckets, sums over instances, the order of a visit, and lines of text. */
#include "base/metric.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WORK_METRICS(X)                                                                            \
    X(counter, gets, "t_requests_total", "op=\"get\"", "Requests.")                                \
    X(counter, sets, "t_requests_total", "op=\"set\"", "Requests.")                                \
    X(gauge, open, "t_connections", "", "Connections.")                                            \
    X(histogram, seconds, "t_seconds", "", "Time.")
METRIC_STRUCT(work_metrics, WORK_METRICS)
#define METRIC_OWNER struct work_metrics
METRIC_TABLE(work_metrics, WORK_METRICS)
#undef METRIC_OWNER

#define OTHER_METRICS(X) X(gauge, bytes, "t_bytes", "", "Bytes.")
METRIC_STRUCT(other_metrics, OTHER_METRICS)
#define METRIC_OWNER struct other_metrics
METRIC_TABLE(other_metrics, OTHER_METRICS)
#undef METRIC_OWNER

Test(metric, a_bound_belongs_to_its_bucket_and_the_last_bucket_takes_the_rest)
{
    static const struct {
        int64_t ns;
        unsigned bucket;
        uint64_t counted_ns;
    } cases[] = {
        {-5, 0, 0},
        {0, 0, 0},
        {1, 0, 1},
        {1000, 0, 1000},
        {1001, 1, 1001},
        {2000, 1, 2000},
        {2001, 2, 2001},
        {4000, 2, 4000},
        {4001, 3, 4001},
        {1000 * (INT64_C(1) << 26), 26, UINT64_C(1000) << 26},
        {1000 * (INT64_C(1) << 26) + 1, 27, (UINT64_C(1000) << 26) + 1},
        {INT64_MAX, 27, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct metric_histogram histogram = {0};
        metric_observe_ns(&histogram, cases[i].ns);
        for (unsigned bucket = 0; bucket < METRIC_BUCKETS; bucket++) {
            cr_assert(eq(u64, histogram.buckets[bucket], bucket == cases[i].bucket),
                      "%lld ns in bucket %u", (long long)cases[i].ns, bucket);
        }
        cr_assert(eq(u64, histogram.sum_ns, cases[i].counted_ns));
    }
}

Test(metric, equal_durations_are_counted_at_once)
{
    struct metric_histogram histogram = {0};
    metric_observe_many_ns(&histogram, 1500, 16);
    metric_observe_many_ns(&histogram, -5, 2);
    cr_assert(eq(u64, histogram.buckets[0], 2));
    cr_assert(eq(u64, histogram.buckets[1], 16));
    cr_assert(eq(u64, histogram.sum_ns, 16 * 1500));
}

Test(metric, bounds_double_from_one_microsecond_to_infinity)
{
    cr_assert(ieee_ulp_eq(dbl, metric_bucket_bound(0), 1e-6, 2));
    for (unsigned i = 1; i + 1 < METRIC_BUCKETS; i++) {
        cr_assert(ieee_ulp_eq(dbl, metric_bucket_bound(i), 2 * metric_bucket_bound(i - 1), 2));
    }
    cr_assert(isinf(metric_bucket_bound(METRIC_BUCKETS - 1)));
}

/* What a visit showed: one letter a row in order, and the last sample of each. */
struct visits {
    char order[200];
    struct metric_sample samples[10];
    size_t count;
};

static void note_visit(void *arg, const struct metric_sample *sample)
{
    struct visits *visits = arg;
    size_t len = strlen(visits->order);
    (void)snprintf(visits->order + len, sizeof visits->order - len, "%s%s ", sample->desc->name,
                   sample->desc->labels);
    visits->samples[visits->count++] = *sample;
}

Test(metric, instances_of_one_table_are_added_up_and_families_stay_together)
{
    static struct work_metrics first;
    static struct work_metrics second;
    static struct other_metrics other;
    static struct metric_registry registry;
    cr_assert(eq(int, metric_register(&registry, (struct metric_set){&work_metrics_table, &first}),
                 STATUS_OK));
    cr_assert(eq(int, metric_register(&registry, (struct metric_set){&other_metrics_table, &other}),
                 STATUS_OK));
    cr_assert(eq(int, metric_register(&registry, (struct metric_set){&work_metrics_table, &second}),
                 STATUS_OK));
    metric_add(&first.gets, 2);
    metric_add_shared(&second.gets, 3);
    metric_add(&second.sets, 7);
    metric_set(&first.open, 10);
    metric_move_shared(&second.open, -4);
    metric_set(&other.bytes, -1);
    metric_observe_ns(&first.seconds, 1500000000);
    metric_observe_ns(&second.seconds, 500);

    struct visits visits = {.count = 0};
    metric_visit(&registry, note_visit, &visits);
    cr_assert(eq(str, visits.order,
                 "t_requests_totalop=\"get\" t_requests_totalop=\"set\" t_connections t_seconds "
                 "t_bytes "));
    cr_assert(ieee_ulp_eq(dbl, visits.samples[0].value, 5, 0));
    cr_assert(ieee_ulp_eq(dbl, visits.samples[1].value, 7, 0));
    cr_assert(ieee_ulp_eq(dbl, visits.samples[2].value, 6, 0));
    cr_assert(ieee_ulp_eq(dbl, visits.samples[4].value, -1, 0));
    const struct metric_sample *seconds = &visits.samples[3];
    cr_assert(eq(u64, seconds->count, 2));
    cr_assert(eq(u64, seconds->buckets[0], 1));
    cr_assert(eq(u64, seconds->buckets[21], 1)); /* 1.05 s < 1.5 s <= 2.1 s */
    cr_assert(epsilon_eq(dbl, seconds->sum, 1.5000005, 1e-12));
}

static void count_up(void *arg)
{
    metric_set(arg, metric_gauge_get(arg) + 1);
}

Test(metric, a_refresh_runs_once_before_each_visit)
{
    static struct other_metrics other;
    static struct metric_registry registry;
    struct metric_set set = {&other_metrics_table, &other, count_up, &other.bytes};
    cr_assert(eq(int, metric_register(&registry, set), STATUS_OK));
    for (int64_t visit = 1; visit <= 2; visit++) {
        struct visits visits = {.count = 0};
        metric_visit(&registry, note_visit, &visits);
        cr_assert(ieee_ulp_eq(dbl, visits.samples[0].value, (double)visit, 0));
    }
}

Test(metric, a_full_registry_refuses)
{
    static struct metric_registry registry;
    static struct other_metrics other;
    struct metric_set set = {&other_metrics_table, &other};
    for (int i = 0; i < METRIC_SETS_MAX; i++) {
        cr_assert(eq(int, metric_register(&registry, set), STATUS_OK));
    }
    cr_assert(eq(int, metric_register(&registry, set), STATUS_TOO_LARGE));
    cr_assert(eq(sz, registry.count, METRIC_SETS_MAX));
}

Test(metric, lines_carry_labels_and_values_as_prometheus_reads_them)
{
    static const struct {
        const char *labels;
        const char *suffix;
        const char *more;
        double value;
        const char *line;
    } cases[] = {
        {"", "", "", 0, "t 0\n"},
        {"", "", "", -12, "t -12\n"},
        {"op=\"get\"", "", "", 9007199254740991.0, "t{op=\"get\"} 9007199254740991\n"},
        {"", "_bucket", "le=\"1\"", 3, "t_bucket{le=\"1\"} 3\n"},
        {"op=\"get\"", "_bucket", "le=\"+Inf\"", 3, "t_bucket{op=\"get\",le=\"+Inf\"} 3\n"},
        {"", "_sum", "", 0.1, "t_sum 0.1\n"},
        {"", "_sum", "", 1e300, "t_sum 1e+300\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct metric_desc desc = {METRIC_gauge, "t", cases[i].labels, "Help.", 0};
        struct buf out = {0};
        cr_assert(eq(int,
                     metric_write_line(&out, &desc, cases[i].suffix, cases[i].more, cases[i].value),
                     STATUS_OK));
        cr_assert(eq(int, buf_append(&out, view_of("", 1)), STATUS_OK));
        cr_assert(eq(str, (char *)out.ptr, (char *)cases[i].line));
        buf_free(&out);
    }
}

Test(metric, a_plain_histogram_is_its_count_and_its_sum)
{
    struct metric_desc desc = {METRIC_histogram, "t_seconds", "op=\"get\"", "Help.", 0};
    struct metric_sample sample = {.desc = &desc, .count = 4, .sum = 2.5};
    struct buf out = {0};
    cr_assert(eq(int, metric_write_plain(&out, &sample), STATUS_OK));
    desc.type = METRIC_gauge;
    sample.value = 8;
    cr_assert(eq(int, metric_write_plain(&out, &sample), STATUS_OK));
    cr_assert(eq(int, buf_append(&out, view_of("", 1)), STATUS_OK));
    cr_assert(eq(str, (char *)out.ptr,
                 "t_seconds_count{op=\"get\"} 4\nt_seconds_sum{op=\"get\"} 2.5\n"
                 "t_seconds{op=\"get\"} 8\n"));
    buf_free(&out);
}
