/* The `satchel` command line: parse, connect, run, and check that the output could be written. */
#include "client/cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* The letters of the options that every command takes, and those of a change. */
#define COMMON                                                                                     \
    "s"                                                                                            \
    "t"                                                                                            \
    "d"                                                                                            \
    "j"                                                                                            \
    "h"
#define CHANGE                                                                                     \
    "v"                                                                                            \
    "a"                                                                                            \
    "p"                                                                                            \
    "f"                                                                                            \
    "u"

const struct cli_command cli_commands[] = {
    {.word = "get",
     .operands = "ID",
     .summary = "print what a session holds",
     .details =
         "Prints the bare bytes of a blob, or the fields as lines `name<TAB>value` in which\n"
         "control bytes and backslashes are escaped (\\n, \\t, \\\\, \\xHH).\n"
         "\n"
         "  satchel get cart:42\n"
         "  satchel get --touch --json cart:42 | jq .fields\n",
     .letters = COMMON "T",
     .operands_least = 1,
     .operands_most = 1,
     .run = cli_get},
    {.word = "set",
     .operands = "ID VALUE | ID - | --fields ID NAME=VALUE ...",
     .summary = "replace what a session holds",
     .details = "`-` as the value reads standard input. Without times the session lives on; with\n"
                "--keep-ttl it keeps the times it has. Prints the new version.\n"
                "\n"
                "  satchel set cart:42 'three apples' --idle-ttl 30m\n"
                "  satchel set cart:42 - --ttl 1h < cart.bin\n"
                "  satchel set --fields cart:42 apple=3 pear=1\n"
                "  satchel set lock:42 mine --if-absent --ttl 10s\n"
                "  satchel set n:1 -- -5\n",
     .letters = COMMON CHANGE "l"
                              "i"
                              "k"
                              "o"
                              "F",
     .operands_least = 2,
     .operands_most = -1,
     .run = cli_set},
    {.word = "delete",
     .operands = "ID",
     .summary = "remove a session",
     .details = "  satchel delete cart:42\n"
                "  satchel delete cart:42 --if-version 1187\n",
     .letters = COMMON CHANGE,
     .operands_least = 1,
     .operands_most = 1,
     .run = cli_delete},
    {.word = "touch",
     .operands = "ID",
     .summary = "start the idle time again, or set new times",
     .details = "  satchel touch cart:42\n"
                "  satchel touch cart:42 --idle-ttl 2h\n",
     .letters = COMMON CHANGE "l"
                              "i",
     .operands_least = 1,
     .operands_most = 1,
     .run = cli_touch},
    {.word = "patch",
     .operands = "ID CHANGE ...",
     .summary = "change single fields, atomically and in order",
     .details =
         "A change is one of:\n"
         "  NAME=VALUE    the field becomes VALUE\n"
         "  NAME?=VALUE   the field becomes VALUE if it is not there\n"
         "  NAME+=N       the number in the field grows by N (a missing field counts as 0)\n"
         "  NAME-=N       ... shrinks by N\n"
         "  NAME!         the field goes\n"
         "The first `=` ends the name, so names that contain `=`, or end with `?`, `+`, `-`\n"
         "or `!`, are for the libraries. Write `--` before changes that begin with a dash.\n"
         "Prints the fields with += -= ?= as lines `name<TAB>value`; all with --content.\n"
         "\n"
         "  satchel patch cart:42 apple+=1 note='by phone' pear!\n"
         "  satchel patch cart:42 apple-=2 --if-present --json\n",
     .letters = COMMON CHANGE "l"
                              "i"
                              "o"
                              "c",
     .operands_least = 2,
     .operands_most = SATCHEL_PATCH_OPS_MAX + 1,
     .run = cli_patch},
    {.word = "scan",
     .operands = "",
     .summary = "list session ids",
     .details = "Prints one id a line, escaped as in `get`; with --long also version, kind, bytes\n"
                "and time left; with --json one object a line.\n"
                "\n"
                "  satchel scan --prefix cart: --long\n"
                "  satchel scan --json | jq -r .id\n",
     .letters = COMMON "P"
                       "L",
     .run = cli_scan},
    {.word = "stats",
     .operands = "",
     .summary = "print the server's counters",
     .details = "  satchel stats | grep flush\n"
                "  satchel stats --json | jq .satchel_store_sessions\n",
     .letters = COMMON,
     .run = cli_stats},
    {.word = "ping",
     .operands = "",
     .summary = "ask whether the server answers",
     .details = "Prints how long the answer took, connecting included.\n"
                "\n"
                "  satchel ping --server store.internal:7401\n",
     .letters = COMMON,
     .run = cli_ping},
    {.word = "health",
     .operands = "",
     .summary = "for a container's health check: exit code 0 or 3",
     .details =
         "Without --live, --ready or --leader it connects to --server, says HELLO and PING; with\n"
         "one of them it asks that page of the ops address. Prints one line, and never answers\n"
         "with another code than 0 and 3 (2 for wrong arguments), within --deadline.\n"
         "\n"
         "A container that is not live is to be replaced; one that is live and not ready is\n"
         "loading, a standby or waiting for its storage, and replacing it would make it worse.\n"
         "\n"
         "  HEALTHCHECK CMD [\"/usr/bin/satchel\", \"health\", \"--live\"]\n",
     .letters = COMMON "A"
                       "R"
                       "D"
                       "O",
     .run = cli_health},
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

static enum cli_exit run(struct cli *cli)
{
    enum satchel_status status = satchel_open(
        &(struct satchel_options){
            .server = cli->server,
            .token = cli->token,
            .client_name = "satchel command line",
            .deadline_ms = cli->deadline_ms,
            .connections_max = 1,
        },
        &cli->store);
    if (status == SATCHEL_BAD_REQUEST) {
        return cli_usage(cli->command, "`%s` is not HOST:PORT", cli->server);
    }
    if (status != SATCHEL_OK) {
        return cli_fail(cli, status, (struct satchel_bytes){0});
    }
    enum cli_exit code = cli->command->run(cli);
    satchel_close(cli->store);
    return code;
}

int main(int argc, char *argv[])
{
    struct cli cli = {0};
    enum cli_exit code = CLI_DONE;
    bool asks_help = argc > 2 && strcmp(argv[1], "help") == 0;
    if (argc > 1 && cli_is_offline(argv[asks_help ? 2 : 1])) {
        return (int)cli_run_offline(argc, argv);
    }
    if (cli_parse(&cli, argc, argv, &code)) {
        code = run(&cli);
    }
    if (cli.token != NULL) {
        explicit_bzero(cli.token, strlen(cli.token));
        free(cli.token);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "satchel: cannot write the output\n");
        return CLI_UNAVAILABLE;
    }
    return (int)code;
}
