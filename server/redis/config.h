/* What CONFIG GET tells and CONFIG SET may change. */
#pragma once

#include "redis/client.h"

struct redis_config;

/** NULL: no memory. Freeing NULL is fine. */
struct redis_config *redis_config_new(void);
void redis_config_free(struct redis_config *self);
