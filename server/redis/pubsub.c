/* The registry of subscriptions; see pubsub.h. */
#include "redis/pubsub.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"
#include "redis/glob.h"
#include "redis/pubsub_private.h"

enum {
    SLOTS_LEAST = 16,
    CLIENT_BYTES_MAX = 4 * 1024 * 1024, /* of one client's subscriptions */
};

/* Topics by their names. */
struct topics {
    struct redis_topic **slots; /* owned, with what is in them; a power of two of them, or none */
    size_t slot_count;
    size_t count;
};

struct redis_pubsub {
    uint64_t seed;
    pthread_mutex_t lock;    /* guards the rest, and what topics hold */
    struct topics topics[2]; /* by enum redis_topic_kind */
    /* Subscriptions in all; read without the lock by who would publish. */
    _Atomic size_t subscription_count;
};

/* ---- Topics --------------------------------------------------------------------------------- */

static struct redis_topic *find_topic(const struct topics *self, struct view name, uint64_t hash)
{
    if (self->slot_count == 0) {
        return NULL;
    }
    struct redis_topic *topic = self->slots[hash & (self->slot_count - 1)];
    while (topic != NULL && !(topic->hash == hash && view_equal(redis_topic_name(topic), name))) {
        topic = topic->next;
    }
    return topic;
}

static bool grow(struct topics *self)
{
    size_t slot_count = self->slot_count == 0 ? SLOTS_LEAST : self->slot_count * 2;
    struct redis_topic **slots = calloc(slot_count, sizeof(struct redis_topic *));
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < self->slot_count; i++) {
        for (struct redis_topic *topic = self->slots[i], *next = NULL; topic != NULL;
             topic = next) {
            next = topic->next;
            topic->next = slots[topic->hash & (slot_count - 1)];
            slots[topic->hash & (slot_count - 1)] = topic;
        }
    }
    free(self->slots);
    self->slots = slots;
    self->slot_count = slot_count;
    return true;
}

static struct redis_topic *add_topic(struct topics *self, enum redis_topic_kind kind,
                                     struct view name, uint64_t hash)
{
    if (self->count == self->slot_count && !grow(self)) {
        return NULL;
    }
    struct redis_topic *topic = malloc(sizeof *topic + name.len);
    if (topic == NULL) {
        return NULL;
    }
    struct redis_topic **slot = &self->slots[hash & (self->slot_count - 1)];
    *topic = (struct redis_topic){
        .next = *slot, .hash = hash, .is_pattern = kind == REDIS_PATTERN, .name_len = name.len};
    (void)put_view(topic->name, name);
    *slot = topic;
    self->count++;
    return topic;
}

static void remove_topic(struct topics *self, struct redis_topic *topic)
{
    struct redis_topic **link = &self->slots[topic->hash & (self->slot_count - 1)];
    while (*link != topic) {
        link = &(*link)->next;
    }
    *link = topic->next;
    self->count--;
    free(topic);
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct redis_pubsub *redis_pubsub_new(void)
{
    struct redis_pubsub *self = calloc(1, sizeof *self);
    if (self != NULL) {
        self->seed = random_u64();
        (void)pthread_mutex_init(&self->lock, NULL);
    }
    return self;
}

void redis_pubsub_free(struct redis_pubsub *self)
{
    if (self == NULL) {
        return;
    }
    for (size_t kind = 0; kind < 2; kind++) {
        free(self->topics[kind].slots); /* topics went with their subscribers */
    }
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

bool redis_has_subscribers(const struct redis_pubsub *self)
{
    /* Relaxed: who subscribes at this moment may miss what is published at this moment. */
    return atomic_load_explicit(&self->subscription_count, memory_order_relaxed) != 0;
}

/* ---- Subscribing ---------------------------------------------------------------------------- */

static size_t bytes_of(struct view name)
{
    return sizeof(struct redis_subscription) + sizeof(struct redis_topic) + name.len;
}

/* The client's subscription to a topic, NULL: none; under the lock. A topic may have many
 * subscribers and a client many topics, hardly ever both. */
static struct redis_subscription *find_subscription(const struct redis_topic *topic,
                                                    const struct redis_client *client)
{
    struct redis_subscription *found = NULL;
    if (topic->count < client->channel_count + client->pattern_count) {
        found = topic->first;
        while (found != NULL && found->client != client) {
            found = found->next;
        }
    } else {
        found = client->subscriptions;
        while (found != NULL && found->topic != topic) {
            found = found->next_of_client;
        }
    }
    return found;
}

/* Adds a subscription at the end of its topic's list and of its client's. */
static void link_subscription(struct redis_subscription *subscription)
{
    struct redis_topic *topic = subscription->topic;
    struct redis_client *client = subscription->client;
    subscription->previous = topic->last;
    *(topic->last == NULL ? &topic->first : &topic->last->next) = subscription;
    topic->last = subscription;
    topic->count++;
    struct redis_subscription *last = client->last_subscription;
    subscription->previous_of_client = last;
    *(last == NULL ? &client->subscriptions : &last->next_of_client) = subscription;
    client->last_subscription = subscription;
    client->subscription_bytes += bytes_of(redis_topic_name(topic));
    (*(topic->is_pattern ? &client->pattern_count : &client->channel_count))++;
}

static void unlink_subscription(struct redis_subscription *subscription)
{
    struct redis_topic *topic = subscription->topic;
    struct redis_client *client = subscription->client;
    struct redis_subscription *next = subscription->next;
    struct redis_subscription *previous = subscription->previous;
    *(previous == NULL ? &topic->first : &previous->next) = next;
    *(next == NULL ? &topic->last : &next->previous) = previous;
    topic->count--;
    next = subscription->next_of_client;
    previous = subscription->previous_of_client;
    *(previous == NULL ? &client->subscriptions : &previous->next_of_client) = next;
    *(next == NULL ? &client->last_subscription : &next->previous_of_client) = previous;
    client->subscription_bytes -= bytes_of(redis_topic_name(topic));
    (*(topic->is_pattern ? &client->pattern_count : &client->channel_count))--;
}

/* Under the lock. */
static bool join(struct redis_pubsub *self, struct redis_client *client, enum redis_topic_kind kind,
                 struct view name)
{
    uint64_t hash = hash64(name, self->seed);
    struct redis_topic *topic = find_topic(&self->topics[kind], name, hash);
    if (topic != NULL && find_subscription(topic, client) != NULL) {
        return true;
    }
    if (client->subscription_bytes + bytes_of(name) > CLIENT_BYTES_MAX) {
        return false;
    }
    struct redis_subscription *subscription = calloc(1, sizeof *subscription);
    if (subscription != NULL && topic == NULL) {
        topic = add_topic(&self->topics[kind], kind, name, hash);
    }
    if (subscription == NULL || topic == NULL) {
        free(subscription);
        return false;
    }
    subscription->topic = topic;
    subscription->client = client;
    link_subscription(subscription);
    atomic_fetch_add_explicit(&self->subscription_count, 1, memory_order_relaxed);
    return true;
}

bool redis_topic_join(struct redis_client *client, enum redis_topic_kind kind, struct view name)
{
    struct redis_pubsub *self = client->worker->redis->pubsub;
    (void)pthread_mutex_lock(&self->lock);
    bool has_joined = join(self, client, kind, name);
    (void)pthread_mutex_unlock(&self->lock);
    return has_joined;
}

/* Under the lock. */
static void leave(struct redis_pubsub *self, struct redis_subscription *subscription)
{
    struct redis_topic *topic = subscription->topic;
    unlink_subscription(subscription);
    atomic_fetch_sub_explicit(&self->subscription_count, 1, memory_order_relaxed);
    /* Nobody posts because of it any more, so what was posted is taken back for good. */
    redis_inbox_forget(subscription->client->worker->inbox, subscription);
    free(subscription);
    if (topic->count == 0) {
        remove_topic(&self->topics[topic->is_pattern ? REDIS_PATTERN : REDIS_CHANNEL], topic);
    }
}

void redis_topic_leave(struct redis_client *client, enum redis_topic_kind kind, struct view name)
{
    struct redis_pubsub *self = client->worker->redis->pubsub;
    (void)pthread_mutex_lock(&self->lock);
    const struct redis_topic *topic = find_topic(&self->topics[kind], name,
                                                 hash64(name, self->seed));
    struct redis_subscription *subscription = topic == NULL ? NULL
                                                            : find_subscription(topic, client);
    if (subscription != NULL) {
        leave(self, subscription);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

bool redis_topic_first(const struct redis_client *client, enum redis_topic_kind kind,
                       struct buf *name)
{
    /* The client's own list is changed by this thread only. */
    const struct redis_subscription *first = client->subscriptions;
    while (first != NULL && first->topic->is_pattern != (kind == REDIS_PATTERN)) {
        first = first->next_of_client;
    }
    name->len = 0;
    return first != NULL && buf_append(name, redis_topic_name(first->topic)) == STATUS_OK;
}

void redis_unsubscribe_all(struct redis_client *client)
{
    struct redis_pubsub *self = client->worker->redis->pubsub;
    if (client->subscriptions == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    while (client->subscriptions != NULL) {
        leave(self, client->subscriptions);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- Publishing ----------------------------------------------------------------------------- */

/* Posts to all who have subscribed to the topic; a message that is NULL is only counted. */
static size_t post_to_all(const struct redis_topic *topic, struct redis_message *message)
{
    for (struct redis_subscription *subscription = message == NULL ? NULL : topic->first;
         subscription != NULL; subscription = subscription->next) {
        redis_inbox_post(subscription->client->worker->inbox, subscription, message);
    }
    return topic->count;
}

/* To all who have subscribed to the channel or to a pattern that matches it. */
static size_t post(struct redis_pubsub *self, struct view channel, struct redis_message *message)
{
    const struct topics *patterns = &self->topics[REDIS_PATTERN];
    (void)pthread_mutex_lock(&self->lock);
    const struct redis_topic *topic = find_topic(&self->topics[REDIS_CHANNEL], channel,
                                                 hash64(channel, self->seed));
    size_t count = topic == NULL ? 0 : post_to_all(topic, message);
    for (size_t i = 0; patterns->count != 0 && i < patterns->slot_count; i++) {
        for (topic = patterns->slots[i]; topic != NULL; topic = topic->next) {
            if (redis_glob_matches(redis_topic_name(topic), channel, REDIS_GLOB_EXACT)) {
                count += post_to_all(topic, message);
            }
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

size_t redis_publish_message(struct redis_pubsub *self, struct view channel, struct view payload,
                             uint64_t gate_lsn)
{
    if (!redis_has_subscribers(self)) {
        return 0;
    }
    struct redis_message *message = redis_message_new(channel, payload, gate_lsn);
    if (message == NULL) {
        return 0; /* as if nobody had listened: nothing promises that a message arrives */
    }
    size_t count = post(self, channel, message);
    redis_message_drop(message);
    return count;
}

size_t redis_count_listeners(struct redis_pubsub *self, struct view channel)
{
    return post(self, channel, NULL);
}

/* ---- Looking -------------------------------------------------------------------------------- */

size_t redis_topic_count(struct redis_pubsub *self, enum redis_topic_kind kind)
{
    (void)pthread_mutex_lock(&self->lock);
    size_t count = self->topics[kind].count;
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

void redis_each_channel(struct redis_pubsub *self, redis_topic_fn visit, void *visit_arg)
{
    const struct topics *channels = &self->topics[REDIS_CHANNEL];
    (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < channels->slot_count; i++) {
        for (const struct redis_topic *topic = channels->slots[i]; topic != NULL;
             topic = topic->next) {
            visit(visit_arg, redis_topic_name(topic));
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
}

size_t redis_subscriber_count(struct redis_pubsub *self, struct view channel)
{
    uint64_t hash = hash64(channel, self->seed);
    (void)pthread_mutex_lock(&self->lock);
    const struct redis_topic *topic = find_topic(&self->topics[REDIS_CHANNEL], channel, hash);
    size_t count = topic == NULL ? 0 : topic->count;
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}
