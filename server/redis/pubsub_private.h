/* Who has subscribed to what; for pubsub.c, which changes it, and inbox.c, which delivers. */
#pragma once

#include "redis/client.h"

/* A channel or pattern that somebody has subscribed to. Guarded by the lock of redis_pubsub, but a
 * subscriber's worker may read its name: it stays as long as the subscription. */
struct redis_topic {
    struct redis_topic *next;         /* in its slot */
    struct redis_subscription *first; /* in the order of subscribing */
    struct redis_subscription *last;
    uint64_t hash;
    size_t count;    /* of subscriptions */
    bool is_pattern; /* does not change, like the name */
    size_t name_len;
    uint8_t name[];
};

/* That a client has subscribed to a topic. */
struct redis_subscription {
    struct redis_topic *topic;   /* shared with the other subscribers */
    struct redis_client *client; /* borrowed: who owns it */
    bool is_overrun;             /* its messages did not fit: the connection is being ended */
    /* In the topic's list; guarded by the lock of redis_pubsub. */
    struct redis_subscription *next;
    struct redis_subscription *previous;
    /* In the client's list; its worker's alone. */
    struct redis_subscription *next_of_client;
    struct redis_subscription *previous_of_client;
};

static inline struct view redis_topic_name(const struct redis_topic *self)
{
    return view_of(self->name, self->name_len);
}
