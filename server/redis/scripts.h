/*
 * Scripts without an interpreter. The scripts by which clients take, prolong and release locks are
 * few and never change, so each is known by the SHA1 of its text and runs as a function here
 * (script.h). Whoever sends another one is told so.
 */
#pragma once

#include "redis/command.h"

/* clang-format off */
#define REDIS_SCRIPT_COMMANDS(C)                                                                   \
    C("eval", redis_eval, -3, REDIS_NOSCRIPT | REDIS_STALE | REDIS_MOVABLE_KEYS |                  \
      REDIS_MAKES_KEYS,                                                                            \
      0, 0, 0, "2.6.0", "Execute a Lua script server side")                                        \
    C("evalsha", redis_evalsha, -3, REDIS_NOSCRIPT | REDIS_STALE | REDIS_MOVABLE_KEYS |            \
      REDIS_MAKES_KEYS,                                                                            \
      0, 0, 0, "2.6.0", "Execute a Lua script server side")                                        \
    C("eval_ro", redis_eval_ro, -3, REDIS_READONLY | REDIS_NOSCRIPT | REDIS_STALE |                \
      REDIS_MOVABLE_KEYS,                                                                          \
      0, 0, 0, "7.0.0", "Execute a read-only Lua script server side")                              \
    C("evalsha_ro", redis_evalsha_ro, -3, REDIS_READONLY | REDIS_NOSCRIPT | REDIS_STALE |          \
      REDIS_MOVABLE_KEYS,                                                                          \
      0, 0, 0, "7.0.0", "Execute a read-only Lua script server side")                              \
    C("script", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "2.6.0", "A container for Lua scripts management commands")                         \
    C("script|load", redis_script_load, 3, REDIS_NOSCRIPT | REDIS_STALE,                           \
      0, 0, 0, "2.6.0", "Load the specified Lua script into the script cache.")                    \
    C("script|exists", redis_script_exists, -3, REDIS_NOSCRIPT,                                    \
      0, 0, 0, "2.6.0", "Check existence of scripts in the script cache.")                         \
    C("script|flush", redis_script_flush, -2, REDIS_NOSCRIPT,                                      \
      0, 0, 0, "2.6.0", "Remove all the scripts from the script cache.")                           \
    C("script|help", redis_script_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "5.0.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_SCRIPT_COMMANDS(REDIS_COMMAND_DECLARE)
