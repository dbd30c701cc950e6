#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "load/report.h"

/* Takes ownership of `value`. Jansson gives NULL when memory runs out and passes it on from call to
 * call, so that one check at the end is enough. */
static void put(json_t *object, const char *name, json_t *value, bool *good)
{
    *good = json_object_set_new(object, name, value) == 0 && *good;
}

static json_t *setting_json(const struct setting *setting, const struct options *options)
{
    size_t at = (size_t)(setting - settings);
    const void *member = (const char *)options + setting->offset;
    if (options->texts[at][0] == '\0') {
        return json_null();
    }
    if (setting->type == SETTING_COUNT) {
        return json_integer((json_int_t) * (const uint64_t *)member);
    }
    if (setting->type == SETTING_DECIMAL) {
        return json_real(*(const double *)member);
    }
    return json_string(options->texts[at]);
}

static json_t *options_json(const struct options *options, bool *good)
{
    json_t *object = json_object();
    for (size_t i = 0; i < SETTING_TOTAL; i++) {
        if (settings[i].type != SETTING_FLAG) {
            put(object, settings[i].name, setting_json(&settings[i], options), good);
        }
    }
    return object;
}

/* "model name : Neoverse-N1" of /proc/cpuinfo; NULL in JSON where it is not given (arm64). */
static json_t *cpu_model(void)
{
    char line[256];
    json_t *model = NULL;
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && model == NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strstr(line, ": ") : NULL;
        line[strcspn(line, "\n")] = '\0';
        if (colon != NULL) {
            model = json_string(colon + 2);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return model == NULL ? json_null() : model;
}

static json_t *machine_json(const struct result *result, bool *good)
{
    struct utsname name;
    json_t *object = json_object();
    json_t *load = json_array();
    (void)uname(&name);
    for (unsigned i = 0; i < 3; i++) {
        *good = json_array_append_new(load, json_real(result->load_average[i])) == 0 && *good;
    }
    put(object, "kernel", json_string(name.release), good);
    put(object, "architecture", json_string(name.machine), good);
    put(object, "cores", json_integer(sysconf(_SC_NPROCESSORS_ONLN)), good);
    put(object, "load_average", load, good);
    put(object, "cpu_model", cpu_model(), good);
    return object;
}

static json_t *microseconds(uint64_t ns)
{
    return json_real((double)ns / 1e3);
}

static json_t *latency_json(const struct histogram *histogram, bool *good)
{
    static const struct {
        const char *name;
        double fraction;
    } rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    json_t *object = json_object();
    put(object, "count", json_integer((json_int_t)histogram->count), good);
    put(object, "mean", json_real((double)histogram->sum_ns / (double)histogram->count / 1e3),
        good);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put(object, rows[i].name, microseconds(histogram_percentile(histogram, rows[i].fraction)),
            good);
    }
    put(object, "max", microseconds(histogram->max_ns), good);
    return object;
}

static json_t *buckets_json(const struct histogram *histogram, bool *good)
{
    json_t *array = json_array();
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] != 0) {
            json_t *pair = json_pack("[f, I]", (double)histogram_upper_ns(i) / 1e3,
                                     (json_int_t)histogram->buckets[i]);
            *good = json_array_append_new(array, pair) == 0 && *good;
        }
    }
    return array;
}

/* Latencies and buckets of every operation that happened. */
static void put_histograms(json_t *object, const struct result *result, bool *good)
{
    json_t *latencies = json_object();
    json_t *buckets = json_object();
    for (unsigned i = 0; i <= OPERATION_COUNT; i++) {
        bool is_all = i == OPERATION_COUNT;
        const char *name = is_all ? "all" : operation_word((enum operation)i);
        const struct histogram *histogram = is_all ? &result->all : &result->by_operation[i];
        if (histogram->count == 0) {
            continue;
        }
        put(latencies, name, latency_json(histogram, good), good);
        put(buckets, name, buckets_json(histogram, good), good);
    }
    put(object, "latency_us", latencies, good);
    put(object, "histograms_us", buckets, good);
}

static json_t *per_operation(const struct result *result, bool is_known, double us)
{
    return is_known && result->tally.operations != 0
               ? json_real(result_us_per_operation(result, us))
               : json_null();
}

static json_t *open_loop_json(const struct result *result, const struct options *options,
                              bool *good)
{
    json_t *object = json_object();
    put(object, "rate", json_real(options->rate), good);
    put(object, "unfinished", json_integer((json_int_t)result->unfinished), good);
    put(object, "late_arrivals", json_integer((json_int_t)result->late_arrivals), good);
    put(object, "late_us_max", microseconds(result->late_ns_max), good);
    return object;
}

static json_t *result_json(const struct result *result, const struct options *options, bool *good)
{
    const struct tally *tally = &result->tally;
    const struct cpu_time *server = &result->server_cpu;
    const struct cpu_time *client = &result->client_cpu;
    bool known = result->has_server_cpu;
    json_t *object = json_object();
    put(object, "seconds", json_real(result->seconds), good);
    put(object, "operations", json_integer((json_int_t)tally->operations), good);
    put(object, "operations_total", json_integer((json_int_t)tally->operations_total), good);
    put(object, "id_bytes", json_integer(KEY_BYTES), good);
    put(object, "ops_per_s", json_real((double)tally->operations / result->seconds), good);
    put(object, "errors", json_integer((json_int_t)tally->errors), good);
    put(object, "misses", json_integer((json_int_t)tally->misses), good);
    put(object, "verified_gets", json_integer((json_int_t)tally->verified_gets), good);
    put(object, "wrong_values", json_integer((json_int_t)tally->wrong_values), good);
    put(object, "server_cpu_us_per_op",
        per_operation(result, known, server->user_us + server->system_us), good);
    put(object, "server_cpu_user_us", per_operation(result, known, server->user_us), good);
    put(object, "server_cpu_system_us", per_operation(result, known, server->system_us), good);
    put(object, "client_cpu_us_per_op",
        per_operation(result, true, client->user_us + client->system_us), good);
    put(object, "open_loop",
        options->rate > 0 ? open_loop_json(result, options, good) : json_null(), good);
    put_histograms(object, result, good);
    return object;
}

static json_t *report(const struct result *result, const struct options *options, bool *good)
{
    char time_text[32];
    time_t now = time(NULL);
    struct tm utc;
    json_t *object = json_object();
    (void)gmtime_r(&now, &utc);
    (void)strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put(object, "tool", json_string("satchel-bench"), good);
    put(object, "version", json_string(SATCHEL_VERSION_TEXT), good);
    put(object, "time", json_string(time_text), good);
    put(object, "scenario",
        options->scenario_name[0] == '\0' ? json_null() : json_string(options->scenario_name),
        good);
    put(object, "options", options_json(options, good), good);
    put(object, "machine", machine_json(result, good), good);
    put(object, "result", result_json(result, options, good), good);
    return object;
}

bool report_json(const struct result *result, const struct options *options, const char *file,
                 char why[static WHY_BYTES])
{
    enum { DIGITS = 9 };
    bool is_stdout = strcmp(file, "-") == 0;
    bool good = true;
    json_t *object = report(result, options, &good);
    if (object == NULL || !good) {
        json_decref(object);
        (void)snprintf(why, WHY_BYTES, "out of memory");
        return false;
    }
    FILE *to = is_stdout ? stdout : fopen(file, "we");
    good = to != NULL && json_dumpf(object, to, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) == 0 &&
           fputc('\n', to) != EOF && fflush(to) == 0;
    int error = errno;
    if (to != NULL && !is_stdout && fclose(to) != 0) {
        error = errno;
        good = false;
    }
    json_decref(object);
    if (!good) {
        (void)snprintf(why, WHY_BYTES, "%.128s: %s", file, strerror(error));
    }
    return good;
}
