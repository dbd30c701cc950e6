/* Strings as a whole: what Redis' session stores live on. A string is a session of kind BLOB. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_STRING_COMMANDS(C)                                                                   \
    C("get", redis_get, 2, REDIS_READONLY | REDIS_FAST,                                            \
      1, 1, 1, "1.0.0", "Get the value of a key")                                                  \
    C("set", redis_set, -3, REDIS_WRITE | REDIS_DENYOOM,                                           \
      1, 1, 1, "1.0.0", "Set the string value of a key")                                           \
    C("setex", redis_setex, 4, REDIS_WRITE | REDIS_DENYOOM,                                        \
      1, 1, 1, "2.0.0", "Set the value and expiration of a key")                                   \
    C("psetex", redis_psetex, 4, REDIS_WRITE | REDIS_DENYOOM,                                      \
      1, 1, 1, "2.6.0", "Set the value and expiration in milliseconds of a key")                   \
    C("setnx", redis_setnx, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                           \
      1, 1, 1, "1.0.0", "Set the value of a key, only if the key does not exist")                  \
    C("getset", redis_getset, 3, REDIS_WRITE | REDIS_DENYOOM | REDIS_FAST,                         \
      1, 1, 1, "1.0.0", "Set the string value of a key and return its old value")                  \
    C("getex", redis_getex, -2, REDIS_WRITE | REDIS_FAST,                                          \
      1, 1, 1, "6.2.0", "Get the value of a key and optionally set its expiration")                \
    C("getdel", redis_getdel, 2, REDIS_WRITE | REDIS_FAST,                                         \
      1, 1, 1, "6.2.0", "Get the value of a key and delete the key")                               \
    C("mget", redis_mget, -2, REDIS_READONLY | REDIS_FAST,                                         \
      1, -1, 1, "1.0.0", "Get the values of all the given keys")                                   \
    C("mset", redis_mset, -3, REDIS_WRITE | REDIS_DENYOOM,                                         \
      1, -1, 2, "1.0.1", "Set multiple keys to multiple values")                                   \
    C("msetnx", redis_msetnx, -3, REDIS_WRITE | REDIS_DENYOOM,                                     \
      1, -1, 2, "1.0.1", "Set multiple keys to multiple values, only if none of the keys exist")
/* clang-format on */
REDIS_STRING_COMMANDS(REDIS_COMMAND_DECLARE)
