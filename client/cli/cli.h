/*
 * The `satchel` command line: one struct that the arguments fill, one function a command.
 *
 *     main.c    which command            reads.c    get, scan
 *     args.c    options and operands     writes.c   set, delete, touch, patch
 *     patch.c   name=value, name+=5 …    server.c   ping, stats, health
 *     help.c    what --help says         probe.c    health --live, --ready, --leader
 *                                        print.c    texts, tables, JSON
 *     offline.c verify, inspect, backup, restore: other programs
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "satchel/satchel.h"

/* What scripts may rely on. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_NOT_DONE = 1,    /* not found, condition failed, content of another kind */
    CLI_USAGE = 2,       /* unusable arguments, a refused request, a wrong token */
    CLI_UNAVAILABLE = 3, /* no connection, no answer in time, busy, loading, no space */
};

struct cli_command;

struct cli {
    const struct cli_command *command;
    char **operands; /* borrowed from argv; without the command's word */
    int operand_count;

    const char *server; /* as the user gave it, or the default: for messages */
    char *token;        /* owned; NULL: none */
    uint64_t deadline_ms;
    bool json;
    bool as_fields;     /* set --fields */
    bool as_long;       /* scan --long */
    const char *prefix; /* scan --prefix; NULL: all */
    const char *ops;    /* health: HOST:PORT of the ops address */
    const char *page;   /* health: which page there; NULL: the data address is asked instead */
    struct satchel_bytes owner;
    struct satchel_command_options options;

    struct satchel *store; /* owned */
};

struct cli_command {
    const char *word;
    const char *operands; /* as the usage line shows them */
    const char *summary;
    const char *details; /* several lines, with examples */
    const char *letters; /* the options it takes, by the letters of args.c */
    int operands_least;
    int operands_most; /* -1: any number */
    enum cli_exit (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* ---- args.c ---- */

/** Fills `cli` from the arguments. True: run the command; false: end with `*code` (after help, the
 *  version or an error were printed). */
bool cli_parse(struct cli *cli, int argc, char *argv[], enum cli_exit *code);

/** Parses "1500", "250ms", "30s", "30m", "12h" or "7d" to milliseconds; without a unit they are
 *  milliseconds. */
bool cli_parse_ms(const char *text, uint64_t *ms);

/* ---- help.c ---- */

/** One line a command; or everything about one. */
void cli_help(FILE *out);
void cli_help_command(FILE *out, const struct cli_command *command);

/** The line of one option, for both. */
void cli_help_option(FILE *out, char letter);

/* ---- patch.c ---- */

/** Parses `name=value`, `name+=5`, `name-=5`, `name?=value` or `name!`; false: it is none of these.
 *  The operation borrows from `text`. */
bool cli_parse_op(const char *text, struct satchel_op *op);

/* ---- print.c ---- */

/** Prints one line on stderr: what failed, where, and what to try. Returns the exit code. */
enum cli_exit cli_fail(const struct cli *cli, enum satchel_status status,
                       struct satchel_bytes message);

/** Prints a usage error with a pointer to the help. Returns CLI_USAGE. */
enum cli_exit cli_usage(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Prints bytes so that they stay on one line: control bytes, backslashes and what is not UTF-8
 *  become \xHH, \t, \n, \\. */
void cli_print_escaped(FILE *out, struct satchel_bytes bytes);

/** Prints fields as lines `name<TAB>value`. */
void cli_print_fields(FILE *out, struct satchel_bytes content);

/** Prints the names of a set as lines. */
void cli_print_names(FILE *out, struct satchel_bytes content);

/** Prints an object on one line and lets go of it. */
void cli_print_json(json_t *object);

/** Sets `key` to the bytes when they are UTF-8, otherwise `key`_base64 to their base64. */
void cli_json_bytes(json_t *object, const char *key, struct satchel_bytes bytes);

/** A result as JSON: version, times, owner, and content as "value", "fields" or "names".
 */
json_t *cli_json_result(struct satchel_bytes id, const struct satchel_result *result);

/* ---- offline.c ---- */

/* Commands of other programs, whose business it is what they take. */
struct cli_offline {
    const char *word;
    const char *summary;
    const char *tool; /* the program */
};

extern const struct cli_offline cli_offline_commands[];
extern const size_t cli_offline_count;

bool cli_is_offline(const char *word);

/** Becomes the program that has the command: argv[1], or argv[2] when that is asked help about. It
 * is looked for beside this program, then on the PATH. Returns only when there is none. */
enum cli_exit cli_run_offline(int argc, char *argv[]);

/* ---- the commands ---- */

enum cli_exit cli_get(struct cli *cli);
enum cli_exit cli_set(struct cli *cli);
enum cli_exit cli_delete(struct cli *cli);
enum cli_exit cli_touch(struct cli *cli);
enum cli_exit cli_patch(struct cli *cli);
enum cli_exit cli_ping(struct cli *cli);
enum cli_exit cli_stats(struct cli *cli);
enum cli_exit cli_scan(struct cli *cli);
enum cli_exit cli_health(struct cli *cli);
enum cli_exit cli_probe(struct cli *cli); /* health with a page */
