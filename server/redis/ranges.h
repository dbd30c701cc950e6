/* Parts of strings, and how long they are. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_RANGE_COMMANDS(C)                                                                    \
    C("append", redis_append, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                         \
      1, 1, 1, "2.0.0", "Append a value to a key")                                                 \
    C("strlen", redis_strlen, 2, REDIS_READONLY | REDIS_FAST,                                      \
      1, 1, 1, "2.2.0", "Get the length of the value stored in a key")                             \
    C("getrange", redis_getrange, 4, REDIS_READONLY,                                               \
      1, 1, 1, "2.4.0", "Get a substring of the string stored at a key")                           \
    C("substr", redis_getrange, 4, REDIS_READONLY,                                                 \
      1, 1, 1, "1.0.0", "Get a substring of the string stored at a key")                           \
    C("setrange", redis_setrange, 4, REDIS_WRITE | REDIS_DENYOOM,                                  \
      1, 1, 1, "2.2.0",                                                                            \
      "Overwrite part of a string at key starting at the specified offset")
/* clang-format on */
REDIS_RANGE_COMMANDS(REDIS_COMMAND_DECLARE)
