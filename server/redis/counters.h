/* Numbers in strings. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_COUNTER_COMMANDS(C)                                                                  \
    C("incr", redis_incr, 2, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                             \
      1, 1, 1, "1.0.0", "Increment the integer value of a key by one")                             \
    C("decr", redis_decr, 2, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                             \
      1, 1, 1, "1.0.0", "Decrement the integer value of a key by one")                             \
    C("incrby", redis_incrby, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                         \
      1, 1, 1, "1.0.0", "Increment the integer value of a key by the given amount")                \
    C("decrby", redis_decrby, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                         \
      1, 1, 1, "1.0.0", "Decrement the integer value of a key by the given number")                \
    C("incrbyfloat", redis_incrbyfloat, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,               \
      1, 1, 1, "2.6.0", "Increment the float value of a key by the given amount")
/* clang-format on */
REDIS_COUNTER_COMMANDS(REDIS_COMMAND_DECLARE)
