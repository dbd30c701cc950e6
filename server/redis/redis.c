/* What lives as long as the process, a worker, a connection. */
#include "redis/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "redis/clients.h"
#include "redis/config.h"
#include "redis/info.h"
#include "redis/multi.h"
#include "redis/pubsub.h"

enum status redis_open(const struct redis_options *options, struct redis **out)
{
    struct redis *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->started_ms = clock_wall_ms(options->clock);
    self->pubsub = redis_pubsub_new();
    self->clients = redis_clients_new();
    self->config = redis_config_new();
    self->stats = redis_stats_new();
    if (self->pubsub == NULL || self->clients == NULL || self->config == NULL ||
        self->stats == NULL) {
        redis_close(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

void redis_set_store(struct redis *self, struct store *store)
{
    self->store = store;
}

void redis_close(struct redis *self)
{
    if (self == NULL) {
        return;
    }
    redis_pubsub_free(self->pubsub);
    redis_clients_free(self->clients);
    redis_config_free(self->config);
    redis_stats_free(self->stats);
    free(self);
}

struct redis_worker *redis_worker_new(struct redis *self, void *worker_arg)
{
    struct redis_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return NULL;
    }
    worker->redis = self;
    worker->worker_arg = worker_arg;
    worker->inbox = redis_inbox_new(worker);
    if (worker->inbox == NULL) {
        free(worker);
        return NULL;
    }
    return worker;
}

void redis_worker_free(struct redis_worker *self)
{
    if (self == NULL) {
        return;
    }
    redis_inbox_free(self->inbox);
    resp_request_free(&self->request);
    resp_request_free(&self->peeked);
    transaction_free(&self->sessions);
    buf_free(&self->scratch.content);
    buf_free(&self->scratch.ops);
    buf_free(&self->scratch.returned);
    buf_free(&self->events);
    buf_free(&self->ids);
    free(self->keys);
    free(self);
}

struct redis_client *redis_client_new(struct redis_worker *self, const char *peer, uint64_t conn_id,
                                      void *conn)
{
    const struct redis_options *options = &self->redis->options;
    struct redis_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    client->worker = self;
    client->conn = conn;
    client->id = conn_id;
    (void)snprintf(client->peer, sizeof client->peer, "%s", peer);
    client->opened_ms = clock_wall_ms(options->clock);
    client->is_greeted = options->token.len == 0;
    client->ack = options->ack;
    atomic_init(&client->last_ms, client->opened_ms);
    atomic_init(&client->last_command, NULL);
    redis_clients_add(self->redis->clients, client);
    return client;
}

void redis_client_free(struct redis_client *self)
{
    if (self == NULL) {
        return;
    }
    redis_unsubscribe_all(self);
    redis_clients_remove(self->worker->redis->clients, self);
    redis_multi_free(self);
    buf_free(&self->name);
    buf_free(&self->lib_name);
    buf_free(&self->lib_version);
    free(self);
}
