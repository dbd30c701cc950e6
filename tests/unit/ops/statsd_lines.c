/* Lines of the three dialects, letter by letter, and how they are joined to packets. */
#include "ops/statsd_lines.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct buf sent; /* all packets, an empty line between two */
static unsigned packets;

static void take(void *arg, struct view packet)
{
    cr_assert(eq(ptr, arg, &sent));
    cr_assert(packet.len > 0 && packet.len <= STATSD_PACKET_BYTES_MAX);
    cr_assert(ne(int, packet.ptr[packet.len - 1], '\n'));
    packets++;
    cr_assert(eq(int, buf_append(&sent, packet), STATUS_OK));
    cr_assert(eq(int, buf_append(&sent, view_str("\n\n")), STATUS_OK));
}

static struct statsd_writer writer_of(enum statsd_dialect dialect, const char *prefix)
{
    sent.len = 0;
    packets = 0;
    return (struct statsd_writer){.dialect = dialect, .prefix = prefix, .send = take, .arg = &sent};
}

static struct metric_sample sample_of(const struct metric_desc *desc, double value)
{
    return (struct metric_sample){.desc = desc, .value = value};
}

/* What one sample becomes, as a string. */
static const char *written(enum statsd_dialect dialect, const char *prefix,
                           const struct metric_sample *sample)
{
    struct statsd_writer writer = writer_of(dialect, prefix);
    statsd_write(&writer, sample);
    statsd_flush(&writer);
    cr_assert(eq(u64, writer.lines_lost, 0));
    cr_assert(eq(uint, packets, 1));
    sent.len -= strlen("\n\n");
    cr_assert(eq(int, buf_append(&sent, view_of("", 1)), STATUS_OK));
    return (const char *)sent.ptr;
}

Test(statsd_lines, each_dialect_has_labels_in_its_own_way)
{
    static const struct {
        enum metric_type type;
        const char *name;
        const char *labels;
        double value;
        const char *lines[3]; /* plain, dogstatsd, graphite */
    } cases[] = {
        {METRIC_counter,
         "satchel_requests_total",
         "op=\"get\"",
         5,
         {"t.requests.get:5|c", "t.requests:5|c|#op:get", "t.requests;op=get:5|c"}},
        {METRIC_counter,
         "satchel_requests_total",
         "op=\"get\",node=\"a.b\"",
         0,
         {"t.requests.get.a_b:0|c", "t.requests:0|c|#op:get,node:a.b",
          "t.requests;op=get;node=a.b:0|c"}},
        {METRIC_counter,
         "process_cpu_seconds_total",
         "",
         0.125,
         {"t.process_cpu_seconds:0.125|c", "t.process_cpu_seconds:0.125|c",
          "t.process_cpu_seconds:0.125|c"}},
        {METRIC_gauge,
         "satchel_sessions",
         "",
         41,
         {"t.sessions:41|g", "t.sessions:41|g", "t.sessions:41|g"}},
        /* A sign is a change in plain StatsD, and a number in Datadog's. */
        {METRIC_gauge,
         "satchel_age_seconds",
         "",
         -1,
         {"t.age_seconds:0|g\nt.age_seconds:-1|g", "t.age_seconds:-1|g",
          "t.age_seconds:0|g\nt.age_seconds:-1|g"}},
        {METRIC_gauge,
         "satchel_build_info",
         "version=\"0.1.0\"",
         1,
         {"t.build_info.0_1_0:1|g", "t.build_info:1|g|#version:0.1.0",
          "t.build_info;version=0.1.0:1|g"}},
        /* Nothing in a label can end a line, a name or a tag, or begin another. */
        {METRIC_gauge,
         "satchel_x",
         "k=\"a\\\"b\\\\c:d|e#f;g=h,i j\\n~\",l=\"m\"",
         1,
         {"t.x.a__b__c_d_e_f_g_h_i_j_n_.m:1|g", "t.x:1|g|#k:a__b__c_d_e_f_g_h_i_j_n_,l:m",
          "t.x;k=a__b__c_d_e_f_g_h_i_j_n_;l=m:1|g"}},
        /* Only counters lose "_total". */
        {METRIC_gauge, "satchel_total", "", 1, {"t.total:1|g", "t.total:1|g", "t.total:1|g"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct metric_desc desc = {
            .type = cases[i].type, .name = cases[i].name, .labels = cases[i].labels};
        const struct metric_sample sample = sample_of(&desc, cases[i].value);
        for (unsigned dialect = 0; dialect < 3; dialect++) {
            cr_assert(eq(str, (char *)written((enum statsd_dialect)dialect, "t", &sample),
                         (char *)cases[i].lines[dialect]));
        }
    }
}

Test(statsd_lines, without_a_prefix_names_begin_by_themselves)
{
    const struct metric_desc desc = {METRIC_gauge, "satchel_sessions", "", "", 0};
    const struct metric_sample sample = sample_of(&desc, 1);
    cr_assert(eq(str, (char *)written(STATSD_PLAIN, "", &sample), "sessions:1|g"));
    cr_assert(eq(str, (char *)written(STATSD_PLAIN, "a.b", &sample), "a.b.sessions:1|g"));
}

Test(statsd_lines, numbers_never_have_an_exponent)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {100, "100"},
        {0x1p53, "9007199254740992"},
        {1e300, NULL},
        {0.5, "0.5"},
        {1.0 / 3, "0.333333333333"},
        {1234.5678, "1234.5678"},
        {1e-7, "0.0000001"},
        {1.0 / 3e8, "0.00000000333333333333"},
        {1700000000.25, "1700000000.25"},
        {123456789012.75, "123456789013"},
    };
    const struct metric_desc desc = {METRIC_gauge, "satchel_x", "", "", 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct metric_sample sample = sample_of(&desc, cases[i].value);
        const char *line = written(STATSD_PLAIN, "", &sample);
        char expected[40];
        if (cases[i].text != NULL) {
            (void)snprintf(expected, sizeof expected, "x:%s|g", cases[i].text);
            cr_assert(eq(str, (char *)line, expected));
        }
        cr_assert_null(strchr(line, 'e'));
        cr_assert(
            epsilon_eq(dbl, strtod(line + 2, NULL), cases[i].value, 1e-11 * fabs(cases[i].value)));
    }
}

/* ---- Distributions --------------------------------------------------------------------------- */

static const struct metric_desc wait_desc = {METRIC_histogram, "satchel_wait_seconds", "op=\"get\"",
                                             "", 0};

static struct metric_sample waits(unsigned fast, unsigned slow)
{
    struct metric_sample sample = {.desc = &wait_desc, .count = fast + slow};
    sample.buckets[10] = fast; /* 512 to 1024 us */
    sample.buckets[14] = slow; /* 8192 to 16384 us */
    return sample;
}

enum { VALUES_MAX = 200 };

/* What a receiver knows after one sample: the values in the order they came, and a count. */
struct received {
    double values[VALUES_MAX];
    unsigned value_count;
    double count;       /* as the rates say */
    double count_whole; /* by receivers that round 1 / rate down */
};

static struct received receive(enum statsd_dialect dialect, const struct metric_sample *sample,
                               const char *name, const char *type, const char *tags)
{
    struct received got = {.value_count = 0};
    struct statsd_writer writer = writer_of(dialect, "t");
    statsd_write(&writer, sample);
    statsd_flush(&writer);
    if (packets == 0) {
        return got;
    }
    cr_assert(eq(int, buf_append(&sent, view_of("", 1)), STATUS_OK));
    char *rest = NULL;
    for (char *line = strtok_r((char *)sent.ptr, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *end;
        double rate = 1;
        cr_assert(eq(int, strncmp(line, name, strlen(name)), 0), "%s", line);
        cr_assert(lt(uint, got.value_count, VALUES_MAX));
        got.values[got.value_count++] = strtod(line + strlen(name), &end);
        cr_assert(eq(int, strncmp(end, type, strlen(type)), 0), "%s", line);
        end += strlen(type);
        if (strncmp(end, "|@", 2) == 0) {
            rate = strtod(end + 2, &end);
        }
        cr_assert(eq(str, end, (char *)tags));
        got.count += 1 / rate;
        got.count_whole += floor(1 / rate);
    }
    return got;
}

Test(statsd_lines, few_timings_are_all_sent)
{
    static const enum statsd_dialect dialects[] = {STATSD_PLAIN, STATSD_GRAPHITE};
    static const char *const names[] = {"t.wait_ms.get:", "t.wait_ms;op=get:"};
    const struct metric_sample sample = waits(2, 1);
    for (int i = 0; i < 2; i++) {
        const struct received got = receive(dialects[i], &sample, names[i], "|ms", "");
        cr_assert(eq(uint, got.value_count, 3));
        cr_assert(epsilon_eq(dbl, got.values[0], 0.640, 1e-9));
        cr_assert(epsilon_eq(dbl, got.values[1], 0.896, 1e-9));
        cr_assert(epsilon_eq(dbl, got.values[2], 12.288, 1e-9));
        cr_assert_null(strchr((char *)sent.ptr, '@'));
    }
}

Test(statsd_lines, many_timings_have_equal_weight_and_the_right_count)
{
    static const unsigned counts[][2] = {{90, 11}, {9900, 101}, {4000000, 7}, {0, 4000000000}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const struct metric_sample sample = waits(counts[i][0], counts[i][1]);
        const double count = (double)counts[i][0] + counts[i][1];
        struct metric_sample whole = sample;
        whole.count = (uint64_t)count;
        const struct received got = receive(STATSD_PLAIN, &whole, "t.wait_ms.get:", "|ms", "");
        cr_assert(eq(uint, got.value_count, STATSD_TIMINGS_MAX));
        cr_assert(epsilon_eq(dbl, got.count, count, count * 1e-9));
        unsigned fast = 0;
        for (unsigned n = 0; n < got.value_count; n++) {
            cr_assert(n == 0 || got.values[n] >= got.values[n - 1]);
            fast += got.values[n] <= 1.024;
            cr_assert(got.values[n] > 0.512 && got.values[n] < 16.384);
        }
        cr_assert(epsilon_eq(dbl, fast, STATSD_TIMINGS_MAX * counts[i][0] / count, 1));
    }
}

Test(statsd_lines, datadog_gets_each_bucket_with_its_count)
{
    static const unsigned counts[][2] = {{1, 0}, {2, 1}, {49, 103}, {4000000, 7}, {333333333, 1}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const struct metric_sample sample = waits(counts[i][0], counts[i][1]);
        const struct received got = receive(STATSD_DOGSTATSD, &sample, "t.wait_seconds:", "|d",
                                            "|#op:get");
        const double count = (double)counts[i][0] + counts[i][1];
        cr_assert(eq(uint, got.value_count, counts[i][1] == 0 ? 1 : 2));
        cr_assert(epsilon_eq(dbl, got.values[0], 0.000768, 1e-12));
        cr_assert(epsilon_eq(dbl, got.count, count, count * 1e-8));
        cr_assert(epsilon_eq(dbl, got.count_whole, count, 0));
    }
}

Test(statsd_lines, the_last_bucket_counts_as_its_lower_bound)
{
    struct metric_sample sample = {.desc = &wait_desc, .count = 300};
    sample.buckets[METRIC_BUCKETS - 1] = 300;
    struct received got = receive(STATSD_PLAIN, &sample, "t.wait_ms.get:", "|ms", "");
    cr_assert(epsilon_eq(dbl, got.values[0], 67108.864, 1e-6));
    cr_assert(epsilon_eq(dbl, got.values[99], 67108.864, 1e-6));
    got = receive(STATSD_DOGSTATSD, &sample, "t.wait_seconds:", "|d", "|#op:get");
    cr_assert(epsilon_eq(dbl, got.values[0], 67.108864, 1e-9));
}

Test(statsd_lines, a_distribution_that_gained_nothing_says_nothing)
{
    const struct metric_sample sample = waits(0, 0);
    for (unsigned dialect = 0; dialect < 3; dialect++) {
        const struct received got = receive((enum statsd_dialect)dialect, &sample, "", "", "");
        cr_assert(eq(uint, got.value_count, 0));
    }
}

/* ---- Packets --------------------------------------------------------------------------------- */

Test(statsd_lines, packets_are_filled_and_lines_stay_whole)
{
    enum { LINES = 1000 };
    const struct metric_desc desc = {METRIC_counter, "satchel_a_counter_total", "", "", 0};
    const struct metric_sample sample = sample_of(&desc, 12345);
    static const char line[] = "t.a_counter:12345|c";
    const unsigned lines_a_packet = (STATSD_PACKET_BYTES_MAX + 1) / sizeof line;
    struct statsd_writer writer = writer_of(STATSD_PLAIN, "t");
    for (unsigned i = 0; i < LINES; i++) {
        statsd_write(&writer, &sample);
    }
    cr_assert(eq(uint, packets, (LINES - 1) / lines_a_packet));
    statsd_flush(&writer);
    statsd_flush(&writer); /* nothing is left */
    cr_assert(eq(uint, packets, (LINES + lines_a_packet - 1) / lines_a_packet));
    cr_assert(eq(int, buf_append(&sent, view_of("", 1)), STATUS_OK));
    char *rest = NULL;
    unsigned lines = 0;
    for (char *one = strtok_r((char *)sent.ptr, "\n", &rest); one != NULL;
         one = strtok_r(NULL, "\n", &rest)) {
        cr_assert(eq(str, one, (char *)line));
        lines++;
    }
    cr_assert(eq(uint, lines, LINES));
}

Test(statsd_lines, the_line_feed_between_two_lines_counts)
{
    const struct metric_desc desc = {METRIC_gauge, "satchel_x", "", "", 0};
    const struct metric_sample sample = sample_of(&desc, 1);
    char prefix[STATSD_PACKET_BYTES_MAX / 2] = "";
    const size_t half = (STATSD_PACKET_BYTES_MAX - 2) / 2; /* two and a line feed fill all but 1 */
    memset(prefix, 'p', half - strlen(".x:1|g"));
    for (unsigned more = 0; more < 3; more++) { /* bytes that the second line has more */
        struct statsd_writer writer = writer_of(STATSD_PLAIN, prefix);
        struct metric_sample second = sample;
        second.value = more == 0 ? 1 : more == 1 ? 10 : 100;
        statsd_write(&writer, &sample);
        statsd_write(&writer, &second);
        statsd_flush(&writer);
        cr_assert(eq(uint, packets, more < 2 ? 1 : 2));
    }
}

Test(statsd_lines, the_zero_before_a_negative_gauge_is_in_the_same_packet)
{
    const struct metric_desc desc = {METRIC_gauge, "satchel_g", "", "", 0};
    const struct metric_sample sample = sample_of(&desc, -1);
    struct statsd_writer writer = writer_of(STATSD_PLAIN, "t");
    while (packets < 3) {
        statsd_write(&writer, &sample);
    }
    cr_assert(eq(int, buf_append(&sent, view_of("", 1)), STATUS_OK));
    const char *text = (const char *)sent.ptr;
    for (const char *at = strstr(text, "\n\n"); at[2] != '\0'; at = strstr(at + 2, "\n\n")) {
        cr_assert(eq(int, strncmp(at + 2, "t.g:0|g\nt.g:-1|g\n", 17), 0), "%s", at);
    }
}

Test(statsd_lines, a_line_that_fits_no_packet_is_counted_and_the_others_go)
{
    char prefix[STATSD_PACKET_BYTES_MAX + 10];
    const struct metric_desc desc = {METRIC_counter, "satchel_x_total", "", "", 0};
    const struct metric_sample sample = sample_of(&desc, 1);
    memset(prefix, 'p', sizeof prefix);
    prefix[STATSD_PACKET_BYTES_MAX - strlen(".x:1|c") + 1] = '\0';
    struct statsd_writer writer = writer_of(STATSD_PLAIN, prefix);
    statsd_write(&writer, &sample);
    cr_assert(eq(u64, writer.lines_lost, 1));
    prefix[STATSD_PACKET_BYTES_MAX - strlen(".x:1|c")] = '\0';
    statsd_write(&writer, &sample);
    statsd_flush(&writer);
    cr_assert(eq(u64, writer.lines_lost, 1));
    cr_assert(eq(uint, packets, 1));
    cr_assert(eq(sz, sent.len, STATSD_PACKET_BYTES_MAX + 2));
}
