/* Names, values and lines of EMF: letter by letter, and as a JSON reader sees them. */
#include "ops/emf_line.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <math.h>

#include "ops/emf_values.h"

/* ---- Names ---------------------------------------------------------------------------------- */

Test(emf_name, follows_one_rule)
{
    static const struct {
        struct metric_desc desc;
        const char *text;
        const char *op;
        const char *unit;
    } cases[] = {
        {{METRIC_counter, "satchel_requests_total", "op=\"get\"", "", 0},
         "Requests",
         "get",
         "Count"},
        {{METRIC_histogram, "satchel_request_seconds", "op=\"read\"", "", 0},
         "RequestLatency",
         "read",
         "Microseconds"},
        {{METRIC_histogram, "satchel_durable_wait_seconds", "", "", 0},
         "DurableWaitLatency",
         "",
         "Microseconds"},
        {{METRIC_gauge, "satchel_backup_snapshot_age_seconds", "", "", 0},
         "BackupSnapshotAge",
         "",
         "Seconds"},
        {{METRIC_gauge, "satchel_memory_bytes", "", "", 0}, "MemoryBytes", "", "Bytes"},
        {{METRIC_counter, "satchel_net_sent_bytes_total", "", "", 0}, "NetSentBytes", "", "Bytes"},
        {{METRIC_counter, "satchel_closed_total", "reason=\"not_found\"", "", 0},
         "ClosedNotFound",
         "",
         "Count"},
        {{METRIC_counter, "satchel_x_total", "op=\"a b\",result=\"o\\\"k\",z=\"1\"", "", 0},
         "XOK1",
         "a_b",
         "Count"},
        {{METRIC_counter, "process_cpu_seconds_total", "", "", 0}, "ProcessCpu", "", "Seconds"},
        {{METRIC_gauge, "satchel_sessions", "", "", 0}, "Sessions", "", "None"},
        {{METRIC_gauge, "satchel_revision", "", "", 0}, "RevisionMetric", "", "None"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct emf_name name;
        cr_assert(emf_name_of(&cases[i].desc, &name), "%s", cases[i].desc.name);
        cr_assert(eq(str, name.text, (char *)cases[i].text));
        cr_assert(eq(str, name.op, (char *)cases[i].op));
        cr_assert(eq(str, (char *)name.unit, (char *)cases[i].unit));
    }
}

Test(emf_name, leaves_out_what_says_nothing_or_is_too_long)
{
    char longest[EMF_NAME_BYTES + 1];
    struct emf_name name;
    struct metric_desc desc = {METRIC_gauge, "satchel_build_info", "version=\"1\"", "", 0};
    cr_assert(not(emf_name_of(&desc, &name)));
    memset(longest, 'x', sizeof longest);
    longest[EMF_NAME_BYTES] = '\0';
    desc = (struct metric_desc){METRIC_gauge, longest, "", "", 0};
    cr_assert(not(emf_name_of(&desc, &name)));
    desc.name = longest + 1;
    cr_assert(emf_name_of(&desc, &name));
    char op[EMF_OP_BYTES + 10];
    (void)snprintf(op, sizeof op, "op=\"%.*s\"", EMF_OP_BYTES, longest);
    desc = (struct metric_desc){METRIC_counter, "satchel_x_total", op, "", 0};
    cr_assert(not(emf_name_of(&desc, &name)));
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static struct emf_options options = {.metric_namespace = "Satchel", .service_name = "satchel"};
static struct emf_writer writer = {.options = &options};

static void write_value(const char *name, const char *labels, enum metric_type type, double value)
{
    const struct metric_desc desc = {type, name, labels, "", 0};
    const struct metric_sample sample = {.desc = &desc, .value = value};
    emf_write_row(&writer, &sample, &sample);
}

/* The lines, each checked for what holds for all of them; the caller gives the array back. */
static json_t *written(void)
{
    cr_assert(eq(int, emf_writer_end(&writer), STATUS_OK));
    json_t *lines = json_array();
    const char *at = (const char *)writer.out.ptr;
    const char *all_end = at + writer.out.len;
    while (at < all_end) {
        const char *end = memchr(at, '\n', (size_t)(all_end - at));
        cr_assert_not_null(end);
        cr_assert(end - at < EMF_LINE_BYTES_MAX, "%zu bytes", (size_t)(end - at));
        json_error_t error;
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, &error);
        cr_assert_not_null(line, "%s: %.*s", error.text, (int)(end - at), at);
        json_t *metrics;
        const char *namespace;
        cr_assert(eq(int,
                     json_unpack(line, "{s:{s:I, s:[{s:s, s:o, s:o!}]}}", "_aws", "Timestamp",
                                 &(json_int_t){0}, "CloudWatchMetrics", "Namespace", &namespace,
                                 "Dimensions", &(json_t *){NULL}, "Metrics", &metrics),
                     0));
        cr_assert(json_array_size(metrics) > 0 && json_array_size(metrics) <= EMF_METRICS_MAX);
        size_t i;
        json_t *metric;
        json_array_foreach(metrics, i, metric)
        {
            const char *name = json_string_value(json_object_get(metric, "Name"));
            cr_assert_not_null(json_object_get(line, name), "%s has no value", name);
        }
        cr_assert(eq(int, json_array_append_new(lines, line), 0));
        at = end + 1;
    }
    cr_assert(eq(sz, json_array_size(lines), writer.lines));
    return lines;
}

Test(emf_line, looks_as_the_specification_says)
{
    options.task = "a\"b\\c\n\x01";
    options.revision = "7";
    options.log_group = "group";
    emf_writer_begin(&writer, 1764000000123);
    write_value("satchel_sessions", "", METRIC_gauge, -1);
    write_value("satchel_requests_total", "op=\"get\"", METRIC_counter, 42);
    json_decref(written());
    static const char expected[] =
        "{\"_aws\":{\"Timestamp\":1764000000123,\"LogGroupName\":\"group\",\"CloudWatchMetrics\":"
        "[{\"Namespace\":\"Satchel\",\"Dimensions\":[[\"ServiceName\"]],"
        "\"Metrics\":[{\"Name\":\"Sessions\",\"Unit\":\"None\"}]}]},\"ServiceName\":\"satchel\","
        "\"Version\":\"" SATCHEL_VERSION_TEXT "\",\"TaskId\":\"a\\\"b\\\\c\\u000a\\u0001\","
        "\"Revision\":\"7\",\"Sessions\":-1}\n"
        "{\"_aws\":{\"Timestamp\":1764000000123,\"LogGroupName\":\"group\",\"CloudWatchMetrics\":"
        "[{\"Namespace\":\"Satchel\",\"Dimensions\":[[\"ServiceName\"],[\"ServiceName\",\"Op\"]],"
        "\"Metrics\":[{\"Name\":\"Requests\",\"Unit\":\"Count\"}]}]},\"ServiceName\":\"satchel\","
        "\"Version\":\"" SATCHEL_VERSION_TEXT "\",\"TaskId\":\"a\\\"b\\\\c\\u000a\\u0001\","
        "\"Revision\":\"7\",\"Op\":\"get\",\"Requests\":42}\n";
    cr_assert(eq(sz, writer.out.len, sizeof expected - 1));
    cr_assert(eq(int, memcmp(writer.out.ptr, expected, sizeof expected - 1), 0), "%.*s",
              (int)writer.out.len, (const char *)writer.out.ptr);
    emf_writer_close(&writer);
}

Test(emf_line, what_never_happened_is_not_sent)
{
    const struct metric_desc counter = {METRIC_counter, "satchel_x_total", "", "", 0};
    const struct metric_desc histogram = {METRIC_histogram, "satchel_y_seconds", "", "", 0};
    const struct metric_sample none = {.desc = &counter};
    const struct metric_sample some = {.desc = &counter, .value = 3};
    const struct metric_sample quiet = {.desc = &histogram};
    emf_writer_begin(&writer, 1);
    emf_write_row(&writer, &none, &none);
    emf_write_row(&writer, &quiet, &quiet);
    json_decref(written());
    cr_assert(eq(uint, writer.lines, 0));
    emf_writer_begin(&writer, 2);
    emf_write_row(&writer, &none, &some); /* nothing new, but it has happened */
    json_t *lines = written();
    cr_assert(eq(int, (int)json_integer_value(json_object_get(json_array_get(lines, 0), "X")), 0));
    cr_assert(eq(uint, writer.lines, 1));
    json_decref(lines);
    emf_writer_close(&writer);
}

Test(emf_line, what_is_full_is_cut_and_nothing_is_lost)
{
    enum { ROWS = 500, OPS = EMF_LINES_OPEN + 10 };
    emf_writer_begin(&writer, 1);
    for (int i = 0; i < ROWS; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "satchel_n%d", i);
        write_value(name, "", METRIC_gauge, i);
    }
    for (int i = 0; i < 3 * OPS; i++) {
        char labels[40];
        (void)snprintf(labels, sizeof labels, "op=\"o%d\"", i % OPS);
        write_value(i < OPS ? "satchel_a_total" : "satchel_b_total", labels, METRIC_counter, 1);
    }
    json_t *lines = written();
    double sum = 0;
    double count = 0;
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        const char *key;
        json_t *value;
        json_object_foreach(line, key, value)
        {
            sum += key[0] == 'N' ? json_number_value(value) : 0;
            count += key[0] == 'A' || key[0] == 'B' ? json_number_value(value) : 0;
        }
    }
    cr_assert(eq(dbl, sum, ROWS * (ROWS - 1) / 2.0));
    cr_assert(eq(dbl, count, 3 * OPS));
    cr_assert(eq(uint, writer.left_out, 0));
    json_decref(lines);
    emf_writer_close(&writer);
}

Test(emf_line, has_at_most_a_hundred_metrics)
{
    emf_writer_begin(&writer, 1);
    for (int i = 0; i < EMF_METRICS_MAX + 1; i++) {
        char name[3] = {(char)('a' + i % 26), (char)('a' + i / 26), '\0'};
        write_value(name, "", METRIC_gauge, 1);
    }
    json_t *lines = written();
    cr_assert(eq(uint, writer.lines, 2), "one would do, but for that limit");
    json_decref(lines);
    emf_writer_close(&writer);
}

Test(emf_line, has_room_for_a_histogram_beside_the_longest_texts)
{
    static char text[EMF_TEXT_BYTES_MAX + 1];
    memset(text, 't', EMF_TEXT_BYTES_MAX);
    const char *shorter = text + EMF_TEXT_BYTES_MAX - 255;
    options = (struct emf_options){.metric_namespace = shorter,
                                   .service_name = shorter,
                                   .service_type = shorter,
                                   .log_group = text,
                                   .log_stream = text,
                                   .task = shorter,
                                   .revision = "1234567890"};
    const struct metric_desc desc = {METRIC_histogram, "satchel_flush_seconds", "", "", 0};
    struct metric_sample sample = {.desc = &desc, .sum = 1e6};
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        sample.buckets[i] = 1000000000 + i;
        sample.count += sample.buckets[i];
    }
    for (unsigned form = EMF_VALUES; form <= EMF_ARRAY; form++) {
        options.histogram = form;
        emf_writer_begin(&writer, INT64_C(9999999999999));
        emf_write_row(&writer, &sample, &sample);
        json_decref(written());
        cr_assert(eq(uint, writer.lines, 1));
    }
    options.task = text; /* and more, escaped and cut, is left out or fits, but never too long */
    options.revision = text;
    memset(text, '\x01', EMF_TEXT_BYTES_MAX);
    emf_writer_begin(&writer, 1);
    emf_write_row(&writer, &sample, &sample);
    json_decref(written());
    cr_assert(eq(uint, writer.lines + writer.left_out, 1));
    emf_writer_close(&writer);
}

/* ---- Values --------------------------------------------------------------------------------- */

Test(emf_values, a_bucket_is_sent_as_its_midpoint)
{
    for (int64_t ns = 1; ns < INT64_C(60000000000); ns = ns * 5 / 4 + 1) {
        struct metric_histogram histogram = {0};
        metric_observe_ns(&histogram, ns);
        for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
            if (histogram.buckets[i] != 0) {
                double us = (double)ns / 1000;
                double value = emf_bucket_value_us(i);
                cr_assert(us <= 1 || (value >= us / 2 && value <= us * 2), "%g us is sent as %g",
                          us, value);
            }
        }
    }
}

static json_t *distribution(const struct metric_sample *sample, enum emf_histogram form)
{
    struct buf out = {0};
    cr_assert(eq(int, emf_write_histogram(&out, sample, form), STATUS_OK));
    json_t *value = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(value, "%.*s", (int)out.len, (const char *)out.ptr);
    buf_free(&out);
    return value;
}

Test(emf_values, counts_are_exact_and_sum_lies_between_the_bounds)
{
    const struct metric_sample sample = {
        .buckets = {[2] = 17, [3] = 2}, .count = 19, .sum = 61.5e-6};
    json_t *value = distribution(&sample, EMF_VALUES);
    json_t *expected = json_loads("{\"Values\":[3,6],\"Counts\":[17,2],\"Min\":2,\"Max\":8,"
                                  "\"Count\":19,\"Sum\":61.5}",
                                  0, NULL);
    cr_assert(json_equal(value, expected) == 1);
    json_decref(value);
    json_decref(expected);

    const struct metric_sample endless = {
        .buckets = {[METRIC_BUCKETS - 1] = 1}, .count = 1, .sum = 500};
    value = distribution(&endless, EMF_VALUES);
    cr_assert(eq(dbl, json_number_value(json_object_get(value, "Max")), 500e6));
    json_decref(value);
}

Test(emf_values, an_array_has_the_quantiles)
{
    static const struct {
        struct metric_sample sample;
        size_t size;
        double median; /* of the array */
        double last;
    } cases[] = {
        {{.buckets = {[2] = 1}, .count = 1}, 1, 3, 3},
        {{.buckets = {[2] = 2, [5] = 1}, .count = 3}, 3, 3, 24},
        {{.buckets = {[2] = 900000, [5] = 90000, [9] = 10000}, .count = 1000000}, 100, 3, 384},
        {{.buckets = {[2] = 400000, [5] = 600000}, .count = 1000000}, 100, 24, 24},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value = distribution(&cases[i].sample, EMF_ARRAY);
        cr_assert(eq(sz, json_array_size(value), cases[i].size));
        const size_t last = cases[i].size - 1;
        cr_assert(eq(dbl, json_number_value(json_array_get(value, last / 2)), cases[i].median));
        cr_assert(eq(dbl, json_number_value(json_array_get(value, last)), cases[i].last));
        json_decref(value);
    }
}

Test(emf_values, numbers_are_what_a_reader_can_hold)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-3, "-3"},
                 {0.25, "0.25"},
                 {0x1p53 - 1, "9007199254740991"},
                 {0x1p63, "9007199254740991"},
                 {-0x1p63, "-9007199254740991"},
                 {HUGE_VAL, "9007199254740991"},
                 {-HUGE_VAL, "-9007199254740991"},
                 {NAN, "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = {0};
        cr_assert(eq(int, emf_write_number(&out, cases[i].value), STATUS_OK));
        cr_assert(view_equal(buf_view(&out), view_str(cases[i].text)), "%s: %.*s", cases[i].text,
                  (int)out.len, (const char *)out.ptr);
        buf_free(&out);
    }
}
