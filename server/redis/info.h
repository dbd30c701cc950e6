/*
 * What INFO tells: what Redis' own tools and its clients' ready checks read, and what is true here.
 * Numbers come from the metrics of all modules (base/metric.h).
 */
#pragma once

#include "redis/client.h"

/* clang-format off */
#define REDIS_INFO_COMMANDS(C)                                                                     \
    C("info", redis_info, -1, REDIS_WALKS | REDIS_LOADING | REDIS_STALE,                           \
      0, 0, 0, "1.0.0", "Get information and statistics about the server")                         \
    C("time", redis_time, 1, REDIS_LOADING | REDIS_STALE | REDIS_FAST,                             \
      0, 0, 0, "2.6.0", "Return the current server time")
/* clang-format on */
REDIS_INFO_COMMANDS(REDIS_COMMAND_DECLARE)

struct redis_stats; /* from where INFO counts, and what it does not find out each time */

/** NULL: no memory. Freeing NULL is fine. */
struct redis_stats *redis_stats_new(void);
void redis_stats_free(struct redis_stats *self);

/** Counters that INFO tells begin at 0 again; metrics go on. Any thread. */
void redis_stats_reset(struct redis *redis);
