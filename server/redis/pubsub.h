/*
 * Subscriptions, and messages on their way to subscribers; see redis_deliver().
 */
#pragma once

#include "redis/client.h"

struct redis_pubsub; /* who has subscribed to what; one a process */
struct redis_inbox;  /* messages for the clients of a worker */

/** NULL: no memory. Freeing NULL is fine. */
struct redis_pubsub *redis_pubsub_new(void);
void redis_pubsub_free(struct redis_pubsub *self);

struct redis_inbox *redis_inbox_new(struct redis_worker *worker);
void redis_inbox_free(struct redis_inbox *self);

/** True when the client has subscribed to a channel or pattern. */
bool redis_is_subscribed(const struct redis_client *client);

/** Ends all subscriptions of a client. */
void redis_unsubscribe_all(struct redis_client *client);

/** Tells keyspace events, encoded as redis_notify() says, to who wants them, when `gate_lsn` is
 *  durable. Any thread. */
void redis_publish_events(struct redis *redis, struct view events, uint64_t gate_lsn);
