/* What CONFIG GET tells and CONFIG SET may change. */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_CONFIG_COMMANDS(C)                                                                   \
    C("config", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "2.0.0", "A container for server configuration commands")                           \
    C("config|get", redis_config_get, -3,                                                          \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "2.0.0", "Get the values of configuration parameters")                              \
    C("config|set", redis_config_set, -4,                                                          \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "2.0.0", "Set configuration parameters to the given values")                        \
    C("config|resetstat", redis_config_resetstat, 2,                                               \
      REDIS_WALKS | REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                    \
      0, 0, 0, "2.0.0", "Reset the stats returned by INFO")                                        \
    C("config|rewrite", redis_config_rewrite, 2,                                                   \
      REDIS_ADMIN | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                  \
      0, 0, 0, "2.8.0", "Rewrite the configuration file with the in memory configuration")         \
    C("config|help", redis_config_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "5.0.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_CONFIG_COMMANDS(REDIS_COMMAND_DECLARE)

struct redis_config;

/** NULL: no memory. Freeing NULL is fine. */
struct redis_config *redis_config_new(void);
void redis_config_free(struct redis_config *self);

/** What notify-keyspace-events says, as redis_event_flags_parse() reads it. Any thread. */
uint32_t redis_wanted_events(const struct redis_config *self);
