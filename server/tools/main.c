/* satchel-store: options, and which command. Users reach it as `satchel verify` and `satchel
 * inspect`.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tools/tools.h"

static const char usage_text[] =
    "usage: satchel verify [--json] DIR\n"
    "       satchel inspect [--records [--ids]] [--session ID] [--content] DIR\n"
    "\n"
    "Look at a data directory that no store runs on, and write nothing to it.\n"
    "\n"
    "verify checks every page, row, frame and record, and whether a store would start.\n"
    "inspect prints what is there, without judging it.\n"
    "\n"
    "options:\n"
    "  --json        verify: print one JSON object\n"
    "  --records     inspect: list the journal's records\n"
    "  --ids         inspect: with the ids of their sessions (user data)\n"
    "  --session ID  inspect: what rows and journal have of one session\n"
    "  --content     inspect: print what sessions hold (user data)\n"
    "  --help        this help\n"
    "\n"
    "exit codes:\n"
    "  0  sound (inspect: printed)\n"
    "  1  damaged; every problem is listed\n"
    "  2  unusable arguments\n"
    "  3  could not be looked at: in use by a store, no permission, no store's directory\n";

static enum tool_exit usage(const char *why)
{
    (void)fprintf(stderr, "satchel-store: %s; see satchel verify --help\n", why);
    return TOOL_USAGE;
}

/* Fills `options`; true: go on, false: end with `*code`. */
static bool parse(struct tool_options *options, int argc, char *argv[], enum tool_exit *code)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},    {"records", no_argument, NULL, 'r'},
        {"ids", no_argument, NULL, 'i'},     {"session", required_argument, NULL, 's'},
        {"content", no_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0},
    };
    opterr = 0;
    *code = TOOL_USAGE;
    for (int letter = 0; (letter = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        switch (letter) {
        case 'j':
            options->json = true;
            break;
        case 'r':
            options->records = true;
            break;
        case 'i':
            options->ids = true;
            break;
        case 's':
            options->session = optarg;
            break;
        case 'c':
            options->content = true;
            break;
        case 'h':
            (void)fputs(usage_text, stdout);
            *code = TOOL_SOUND;
            return false;
        case 'v':
            (void)puts("satchel-store " SATCHEL_VERSION_TEXT);
            *code = TOOL_SOUND;
            return false;
        default:
            (void)usage("an option is unknown, or lacks its value");
            return false;
        }
    }
    return true;
}

static enum tool_exit run(int argc, char *argv[])
{
    struct tool_options options = {0};
    enum tool_exit code = TOOL_USAGE;
    if (!parse(&options, argc, argv, &code)) {
        return code;
    }
    if (argc - optind != 2) {
        return usage("a command and a directory are needed");
    }
    const char *command = argv[optind];
    options.dir = argv[optind + 1];
    bool only_inspect = options.records || options.ids || options.session != NULL ||
                        options.content;
    if (strcmp(command, "verify") == 0) {
        return only_inspect ? usage("verify takes --json only") : tool_verify(&options);
    }
    if (strcmp(command, "inspect") == 0) {
        return options.json ? usage("inspect does not print JSON") : tool_inspect(&options);
    }
    return usage("the commands are verify and inspect");
}

int main(int argc, char *argv[])
{
    log_configure(LOG_ERROR, LOG_TEXT); /* what recovery would log while it is rehearsed */
    enum tool_exit code = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "satchel-store: cannot write the output\n");
        return TOOL_UNCHECKED;
    }
    return (int)code;
}
