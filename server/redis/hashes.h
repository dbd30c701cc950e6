/* Hashes: sessions of kind FIELDS. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_HASH_COMMANDS(C)                                                                     \
    C("hset", redis_hset, -4, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                            \
      1, 1, 1, "2.0.0", "Set the string value of a hash field")                                    \
    C("hmset", redis_hmset, -4, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                          \
      1, 1, 1, "2.0.0", "Set multiple hash fields to multiple values")                             \
    C("hsetnx", redis_hsetnx, 4, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                         \
      1, 1, 1, "2.0.0", "Set the value of a hash field, only if the field does not exist")         \
    C("hget", redis_hget, 3, REDIS_READONLY | REDIS_FAST,                                          \
      1, 1, 1, "2.0.0", "Get the value of a hash field")                                           \
    C("hmget", redis_hmget, -3, REDIS_READONLY | REDIS_FAST,                                       \
      1, 1, 1, "2.0.0", "Get the values of all the given hash fields")                             \
    C("hgetall", redis_hgetall, 2, REDIS_READONLY,                                                 \
      1, 1, 1, "2.0.0", "Get all the fields and values in a hash")                                 \
    C("hdel", redis_hdel, -3, REDIS_WRITE | REDIS_FAST,                                            \
      1, 1, 1, "2.0.0", "Delete one or more hash fields")                                          \
    C("hexists", redis_hexists, 3, REDIS_READONLY | REDIS_FAST,                                    \
      1, 1, 1, "2.0.0", "Determine if a hash field exists")                                        \
    C("hlen", redis_hlen, 2, REDIS_READONLY | REDIS_FAST,                                          \
      1, 1, 1, "2.0.0", "Get the number of fields in a hash")                                      \
    C("hkeys", redis_hkeys, 2, REDIS_READONLY,                                                     \
      1, 1, 1, "2.0.0", "Get all the fields in a hash")                                            \
    C("hvals", redis_hvals, 2, REDIS_READONLY,                                                     \
      1, 1, 1, "2.0.0", "Get all the values in a hash")                                            \
    C("hstrlen", redis_hstrlen, 3, REDIS_READONLY | REDIS_FAST,                                    \
      1, 1, 1, "3.2.0", "Get the length of the value of a hash field")                             \
    C("hincrby", redis_hincrby, 4, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                       \
      1, 1, 1, "2.0.0", "Increment the integer value of a hash field by the given number")         \
    C("hincrbyfloat", redis_hincrbyfloat, 4, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,             \
      1, 1, 1, "2.6.0", "Increment the float value of a hash field by the given amount")           \
    C("hrandfield", redis_hrandfield, -2, REDIS_READONLY,                                          \
      1, 1, 1, "6.2.0", "Get one or multiple random fields from a hash")                           \
    C("hscan", redis_hscan, -3, REDIS_READONLY,                                                    \
      1, 1, 1, "2.8.0", "Incrementally iterate hash fields and associated values")
/* clang-format on */
REDIS_HASH_COMMANDS(REDIS_COMMAND_DECLARE)
