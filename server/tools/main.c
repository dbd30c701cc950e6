/* satchel-store: options, and which command. Users reach it as `satchel verify` and `satchel
 * inspect`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/option.h"
#include "tools/tools.h"

static const char usage_text[] =
    "usage: satchel verify [--json] DIR\n"
    "       satchel inspect [--records [--ids]] [--session ID] [--content] [--json] DIR\n"
    "\n"
    "Look at a data directory and write nothing to it. A store may be running on it, here or on\n"
    "another host: it is neither locked nor asked, and what it changes is looked at again.\n"
    "\n"
    "verify checks every page, row, frame and record, and whether a store would start.\n"
    "inspect prints what is there, without judging it.\n"
    "\n"
    "Each option can also be given by the environment variable beside it.\n"
    "\n";

static const char exit_text[] =
    "\nexit codes:\n"
    "  0  sound (inspect: printed)\n"
    "  1  damaged; every problem is listed\n"
    "  2  unusable arguments\n"
    "  3  could not be looked at: a store that never stops writing, no permission, no store's\n"
    "     directory\n";

static const struct option_desc option_descs[] = {
    {.name = "data",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "DIR",
     .help = "The data directory, when it is not the last argument.",
     .offset = offsetof(struct tool_options, dir)},
    {.name = "records",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "inspect: lists the journal's records.",
     .offset = offsetof(struct tool_options, records)},
    {.name = "ids",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "inspect: with the ids of their sessions (user data).",
     .offset = offsetof(struct tool_options, ids)},
    {.name = "session",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "ID",
     .help = "inspect: what rows and journal have of one session.",
     .offset = offsetof(struct tool_options, session)},
    {.name = "content",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "inspect: prints what sessions hold (user data).",
     .offset = offsetof(struct tool_options, content)},
    {.name = "json",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Prints the result as one JSON object, on the last line.",
     .offset = offsetof(struct tool_options, json)},
};

static enum tool_exit usage(struct summary *summary, const char *why)
{
    (void)fprintf(stderr, "satchel-store: %s; see satchel verify --help\n", why);
    summary_fail(summary, why);
    return TOOL_USAGE;
}

enum { OPERANDS_MAX = 2 }; /* the command and the directory */

/* Parts operands from options, which option_parse() takes alone. An argument behind --session or
 * --data is its value. False: there are too many operands. */
static bool part(int argc, char *argv[], char *operands[OPERANDS_MAX], char *options[],
                 int *option_count)
{
    int operand_count = 0;
    *option_count = 1;
    options[0] = argv[0];
    for (int i = 1; i < argc; i++) {
        bool has_value = strcmp(argv[i], "--session") == 0 || strcmp(argv[i], "--data") == 0;
        if (argv[i][0] == '-') {
            options[(*option_count)++] = argv[i];
            if (has_value && i + 1 < argc) {
                options[(*option_count)++] = argv[++i];
            }
        } else if (operand_count < OPERANDS_MAX) {
            operands[operand_count++] = argv[i];
        } else {
            return false;
        }
    }
    return true;
}

static enum tool_exit run_command(const char *command, const struct tool_options *options,
                                  struct summary *summary)
{
    const bool only_inspect = options->records || options->ids || options->session != NULL ||
                              options->content;
    const bool is_verify = strcmp(command, "verify") == 0;
    if (!is_verify && strcmp(command, "inspect") != 0) {
        return usage(summary, "the commands are verify and inspect");
    }
    summary->command = is_verify ? "verify" : "inspect";
    if (options->dir == NULL) {
        return usage(summary, "a command and a directory are needed");
    }
    if (is_verify && only_inspect) {
        return usage(summary, "verify takes --json only");
    }
    return is_verify ? tool_verify(options, summary) : tool_inspect(options, summary);
}

static enum tool_exit run(struct summary *summary, int argc, char *argv[], char *option_argv[])
{
    struct tool_options options = {0};
    const struct option_group group = {"Options", option_descs,
                                       sizeof option_descs / sizeof option_descs[0], &options};
    char *operands[OPERANDS_MAX] = {NULL};
    int option_argc = 0;
    const char *seen = NULL;
    char errmsg[512];
    if (!part(argc, argv, operands, option_argv, &option_argc)) {
        return usage(summary, "a command and a directory are needed, and nothing else");
    }
    enum status status = option_parse(&group, 1, option_argc, option_argv, getenv, &seen, errmsg,
                                      sizeof errmsg);
    if (status == STATUS_END) {
        summary->is_wanted = false;
        if (strcmp(seen, "version") == 0) {
            (void)puts("satchel-store " SATCHEL_VERSION_TEXT);
            return TOOL_SOUND;
        }
        (void)fputs(usage_text, stdout);
        option_help(&group, 1, stdout);
        (void)fputs(exit_text, stdout);
        return TOOL_SOUND;
    }
    if (status != STATUS_OK) {
        return usage(summary, errmsg);
    }
    summary->is_wanted = options.json;
    options.dir = operands[1] != NULL ? operands[1] : options.dir;
    return run_command(operands[0] != NULL ? operands[0] : "", &options, summary);
}

int main(int argc, char *argv[])
{
    struct summary summary;
    log_configure(LOG_ERROR, LOG_TEXT); /* what recovery would log while it is rehearsed */
    summary_begin(&summary, argc, argv);
    char **option_argv = calloc((size_t)argc + 1, sizeof *option_argv);
    enum tool_exit code = TOOL_UNCHECKED;
    if (option_argv != NULL) {
        code = run(&summary, argc, argv, option_argv);
    } else {
        summary_fail(&summary, "out of memory");
        (void)fprintf(stderr, "satchel-store: out of memory\n");
    }
    free(option_argv);
    summary_end(&summary, (int)code);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "satchel-store: cannot write the output\n");
        return TOOL_UNCHECKED;
    }
    return (int)code;
}
