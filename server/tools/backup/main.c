/* satchel-backup: which command, with which options, and what signals do. */
#include <ctype.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "tools/backup/tool.h"

/* In the order of the help: now, list, verify, prune, restore. */
static const struct tool_command *const commands[] = {
    &now_command, &list_command, &verify_command, &prune_command, &restore_command, NULL,
};

enum { GROUPS_MAX = 3 };

static const char exit_text[] =
    "exit codes:\n"
    "  0  done, or sound\n"
    "  1  damaged, or nothing that can be used; every problem is listed\n"
    "  2  unusable arguments\n"
    "  3  could not be done: the storage is away or denies access, a directory is in use or not\n"
    "     empty, the server is not there, interrupted\n";

/* ---- Signals -------------------------------------------------------------------------------- */

/* A thread takes SIGINT and SIGTERM, since a handler could not wake who waits. */
struct signals {
    struct stop *stop; /* borrowed */
    sigset_t set;
    pthread_t thread;
    atomic_bool is_over;
};

static void *take_signals(void *arg)
{
    struct signals *self = arg;
    for (int count = 0, number = 0; sigwait(&self->set, &number) == 0; count++) {
        if (atomic_load(&self->is_over)) {
            break;
        }
        if (count > 0) {
            _exit(TOOL_FAILED); /* asked twice: it takes too long */
        }
        stop_request(self->stop);
    }
    return NULL;
}

/* Before any other thread. */
static enum status signals_begin(struct signals *self, struct stop *stop)
{
    self->stop = stop;
    atomic_init(&self->is_over, false);
    (void)sigemptyset(&self->set);
    (void)sigaddset(&self->set, SIGINT);
    (void)sigaddset(&self->set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &self->set, NULL);
    return thread_start(&self->thread, "signals", take_signals, self);
}

static void signals_end(struct signals *self)
{
    atomic_store(&self->is_over, true);
    (void)pthread_kill(self->thread, SIGINT);
    (void)pthread_join(self->thread, NULL);
}

/* ---- Arguments ------------------------------------------------------------------------------ */

static enum tool_exit usage(struct summary *summary, const char *why)
{
    summary_fail(summary, why);
    (void)fprintf(stderr, "satchel-backup: %s; see satchel backup --help\n", why);
    return TOOL_USAGE;
}

static enum tool_exit help(struct summary *summary)
{
    summary->is_wanted = false;
    (void)printf("usage: satchel backup COMMAND [OPTION…]\n"
                 "       satchel restore --from s3://BUCKET[/PREFIX] [OPTION…]\n\n"
                 "Work on the archive of a store, which satcheld --backup keeps in an object "
                 "storage.\n\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("  satchel %-15s %s\n", commands[i]->words, commands[i]->summary);
    }
    (void)printf("\nWith --help each command tells its options.\n\n%s", exit_text);
    return TOOL_DONE;
}

static enum tool_exit help_command(const struct tool_command *command,
                                   const struct option_group *groups, size_t group_count)
{
    (void)printf("usage: satchel %s%s%s [OPTION…]\n\n%c%s%s%s\n"
                 "Each option can also be given by the environment variable beside it.\n\n",
                 command->words, command->synopsis[0] != '\0' ? " " : "", command->synopsis,
                 toupper((unsigned char)command->summary[0]), command->summary + 1,
                 command->details[0] != '\0' ? ".\n\n" : ".\n", command->details);
    option_help(groups, group_count, stdout);
    (void)printf("\n%s", exit_text);
    return TOOL_DONE;
}

/* How many arguments the command's words are; 0: it is another one. */
static int match(const struct tool_command *command, int argc, char *argv[])
{
    int taken = 0;
    const char *word = command->words;
    while (word[0] != '\0') {
        size_t len = strcspn(word, " ");
        if (taken + 1 >= argc || strlen(argv[taken + 1]) != len ||
            memcmp(argv[taken + 1], word, len) != 0) {
            return 0;
        }
        taken++;
        word += len + strspn(word + len, " ");
    }
    return taken;
}

/* An archive that is named without an option, or after --from, is that of --backup. True: `*out`,
 * owned by the caller, is to stand in place of `argument`; NULL: out of memory. */
static bool replace(const char *before, const char *argument, char **out)
{
    static const char from[] = "--from";
    static const char scheme[] = "s3://";
    const char *rest = NULL;
    if (strncmp(argument, from, sizeof from - 1) == 0) {
        rest = argument + sizeof from - 1;
        if (rest[0] == '\0' || rest[0] == '=') {
            return asprintf(out, "--backup%s", rest) >= 0 || (*out = NULL, true);
        }
    }
    /* A value of an option, unless that has its own behind a "=" or is a flag. */
    bool is_value = strcmp(before, "--backup") == 0 || strcmp(before, from) == 0;
    if (strncmp(argument, scheme, sizeof scheme - 1) == 0 && !is_value) {
        return asprintf(out, "--backup=%s", argument) >= 0 || (*out = NULL, true);
    }
    return false;
}

/* The arguments behind the command's words as option_parse() takes them. */
struct arguments {
    int count;
    char **values; /* owned; those that are replaced, too */
    bool *is_owned;
};

static void arguments_free(struct arguments *self)
{
    for (int i = 0; self->values != NULL && self->is_owned != NULL && i < self->count; i++) {
        if (self->is_owned[i]) {
            free(self->values[i]);
        }
    }
    free(self->values);
    free(self->is_owned);
}

static enum status arguments_take(struct arguments *self, bool has_place, int argc, char *argv[])
{
    self->values = calloc((size_t)argc + 1, sizeof *self->values);
    self->is_owned = calloc((size_t)argc + 1, sizeof *self->is_owned);
    if (self->values == NULL || self->is_owned == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (int i = 0; i < argc; i++) {
        char *value = argv[i];
        self->is_owned[i] = i > 0 && has_place && replace(argv[i - 1], argv[i], &value);
        self->values[i] = value;
        self->count++;
        if (value == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    return STATUS_OK;
}

/* ---- Running -------------------------------------------------------------------------------- */

static enum tool_exit run_command(struct tool *tool, const void *options)
{
    struct signals signals;
    stop_init(&tool->stop);
    progress_init(&tool->progress, tool->json);
    if (signals_begin(&signals, &tool->stop) != STATUS_OK) {
        stop_close(&tool->stop);
        return tool_fail(tool, TOOL_FAILED, "cannot start a thread");
    }
    enum tool_exit code = tool->command->run(tool, options);
    progress_end(&tool->progress);
    signals_end(&signals);
    if (tool->is_open) {
        s3_close(tool->archive.s3);
        place_close(&tool->place);
    }
    stop_close(&tool->stop);
    return code;
}

struct common_options {
    bool json;
};

static const struct option_desc common_descs[] = {
    {.name = "json",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Prints the result as one JSON object, on the last line.",
     .offset = offsetof(struct common_options, json)},
};

static enum tool_exit version(struct summary *summary)
{
    summary->is_wanted = false;
    (void)puts("satchel-backup " SATCHEL_VERSION_TEXT);
    return TOOL_DONE;
}

static enum tool_exit parse_and_run(const struct tool_command *command, void *options,
                                    const struct arguments *arguments, struct summary *summary)
{
    struct tool tool = {.command = command, .summary = summary};
    struct common_options common;
    struct option_group groups[GROUPS_MAX];
    size_t group_count = 0;
    if (command->desc_count != 0) {
        groups[group_count++] = (struct option_group){"What to do", command->descs,
                                                      command->desc_count, options};
    }
    if (command->has_place) {
        groups[group_count++] = (struct option_group){"The archive", place_option_descs,
                                                      place_option_count, &tool.place_options};
    }
    groups[group_count++] = (struct option_group){
        "Output", common_descs, sizeof common_descs / sizeof common_descs[0], &common};
    const char *seen = NULL;
    char errmsg[512] = "";
    enum status status = option_parse(groups, group_count, arguments->count, arguments->values,
                                      getenv, &seen, errmsg, sizeof errmsg);
    if (status == STATUS_END && strcmp(seen, "version") == 0) {
        return version(summary);
    }
    if (status == STATUS_END) {
        summary->is_wanted = false;
        return help_command(command, groups, group_count);
    }
    if (status != STATUS_OK) {
        summary_fail(summary, errmsg);
        (void)fprintf(stderr, "satchel %s: %s; see satchel %s --help\n", command->words, errmsg,
                      command->words);
        return TOOL_USAGE;
    }
    tool.json = common.json;
    summary->is_wanted = common.json;
    return run_command(&tool, options);
}

static enum tool_exit run(struct summary *summary, int argc, char *argv[])
{
    const char *last = argc > 1 ? argv[argc - 1] : "";
    const struct tool_command *command = NULL;
    int taken = 0;
    for (size_t i = 0; commands[i] != NULL && taken == 0; i++) {
        command = commands[i];
        taken = match(command, argc, argv);
    }
    if (taken == 0 && strcmp(last, "--help") == 0) {
        return help(summary);
    }
    if (taken == 0 && strcmp(last, "--version") == 0) {
        return version(summary);
    }
    if (taken == 0) {
        return usage(summary, argc > 2 ? "there is no such command" : "a command is needed");
    }
    summary->command = command->words;
    struct arguments arguments = {0};
    void *options = command->options_bytes != 0 ? calloc(1, command->options_bytes) : NULL;
    enum tool_exit code = TOOL_FAILED;
    if ((command->options_bytes == 0 || options != NULL) &&
        arguments_take(&arguments, command->has_place, argc - taken, argv + taken) == STATUS_OK) {
        code = parse_and_run(command, options, &arguments, summary);
    } else {
        summary_fail(summary, "out of memory");
        (void)fprintf(stderr, "satchel-backup: out of memory\n");
    }
    arguments_free(&arguments);
    free(options);
    return code;
}

int main(int argc, char *argv[])
{
    log_configure(LOG_ERROR, LOG_TEXT); /* commands tell what concerns them themselves */
    struct summary summary;
    summary_begin(&summary, argc, argv);
    enum tool_exit code = run(&summary, argc, argv);
    summary_end(&summary, (int)code);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "satchel-backup: cannot write the output\n");
        return TOOL_FAILED;
    }
    return (int)code;
}
