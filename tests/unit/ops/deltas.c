/* What was gained between two looks. */
#include "ops/deltas.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define FIRST_METRICS(X)                                                                           \
    X(counter, gets, "t_requests_total", "op=\"get\"", "")                                         \
    X(gauge, open, "t_connections", "", "")                                                        \
    X(histogram, wait, "t_wait_seconds", "", "")
METRIC_STRUCT(first_metrics, FIRST_METRICS)
#define METRIC_OWNER struct first_metrics
METRIC_TABLE(first_metrics, FIRST_METRICS)
#undef METRIC_OWNER

#define LATER_METRICS(X) X(counter, late, "t_late_total", "", "")
METRIC_STRUCT(later_metrics, LATER_METRICS)
#define METRIC_OWNER struct later_metrics
METRIC_TABLE(later_metrics, LATER_METRICS)
#undef METRIC_OWNER

static struct first_metrics values;
static struct first_metrics others; /* of another worker */
static struct later_metrics late;
static struct metric_registry registry;

/* What the last look told. */
static struct {
    double gets;
    double gets_total;
    double open;
    double late;
    uint64_t waits;
    uint64_t waits_in_bucket_2;
    double wait_s;
    unsigned rows;
} told;

static void note(void *arg, const struct metric_sample *delta, const struct metric_sample *total)
{
    (void)arg;
    told.rows++;
    if (strcmp(delta->desc->name, "t_requests_total") == 0) {
        told.gets = delta->value;
        told.gets_total = total->value;
    } else if (strcmp(delta->desc->name, "t_connections") == 0) {
        told.open = delta->value;
    } else if (strcmp(delta->desc->name, "t_late_total") == 0) {
        told.late = delta->value;
    } else {
        told.waits = delta->count;
        told.waits_in_bucket_2 = delta->buckets[2];
        told.wait_s = delta->sum;
    }
}

static void add_set(const struct metric_table *table, const void *of)
{
    cr_assert(
        eq(int, metric_register(&registry, (struct metric_set){.table = table, .values = of}), 0));
}

static void look(struct deltas *deltas)
{
    memset(&told, 0, sizeof told);
    metric_visit(&registry, deltas_visit_sample, deltas);
    cr_assert(eq(int, deltas->status, STATUS_OK));
}

Test(deltas, each_count_is_told_once_and_a_gauge_each_time)
{
    struct deltas deltas = {.visit = note};
    add_set(&first_metrics_table, &values);
    metric_add(&values.gets, 5);
    metric_set(&values.open, 7);
    metric_observe_ns(&values.wait, 3000);
    look(&deltas);
    deltas_keep(&deltas);
    cr_assert(eq(dbl, told.gets, 5));
    cr_assert(eq(dbl, told.open, 7));
    cr_assert(eq(u64, told.waits, 1));

    metric_add(&values.gets, 2);
    metric_observe_ns(&values.wait, 4000);
    metric_observe_ns(&values.wait, 900);
    look(&deltas);
    deltas_keep(&deltas);
    cr_assert(eq(dbl, told.gets, 2));
    cr_assert(eq(dbl, told.gets_total, 7));
    cr_assert(eq(dbl, told.open, 7));
    cr_assert(eq(u64, told.waits, 2));
    cr_assert(eq(u64, told.waits_in_bucket_2, 1));
    cr_assert(epsilon_eq(dbl, told.wait_s, 4.9e-6, 1e-12));

    look(&deltas);
    cr_assert(eq(dbl, told.gets, 0));
    cr_assert(eq(dbl, told.open, 7));
    cr_assert(eq(u64, told.waits, 0));
    deltas_close(&deltas);
}

Test(deltas, what_was_not_kept_is_in_the_next_look)
{
    struct deltas deltas = {.visit = note};
    add_set(&first_metrics_table, &values);
    metric_add(&values.gets, 5);
    look(&deltas);
    metric_add(&values.gets, 1);
    look(&deltas);
    cr_assert(eq(dbl, told.gets, 6));
    deltas_keep(&deltas);
    look(&deltas);
    cr_assert(eq(dbl, told.gets, 0));
    deltas_close(&deltas);
}

Test(deltas, sets_that_join_later_begin_with_all_they_have)
{
    struct deltas deltas = {.visit = note};
    add_set(&first_metrics_table, &values);
    metric_add(&values.gets, 5);
    look(&deltas);
    deltas_keep(&deltas);
    metric_add(&others.gets, 10);
    metric_add(&late.late, 3);
    add_set(&later_metrics_table, &late);
    add_set(&first_metrics_table, &others);
    look(&deltas);
    deltas_keep(&deltas);
    cr_assert(eq(dbl, told.gets, 10));
    cr_assert(eq(dbl, told.late, 3));
    cr_assert(eq(uint, told.rows, 4));
    deltas_close(&deltas);
}

Test(deltas, any_number_of_rows_finds_its_place)
{
    enum { ROWS = 1000 };
    static struct metric_desc descs[ROWS];
    struct deltas deltas = {.visit = note};
    for (unsigned round = 1; round <= 3; round++) {
        for (size_t i = 0; i < ROWS; i++) {
            descs[i] = (struct metric_desc){METRIC_counter, "t_late_total", "", "", 0};
            const struct metric_sample sample = {.desc = &descs[i],
                                                 .value = (double)(i * round * round)};
            deltas_visit_sample(&deltas, &sample);
            cr_assert(eq(dbl, told.late, (double)(i * (2 * round - 1))), "row %zu", i);
        }
        deltas_keep(&deltas);
    }
    cr_assert(eq(sz, deltas.count, ROWS));
    deltas_close(&deltas);
}
