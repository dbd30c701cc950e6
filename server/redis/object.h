/*
 * What Redis tells about how it keeps a value: OBJECT and MEMORY. Sessions are kept otherwise, so
 * these are the answers that Redis would most likely give: an encoding is told by what a value is
 * now, not by what it has been, and IDLETIME is always 0, because reads are not dated.
 */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_OBJECT_COMMANDS(C)                                                                   \
    C("object", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "2.2.3", "A container for object introspection commands")                           \
    C("object|encoding", redis_object_encoding, 3, REDIS_READONLY,                                 \
      2, 2, 1, "2.2.3", "Inspect the internal encoding of a Redis object")                         \
    C("object|freq", redis_object_freq, 3, REDIS_READONLY | REDIS_KEYS_ONLY,                       \
      2, 2, 1, "4.0.0", "Get the logarithmic access frequency counter of a Redis object")          \
    C("object|help", redis_object_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "6.2.0", "Show helpful text about the different subcommands")                       \
    C("object|idletime", redis_object_idletime, 3, REDIS_READONLY | REDIS_KEYS_ONLY,               \
      2, 2, 1, "2.2.3", "Get the time since a Redis object was last accessed")                     \
    C("object|refcount", redis_object_refcount, 3, REDIS_READONLY,                                 \
      2, 2, 1, "2.2.3", "Get the number of references to the value of the key")

/* These are of the group "server". */
#define REDIS_MEMORY_COMMANDS(C)                                                                   \
    C("memory", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "4.0.0", "A container for memory diagnostics commands")                             \
    C("memory|help", redis_memory_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "4.0.0", "Show helpful text about the different subcommands")                       \
    C("memory|usage", redis_memory_usage, -3, REDIS_READONLY,                                      \
      2, 2, 1, "4.0.0", "Estimate the memory usage of a key")
/* clang-format on */
REDIS_OBJECT_COMMANDS(REDIS_COMMAND_DECLARE)
REDIS_MEMORY_COMMANDS(REDIS_COMMAND_DECLARE)
