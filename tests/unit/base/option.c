/* Options: where a value comes from, what is refused, and how the refusal reads. */
#include "base/option.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

struct settings {
    const char *data;
    const char *run_dir;
    uint64_t workers;
    uint64_t memory;
    uint64_t checkpoint_ms;
    bool open_to_all;
    unsigned ack;
    uint64_t keep_ms;
};

static const struct option_desc descs[] = {
    {"data", OPTION_TEXT, "./var", "DIR", "Where.", 0, 0, offsetof(struct settings, data)},
    {"run-dir", OPTION_TEXT, "", "DIR", "Run.", 0, 0, offsetof(struct settings, run_dir)},
    {"workers", OPTION_COUNT, "2", "COUNT", "Threads.", 1, 64, offsetof(struct settings, workers)},
    {"memory", OPTION_BYTES, "", "BYTES", "Budget.", 1024, 0, offsetof(struct settings, memory)},
    {"checkpoint", OPTION_TIME_MS, "2s", "TIME", "How often.", 10, 60000,
     offsetof(struct settings, checkpoint_ms)},
    {"open-to-all", OPTION_FLAG, "no", "", "Risk.", 0, 0, offsetof(struct settings, open_to_all)},
    {"ack", OPTION_CHOICE, "durable", "durable|fast", "When.", 0, 0, offsetof(struct settings, ack),
     "ACK_LEVEL"},
    {"keep", OPTION_TIME_MS, "7d", "TIME", "How long.", 0, 0, offsetof(struct settings, keep_ms)},
};

static struct settings settings;
static const char *seen;
static char errmsg[200];

/* "NAME=value" strings that stand for the environment; ended by NULL. */
static const char *const *environment;

static char *environment_get(const char *name)
{
    for (const char *const *at = environment; at != NULL && *at != NULL; at++) {
        size_t len = strlen(name);
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=') {
            return (char *)*at + len + 1;
        }
    }
    return NULL;
}

/* Parses a command line given as one string with single spaces. */
static enum status parse(const char *line)
{
    static char copy[400];
    char *argv[20] = {"satcheld"};
    int argc = 1;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    memset(&settings, 0x5a, sizeof settings);
    errmsg[0] = '\0';
    seen = NULL;
    const struct option_group groups[] = {
        {"Storage", descs, 3, &settings},
        {"More", descs + 3, sizeof descs / sizeof descs[0] - 3, &settings},
    };
    return option_parse(groups, 2, argc, argv, environment_get, &seen, errmsg, sizeof errmsg);
}

Test(option, without_anything_every_member_has_its_default)
{
    cr_assert(eq(int, parse(""), STATUS_OK), "%s", errmsg);
    cr_assert(eq(str, (char *)settings.data, "./var"));
    cr_assert_null(settings.run_dir);
    cr_assert(eq(u64, settings.workers, 2));
    cr_assert(eq(u64, settings.memory, 0));
    cr_assert(eq(u64, settings.checkpoint_ms, 2000));
    cr_assert_not(settings.open_to_all);
    cr_assert(eq(uint, settings.ack, 0));
    cr_assert(eq(u64, settings.keep_ms, UINT64_C(7) * 24 * 3600 * 1000));
}

Test(option, the_command_line_wins_over_the_environment_and_that_over_the_default)
{
    environment = (const char *const[]){"SATCHEL_DATA=/from/env",  "SATCHEL_RUN_DIR=/run/env",
                                        "SATCHEL_OPEN_TO_ALL=yes", "SATCHEL_ACK=none",
                                        "ACK_LEVEL=fast",          NULL};
    cr_assert(eq(int, parse("--data /from/line"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(str, (char *)settings.data, "/from/line"));
    cr_assert(eq(str, (char *)settings.run_dir, "/run/env"));
    cr_assert(settings.open_to_all);
    cr_assert(eq(uint, settings.ack, 1)); /* by a variable that is not called as it is */
    cr_assert(eq(u64, settings.workers, 2));
}

Test(option, a_broken_variable_does_not_matter_when_the_command_line_says_otherwise)
{
    environment = (const char *const[]){"SATCHEL_WORKERS=many", NULL};
    cr_assert(eq(int, parse("--workers 3"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(u64, settings.workers, 3));
    cr_assert(eq(int, parse(""), STATUS_INVALID));
    cr_assert(eq(str, errmsg, "SATCHEL_WORKERS: \"many\" is not a whole number"));
}

Test(option, a_value_may_follow_an_equals_sign_and_the_last_one_counts)
{
    cr_assert(eq(int, parse("--data=/a --data /b --data=/c=d"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(str, (char *)settings.data, "/c=d"));
    cr_assert(eq(int, parse("--data=--odd"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(str, (char *)settings.data, "--odd"));
    cr_assert(eq(int, parse("--data="), STATUS_OK), "%s", errmsg);
    cr_assert_null(settings.data);
}

Test(option, flags_take_no_following_word)
{
    cr_assert(eq(int, parse("--open-to-all --data x"), STATUS_OK), "%s", errmsg);
    cr_assert(settings.open_to_all);
    cr_assert(eq(int, parse("--open-to-all=no"), STATUS_OK), "%s", errmsg);
    cr_assert_not(settings.open_to_all);
    cr_assert(eq(int, parse("--open-to-all yes"), STATUS_INVALID));
}

Test(option, a_choice_is_the_place_of_its_word)
{
    cr_assert(eq(int, parse("--ack fast"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(uint, settings.ack, 1));
    cr_assert(eq(int, parse("--ack durable"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(uint, settings.ack, 0));
}

Test(option, sizes_and_times_have_units)
{
    static const struct {
        const char *line;
        uint64_t memory;
        uint64_t checkpoint_ms;
    } cases[] = {
        {"--memory 4096", 4096, 2000},       {"--memory 64k", 65536, 2000},
        {"--memory 64KiB", 65536, 2000},     {"--memory 3m", 3145728, 2000},
        {"--memory 3MiB", 3145728, 2000},    {"--memory 2G", 2147483648, 2000},
        {"--memory 2GiB", 2147483648, 2000}, {"--memory 18446744073709551615", UINT64_MAX, 2000},
        {"--checkpoint 10", 0, 10},          {"--checkpoint 250ms", 0, 250},
        {"--checkpoint 60s", 0, 60000},      {"--checkpoint 1m", 0, 60000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(int, parse(cases[i].line), STATUS_OK), "%s: %s", cases[i].line, errmsg);
        cr_assert(eq(u64, settings.memory, cases[i].memory), "%s", cases[i].line);
        cr_assert(eq(u64, settings.checkpoint_ms, cases[i].checkpoint_ms), "%s", cases[i].line);
    }
}

Test(option, what_cannot_be_used_is_refused_with_one_line_that_names_it)
{
    static const struct {
        const char *line;
        const char *errmsg;
    } cases[] = {
        {"--dta /x", "unknown option --dta; did you mean --data?"},
        {"--wrokers=3", "unknown option --wrokers; did you mean --workers?"},
        {"--rundir /x", "unknown option --rundir; did you mean --run-dir?"},
        {"--nonsense", "unknown option --nonsense; --help lists all"},
        {"--x", "unknown option --x; --help lists all"},
        {"-data /x", "unknown option -data; did you mean --data?"},
        {"---data /x", "unknown option ---data; did you mean --data?"},
        {"-v", "unknown option -v; --help lists all"},
        {"--", "unknown option --; --help lists all"},
        {"--=3", "unknown option --; --help lists all"},
        {"start", "unexpected argument \"start\": there are only options, --help lists them"},
        {"--data", "--data needs a value: --data DIR"},
        {"--data --workers 2", "--data needs a value: --data DIR"},
        {"--workers two", "--workers: \"two\" is not a whole number"},
        {"--workers=", "--workers: \"\" is not a whole number"},
        {"--workers 2k", "--workers: \"2k\" is not a whole number"},
        {"--workers -1", "--workers: \"-1\" is not a whole number"},
        {"--workers 0", "--workers: \"0\" is less than the least allowed, 1"},
        {"--workers 65", "--workers: \"65\" is more than the most allowed, 64"},
        {"--workers 18446744073709551616",
         "--workers: \"18446744073709551616\" is not a whole number"},
        {"--memory 17179869184g", "--memory: \"17179869184g\" is not a number of bytes (such as "
                                  "65536, 512m or 2GiB)"},
        {"--memory 5x", "--memory: \"5x\" is not a number of bytes (such as 65536, 512m or 2GiB)"},
        {"--checkpoint 2w", "--checkpoint: \"2w\" is not a time (such as 500ms, 2s, 5m or 1h)"},
        {"--checkpoint 5", "--checkpoint: \"5\" is less than the least allowed, 10 ms"},
        {"--checkpoint 1h", "--checkpoint: \"1h\" is more than the most allowed, 60000 ms"},
        {"--keep 213503982335d",
         "--keep: \"213503982335d\" is not a time (such as 500ms, 2s, 5m or 1h)"},
        {"--open-to-all=maybe", "--open-to-all: \"maybe\" is neither yes nor no"},
        {"--ack dur", "--ack: \"dur\" is not one of durable|fast"},
        {"--ack durable|fast", "--ack: \"durable|fast\" is not one of durable|fast"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(int, parse(cases[i].line), STATUS_INVALID), "%s", cases[i].line);
        cr_assert(eq(str, errmsg, (char *)cases[i].errmsg));
    }
}

Test(option, help_and_version_end_the_parse_whatever_the_environment_holds)
{
    environment = (const char *const[]){"SATCHEL_WORKERS=many", NULL};
    cr_assert(eq(int, parse("--data /x --help"), STATUS_END));
    cr_assert(eq(str, (char *)seen, "help"));
    cr_assert(eq(int, parse("--version --unknown"), STATUS_END));
    cr_assert(eq(str, (char *)seen, "version"));
}

Test(option, a_complaint_is_cut_to_its_buffer)
{
    char small[16];
    const struct option_group group = {"All", descs, 3, &settings};
    char *argv[] = {"satcheld", "--a-very-long-option-that-does-not-exist", NULL};
    cr_assert(eq(int, option_parse(&group, 1, 2, argv, environment_get, &seen, small, sizeof small),
                 STATUS_INVALID));
    cr_assert(eq(str, small, "unknown option "));
}
