/* SCAN, KEYS and RANDOMKEY: walks through the sessions of the selected database. */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_SCAN_COMMANDS(C)                                                                     \
    C("scan", redis_scan, -2, REDIS_WALKS | REDIS_READONLY,                                        \
      0, 0, 0, "2.8.0", "Incrementally iterate the keys space")                                    \
    C("keys", redis_keys, 2, REDIS_WALKS | REDIS_READONLY,                                         \
      0, 0, 0, "1.0.0", "Find all keys matching the given pattern")                                \
    C("randomkey", redis_randomkey, 1, REDIS_WALKS | REDIS_READONLY,                               \
      0, 0, 0, "1.0.0", "Return a random key from the keyspace")
/* clang-format on */
REDIS_SCAN_COMMANDS(REDIS_COMMAND_DECLARE)
