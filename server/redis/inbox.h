/*
 * What a worker's clients are to get from elsewhere: messages of channels they have subscribed to,
 * and the end of their connection.
 *
 *     any thread: post ──▶ inbox, wake ──▶ the worker's thread: redis_deliver() ──▶ connection
 *
 * Others only name a client here; who touches it is its own worker. Whoever names one holds a lock
 * that keeps it alive: that of the subscriptions (pubsub.c) or of the connections (clients.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct redis_client;
struct redis_inbox; /* one a worker */
struct redis_message;
struct redis_subscription;
struct redis_worker;

/** A message for one or many; `gate_lsn`: nobody may see it before that is durable. The caller
 *  holds it until redis_message_drop(). NULL: no memory. Any thread. */
struct redis_message *redis_message_new(struct view channel, struct view payload,
                                        uint64_t gate_lsn);
void redis_message_drop(struct redis_message *self);

/** NULL: no memory. Freeing NULL is fine. */
struct redis_inbox *redis_inbox_new(struct redis_worker *worker);
void redis_inbox_free(struct redis_inbox *self);

/** A message for a client because of one of its subscriptions. When the inbox holds too much, the
 *  client's connection is ended instead: a message that is left out would not be noticed. Any
 *  thread. */
void redis_inbox_post(struct redis_inbox *self, struct redis_subscription *subscription,
                      struct redis_message *message);

/** Ends the connection of a client. Any thread. */
void redis_inbox_post_end(struct redis_inbox *self, struct redis_client *client);

/** What is posted because of this subscription is not delivered. The worker's thread. */
void redis_inbox_forget(struct redis_inbox *self, const struct redis_subscription *subscription);

/** Nothing is delivered to this client any more. The worker's thread. */
void redis_inbox_forget_client(struct redis_inbox *self, const struct redis_client *client);
