/* How long keys live. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_EXPIRE_COMMANDS(C)                                                                   \
    C("expire", redis_expire, -3, REDIS_WRITE | REDIS_FAST,                                        \
      1, 1, 1, "1.0.0", "Set a key's time to live in seconds")                                     \
    C("pexpire", redis_pexpire, -3, REDIS_WRITE | REDIS_FAST,                                      \
      1, 1, 1, "2.6.0", "Set a key's time to live in milliseconds")                                \
    C("expireat", redis_expireat, -3, REDIS_WRITE | REDIS_FAST,                                    \
      1, 1, 1, "1.2.0", "Set the expiration for a key as a UNIX timestamp")                        \
    C("pexpireat", redis_pexpireat, -3, REDIS_WRITE | REDIS_FAST,                                  \
      1, 1, 1, "2.6.0", "Set the expiration for a key as a UNIX timestamp specified in milliseconds") \
    C("ttl", redis_ttl, 2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,                          \
      1, 1, 1, "1.0.0", "Get the time to live for a key in seconds")                               \
    C("pttl", redis_pttl, 2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,                        \
      1, 1, 1, "2.6.0", "Get the time to live for a key in milliseconds")                          \
    C("expiretime", redis_expiretime, 2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,            \
      1, 1, 1, "7.0.0", "Get the expiration Unix timestamp for a key")                             \
    C("pexpiretime", redis_pexpiretime, 2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,          \
      1, 1, 1, "7.0.0", "Get the expiration Unix timestamp for a key in milliseconds")             \
    C("persist", redis_persist, 2, REDIS_WRITE | REDIS_FAST,                                       \
      1, 1, 1, "2.2.0", "Remove the expiration from a key")
/* clang-format on */
REDIS_EXPIRE_COMMANDS(REDIS_COMMAND_DECLARE)
