/*
 * The databases of SELECT, counted and emptied. They all live in one store (names.h), which does
 * not know of them: to count one is to walk through everything, unless there is only one.
 */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_DATABASE_COMMANDS(C)                                                                 \
    C("dbsize", redis_dbsize, 1, REDIS_WALKS | REDIS_READONLY | REDIS_FAST,                        \
      0, 0, 0, "1.0.0", "Return the number of keys in the selected database")                      \
    C("flushdb", redis_flushdb, -1, REDIS_WALKS | REDIS_WRITE,                                     \
      0, 0, 0, "1.0.0", "Remove all keys from the current database")                               \
    C("flushall", redis_flushall, -1, REDIS_WALKS | REDIS_WRITE,                                   \
      0, 0, 0, "1.0.0", "Remove all keys from all databases")
/* clang-format on */
REDIS_DATABASE_COMMANDS(REDIS_COMMAND_DECLARE)

/* What is known of them. */
enum redis_databases { REDIS_DATABASES_UNKNOWN, REDIS_DATABASES_ONE, REDIS_DATABASES_MANY };

/** The client's commands go to this database from now on. */
void redis_client_select(struct redis_client *client, unsigned db);

/* How many sessions each has; of one that is the only one, those that have expired but are not
 * reclaimed yet are counted, as Redis does. */
struct redis_database_counts {
    uint64_t sessions[REDIS_DATABASES];
    uint64_t gate_lsn; /* as in store_scan() */
};

/** True when counting means to walk through all sessions. Any thread. */
bool redis_counting_walks(const struct redis *redis);

/** Counts the sessions of all databases. Any thread that runs commands, no session locked. */
struct redis_database_counts redis_count_sessions(struct redis *redis, int64_t now_ms);
