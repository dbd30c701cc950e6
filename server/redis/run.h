/* How a command is run; for run.c and multi.c. */
#pragma once

#include "redis/client.h"

/**
 * Begins to name keys: the worker's transaction, keys and ids are empty then. `ids_bytes` is enough
 * for all ids that will be named. False: no memory.
 */
bool redis_keys_begin(struct redis_client *client, int64_t now_ms, size_t ids_bytes) MUST_CHECK;

/** Names one session, by its key in the client's database; its number goes behind the worker's
 * keys. False: no memory, or too many. */
bool redis_keys_add(struct redis_client *client, struct view key) MUST_CHECK;

/** Names one session by its id, which stays where it is; otherwise like redis_keys_add(). */
bool redis_ids_add(struct redis_worker *worker, struct view id) MUST_CHECK;

/* Where the keys of a command stand in argv. */
struct redis_places {
    size_t first; /* 0: there are none */
    size_t end;
    size_t step;
};

/** The number of arguments fits the command. */
struct redis_places redis_find_places(const struct redis_command *command, const struct view *argv,
                                      size_t argc);

/** Names the keys of a command. False: an error was answered. */
bool redis_keys_add_all(struct redis_client *client, const struct redis_command *command,
                        const struct view *argv, size_t argc, struct resp_writer *out) MUST_CHECK;

/** How many bytes the ids of these arguments need at most. */
size_t redis_ids_bytes(const struct view *argv, size_t argc);

/** A call of a command, without keys. */
struct redis_call redis_call_of(struct redis_client *client, const struct redis_command *command,
                                const struct view *argv, size_t argc, struct resp_writer *out,
                                int64_t now_ms);

/**
 * Runs `body` on the sessions that were named and commits. What it wrote to `out` stays only if
 * that succeeds: otherwise there is an error instead, and no events. Sets call->gate_lsn, or
 * call->is_waiting: nothing has happened, the command is to be run again.
 */
void redis_transact(struct redis_call *call, store_body_fn body, void *body_arg);
