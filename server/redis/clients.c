/* The registry of connections; see clients.h. */
#include "redis/clients.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "redis/inbox.h"
#include "redis/pubsub.h"

struct redis_clients {
    pthread_mutex_t lock;       /* guards the list and the texts of clients */
    struct redis_client *first; /* borrowed, the oldest first */
    struct redis_client *last;
    size_t count;
};

struct redis_clients *redis_clients_new(void)
{
    struct redis_clients *self = calloc(1, sizeof *self);
    if (self != NULL) {
        (void)pthread_mutex_init(&self->lock, NULL);
    }
    return self;
}

void redis_clients_free(struct redis_clients *self)
{
    if (self != NULL) {
        (void)pthread_mutex_destroy(&self->lock);
        free(self);
    }
}

void redis_clients_add(struct redis_clients *self, struct redis_client *client)
{
    (void)pthread_mutex_lock(&self->lock);
    client->previous = self->last;
    *(self->last == NULL ? &self->first : &self->last->next) = client;
    self->last = client;
    self->count++;
    (void)pthread_mutex_unlock(&self->lock);
}

void redis_clients_remove(struct redis_clients *self, struct redis_client *client)
{
    (void)pthread_mutex_lock(&self->lock);
    *(client->previous == NULL ? &self->first : &client->previous->next) = client->next;
    *(client->next == NULL ? &self->last : &client->next->previous) = client->previous;
    self->count--;
    (void)pthread_mutex_unlock(&self->lock);
    /* Nobody finds it any more, so what was posted is taken back for good. */
    redis_inbox_forget_client(client->worker->inbox, client);
}

size_t redis_clients_count(struct redis_clients *self)
{
    (void)pthread_mutex_lock(&self->lock);
    size_t count = self->count;
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

bool redis_client_set_text(struct redis_client *client, struct buf *text, struct view value)
{
    struct redis_clients *self = client->worker->redis->clients;
    (void)pthread_mutex_lock(&self->lock);
    text->len = 0;
    bool is_set = buf_append(text, value) == STATUS_OK;
    (void)pthread_mutex_unlock(&self->lock);
    return is_set;
}

void redis_client_forget_name(struct redis_client *client)
{
    struct redis_clients *self = client->worker->redis->clients;
    (void)pthread_mutex_lock(&self->lock);
    client->name.len = 0;
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- All of them ---------------------------------------------------------------------------- */

static bool is_meant(const struct redis_client_filter *filter, const struct redis_client *client)
{
    return !filter->matches_nothing && client != filter->but &&
           (!filter->has_id || client->id == filter->id) &&
           (!filter->has_peer || view_equal(filter->peer, view_str(client->peer))) &&
           (!filter->has_kind || redis_is_subscribed(client) == filter->wants_subscribers);
}

static int64_t seconds_between(int64_t from_ms, int64_t to_ms)
{
    return to_ms < from_ms ? 0 : (to_ms - from_ms) / 1000;
}

/* What is not known here (buffers, sockets) is not told. */
static enum status append_line(struct buf *out, const struct redis_client *client, int64_t now_ms)
{
    const struct redis_command *command = atomic_load_explicit(&client->last_command,
                                                               memory_order_relaxed);
    int64_t last_ms = atomic_load_explicit(&client->last_ms, memory_order_relaxed);
    return buf_printf(out,
                      "id=%" PRIu64 " addr=%s name=%.*s age=%" PRId64 " idle=%" PRId64
                      " flags=%s db=%u sub=%" PRIu32 " psub=%" PRIu32
                      " ssub=0 cmd=%s user=default redir=-1 resp=%d lib-name=%.*s lib-ver=%.*s\n",
                      client->id, client->peer, (int)client->name.len,
                      (const char *)client->name.ptr, seconds_between(client->opened_ms, now_ms),
                      seconds_between(last_ms, now_ms), redis_is_subscribed(client) ? "P" : "N",
                      (unsigned)client->db, (uint32_t)client->channel_count,
                      (uint32_t)client->pattern_count, command == NULL ? "NULL" : command->name,
                      client->is_resp3 ? 3 : 2, (int)client->lib_name.len,
                      (const char *)client->lib_name.ptr, (int)client->lib_version.len,
                      (const char *)client->lib_version.ptr);
}

enum status redis_clients_list(struct redis_clients *self, const struct redis_client_filter *filter,
                               int64_t now_ms, struct buf *out)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->lock);
    for (const struct redis_client *client = self->first; client != NULL && status == STATUS_OK;
         client = client->next) {
        if (is_meant(filter, client)) {
            status = append_line(out, client, now_ms);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

size_t redis_clients_kill(struct redis_clients *self, const struct redis_client_filter *filter,
                          struct redis_client *caller)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&self->lock);
    for (struct redis_client *client = self->first; client != NULL; client = client->next) {
        if (!is_meant(filter, client)) {
            continue;
        }
        if (client == caller) {
            client->ends = true;
        } else {
            redis_inbox_post_end(client->worker->inbox, client);
        }
        count++;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}
