/*
 * satchel-backup: works on the archive of a store, from wherever the object storage can be reached.
 * Users get to it as `satchel backup …` and `satchel restore …`.
 *
 *     main.c      which command, options       list.c     what there is
 *     tool.c      what commands share          verify.c   is every byte of it sound?
 *     progress.c  how far a command is         prune.c    what is too old goes
 *     text.c      times and sizes              now.c      asks a server for a snapshot
 *                                              restore.c  makes a data directory
 *
 * Results go to standard output, and everything else to standard error. With --json the result is
 * one object on one line (tools/summary.h), and so is the reason why there is none.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "backup/archive.h"
#include "backup/place.h"
#include "backup/stop.h"
#include "base/option.h"
#include "tools/backup/progress.h"
#include "tools/summary.h"

/* What scripts may rely on; the same for all commands. */
enum tool_exit {
    TOOL_DONE = 0,    /* done, or sound */
    TOOL_DAMAGED = 1, /* damaged, or nothing that can be used; every problem is listed */
    TOOL_USAGE = 2,   /* unusable arguments */
    TOOL_FAILED =
        3, /* the storage is away or denies access, a directory is in use, interrupted … */
};

struct tool_command;

/* A run of one command. Main thread only, but `stop`. */
struct tool {
    const struct tool_command *command;
    struct place_options place_options; /* of commands with a place */
    bool json;
    struct summary *summary; /* borrowed */
    struct stop stop;        /* requested at SIGINT and SIGTERM; a second signal ends the process */
    struct progress progress;

    bool is_open;           /* by tool_open_archive(), as all below */
    struct place place;     /* for place_client(): more connections */
    struct archive archive; /* a client of its own */
};

/*
 * A command. Its options are described as those of the server are (base/option.h), so each has an
 * environment variable, too. --json, --help and --version are everybody's. A command with a place
 * takes place_option_descs besides, and the URL of the archive also as an operand or after --from.
 */
struct tool_command {
    const char *words;    /* "backup list"; "restore" */
    const char *synopsis; /* what follows in the usage line, without options of places */
    const char *summary;  /* half a line */
    const char *details;  /* for --help: whole lines, each with its line feed; may be "" */
    bool has_place;
    const struct option_desc *descs; /* may be NULL */
    size_t desc_count;
    size_t options_bytes; /* of the struct that `descs` fill */
    /* `options` is that struct, borrowed for the call; NULL when it has no bytes. */
    enum tool_exit (*run)(struct tool *tool, const void *options);
};

/* Each of them is declared here and listed in main.c. */
extern const struct tool_command list_command;
extern const struct tool_command now_command;
extern const struct tool_command prune_command;
extern const struct tool_command restore_command;
extern const struct tool_command verify_command;

/**
 * Finds credentials and makes the client of the archive, unless that was done; nothing is sent yet.
 * DONE; otherwise why not was said, and the command ends with what this returns. Everything is
 * closed by main.c.
 */
enum tool_exit tool_open_archive(struct tool *self) MUST_CHECK;

/** Says why the command fails: a line on standard error, and in the summary. Returns `code`. */
enum tool_exit tool_fail(struct tool *self, enum tool_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Says something that is no failure, on standard error. */
void tool_note(struct tool *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** What a command that could not go on exits with: CORRUPT, UNSUPPORTED and NOT_FOUND are DAMAGED,
 *  INVALID is USAGE, OK is DONE, everything else FAILED. */
enum tool_exit tool_exit_of(enum status status);

/** Takes the object that --json prints at the end (NULL: out of memory, which is said). */
void tool_print_json(struct tool *self, json_t *object);
