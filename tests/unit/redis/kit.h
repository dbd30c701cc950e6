/*
 * Runs commands of one group over sessions in memory, as the server would: a line like
 * `SET k "a\x00b" EX 10` is cut into arguments, looked up in the group's table, its keys are named,
 * and what the handler stages is put into effect.
 *
 *     static const struct redis_command commands[] = {REDIS_STRING_COMMANDS(KIT_COMMAND)};
 *
 *     struct kit kit;
 *     kit_open(&kit, commands, sizeof commands / sizeof *commands);
 *     kit_expect(&kit, "SET k v", "+OK\r\n");
 *     kit.now_ms += 5000;
 *     …
 *     kit_close(&kit);
 *
 * It asserts on the way what holds for every command: exactly one reply is written, and the delta
 * of a patch makes the same content as the patch. Whatever goes wrong fails the test.
 */
#pragma once

#include "redis/call.h"

struct kit_session; /* opaque */

struct kit {
    /* A test may change these between commands. */
    int64_t now_ms;              /* KIT_NOW_MS at first */
    bool is_resp3;               /* false at first */
    uint64_t value_bytes_max;    /* 1 MiB at first */
    struct redis_client *client; /* borrowed; NULL at first */

    /* After a command. */
    struct buf reply;  /* owned: its bytes */
    struct buf events; /* owned: what redis_notify() noted */

    /* The insides. */
    const struct redis_command *commands; /* borrowed */
    size_t command_count;
    struct kit_session *sessions; /* owned, in no order */
    size_t session_count;
    uint64_t last_version;
    struct transaction transaction;
    struct redis_scratch scratch;
    struct resp_request request;
};

#define KIT_NOW_MS INT64_C(1750000000000)

/* Turns a line of a group's table into a member of an array. */
#define KIT_COMMAND(name, handler, arity, flags, first, last, step, since, summary)                \
    {name, handler, arity, flags, first, last, step, "", since, summary},

/** An empty set of sessions, and the commands that it knows. */
void kit_open(struct kit *self, const struct redis_command *commands, size_t count);

/** Gives everything back. */
void kit_close(struct kit *self);

/** Runs a line of at most 64 KiB, quoted like an inline request; the reply's bytes, valid until the
 *  next one. The line has as many arguments as the command wants. */
struct view kit_run(struct kit *self, const char *line);

/** The same with arguments of any size. */
struct view kit_call(struct kit *self, const struct view *argv, size_t argc);

/** Runs a line and asserts the bytes of its reply, where "\\0" stands for a zero. */
void kit_expect(struct kit *self, const char *line, const char *reply);

struct kit_case {
    const char *line;
    const char *reply;
};

struct kit_cases {
    const struct redis_command *commands;
    size_t command_count;
    const struct kit_case *cases;
    size_t count;
    bool is_resp3;
};

/** Asserts one case after the other, where at first there is only "h": a hash in which "f" is "v".
 */
void kit_expect_cases(const struct kit_cases *cases);

/* The same with two arrays. */
#define KIT_EXPECT(version, commands_array, cases_array)                                           \
    kit_expect_cases(                                                                              \
        &(struct kit_cases){.commands = (commands_array),                                          \
                            .command_count = sizeof(commands_array) / sizeof(commands_array)[0],   \
                            .cases = (cases_array),                                                \
                            .count = sizeof(cases_array) / sizeof(cases_array)[0],                 \
                            .is_resp3 = (version) == 3})

/** Asserts the keyspace events of the last command, each as its class, its name and its key:
 *  "$set k, gexpire k". */
void kit_expect_events(const struct kit *self, const char *events);

/** What is stored under that id, even if it has expired; NULL: nothing. Valid until the next
 *  command. */
const struct session *kit_find(const struct kit *self, const char *id);

/** Stores a session as a native client would have; everything is copied. */
void kit_store(struct kit *self, const struct session *session);

/** Puts "s" there as a native client may have made it: it slides, has an owner and this content. */
void kit_store_native(struct kit *self, const char *content);

/** Stores fields or names, of which there is one. */
void kit_store_field(struct kit *self, const char *id, enum satchel_kind kind, const char *name,
                     const char *value);
