/* The text for Prometheus in both formats: letter by letter, by promtool, and by our own checks. */
#include "ops/prometheus.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "unit/ops/exposition.h"

#define SAMPLE_METRICS(X)                                                                          \
    X(counter, gets, "t_requests_total", "op=\"get\"", "Requests, by \\ and\nline feed.")          \
    X(counter, sets, "t_requests_total", "op=\"a\\\"b\"", "Another text.")                         \
    X(gauge, open, "t_connections", "", "Connections.")                                            \
    X(histogram, get_seconds, "t_request_seconds", "op=\"get\"", "Time of requests.")              \
    X(histogram, set_seconds, "t_request_seconds", "op=\"set\"", "Time of requests.")              \
    X(counter, sent, "t_sent_bytes_total", "", "Bytes \"sent\".")                                  \
    X(gauge, info, "t_build_info", "version=\"1\"", "The version.")
METRIC_STRUCT(sample_metrics, SAMPLE_METRICS)
#define METRIC_OWNER struct sample_metrics
METRIC_TABLE(sample_metrics, SAMPLE_METRICS)
#undef METRIC_OWNER

static struct sample_metrics values;
static struct metric_registry registry;

/* The text of `values`, as a string that lives until the test ends. */
static const char *written_as(bool is_openmetrics)
{
    static struct buf outs[2];
    struct buf *out = &outs[is_openmetrics];
    struct prometheus_writer writer = {
        .out = out, .is_openmetrics = is_openmetrics, .status = STATUS_OK};
    registry.count = 0;
    cr_assert(eq(int,
                 metric_register(&registry, (struct metric_set){&sample_metrics_table, &values}),
                 STATUS_OK));
    metric_visit(&registry, prometheus_write_sample, &writer);
    cr_assert(eq(int, writer.status, STATUS_OK));
    prometheus_end(&writer);
    cr_assert(eq(int, writer.status, STATUS_OK));
    cr_assert(eq(int, buf_append(out, view_of("", 1)), STATUS_OK));
    return (const char *)out->ptr;
}

static const char *written(void)
{
    return written_as(false);
}

/* The lines of a text that are samples, as a string. Owned by the caller. */
static struct buf samples_of(const char *text)
{
    struct buf samples = {0};
    char *copy = strdup(text);
    char *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] != '#') {
            cr_assert(eq(int, buf_printf(&samples, "%s\n", line), STATUS_OK));
        }
    }
    free(copy);
    cr_assert(eq(int, buf_append(&samples, view_of("", 1)), STATUS_OK));
    return samples;
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

Test(prometheus, openmetrics_names_families_without_what_their_type_adds)
{
    static const char *const headings[] = {
        "# HELP t_requests Requests, by \\\\ and\\nline feed.\n"
        "# TYPE t_requests counter\n"
        "t_requests_total{op=\"get\"} 0\n",
        "# HELP t_connections Connections.\n"
        "# TYPE t_connections gauge\n"
        "t_connections 0\n",
        "# TYPE t_request_seconds histogram\n"
        "# UNIT t_request_seconds seconds\n"
        "t_request_seconds_bucket{op=\"get\",le=\"1e-06\"} 0\n",
        "# HELP t_sent_bytes Bytes \\\"sent\\\".\n"
        "# TYPE t_sent_bytes counter\n"
        "# UNIT t_sent_bytes bytes\n"
        "t_sent_bytes_total 0\n",
        "# TYPE t_build info\n"
        "t_build_info{version=\"1\"} 0\n"
        "# EOF\n",
    };
    const char *text = written_as(true);
    for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++) {
        cr_assert_not_null(strstr(text, headings[i]), "missing: %s in %s", headings[i], text);
    }
    cr_assert(eq(str, strstr(text, "# EOF"), "# EOF\n"), "something follows its end");
    cr_assert_null(strstr(written(), "# EOF"));
    cr_assert_null(strstr(written(), "# UNIT"));
}

Test(prometheus, samples_are_the_same_in_both_formats)
{
    metric_add(&values.gets, 3);
    metric_set(&values.open, -2);
    metric_observe_ns(&values.get_seconds, 3000);
    struct buf plain = samples_of(written_as(false));
    struct buf openmetrics = samples_of(written_as(true));
    cr_assert(lt(sz, 1000, plain.len));
    cr_assert(eq(str, (char *)openmetrics.ptr, (char *)plain.ptr));
    buf_free(&plain);
    buf_free(&openmetrics);
}
