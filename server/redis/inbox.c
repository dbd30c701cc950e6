/* Posting and delivering; see inbox.h. */
#include "redis/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "redis/client.h"
#include "redis/pubsub_private.h"

enum {
    INBOX_BYTES_MAX = 64 * 1024 * 1024, /* of messages that a worker has not looked at yet */
    KEPT_BYTES = 64 * 1024,             /* by a worker that has delivered everything */
    KEPT_DELIVERIES = 1024,
};

struct redis_message {
    _Atomic size_t holders;
    uint64_t gate_lsn;
    size_t channel_len;
    size_t payload_len;
    uint8_t bytes[]; /* channel, payload */
};

/* One message for one client, or its end. */
struct delivery {
    struct redis_client *client;             /* borrowed; NULL: forgotten */
    struct redis_subscription *subscription; /* borrowed; NULL: the connection ends */
    struct redis_message *message;           /* held; NULL likewise */
};

struct deliveries {
    struct delivery *items; /* owned */
    size_t count;
    size_t cap;
};

struct redis_inbox {
    struct redis_worker *worker; /* borrowed */
    pthread_mutex_t lock;
    struct deliveries posted;  /* guarded by lock */
    size_t posted_bytes;       /* likewise */
    struct deliveries running; /* the worker's alone: being delivered */
    struct buf bytes;          /* likewise: a message as a client reads it */
};

/* ---- Messages ------------------------------------------------------------------------------- */

struct redis_message *redis_message_new(struct view channel, struct view payload, uint64_t gate_lsn)
{
    struct redis_message *self = malloc(sizeof *self + channel.len + payload.len);
    if (self == NULL) {
        return NULL;
    }
    atomic_init(&self->holders, 1);
    self->gate_lsn = gate_lsn;
    self->channel_len = channel.len;
    self->payload_len = payload.len;
    (void)put_view(put_view(self->bytes, channel), payload);
    return self;
}

static void hold(struct redis_message *self)
{
    if (self != NULL) {
        /* Relaxed: who holds one gives it to another under a lock. */
        atomic_fetch_add_explicit(&self->holders, 1, memory_order_relaxed);
    }
}

void redis_message_drop(struct redis_message *self)
{
    /* Release and acquire: the last holder frees it behind all that others have read. */
    if (self != NULL && atomic_fetch_sub_explicit(&self->holders, 1, memory_order_acq_rel) == 1) {
        free(self);
    }
}

static size_t message_bytes(const struct redis_message *self)
{
    return self == NULL ? 0 : sizeof *self + self->channel_len + self->payload_len;
}

/* ---- Lists of deliveries -------------------------------------------------------------------- */

static void drop_all(struct deliveries *self)
{
    for (size_t i = 0; i < self->count; i++) {
        redis_message_drop(self->items[i].message);
    }
    self->count = 0;
}

static bool append(struct deliveries *self, struct delivery delivery)
{
    if (self->count == self->cap) {
        size_t cap = self->cap == 0 ? 16 : self->cap * 2;
        struct delivery *items = realloc(self->items, cap * sizeof *items);
        if (items == NULL) {
            return false;
        }
        self->items = items;
        self->cap = cap;
    }
    self->items[self->count++] = delivery;
    return true;
}

/* Leaves out what is for that client and, unless it is NULL, because of that subscription. */
static void forget(struct deliveries *self, const struct redis_client *client,
                   const struct redis_subscription *subscription)
{
    for (size_t i = 0; i < self->count; i++) {
        struct delivery *delivery = &self->items[i];
        if (delivery->client == client &&
            (subscription == NULL || delivery->subscription == subscription)) {
            delivery->client = NULL;
        }
    }
}

/* ---- Posting -------------------------------------------------------------------------------- */

struct redis_inbox *redis_inbox_new(struct redis_worker *worker)
{
    struct redis_inbox *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->worker = worker;
    (void)pthread_mutex_init(&self->lock, NULL);
    return self;
}

void redis_inbox_free(struct redis_inbox *self)
{
    if (self == NULL) {
        return;
    }
    drop_all(&self->posted);
    free(self->posted.items);
    drop_all(&self->running);
    free(self->running.items);
    buf_free(&self->bytes);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

/* True: it is posted. Otherwise there is no memory for it, or no room. */
static bool post(struct redis_inbox *self, struct delivery delivery, size_t bytes_max)
{
    size_t bytes = sizeof delivery + message_bytes(delivery.message);
    (void)pthread_mutex_lock(&self->lock);
    bool is_first = self->posted.count == 0;
    bool is_posted = self->posted_bytes + bytes <= bytes_max && append(&self->posted, delivery);
    if (is_posted) {
        self->posted_bytes += bytes;
        hold(delivery.message);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (is_posted && is_first) {
        self->worker->redis->options.wake(self->worker->worker_arg);
    }
    return is_posted;
}

void redis_inbox_post(struct redis_inbox *self, struct redis_subscription *subscription,
                      struct redis_message *message)
{
    if (subscription->is_overrun) {
        return;
    }
    if (!post(self, (struct delivery){subscription->client, subscription, message},
              INBOX_BYTES_MAX)) {
        subscription->is_overrun = true;
        redis_inbox_post_end(self, subscription->client);
    }
}

void redis_inbox_post_end(struct redis_inbox *self, struct redis_client *client)
{
    (void)post(self, (struct delivery){client, NULL, NULL}, SIZE_MAX);
}

void redis_inbox_forget(struct redis_inbox *self, const struct redis_subscription *subscription)
{
    (void)pthread_mutex_lock(&self->lock);
    forget(&self->posted, subscription->client, subscription);
    (void)pthread_mutex_unlock(&self->lock);
    forget(&self->running, subscription->client, subscription);
}

void redis_inbox_forget_client(struct redis_inbox *self, const struct redis_client *client)
{
    (void)pthread_mutex_lock(&self->lock);
    forget(&self->posted, client, NULL);
    (void)pthread_mutex_unlock(&self->lock);
    forget(&self->running, client, NULL);
}

/* ---- Delivering ----------------------------------------------------------------------------- */

/* Writes the message as its client reads it; false: no memory. */
static bool write_message(struct buf *to, const struct delivery *delivery)
{
    const struct redis_topic *topic = delivery->subscription->topic;
    const struct redis_message *message = delivery->message;
    struct resp_writer out = {.to = to, .is_resp3 = delivery->client->is_resp3};
    to->len = 0;
    resp_push(&out, topic->is_pattern ? 4 : 3);
    resp_bulk_text(&out, topic->is_pattern ? "pmessage" : "message");
    if (topic->is_pattern) {
        resp_bulk(&out, redis_topic_name(topic));
    }
    resp_bulk(&out, view_of(message->bytes, message->channel_len));
    resp_bulk(&out, view_of(message->bytes + message->channel_len, message->payload_len));
    return !out.has_failed;
}

void redis_deliver(struct redis_worker *self,
                   void (*send)(void *conn, struct view bytes, uint64_t gate_lsn, bool ends))
{
    struct redis_inbox *inbox = self->inbox;
    (void)pthread_mutex_lock(&inbox->lock);
    struct deliveries running = inbox->posted;
    inbox->posted = inbox->running;
    inbox->posted_bytes = 0;
    (void)pthread_mutex_unlock(&inbox->lock);
    inbox->running = running;
    for (size_t i = 0; i < inbox->running.count; i++) {
        /* Sending may end connections, so what is behind may be forgotten meanwhile. */
        const struct delivery *delivery = &inbox->running.items[i];
        if (delivery->client == NULL) {
            continue;
        }
        if (delivery->message != NULL && write_message(&inbox->bytes, delivery)) {
            send(delivery->client->conn, buf_view(&inbox->bytes), delivery->message->gate_lsn,
                 false);
        } else {
            send(delivery->client->conn, (struct view){0}, 0, true);
        }
    }
    drop_all(&inbox->running);
    if (inbox->bytes.cap > KEPT_BYTES) {
        buf_free(&inbox->bytes);
    }
    if (inbox->running.cap > KEPT_DELIVERIES) {
        free(inbox->running.items);
        inbox->running = (struct deliveries){0};
    }
}
