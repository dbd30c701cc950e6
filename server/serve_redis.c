/*
 * The glue of the Redis protocol. Its replies are in the order of its requests: what is behind a
 * reply that waits for the storage is parked behind it, and while a value is read back the
 * connection is not read from; the request stays with it and is looked at again.
 */
#include <stdlib.h>

#include "serve_private.h"

enum {
    LOOK_AHEAD_MAX = 16,
    PUBLISHED_BYTES_MAX = 32 * 1024 * 1024, /* of a subscriber's unread messages */
    PUBLISHED_PARKED_BYTES_MAX = 2 * PARKED_BYTES_MAX,
};

bool serve_redis_begin(struct client *client)
{
    const struct serve_worker *self = worker_state(conn_worker(client->conn));
    client->redis = redis_client_new(self->redis, conn_peer(client->conn), conn_id(client->conn),
                                     client);
    return client->redis != NULL;
}

/* The request at the front needs a value that is not in memory. True: a reader fetches it. */
static bool fetch_value(struct serve_worker *self, struct client *client,
                        struct redis_request *request, enum redis_outcome *outcome)
{
    struct waiting_load *load = malloc(sizeof *load);
    if (load == NULL) {
        conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
        return true;
    }
    *load = (struct waiting_load){.worker = self, .client = client, .is_kept = true};
    client->in_flight++;
    self->waiting++;
    request->waiter = load;
    *outcome = redis_answer(client->redis, request);
    if (*outcome != REDIS_WAITING) { /* it has come meanwhile */
        client->in_flight--;
        self->waiting--;
        free(load);
        return false;
    }
    client->is_loading = true;
    if (!client->paused) {
        client->paused = true;
        conn_pause(client->conn);
    }
    return true;
}

/* What requests behind the first need comes from memory while those before them are answered.
 * Returns how many it looked at. */
static unsigned look_ahead(struct serve_worker *self, struct client *client, struct view bytes)
{
    uint64_t hashes[LOOK_AHEAD_MAX];
    unsigned count = 0;
    unsigned found = 0;
    while (count < LOOK_AHEAD_MAX && redis_peek(client->redis, &bytes, &hashes[found])) {
        if (hashes[found] != 0) {
            store_prefetch_slot(self->serve->store, hashes[found++]);
        }
        count++;
    }
    for (unsigned i = 0; i < found; i++) {
        store_prefetch_session(self->serve->store, hashes[i]);
    }
    return count == 0 ? LOOK_AHEAD_MAX : count; /* a part of a request: not soon again */
}

void serve_redis_arrived(struct serve_worker *self, struct client *client, struct view bytes)
{
    uint64_t hash = 0;
    if (self->expected_count < BATCH_MAX && redis_peek(client->redis, &bytes, &hash) && hash != 0) {
        store_prefetch_slot(self->serve->store, hash);
        self->expected[self->expected_count++] = hash;
    }
}

size_t serve_redis_received(struct serve_worker *self, struct client *client, struct view bytes,
                            size_t *need)
{
    size_t used = 0;
    unsigned ahead = 1; /* serve_redis_arrived() has looked at the first */
    while (used < bytes.len && !client->ends && !client->is_loading &&
           !conn_is_full(client->conn) && !serve_pause_if_needed(self, client)) {
        struct redis_request request = {.bytes = view_of(bytes.ptr + used, bytes.len - used),
                                        .now_ms = self->now_ms,
                                        .out = &self->reply};
        if (ahead == 0) {
            ahead = look_ahead(self, client, request.bytes);
        }
        ahead--;
        self->reply.len = 0;
        enum redis_outcome outcome = redis_answer(client->redis, &request);
        if (outcome == REDIS_WAITING && fetch_value(self, client, &request, &outcome)) {
            break;
        }
        if (outcome == REDIS_INCOMPLETE) {
            *need = request.need;
            break;
        }
        metric_add(&self->metrics.op_redis, 1);
        used += request.used;
        self->op = request.changes ? LATENCY_CHANGE : request.reads ? LATENCY_READ : LATENCY_OTHER;
        if (self->reply.len != 0) {
            serve_send(self, client, request.gate_lsn);
        }
        if (request.ends) {
            serve_end(client);
        }
    }
    return client->ends ? bytes.len : used;
}

/* A subscriber that does not read, or more messages that wait for the storage than can be kept.
 * Messages that are left out would not be noticed, an end is. */
static bool is_too_slow(const struct serve_worker *self, const struct client *client)
{
    return conn_out(client->conn)->len > PUBLISHED_BYTES_MAX ||
           parked_bytes(&self->parked) > PUBLISHED_PARKED_BYTES_MAX;
}

static void send_published(void *conn, struct view bytes, uint64_t gate_lsn, bool ends)
{
    struct client *client = conn;
    struct serve_worker *self = worker_state(conn_worker(client->conn));
    self->reply.len = 0;
    if (buf_append(&self->reply, bytes) != STATUS_OK) {
        conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
        return;
    }
    if (bytes.len != 0 && is_too_slow(self, client)) {
        conn_close(client->conn, CONN_CLOSE_LIMIT, "it does not read what it has subscribed to");
        return;
    }
    self->op = LATENCY_NONE;
    if (bytes.len != 0) {
        serve_send(self, client, gate_lsn);
    }
    if (ends) {
        serve_end(client);
    }
}

void serve_redis_deliver(struct serve_worker *self)
{
    redis_deliver(self->redis, send_published);
}

void serve_on_expired(struct serve *self, struct view id)
{
    redis_tell_expired(self->redis, id);
}

void serve_redis_wake(void *worker_arg)
{
    const struct serve_worker *self = worker_arg;
    worker_wake(self->worker);
}
