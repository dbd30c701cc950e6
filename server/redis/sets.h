/* Sets: sessions of kind NAMES. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_SET_COMMANDS(C)                                                                      \
    C("sadd", redis_sadd, -3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                            \
      1, 1, 1, "1.0.0", "Add one or more members to a set")                                        \
    C("srem", redis_srem, -3, REDIS_WRITE | REDIS_FAST,                                            \
      1, 1, 1, "1.0.0", "Remove one or more members from a set")                                   \
    C("smembers", redis_smembers, 2, REDIS_READONLY,                                               \
      1, 1, 1, "1.0.0", "Get all the members in a set")                                            \
    C("sismember", redis_sismember, 3, REDIS_READONLY | REDIS_FAST,                                \
      1, 1, 1, "1.0.0", "Determine if a given value is a member of a set")                         \
    C("smismember", redis_smismember, -3, REDIS_READONLY | REDIS_FAST,                             \
      1, 1, 1, "6.2.0", "Returns the membership associated with the given elements for a set")     \
    C("scard", redis_scard, 2, REDIS_READONLY | REDIS_FAST,                                        \
      1, 1, 1, "1.0.0", "Get the number of members in a set")                                      \
    C("sscan", redis_sscan, -3, REDIS_READONLY,                                                    \
      1, 1, 1, "2.8.0", "Incrementally iterate Set elements")
/* clang-format on */
REDIS_SET_COMMANDS(REDIS_COMMAND_DECLARE)
