/*
 * MULTI, EXEC and WATCH.
 *
 * Commands are queued and run by EXEC as one transaction of the store (session/transaction.h): it
 * is atomic, also across a crash. WATCH remembers version and expiry of a session, and EXEC looks
 * whether they are still the same, within the transaction.
 */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_MULTI_COMMANDS(C)                                                                    \
    C("multi", redis_multi, 1, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_QUEUE, \
      0, 0, 0, "1.2.0", "Mark the start of a transaction block")                                   \
    C("exec", redis_exec, 1,                                                                       \
      REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_WALKS | REDIS_NO_QUEUE,                 \
      0, 0, 0, "1.2.0", "Execute all commands issued after MULTI")                                 \
    C("discard", redis_discard, 1,                                                                 \
      REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST | REDIS_NO_QUEUE,                  \
      0, 0, 0, "2.0.0", "Discard all commands issued after MULTI")                                 \
    C("watch", redis_watch, -2,                                                                    \
      REDIS_NOSCRIPT | REDIS_FAST | REDIS_KEYS_ONLY | REDIS_NO_QUEUE,                              \
      1, -1, 1, "2.2.0", "Watch the given keys to determine execution of the MULTI/EXEC block")    \
    C("unwatch", redis_unwatch, 1, REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE | REDIS_FAST,      \
      0, 0, 0, "2.2.0", "Forget about all watched keys")
/* clang-format on */
REDIS_MULTI_COMMANDS(REDIS_COMMAND_DECLARE)

/** Queues a command for EXEC and answers +QUEUED; what cannot be queued breaks the transaction. */
void redis_multi_queue(struct redis_client *client, const struct redis_command *command,
                       const struct view *argv, size_t argc, struct resp_writer *out);

/** Forgets what was queued and watched. */
void redis_multi_reset(struct redis_client *client);

/** Gives the memory back. */
void redis_multi_free(struct redis_client *client);
