/* Options and scenario files: which value counts, and how every mistake reads. */
#include "load/scenario.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/temp_dir.h"

static struct options options;
static char why[OPTIONS_WHY_BYTES];
static char directory[TEMP_DIR_BYTES];
static char path[TEMP_DIR_BYTES + 16];

/* Reads a command line given as words up to NULL, with --server in front. */
static bool read_options(const char *const words[])
{
    char *argv[24] = {"satchel-bench", "--server", "127.0.0.1:1"};
    int argc = 3;
    for (; *words != NULL; words++) {
        argv[argc++] = (char *)*words;
    }
    why[0] = '\0';
    return options_read(&options, argc, argv, why, sizeof why);
}

#define READ(...) read_options((const char *const[]){__VA_ARGS__, NULL})

static void write_scenario(const char *text)
{
    temp_file_write(path, view_str(text));
}

static void make_directory(void)
{
    temp_dir_make(directory);
    (void)snprintf(path, sizeof path, "%s/rush-hour.conf", directory);
}

static void remove_directory(void)
{
    options_free(&options);
    temp_dir_remove(directory);
}

TestSuite(scenario, .init = make_directory, .fini = remove_directory);

Test(scenario, its_settings_count_before_defaults_and_arguments_before_both)
{
    write_scenario("# The rush hour.\n\n  keys=77  # few\r\nmix = get+touch 9, set 1\n"
                   "key-distribution = zipf:1.1\nvalue-bytes = json:400-600\nverify = no\n"
                   "idle-ttl-ms = 5000\nprotocol = resp\npipeline = 3\nrate = 12.5");
    cr_assert(READ("--scenario", path, "--pipeline=4", "--seconds", "0.5", "--quiet"), "%s", why);
    cr_assert_str_eq(options.scenario_name, "rush-hour");
    cr_assert_eq(options.keys, 77);
    cr_assert_eq(options.mix.plan_count, 2);
    cr_assert_eq(options.key_distribution.pattern, KEY_ZIPF);
    cr_assert_float_eq(options.key_distribution.exponent, 1.1, 1e-12);
    cr_assert(options.value_shape.json);
    cr_assert_eq(options.value_shape.bytes_min, 400);
    cr_assert_eq(options.value_shape.bytes_max, 600);
    cr_assert_not(options.verify);
    cr_assert(options.preload);
    cr_assert_eq(options.idle_ttl_ms, 5000);
    cr_assert_eq(options.protocol, PROTOCOL_RESP);
    cr_assert_eq(options.pipeline, 4);
    cr_assert_float_eq(options.rate, 12.5, 1e-12);
    cr_assert_float_eq(options.seconds, 0.5, 1e-12);
    cr_assert(options.quiet);
    cr_assert_eq(options.connections, 50);
    cr_assert_str_eq(options.server, "127.0.0.1:1");
    cr_assert_null(options.json);
    cr_assert_str_eq(options.texts[setting_find("keys", 4)], "77");
}

Test(scenario, without_one_the_defaults_count)
{
    cr_assert(READ("--ack", "fast", "--key-distribution", "hot:10:90"), "%s", why);
    cr_assert_str_eq(options.scenario_name, "");
    cr_assert(options.ack);
    cr_assert_eq(options.rate, 0);
    cr_assert_eq(options.key_distribution.hot_percent, 10);
    cr_assert_eq(options.key_distribution.heat_percent, 90);
    cr_assert_eq(options.value_shape.bytes_min, 512);
    cr_assert_eq(options.value_shape.bytes_max, 512);
}

Test(scenario, every_mistake_in_a_file_is_named_with_its_line)
{
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"keys\n", ":1: \"keys\" is not `name = value`"},
        {"\n# x\ncolour = red\n", ":3: there is no such setting: \"colour\""},
        {"= 3\n", ":1: there is no such setting: \"\""},
        {"server = a:1\n", ":1: this belongs on the command line: \"server\""},
        {"json = x\n", ":1: this belongs on the command line: \"json\""},
        {"scenario = x\n", ":1: this belongs on the command line: \"scenario\""},
        {"keys = 1\nseed = 2\nkeys = 3\n", ":3: \"keys\" is set already in line 1"},
        {"\nkeys = many\n", ":2: keys: \"many\" is not a number from 1 to 1000000000"},
        {"keys = 0\n", ":1: keys: \"0\" is not"},
        {"keys =\n", ":1: keys: \"\" is not"},
        {"keys = -5\n", ":1: keys: \"-5\" is not"},
        {"keys = 1e3\n", ":1: keys: \"1e3\" is not"},
        {"keys = 99999999999999999999999\n", ":1: keys: "},
        {"protocol = http\n", ":1: protocol: \"http\" is none of native|resp|memcache"},
        {"ack = maybe\n", ":1: ack: \"maybe\" is none of durable|fast"},
        {"verify = true\n", ":1: verify: \"true\" is neither yes nor no"},
        {"mix = get\n", ":1: mix: behind \"get\" a weight"},
        {"key-distribution = normal\n", ":1: key-distribution: \"normal\" is none of"},
        {"key-distribution = zipf:\n", "the exponent has to be above 0"},
        {"key-distribution = zipf:0\n", "the exponent has to be above 0"},
        {"key-distribution = zipf:11\n", "the exponent has to be above 0"},
        {"key-distribution = zipf:1x\n", "the exponent has to be above 0"},
        {"key-distribution = hot:10\n", "two percentages from 1 to 99"},
        {"key-distribution = hot:0:50\n", "two percentages from 1 to 99"},
        {"key-distribution = hot:10:100\n", "two percentages from 1 to 99"},
        {"value-bytes = big\n", ":1: value-bytes: \"big\" is none of"},
        {"value-bytes = 600-400\n", ":1: value-bytes: \"600-400\" is none of"},
        {"value-bytes = 15\n", "has 16 to 16777216 bytes"},
        {"value-bytes = json:60\n", "has 61 to 16777216 bytes"},
        {"value-bytes = 16-16777217\n", "has 16 to 16777216 bytes"},
        {"seconds = long\n", ":1: seconds: \"long\" is not a number"},
        {"seconds = 1.5.5\n", ":1: seconds: \"1.5.5\" is not a number"},
        {"seconds = nan\n", ":1: seconds: \"nan\" is not a number"},
        {"rate = 0\n", ":1: rate: it has to be above 0"},
        {"pipeline = 1001\n", ":1: pipeline: \"1001\" is not a number from 1 to 1000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_scenario(cases[i].text);
        cr_assert_not(READ("--scenario", path), "%s", cases[i].text);
        cr_assert_not_null(strstr(why, cases[i].said), "%s: %s", cases[i].text, why);
        cr_assert_not_null(strstr(why, path), "%s", why);
        cr_assert_null(strchr(why, '\n'), "%s", why);
        options_free(&options);
    }
}

Test(scenario, every_mistake_in_a_command_line_is_named)
{
    static const struct {
        const char *words[6];
        const char *said;
    } cases[] = {
        {{"fast"}, "\"fast\" is not an option"},
        {{"-v"}, "\"-v\" is not an option"},
        {{"--colour", "red"}, "no such option: --colour"},
        {{"--colour=red"}, "no such option: --colour "},
        {{"--keys"}, "--keys wants a value (COUNT)"},
        {{"--keys", "x"}, "--keys: \"x\" is not a number"},
        {{"--quiet=maybe"}, "--quiet: \"maybe\" is neither yes nor no"},
        {{"--server="}, "--server HOST:PORT is wanted"},
        {{"--seconds", "0"}, "seconds: there is nothing to measure"},
        {{"--threads", "3", "--connections", "2"}, "threads: more than there are connections"},
        {{"--mix", "connect 1", "--pipeline", "2"}, "pipeline: who leaves a connection"},
        {{"--mix", "patch 1", "--protocol", "memcache"}, "mix: memcache has no fields"},
        {{"--scenario", "no-such"},
         "scenario no-such: there is no such file, and built in are cart, expiry-churn, "
         "login-storm, mixed-1-4, read-mostly, set-only, web-framework"},
        {{"--scenario", ""}, "scenario : there is no such file, and built in are cart, "},
        {{"--scenario", "cart.conf"}, "scenario cart.conf: there is no such file"},
        {{"--scenario", "/no/such/file"}, "scenario /no/such/file: No such file or directory"},
        {{"--scenario", "/"}, "scenario /: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_not(read_options(cases[i].words), "%s", cases[i].said);
        cr_assert_not_null(strstr(why, cases[i].said), "%s: %s", cases[i].said, why);
        options_free(&options);
    }
}

Test(scenario, one_that_is_no_settings_file_at_all_is_refused)
{
    size_t bytes = 100000;
    char *much = malloc(bytes);
    cr_assert_not_null(much);
    memset(much, '\n', bytes);
    temp_file_write(path, view_of(much, bytes));
    free(much);
    cr_assert_not(READ("--scenario", path));
    cr_assert_not_null(strstr(why, "File too large"), "%s", why);
}

Test(scenario, a_file_here_is_meant_before_one_that_is_built_in)
{
    char here[TEMP_DIR_BYTES + 16];
    (void)snprintf(here, sizeof here, "%s/cart", directory);
    temp_file_write(here, view_str("keys = 4711\n"));
    cr_assert(READ("--scenario", "cart"), "%s", why);
    cr_assert_eq(options.keys, 50000);
    options_free(&options);
    cr_assert_eq(chdir(directory), 0); /* every test is a process of its own */
    cr_assert(READ("--scenario", "cart"), "%s", why);
    cr_assert_eq(options.keys, 4711);
}

Test(scenario, all_that_come_with_the_program_are_good)
{
    static const char *const names[] = {"read-mostly",  "web-framework", "cart",    "login-storm",
                                        "expiry-churn", "mixed-1-4",     "set-only"};
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *list = open_memstream(&text, &text_bytes);
    scenario_list(list);
    cr_assert_eq(fclose(list), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[64];
        cr_assert(READ("--scenario", names[i]), "%s", why);
        cr_assert_str_eq(options.scenario_name, names[i]);
        (void)snprintf(line, sizeof line, "%-16s ", names[i]);
        cr_assert_not_null(strstr(text, line), "%s", names[i]);
        options_free(&options);
    }
    free(text);
}
