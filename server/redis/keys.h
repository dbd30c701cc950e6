/* Keys of any kind: whether they are there, what they are, and what they are called. */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_KEY_COMMANDS(C)                                                                      \
    C("del", redis_del, -2, REDIS_WRITE | REDIS_KEYS_ONLY,                                         \
      1, -1, 1, "1.0.0", "Delete a key")                                                           \
    C("unlink", redis_del, -2, REDIS_WRITE | REDIS_FAST | REDIS_KEYS_ONLY,                         \
      1, -1, 1, "4.0.0", "Delete a key asynchronously in another thread. "                         \
      "Otherwise it is just as DEL, but non blocking.")                                            \
    C("exists", redis_exists, -2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,                   \
      1, -1, 1, "1.0.0", "Determine if a key exists")                                              \
    C("touch", redis_exists, -2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,                    \
      1, -1, 1, "3.2.1", "Alters the last access time of a key(s). "                               \
      "Returns the number of existing keys specified.")                                            \
    C("type", redis_type, 2, REDIS_READONLY | REDIS_FAST | REDIS_KEYS_ONLY,                        \
      1, 1, 1, "1.0.0", "Determine the type stored at key")                                        \
    C("rename", redis_rename, 3, REDIS_WRITE | REDIS_MAKES_KEYS,                                   \
      1, 2, 1, "1.0.0", "Rename a key")                                                            \
    C("renamenx", redis_renamenx, 3, REDIS_WRITE | REDIS_MAKES_KEYS | REDIS_FAST,                  \
      1, 2, 1, "1.0.0", "Rename a key, only if the new key does not exist")                        \
    C("copy", redis_copy, -3, REDIS_WRITE | REDIS_DENYOOM,                                         \
      1, 2, 1, "6.2.0", "Copy a key")
/* clang-format on */
REDIS_KEY_COMMANDS(REDIS_COMMAND_DECLARE)
