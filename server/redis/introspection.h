/* COMMAND: what commands there are, read from the table of all. */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_INTROSPECTION_COMMANDS(C)                                                            \
    C("command", redis_introspect, -1, REDIS_CONTAINER | REDIS_LOADING | REDIS_STALE,              \
      0, 0, 0, "2.8.13", "Get array of Redis command details")                                     \
    C("command|count", redis_introspect_count, 2, REDIS_LOADING | REDIS_STALE,                     \
      0, 0, 0, "2.8.13", "Get total number of Redis commands")                                     \
    C("command|docs", redis_introspect_docs, -2, REDIS_LOADING | REDIS_STALE,                      \
      0, 0, 0, "7.0.0", "Get array of specific Redis command documentation")                       \
    C("command|info", redis_introspect_info, -2, REDIS_LOADING | REDIS_STALE,                      \
      0, 0, 0, "2.8.13",                                                                           \
      "Get array of specific Redis command details, or all when no argument is given.")            \
    C("command|list", redis_introspect_list, -2, REDIS_LOADING | REDIS_STALE,                      \
      0, 0, 0, "7.0.0", "Get an array of Redis command names")                                     \
    C("command|getkeys", redis_introspect_getkeys, -4, REDIS_LOADING | REDIS_STALE,                \
      0, 0, 0, "2.8.13", "Extract keys given a full Redis command")                                \
    C("command|help", redis_introspect_help, 2, REDIS_LOADING | REDIS_STALE,                       \
      0, 0, 0, "5.0.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_INTROSPECTION_COMMANDS(REDIS_COMMAND_DECLARE)
