/* All connections that speak the Redis protocol, for CLIENT LIST and CLIENT KILL. */
#pragma once

#include "redis/client.h"

struct redis_clients;

/** NULL: no memory. Freeing NULL is fine. */
struct redis_clients *redis_clients_new(void);
void redis_clients_free(struct redis_clients *self);

/** The client's worker's thread. */
void redis_clients_add(struct redis_clients *self, struct redis_client *client);
void redis_clients_remove(struct redis_clients *self, struct redis_client *client);
