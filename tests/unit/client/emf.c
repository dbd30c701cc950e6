/* Metrics of a web service: options, lines, distributions, what is dropped. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/emf_distribution.h"
#include "client/emf_line.h"
#include "client/emf_settings.h"
#include "satchel/emf.h"
#include "satchel/satchel.h"
#include "support/temp_dir.h"

enum { WAIT_MS = 20000 };

/* An emitter whose lines come out of a pipe. */
struct stage {
    struct satchel_emf *emf;
    int from; /* the end to read from */
    int to;
    char rest[65536];
    size_t rest_len;
};

static void stage_open(struct stage *self, struct satchel_emf_options options)
{
    char target[16];
    int ends[2];
    memset(self, 0, sizeof *self);
    cr_assert_eq(pipe(ends), 0);
    self->from = ends[0];
    self->to = ends[1];
    (void)snprintf(target, sizeof target, "fd:%d", ends[1]);
    options.target = target;
    options.name_space = options.name_space == NULL ? "Test/App" : options.name_space;
    options.interval_ms = 3600000; /* only when asked */
    cr_assert_eq(satchel_emf_open(&options, &self->emf), SATCHEL_OK, "%s", satchel_last_message());
}

static void stage_close(struct stage *self)
{
    satchel_emf_close(self->emf);
    (void)close(self->from);
    (void)close(self->to);
}

/* The next line, parsed, with every rule of the format checked; waits for it. */
static json_t *stage_line(struct stage *self)
{
    char *end;
    while ((end = memchr(self->rest, '\n', self->rest_len)) == NULL) {
        ssize_t got = read(self->from, self->rest + self->rest_len,
                           sizeof self->rest - self->rest_len);
        cr_assert(got > 0);
        self->rest_len += (size_t)got;
    }
    size_t len = (size_t)(end - self->rest) + 1;
    cr_assert(len <= SATCHEL_EMF_LINE_BYTES_MAX, "a line of %zu bytes", len);
    json_error_t error;
    json_t *line = json_loadb(self->rest, len, JSON_REJECT_DUPLICATES, &error);
    cr_assert(line != NULL, "%s: %.*s", error.text, (int)len, self->rest);
    self->rest_len -= len;
    memmove(self->rest, end + 1, self->rest_len);

    json_t *directive = json_array_get(
        json_object_get(json_object_get(line, "_aws"), "CloudWatchMetrics"), 0);
    json_t *metrics = json_object_get(directive, "Metrics");
    cr_assert(json_array_size(metrics) <= 100);
    size_t i;
    json_t *metric;
    json_array_foreach(metrics, i, metric)
    {
        json_t *value = json_object_get(line, json_string_value(json_object_get(metric, "Name")));
        cr_assert(value != NULL);
        cr_assert(emf_unit(json_string_value(json_object_get(metric, "Unit"))) != NULL);
        cr_assert(json_array_size(json_object_get(value, "Values")) <= 100);
    }
    json_array_foreach(json_array_get(json_object_get(directive, "Dimensions"), 0), i, metric)
    {
        cr_assert(json_is_string(json_object_get(line, json_string_value(metric))));
    }
    return line;
}

static double number_at(json_t *line, const char *name)
{
    return json_number_value(json_object_get(line, name));
}

/* ---- Options --------------------------------------------------------------------------------- */

static const char *const *environment; /* name, value, …, NULL */

static char *fake_getenv(const char *name)
{
    for (const char *const *at = environment; at != NULL && *at != NULL; at += 2) {
        if (strcmp(at[0], name) == 0) {
            return (char *)(uintptr_t)at[1];
        }
    }
    return NULL;
}

Test(emf, options_that_cannot_be_used_are_refused_with_a_reason)
{
    struct satchel_emf_property twice[] = {{"Zone", "a"}, {"Zone", "b"}};
    struct satchel_emf_property no_ascii = {"Zone", "gr\xc3\xbcn"};
    struct satchel_emf_property colon = {":Zone", "a"};
    struct satchel_emf_property reserved = {"_aws", "a"};
    struct satchel_emf_property empty = {"Zone", ""};
    struct satchel_emf_property service = {"ServiceName", "b"};
    const struct {
        struct satchel_emf_options options;
        const char *why;
    } rows[] = {
        {{0}, "namespace"},
        {{.name_space = "a\"b"}, "namespace"},
        {{.name_space = "A", .target = "stdin"}, "not a target"},
        {{.name_space = "A", .target = "fd:"}, "not a target"},
        {{.name_space = "A", .target = "fd:1x"}, "not a target"},
        {{.name_space = "A", .target = "fd:99999"}, "not an open descriptor"},
        {{.name_space = "A", .target = "tcp://127.0.0.1"}, "tcp://HOST:PORT"},
        {{.name_space = "A", .target = "tcp://:25888"}, "tcp://HOST:PORT"},
        {{.name_space = "A", .target = "tcp://a:65536"}, "tcp://HOST:PORT"},
        {{.name_space = "A", .target = "udp://127.0.0.1:25888"}, "not a target"},
        {{.name_space = "A", .interval_ms = 99}, "interval"},
        {{.name_space = "A", .interval_ms = 3600001}, "interval"},
        {{.name_space = "A", .dimensions = twice, .dimension_count = 2}, "twice"},
        {{.name_space = "A", .properties = twice, .property_count = 2}, "twice"},
        {{.name_space = "A", .dimensions = &no_ascii, .dimension_count = 1}, "value"},
        {{.name_space = "A", .dimensions = &empty, .dimension_count = 1}, "value"},
        {{.name_space = "A", .dimensions = &colon, .dimension_count = 1}, "name"},
        {{.name_space = "A", .properties = &reserved, .property_count = 1}, "twice"},
        {{.name_space = "A", .service_name = "s", .dimensions = &service, .dimension_count = 1},
         "twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct satchel_emf *emf = NULL;
        cr_assert_eq(satchel_emf_open(&rows[i].options, &emf), SATCHEL_BAD_REQUEST, "row %zu", i);
        cr_assert(strstr(satchel_last_message(), rows[i].why) != NULL, "row %zu: %s", i,
                  satchel_last_message());
        cr_assert(emf == NULL);
    }
    char long_text[1025] = "";
    memset(long_text, 'x', sizeof long_text - 1);
    struct satchel_emf_property large[] = {{"a", long_text}, {"b", long_text}};
    struct satchel_emf *emf = NULL;
    cr_assert_eq(satchel_emf_open(&(struct satchel_emf_options){.name_space = "A",
                                                                .dimensions = large,
                                                                .dimension_count = 2},
                                  &emf),
                 SATCHEL_TOO_LARGE);
}

Test(emf, the_environment_fills_in_what_the_options_leave_open)
{
    static const struct {
        const char *environment[9];
        enum emf_target_kind target;
        const char *port;
        const char *group;
    } rows[] = {
        {{NULL}, EMF_TARGET_FD, NULL, NULL},
        {{"AWS_EMF_ENVIRONMENT", "ECS"}, EMF_TARGET_AGENT, "25888", "metrics"},
        {{"AWS_EMF_ENVIRONMENT", "Lambda", "AWS_EMF_AGENT_ENDPOINT", "tcp://h:1"},
         EMF_TARGET_FD,
         NULL,
         NULL},
        {{"AWS_EMF_AGENT_ENDPOINT", "tcp://agent:1234", "AWS_EMF_SERVICE_NAME", "shop"},
         EMF_TARGET_AGENT,
         "1234",
         "shop-metrics"},
        {{"AWS_EMF_AGENT_ENDPOINT", "tcp://agent:1", "AWS_EMF_LOG_GROUP_NAME", "g",
          "AWS_EMF_LOG_STREAM_NAME", "s"},
         EMF_TARGET_AGENT,
         "1",
         "g"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct emf_settings settings;
        char why[EMF_WHY_BYTES] = "";
        environment = rows[i].environment;
        struct satchel_emf_options options = {.name_space = "A"};
        cr_assert_eq(emf_settings_init(&settings, &options, fake_getenv, why), SATCHEL_OK, "%s",
                     why);
        cr_assert_eq(settings.target, rows[i].target, "row %zu", i);
        cr_assert(rows[i].port == NULL || strcmp(settings.port, rows[i].port) == 0);
        cr_assert((settings.log_group_name == NULL) == (rows[i].group == NULL), "row %zu", i);
        cr_assert(rows[i].group == NULL || strcmp(settings.log_group_name, rows[i].group) == 0);
        emf_settings_free(&settings);
    }
    struct emf_settings settings;
    char why[EMF_WHY_BYTES] = "";
    environment = (const char *const[]){"AWS_EMF_NAMESPACE",
                                        "Env",
                                        "AWS_EMF_SERVICE_NAME",
                                        "other",
                                        "AWS_EMF_SERVICE_TYPE",
                                        "web",
                                        NULL};
    struct satchel_emf_options options = {.service_name = "mine"};
    cr_assert_eq(emf_settings_init(&settings, &options, fake_getenv, why), SATCHEL_OK, "%s", why);
    cr_assert_str_eq(settings.name_space, "Env");
    cr_assert_eq(settings.dimension_count, 1);
    cr_assert_str_eq(settings.dimensions[0].value, "mine");
    cr_assert_str_eq(settings.properties[0].name, "ServiceType");
    cr_assert_str_eq(settings.properties[0].value, "web");
    emf_settings_free(&settings);
}

Test(emf, without_a_target_there_is_no_emitter_and_every_call_is_fine)
{
    struct satchel_emf *emf = NULL;
    struct satchel_emf_options options = {.name_space = "A", .target = "none"};
    cr_assert_eq(satchel_emf_open(&options, &emf), SATCHEL_OK);
    cr_assert(emf == NULL);
    satchel_emf_add(satchel_emf_counter(emf, "a", NULL), 1);
    satchel_emf_set(satchel_emf_gauge(emf, "b", NULL), 1);
    satchel_emf_observe(satchel_emf_distribution(emf, "c", NULL), 1);
    cr_assert_eq(satchel_emf_event(emf, NULL, 0, NULL, 0), SATCHEL_OK);
    cr_assert_eq(satchel_emf_flush(emf, WAIT_MS), SATCHEL_OK);
    cr_assert_eq(satchel_emf_counts(emf).lines_written, 0);
    satchel_emf_close(emf);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

Test(emf, a_flush_writes_counters_gauges_and_distributions_and_starts_anew)
{
    struct satchel_emf_property property = {"TaskId", "a\"\\\nz"};
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){
                           .service_name = "shop", .properties = &property, .property_count = 1});
    struct satchel_emf_metric *requests = satchel_emf_counter(stage.emf, "Requests", "Count");
    struct satchel_emf_metric *users = satchel_emf_gauge(stage.emf, "Users", NULL);
    struct satchel_emf_metric *latency = satchel_emf_distribution(stage.emf, "Latency",
                                                                  "Milliseconds");
    satchel_emf_add(requests, 3);
    satchel_emf_add(requests, 4);
    satchel_emf_observe(latency, 0);
    satchel_emf_observe(latency, 12.5);
    satchel_emf_observe(latency, 12.5);
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    json_t *line = stage_line(&stage);
    cr_assert_eq(number_at(line, "Requests"), 7);
    cr_assert(json_object_get(line, "Users") == NULL, "a gauge that was never set");
    cr_assert_str_eq(json_string_value(json_object_get(line, "ServiceName")), "shop");
    cr_assert_str_eq(json_string_value(json_object_get(line, "TaskId")), property.value);
    json_t *seen = json_object_get(line, "Latency");
    cr_assert_eq(number_at(seen, "Count"), 3);
    cr_assert_eq(number_at(seen, "Sum"), 25);
    cr_assert_eq(number_at(seen, "Min"), 0);
    cr_assert_eq(number_at(seen, "Max"), 12.5);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(seen, "Values"), 1)), 12.5);
    cr_assert_eq(json_number_value(json_array_get(json_object_get(seen, "Counts"), 1)), 2);
    json_decref(line);

    satchel_emf_set(users, -1.5);
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    line = stage_line(&stage);
    cr_assert_eq(number_at(line, "Requests"), 0);
    cr_assert_eq(number_at(line, "Users"), -1.5);
    cr_assert(json_object_get(line, "Latency") == NULL, "nothing was observed");
    json_decref(line);
    cr_assert_eq(satchel_emf_counts(stage.emf).lines_written, 2);
    stage_close(&stage);
}

Test(emf, a_name_stands_for_one_metric_of_one_kind_and_unit)
{
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){.service_name = "shop"});
    struct satchel_emf_metric *first = satchel_emf_counter(stage.emf, "a", "Count");
    cr_assert(first != NULL && first == satchel_emf_counter(stage.emf, "a", "Count"));
    cr_assert(satchel_emf_counter(stage.emf, "a", "Bytes") == NULL);
    cr_assert(satchel_emf_gauge(stage.emf, "a", "Count") == NULL);
    cr_assert(satchel_emf_counter(stage.emf, "b", "ms") == NULL);
    cr_assert(strstr(satchel_last_message(), "unit") != NULL);
    static const char *const names[] = {"",     "ServiceName", "_aws",       "EmfLinesDropped",
                                        "a\"b", ":a",          "gr\xc3\xbcn"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        cr_assert(satchel_emf_counter(stage.emf, names[i], NULL) == NULL, "%s", names[i]);
    }
    cr_assert(satchel_emf_counter(stage.emf, NULL, NULL) == NULL);
    char name[SATCHEL_EMF_NAME_BYTES_MAX + 2] = "";
    memset(name, 'n', sizeof name - 1);
    cr_assert(satchel_emf_counter(stage.emf, name, NULL) == NULL);
    name[SATCHEL_EMF_NAME_BYTES_MAX] = '\0';
    cr_assert(satchel_emf_counter(stage.emf, name, NULL) != NULL);
    for (int i = 2; i < SATCHEL_EMF_METRICS_MAX; i++) {
        (void)snprintf(name, sizeof name, "metric%d", i);
        cr_assert(satchel_emf_counter(stage.emf, name, NULL) != NULL);
    }
    cr_assert(satchel_emf_counter(stage.emf, "one more", NULL) == NULL);
    stage_close(&stage);
}

Test(emf, what_does_not_fit_into_one_line_goes_into_several_and_nothing_twice)
{
    struct stage stage;
    stage_open(&stage,
               (struct satchel_emf_options){.service_name = "shop", .is_high_resolution = true});
    (void)fcntl(stage.from, F_SETPIPE_SZ, 1048576);
    for (int i = 0; i < SATCHEL_EMF_METRICS_MAX; i++) {
        char name[SATCHEL_EMF_NAME_BYTES_MAX + 1];
        (void)snprintf(name, sizeof name, "%0*d", SATCHEL_EMF_NAME_BYTES_MAX, i);
        struct satchel_emf_metric *metric = satchel_emf_distribution(stage.emf, name, NULL);
        for (int k = 0; k < 1024; k++) {
            satchel_emf_observe(metric, ldexp(1.0 + (k % 16) / 16.0, k / 16 - 20));
        }
    }
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    bool seen[SATCHEL_EMF_METRICS_MAX] = {false};
    for (uint64_t left = satchel_emf_counts(stage.emf).lines_written; left > 0; left--) {
        json_t *line = stage_line(&stage);
        const char *name;
        json_t *value;
        json_object_foreach(line, name, value)
        {
            if (json_is_object(value) && strcmp(name, "_aws") != 0) {
                long i = strtol(name, NULL, 10);
                cr_assert(!seen[i]);
                seen[i] = true;
                cr_assert_eq(number_at(value, "Count"), 1024);
            }
        }
        json_decref(line);
    }
    for (int i = 0; i < SATCHEL_EMF_METRICS_MAX; i++) {
        cr_assert(seen[i], "metric %d is missing", i);
    }
    stage_close(&stage);
}

/* Makes a locale with a decimal comma below `dir` and switches to it: what a machine has of locales
 * is for its owner to say. */
static void speak_german(const char *dir)
{
    char path[TEMP_DIR_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/de_DE.UTF-8", dir);
    char *argv[] = {"localedef", "-i", "de_DE", "-f", "UTF-8", path, NULL};
    pid_t pid;
    int how = -1;
    cr_assert_eq(posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), 0);
    cr_assert_eq(waitpid(pid, &how, 0), pid);
    cr_assert_eq(how, 0, "localedef ended with %d; is the package locales installed?", how);
    cr_assert_eq(setenv("LOCPATH", dir, 1), 0);
    cr_assert_not_null(setlocale(LC_ALL, "de_DE.UTF-8"));
    cr_assert_str_eq(localeconv()->decimal_point, ",");
}

Test(emf, a_number_has_a_point_whatever_the_locale)
{
    char dir[TEMP_DIR_BYTES];
    temp_dir_make(dir);
    speak_german(dir);
    temp_dir_remove(dir); /* it is in memory */
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){0});
    satchel_emf_set(satchel_emf_gauge(stage.emf, "a", NULL), 1.5);
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    json_t *line = stage_line(&stage);
    cr_assert_eq(number_at(line, "a"), 1.5);
    json_decref(line);
    stage_close(&stage);
}

/* ---- Distributions --------------------------------------------------------------------------- */

/* Writes a distribution and gives what is in it. */
static json_t *written(const struct emf_distribution *self, size_t bytes_max)
{
    struct buf out = {0};
    cr_assert_eq(emf_distribution_write(self, bytes_max, &out), STATUS_OK);
    cr_assert(out.len <= bytes_max);
    json_t *json = json_loadb((const char *)out.ptr, out.len, 0, NULL);
    cr_assert(json != NULL);
    buf_free(&out);
    return json;
}

static double percentile(json_t *distribution, double share)
{
    json_t *values = json_object_get(distribution, "Values");
    json_t *counts = json_object_get(distribution, "Counts");
    double left = share * number_at(distribution, "Count");
    size_t i = 0;
    while (i + 1 < json_array_size(values) &&
           (left -= json_number_value(json_array_get(counts, i))) > 0) {
        i++;
    }
    return json_number_value(json_array_get(values, i));
}

Test(emf, percentiles_are_within_one_bucket)
{
    struct emf_distribution distribution = {0};
    double sum = 0;
    for (int i = 1; i <= 10000; i++) {
        double value = 20 + i / 100.0; /* 20.01 to 120: less than three octaves */
        emf_distribution_add(&distribution, value);
        sum += value;
    }
    json_t *json = written(&distribution, 4000);
    for (int share = 1; share <= 99; share++) {
        double wanted = 20 + share;
        double got = percentile(json, share / 100.0);
        cr_assert(fabs(got - wanted) <= wanted / 32 + 0.01, "p%d: %f for %f", share, got, wanted);
    }
    cr_assert_eq(number_at(json, "Count"), 10000);
    cr_assert(fabs(number_at(json, "Sum") - sum) < 1e-6);
    double counted = 0;
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(json, "Counts"), i, one)
    {
        counted += json_number_value(one);
    }
    cr_assert_eq(counted, 10000);
    json_decref(json);
}

Test(emf, values_far_apart_are_joined_until_they_fit_and_none_is_lost)
{
    static const double extremes[] = {0, 1e-300, 5e-324, 9007199254740991.0, 1, 1e-6};
    struct emf_distribution distribution = {0};
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
        emf_distribution_add(&distribution, extremes[i]);
    }
    for (int i = 0; i < EMF_BUCKETS; i++) {
        emf_distribution_add(&distribution, ldexp(1.0 + (i % 16) / 16.0, i / 16 - 20));
    }
    static const size_t rooms[] = {4000, 1000, 400, 150};
    size_t values_before = SATCHEL_EMF_VALUES_MAX + 1;
    for (size_t k = 0; k < sizeof rooms / sizeof rooms[0]; k++) {
        json_t *json = written(&distribution, rooms[k]);
        size_t values = json_array_size(json_object_get(json, "Values"));
        cr_assert(values <= SATCHEL_EMF_VALUES_MAX && values <= values_before);
        values_before = values;
        double counted = 0;
        double last = -1;
        for (size_t i = 0; i < values; i++) {
            double value = json_number_value(json_array_get(json_object_get(json, "Values"), i));
            cr_assert(value > last);
            last = value;
            counted += json_number_value(json_array_get(json_object_get(json, "Counts"), i));
        }
        cr_assert_eq(counted, EMF_BUCKETS + 6);
        cr_assert_eq(number_at(json, "Max"), 9007199254740991.0);
        json_decref(json);
    }
    cr_assert(values_before < 10, "%zu values", values_before);
    struct buf out = {0};
    cr_assert_eq(emf_distribution_write(&distribution, 20, &out), STATUS_TOO_LARGE);
    cr_assert_eq(out.len, 0);
    buf_free(&out);
}

/* ---- Events, and what is dropped ------------------------------------------------------------- */

Test(emf, an_event_is_a_line_with_its_properties)
{
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){.service_name = "shop"});
    struct satchel_emf_metric *latency = satchel_emf_distribution(stage.emf, "Latency",
                                                                  "Milliseconds");
    struct satchel_emf_sample sample = {latency, 3.25};
    struct satchel_emf_property properties[] = {{"RequestId", "r-1"},
                                                {"Path", "/\x01\"\xff gr\xc3\xbcn"}};
    cr_assert_eq(satchel_emf_event(stage.emf, &sample, 1, properties, 2), SATCHEL_OK);
    json_t *line = stage_line(&stage);
    cr_assert_eq(number_at(line, "Latency"), 3.25);
    cr_assert_str_eq(json_string_value(json_object_get(line, "RequestId")), "r-1");
    cr_assert_str_eq(json_string_value(json_object_get(line, "Path")),
                     "/\x01\"\xef\xbf\xbd gr\xc3\xbcn");
    json_decref(line);

    struct satchel_emf_sample twice[] = {{latency, 1}, {latency, 2}};
    struct satchel_emf_sample nan = {latency, NAN};
    struct satchel_emf_property taken = {"ServiceName", "x"};
    struct satchel_emf_property same = {"Latency", "x"};
    cr_assert_eq(satchel_emf_event(stage.emf, twice, 2, NULL, 0), SATCHEL_BAD_REQUEST);
    cr_assert_eq(satchel_emf_event(stage.emf, &nan, 1, NULL, 0), SATCHEL_BAD_REQUEST);
    cr_assert_eq(satchel_emf_event(stage.emf, &sample, 1, &taken, 1), SATCHEL_BAD_REQUEST);
    cr_assert_eq(satchel_emf_event(stage.emf, &sample, 1, &same, 1), SATCHEL_BAD_REQUEST);
    char long_text[SATCHEL_EMF_LINE_BYTES_MAX] = "";
    memset(long_text, 'x', sizeof long_text - 1);
    struct satchel_emf_property large = {"Path", long_text};
    cr_assert_eq(satchel_emf_event(stage.emf, &sample, 1, &large, 1), SATCHEL_TOO_LARGE);
    stage_close(&stage);
}

Test(emf, while_nobody_reads_counters_add_up_and_events_are_dropped_and_told)
{
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){.service_name = "shop"});
    struct satchel_emf_metric *requests = satchel_emf_counter(stage.emf, "Requests", "Count");
    struct satchel_emf_metric *size = satchel_emf_distribution(stage.emf, "Size", "Bytes");
    char text[1024] = "";
    memset(text, 'x', sizeof text - 1);
    struct satchel_emf_property property = {"Path", text};
    unsigned refused = 0;
    for (int i = 0; i < 2000; i++) {
        refused += satchel_emf_event(stage.emf, NULL, 0, &property, 1) == SATCHEL_BUSY;
        satchel_emf_add(requests, 1);
        satchel_emf_observe(size, i);
    }
    cr_assert(refused > 0);
    /* Collections keep their half of the queue; one pipe full is out already. */
    cr_assert((2000 - refused) * sizeof text < SATCHEL_EMF_QUEUE_BYTES_MAX / 2 + 65536);
    cr_assert_eq(satchel_emf_counts(stage.emf).lines_dropped, refused);
    cr_assert_eq(satchel_emf_flush(stage.emf, 1), SATCHEL_TIMED_OUT);

    double requests_seen = 0;
    double dropped_seen = 0;
    double sizes_seen = 0;
    while (requests_seen < 2000 || dropped_seen < refused || sizes_seen < 2000) {
        json_t *line = stage_line(&stage);
        requests_seen += number_at(line, "Requests");
        dropped_seen += number_at(line, "EmfLinesDropped");
        sizes_seen += number_at(json_object_get(line, "Size"), "Count");
        json_decref(line);
    }
    cr_assert_eq(requests_seen, 2000);
    cr_assert_eq(dropped_seen, refused);
    cr_assert_eq(sizes_seen, 2000);
    stage_close(&stage);
}

Test(emf, values_that_are_no_numbers_are_refused_and_told)
{
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){0});
    struct satchel_emf_metric *counter = satchel_emf_counter(stage.emf, "c", NULL);
    struct satchel_emf_metric *gauge = satchel_emf_gauge(stage.emf, "g", NULL);
    struct satchel_emf_metric *distribution = satchel_emf_distribution(stage.emf, "d", NULL);
    static const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 1e16};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        satchel_emf_set(gauge, bad[i]);
        satchel_emf_observe(distribution, bad[i]);
    }
    satchel_emf_observe(distribution, -1);
    satchel_emf_observe(counter, 1); /* not what it is */
    satchel_emf_add(gauge, 1);
    satchel_emf_set(distribution, 1);
    cr_assert_eq(satchel_emf_counts(stage.emf).values_refused, 12);
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    json_t *line = stage_line(&stage);
    cr_assert_eq(number_at(line, "EmfValuesRefused"), 12);
    cr_assert_eq(number_at(line, "c"), 0);
    cr_assert(json_object_get(line, "g") == NULL);
    cr_assert(json_object_get(line, "d") == NULL);
    json_decref(line);
    stage_close(&stage);
}

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    cr_assert(tasks != NULL);
    while (readdir(tasks) != NULL) {
        count++;
    }
    (void)closedir(tasks);
    return count;
}

Test(emf, closing_ends_though_nobody_reads_or_the_reader_is_gone)
{
    struct stage stage;
    stage_open(&stage, (struct satchel_emf_options){.close_ms = 50});
    char text[2048] = "";
    memset(text, 'x', sizeof text - 1);
    struct satchel_emf_property property = {"Path", text};
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(satchel_emf_event(stage.emf, NULL, 0, &property, 1), SATCHEL_OK);
    }
    unsigned threads = count_threads();
    satchel_emf_close(stage.emf);
    /* A thread that was waited for may be listed for a moment longer. */
    int waits = 0;
    while (count_threads() >= threads && waits++ < WAIT_MS / 10) {
        (void)usleep(1000);
    }
    cr_assert_lt(count_threads(), threads, "its thread hangs in a write");
    stage.emf = NULL;
    stage_close(&stage);

    stage_open(&stage, (struct satchel_emf_options){0});
    (void)close(stage.from);
    struct satchel_emf_metric *counter = satchel_emf_counter(stage.emf, "c", NULL);
    satchel_emf_add(counter, 1);
    cr_assert_eq(satchel_emf_flush(stage.emf, WAIT_MS), SATCHEL_OK);
    cr_assert_eq(satchel_emf_counts(stage.emf).lines_dropped, 1);
    stage.from = -1;
    stage_close(&stage);
}
