/* The glue's options, its token, and its end. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/token.h"
#include "serve_private.h"

#define AT(member) offsetof(struct serve_options, member)

const struct option_desc serve_option_descs[] = {
    {.name = "token-file",
     .type = OPTION_TEXT,
     .standard = "",
     .unit = "FILE",
     .help = "File with the shared secret that clients have to present (at least 16 bytes). "
             "Without it the secret itself may be in the variable SATCHEL_TOKEN.",
     .offset = AT(token_file)},
    {.name = "allow-network-without-token",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help = "Listen beyond loopback without a token: whoever reaches the port reads and changes "
             "every session.",
     .offset = AT(open_without_token)},
    {.name = "ack",
     .type = OPTION_CHOICE,
     .standard = "durable",
     .unit = "durable|fast",
     .help = "When changes are answered that do not say: on stable storage, or from memory (lost "
             "when the task dies within the next milliseconds).",
     .offset = AT(ack)},
    {.name = "value-max",
     .type = OPTION_BYTES,
     .standard = "1m",
     .unit = "BYTES",
     .help = "Largest content of a session.",
     .least = 1,
     .most = SATCHEL_VALUE_BYTES_MAX,
     .offset = AT(value_bytes_max)},
};

const size_t serve_option_count = sizeof serve_option_descs / sizeof serve_option_descs[0];

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "localhost:", 10) == 0 ||
           strncmp(listen, "[::1]:", 6) == 0;
}

enum status serve_new(const struct serve_options *options, const char *listen,
                      const struct clock *clock, const struct metric_registry *registry,
                      struct serve **out, char *errmsg, size_t errmsg_bytes)
{
    struct serve *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->clock = clock;
    self->registry = registry;
    enum status status = token_read(options->token_file, &self->token, errmsg, errmsg_bytes);
    if (status == STATUS_OK && self->token.len == 0 && !is_loopback(listen) &&
        !options->open_without_token) {
        (void)snprintf(
            errmsg, errmsg_bytes,
            "refusing to listen on %s without a token: whoever reaches the port could read "
            "and change every session; use --token-file or SATCHEL_TOKEN, or "
            "--allow-network-without-token if that is meant",
            listen);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        const struct redis_options redis = {.value_bytes_max = options->value_bytes_max,
                                            .ack = (enum ack)options->ack,
                                            .token = buf_view(&self->token),
                                            .clock = clock,
                                            .registry = registry,
                                            .wake = serve_redis_wake,
                                            .loaded = serve_on_loaded};
        status = redis_open(&redis, &self->redis);
    }
    if (status != STATUS_OK) {
        serve_free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

void serve_set_store(struct serve *self, struct store *store, const struct ownership *owner)
{
    self->store = store;
    self->owner = *owner;
    redis_set_store(self->redis, store);
}

void serve_drain(struct serve *self)
{
    atomic_store_explicit(&self->draining, true, memory_order_relaxed);
    unsigned count = atomic_load_explicit(&self->worker_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        worker_wake(self->workers[i]->worker);
    }
}

bool serve_is_idle(const struct serve *self)
{
    unsigned count = atomic_load_explicit(&self->worker_count, memory_order_acquire);
    uint64_t busy = 0;
    for (unsigned i = 0; i < count; i++) {
        busy += atomic_load_explicit(&self->workers[i]->busy_count, memory_order_relaxed);
    }
    return busy == 0;
}

enum status serve_register_metrics(struct serve *self, struct metric_registry *registry)
{
    enum status status = STATUS_OK;
    unsigned count = atomic_load_explicit(&self->worker_count, memory_order_acquire);
    for (unsigned i = 0; i < count && status == STATUS_OK; i++) {
        status = metric_register(registry,
                                 (struct metric_set){.table = &serve_metrics_table,
                                                     .values = &self->workers[i]->metrics});
    }
    return status;
}

static void worker_free(struct serve_worker *self)
{
    for (const struct parked_reply *reply = NULL; (reply = parked_first(&self->parked)) != NULL;) {
        struct client *client = reply->client;
        parked_pop(&self->parked);
        client->in_flight--;
        if (client->in_flight == 0) { /* its connection is gone: net was freed */
            free(client);
        }
    }
    for (struct waiting_load *load = self->loaded, *next = NULL; load != NULL; load = next) {
        next = load->next;
        load->client->in_flight--;
        if (load->client->in_flight == 0) {
            free(load->client);
        }
        free(load);
    }
    redis_worker_free(self->redis);
    parked_free(&self->parked);
    session_scratch_free(&self->scratch);
    buf_free(&self->reply);
    (void)pthread_mutex_destroy(&self->loaded_lock);
    free(self);
}

void serve_free(struct serve *self)
{
    if (self == NULL) {
        return;
    }
    unsigned count = atomic_load_explicit(&self->worker_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        worker_free(self->workers[i]);
    }
    redis_close(self->redis);
    token_free(&self->token);
    free(self);
}
