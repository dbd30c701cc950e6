/* What INFO tells. */
#pragma once

#include "redis/client.h"

struct redis_stats;

/** NULL: no memory. Freeing NULL is fine. */
struct redis_stats *redis_stats_new(void);
void redis_stats_free(struct redis_stats *self);
