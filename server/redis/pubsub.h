/*
 * Subscriptions, and messages on their way to subscribers; see redis_deliver().
 *
 * One registry under one lock says who has subscribed to what. Publishing posts a message to the
 * inbox of each subscriber's worker (inbox.h), and that worker delivers it, unless the client has
 * ended its subscription meanwhile. Nothing is kept for who is not connected.
 */
#pragma once

#include "redis/client.h"
#include "redis/events.h"
#include "redis/inbox.h"

/* clang-format off */
#define REDIS_PUBSUB_COMMANDS(C)                                                                   \
    C("subscribe", redis_subscribe, -2,                                                            \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                 \
      0, 0, 0, "2.0.0", "Listen for messages published to the given channels")                     \
    C("unsubscribe", redis_unsubscribe, -1,                                                        \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                 \
      0, 0, 0, "2.0.0", "Stop listening for messages posted to the given channels")                \
    C("psubscribe", redis_psubscribe, -2,                                                          \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                 \
      0, 0, 0, "2.0.0",                                                                            \
      "Listen for messages published to channels matching the given patterns")                     \
    C("punsubscribe", redis_punsubscribe, -1,                                                      \
      REDIS_PUBSUB | REDIS_NOSCRIPT | REDIS_LOADING | REDIS_STALE,                                 \
      0, 0, 0, "2.0.0",                                                                            \
      "Stop listening for messages posted to channels matching the given patterns")                \
    C("publish", redis_publish, 3, REDIS_LOADING | REDIS_STALE | REDIS_FAST,                       \
      0, 0, 0, "2.0.0", "Post a message to a channel")                                             \
    C("pubsub", redis_container, -2, REDIS_CONTAINER,                                              \
      0, 0, 0, "2.8.0", "A container for Pub/Sub commands")                                        \
    C("pubsub|channels", redis_pubsub_channels, -2, REDIS_LOADING | REDIS_STALE,                   \
      0, 0, 0, "2.8.0", "List active channels")                                                    \
    C("pubsub|numsub", redis_pubsub_numsub, -2, REDIS_LOADING | REDIS_STALE,                       \
      0, 0, 0, "2.8.0", "Get the count of subscribers for channels")                               \
    C("pubsub|numpat", redis_pubsub_numpat, 2, REDIS_LOADING | REDIS_STALE,                        \
      0, 0, 0, "2.8.0", "Get the count of unique patterns pattern subscriptions")                  \
    C("pubsub|help", redis_pubsub_help, 2, REDIS_LOADING | REDIS_STALE,                            \
      0, 0, 0, "6.2.0", "Show helpful text about the different subcommands")
/* clang-format on */
REDIS_PUBSUB_COMMANDS(REDIS_COMMAND_DECLARE)

struct redis_pubsub; /* one a process */

/** NULL: no memory. Freeing NULL is fine. */
struct redis_pubsub *redis_pubsub_new(void);
void redis_pubsub_free(struct redis_pubsub *self);

/** True when the client has subscribed to a channel or pattern. */
static inline bool redis_is_subscribed(const struct redis_client *client)
{
    return client->channel_count + client->pattern_count != 0;
}

/** True when anybody has subscribed to anything. Any thread. */
bool redis_has_subscribers(const struct redis_pubsub *self);

enum redis_topic_kind { REDIS_CHANNEL, REDIS_PATTERN };

/** How many channels or patterns there are that somebody has subscribed to. Any thread. */
size_t redis_topic_count(struct redis_pubsub *self, enum redis_topic_kind kind);

/** Posts a message to all who have subscribed to the channel, and tells how many they are. They see
 *  it when `gate_lsn` is durable. Any thread. */
size_t redis_publish_message(struct redis_pubsub *self, struct view channel, struct view payload,
                             uint64_t gate_lsn);

/** Tells how many they would be. Any thread. */
size_t redis_count_listeners(struct redis_pubsub *self, struct view channel);

/** Begins and ends one subscription. Nothing happens when there is one already, or none. False: no
 *  memory, or the client has too many. The client's worker's thread, like what follows. */
bool redis_topic_join(struct redis_client *client, enum redis_topic_kind kind,
                      struct view name) MUST_CHECK;
void redis_topic_leave(struct redis_client *client, enum redis_topic_kind kind, struct view name);

/** Replaces what `name` holds by the name of the client's oldest subscription of that kind. False:
 *  it has none. */
bool redis_topic_first(const struct redis_client *client, enum redis_topic_kind kind,
                       struct buf *name) MUST_CHECK;

/** Ends all subscriptions of a client. */
void redis_unsubscribe_all(struct redis_client *client);

/** Called under the lock of the subscriptions. */
typedef void (*redis_topic_fn)(void *arg, struct view name);

/** Visits all channels that somebody has subscribed to. Any thread. */
void redis_each_channel(struct redis_pubsub *self, redis_topic_fn visit, void *visit_arg);

/** How many have subscribed to this very channel. Any thread. */
size_t redis_subscriber_count(struct redis_pubsub *self, struct view channel);
