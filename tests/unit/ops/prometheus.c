/* The text for Prometheus: letter by letter, by promtool, and by our own checks. */
#include "ops/prometheus.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/ops/exposition.h"

#define SAMPLE_METRICS(X)                                                                          \
    X(counter, gets, "t_requests_total", "op=\"get\"", "Requests, by \\ and\nline feed.")          \
    X(counter, sets, "t_requests_total", "op=\"a\\\"b\"", "Another text.")                         \
    X(gauge, open, "t_connections", "", "Connections.")                                            \
    X(histogram, get_seconds, "t_request_seconds", "op=\"get\"", "Time of requests.")              \
    X(histogram, set_seconds, "t_request_seconds", "op=\"set\"", "Time of requests.")
METRIC_STRUCT(sample_metrics, SAMPLE_METRICS)
#define METRIC_OWNER struct sample_metrics
METRIC_TABLE(sample_metrics, SAMPLE_METRICS)
#undef METRIC_OWNER

static struct sample_metrics values;
static struct metric_registry registry;

/* The text of `values`, as a string that lives until the test ends. */
static const char *written(void)
{
    static struct buf out;
    struct prometheus_writer writer = {.out = &out, .status = STATUS_OK};
    registry.count = 0;
    cr_assert(eq(int,
                 metric_register(&registry, (struct metric_set){&sample_metrics_table, &values}),
                 STATUS_OK));
    metric_visit(&registry, prometheus_write_sample, &writer);
    cr_assert(eq(int, writer.status, STATUS_OK));
    cr_assert(eq(int, buf_append(&out, view_of("", 1)), STATUS_OK));
    return (const char *)out.ptr;
}

Test(prometheus, help_and_type_stand_once_before_a_family)
{
    metric_add(&values.gets, 3);
    metric_set(&values.open, -2);
    const char *text = written();
    static const char start[] = "# HELP t_requests_total Requests, by \\\\ and\\nline feed.\n"
                                "# TYPE t_requests_total counter\n"
                                "t_requests_total{op=\"get\"} 3\n"
                                "t_requests_total{op=\"a\\\"b\"} 0\n"
                                "# HELP t_connections Connections.\n"
                                "# TYPE t_connections gauge\n"
                                "t_connections -2\n"
                                "# HELP t_request_seconds Time of requests.\n"
                                "# TYPE t_request_seconds histogram\n"
                                "t_request_seconds_bucket{op=\"get\",le=\"1e-06\"} 0\n";
    cr_assert(eq(int, strncmp(text, start, strlen(start)), 0), "%s", text);
}

Test(prometheus, buckets_are_cumulative_and_end_with_all)
{
    metric_observe_ns(&values.get_seconds, 900);
    metric_observe_ns(&values.get_seconds, 3000);
    metric_observe_ns(&values.get_seconds, 3000);
    metric_observe_ns(&values.get_seconds, INT64_C(200000000000));
    const char *text = written();
    static const char *const lines[] = {
        "\nt_request_seconds_bucket{op=\"get\",le=\"1e-06\"} 1\n",
        "\nt_request_seconds_bucket{op=\"get\",le=\"2e-06\"} 1\n",
        "\nt_request_seconds_bucket{op=\"get\",le=\"4e-06\"} 3\n",
        "\nt_request_seconds_bucket{op=\"get\",le=\"0.001024\"} 3\n",
        "\nt_request_seconds_bucket{op=\"get\",le=\"67.108864\"} 3\n",
        "\nt_request_seconds_bucket{op=\"get\",le=\"+Inf\"} 4\n",
        "\nt_request_seconds_sum{op=\"get\"} 200.0000069\n",
        "\nt_request_seconds_count{op=\"get\"} 4\n",
        "\nt_request_seconds_bucket{op=\"set\",le=\"+Inf\"} 0\n",
        "\nt_request_seconds_count{op=\"set\"} 0\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        cr_assert_not_null(strstr(text, lines[i]), "missing: %s in %s", lines[i], text);
    }
}

Test(prometheus, promtool_and_our_own_checks_agree_with_it)
{
    metric_add(&values.sets, UINT64_C(1) << 60);
    for (int64_t ns = 1; ns < INT64_C(1000000000000); ns *= 3) {
        metric_observe_ns(&values.set_seconds, ns);
    }
    const char *text = written();
    cr_assert(eq(uint, check_exposition(text), 2));
    check_with_promtool(text);
}
