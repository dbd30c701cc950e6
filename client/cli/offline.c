/* Commands that other programs do: satchel-store works on files without a server, satchel-backup on
 * archives in an object storage. This program contains nothing of the server. */
#include "client/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOOL_BYTES_MAX = 32 };

const struct cli_offline cli_offline_commands[] = {
    {.word = "verify",
     .summary = "check a data directory, also of a running store",
     .tool = "satchel-store"},
    {.word = "inspect", .summary = "show what lies in a data directory", .tool = "satchel-store"},
    {.word = "backup",
     .summary = "now, list, verify, prune: the backups in an object storage",
     .tool = "satchel-backup"},
    {.word = "restore", .summary = "make a data directory from a backup", .tool = "satchel-backup"},
};
const size_t cli_offline_count = sizeof cli_offline_commands / sizeof cli_offline_commands[0];

static const struct cli_offline *find(const char *word)
{
    for (size_t i = 0; i < cli_offline_count; i++) {
        if (strcmp(cli_offline_commands[i].word, word) == 0) {
            return &cli_offline_commands[i];
        }
    }
    return NULL;
}

bool cli_is_offline(const char *word)
{
    return find(word) != NULL;
}

/* Becomes the program beside this one; returns when there is none. */
static void run_beside(const char *tool, char *argv[])
{
    char path[PATH_MAX + TOOL_BYTES_MAX];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    if (len > 0) {
        path[len] = '\0';
        char *slash = strrchr(path, '/');
        if (slash != NULL) {
            (void)snprintf(slash + 1, TOOL_BYTES_MAX, "%s", tool);
            (void)execv(path, argv);
        }
    }
}

enum cli_exit cli_run_offline(int argc, char *argv[])
{
    char name[TOOL_BYTES_MAX];
    char help[] = "--help";
    bool asks_help = strcmp(argv[1], "help") == 0;
    const struct cli_offline *command = find(argv[asks_help ? 2 : 1]);
    (void)snprintf(name, sizeof name, "%s", command->tool);
    argv[0] = name;
    if (asks_help) { /* `help backup list` is `backup list --help` there */
        memmove(&argv[1], &argv[2], (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 1] = help;
    }
    (void)unsetenv("SATCHEL_TOKEN"); /* they talk to no session port */
    run_beside(name, argv);
    (void)execvp(name, argv);
    (void)fprintf(stderr, "satchel: cannot run %s, which is installed with the server: %s\n", name,
                  strerror(errno));
    return CLI_UNAVAILABLE;
}
