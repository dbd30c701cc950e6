/* satchel verify and inspect: work on files, without a server. They are commands of another
 * program, satchel-store, because this one contains nothing of the server. */
#include "client/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOOL "satchel-store"

const struct cli_offline cli_offline_commands[] = {
    {.word = "verify", .summary = "check a data directory that no store runs on"},
    {.word = "inspect", .summary = "show what lies in a data directory"},
};
const size_t cli_offline_count = sizeof cli_offline_commands / sizeof cli_offline_commands[0];

bool cli_is_offline(const char *word)
{
    for (size_t i = 0; i < cli_offline_count; i++) {
        if (strcmp(cli_offline_commands[i].word, word) == 0) {
            return true;
        }
    }
    return false;
}

/* Becomes the program beside this one; returns when there is none. */
static void run_beside(char *argv[])
{
    char path[PATH_MAX + sizeof TOOL];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    if (len > 0) {
        path[len] = '\0';
        char *slash = strrchr(path, '/');
        if (slash != NULL) {
            memcpy(slash + 1, TOOL, sizeof TOOL);
            (void)execv(path, argv);
        }
    }
}

enum cli_exit cli_run_offline(bool help, char *argv[])
{
    char name[] = TOOL;
    char help_option[] = "--help";
    char *help_argv[] = {name, help_option, NULL};
    argv[0] = name;
    run_beside(help ? help_argv : argv);
    (void)execvp(TOOL, help ? help_argv : argv);
    (void)fprintf(stderr, "satchel: cannot run %s, which is installed with the server: %s\n", TOOL,
                  strerror(errno));
    return CLI_UNAVAILABLE;
}
