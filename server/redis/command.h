/*
 * The commands of Redis that there are. Each group of them is a table in its own header; this puts
 * them together, and COMMAND, its documentation and docs/redis-compatibility.md are read from it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct redis_call;

/** Answers a call: writes exactly one reply to call->out, and stages what it changes. */
typedef void (*redis_handler)(struct redis_call *call);

/* What a command is. */
enum redis_flag {
    REDIS_WRITE = 1 << 0,    /* may change sessions */
    REDIS_READONLY = 1 << 1, /* looks at sessions */
    REDIS_FAST = 1 << 2,     /* takes the same time, however large things are */
    REDIS_DENYOOM = 1 << 3,  /* may make sessions larger */
    REDIS_ADMIN = 1 << 4,
    REDIS_PUBSUB = 1 << 5, /* allowed to a RESP2 connection that has subscribed */
    REDIS_NOSCRIPT = 1 << 6,
    REDIS_LOADING = 1 << 7, /* allowed while the store loads */
    REDIS_STALE = 1 << 8,
    REDIS_NO_AUTH = 1 << 9,   /* allowed to strangers */
    REDIS_NO_MULTI = 1 << 10, /* not allowed in a transaction */
    REDIS_NO_QUEUE = 1 << 11, /* runs at once in a transaction: EXEC, DISCARD, WATCH, QUIT, RESET */
    REDIS_KEYS_ONLY = 1 << 12, /* does not look at what sessions hold, nor change their times */
    REDIS_WALKS = 1 << 13, /* runs transactions or scans by itself: holds no session meanwhile */
    REDIS_MOVABLE_KEYS = 1 << 14, /* argv[2] says how many keys follow it: EVAL */
    REDIS_CONTAINER = 1 << 15,    /* has subcommands; what follows it names one */
    REDIS_MAKES_KEYS = 1 << 16,   /* may make a session, as all do that have DENYOOM */
};

struct redis_command {
    const char *name; /* lower case; of a subcommand "client|setname" */
    redis_handler handler;
    int arity; /* of arguments, the name (both names) included; negative: at least so many */
    uint32_t flags;
    int first_key; /* place of the first key in argv; 0: there are none */
    int last_key;  /* of the last; negative: counted from the end */
    int key_step;
    const char *group; /* as Redis names it: "string" */
    const char *since; /* the version of Redis that brought it */
    const char *summary;
};

/* A line of a group's table: C(name, handler, arity, flags, first, last, step, since, summary);
 * flags are joined with |. */
#define REDIS_COMMAND_DECLARE(name, handler, ...) void handler(struct redis_call *call);

/** All commands, containers and subcommands; in the order of the tables. */
extern const struct redis_command *const redis_commands;
extern const size_t redis_command_count;

/** Finds a command by its name in any case; NULL: there is none. */
const struct redis_command *redis_find_command(struct view name);

/** Finds a subcommand of a container, NULL: there is none. */
const struct redis_command *redis_find_subcommand(const struct redis_command *container,
                                                  struct view name);

/** True when the command has subcommands. */
static inline bool redis_is_container(const struct redis_command *command)
{
    return (command->flags & REDIS_CONTAINER) != 0;
}

/** The handler of a container that does nothing by itself: CLIENT, which has to have a second
 *  argument. It is never run. */
void redis_container(struct redis_call *call);

/** True when that many arguments will do. */
static inline bool redis_arity_fits(const struct redis_command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}
