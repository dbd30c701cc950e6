#include "load/run.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

enum { COMPLAINTS_MAX = 5 };

/* A time to live over this does not end within a run. */
static const uint64_t LONG_TTL_MS = UINT64_C(3600000);

static bool find_server(struct run *self, const char *server, char why[static WHY_BYTES])
{
    struct host_port where;
    char port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (host_port_parse(server, &where, why, WHY_BYTES) != STATUS_OK) {
        self->exit_code = EXIT_USAGE;
        return false;
    }
    (void)snprintf(port, sizeof port, "%u", (unsigned)where.port);
    int error = getaddrinfo(where.host, port, &hints, &found);
    if (error != 0) {
        self->exit_code = EXIT_SERVER;
        (void)snprintf(why, WHY_BYTES, "%.200s: %s", server, gai_strerror(error));
        return false;
    }
    memcpy(&self->address, found->ai_addr, found->ai_addrlen);
    self->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* Sessions of another kind, or values of another shape, have other keys. */
static uint64_t family_of(const struct options *options)
{
    const struct value_shape *shape = &options->value_shape;
    uint64_t kind = (mix_has_fields(&options->mix) ? 2U : 0U) | (shape->json ? 1U : 0U);
    return splitmix_mix((uint64_t)shape->bytes_min << 32 | shape->bytes_max) ^ kind;
}

/* Tells runs apart that write to one server: milliseconds, which come again after 49 days. */
static uint32_t run_number(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

bool run_init(struct run *self, const struct options *options, char why[static WHY_BYTES])
{
    bool short_lived = options->idle_ttl_ms != 0 && options->idle_ttl_ms < LONG_TTL_MS;
    *self = (struct run){
        .options = options,
        .protocol = protocol_named(options->protocol),
        .dialect = {.idle_ttl_ms = options->idle_ttl_ms,
                    .has_fields = mix_has_fields(&options->mix),
                    .ack_fast = options->ack},
        .sessions_stay = !short_lived && !mix_has(&options->mix, OPERATION_DELETE),
        .exit_code = EXIT_USAGE,
    };
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_barrier_init(&self->barrier, NULL, (unsigned)options->threads + 1);
    if (!find_server(self, options->server, why)) {
        return false;
    }
    keys_init(&self->keys, options->keys, options->key_distribution, family_of(options));
    uint64_t value_count = run_value(self, options->keys - 1, ITEM_COUNT - 1) + 1;
    if (ledger_init(&self->ledger, value_count, run_number()) != STATUS_OK ||
        values_init(&self->values, options->value_shape) != STATUS_OK) {
        (void)snprintf(why, WHY_BYTES, "out of memory");
        return false;
    }
    self->exit_code = EXIT_MEASURED;
    return true;
}

void run_free(struct run *self)
{
    values_free(&self->values);
    ledger_free(&self->ledger);
    (void)pthread_barrier_destroy(&self->barrier);
    (void)pthread_mutex_destroy(&self->lock);
}

void run_fail(struct run *self, int exit_code, const char *format, ...)
{
    (void)pthread_mutex_lock(&self->lock);
    if (!run_failed(self)) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(self->why, sizeof self->why, format, args);
        va_end(args);
        self->exit_code = exit_code;
        atomic_store_explicit(&self->failed, true, memory_order_release);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void run_complain(struct run *self, enum operation operation, struct view key, struct view what)
{
    /* Relaxed: nothing but the number of lines depends on it. */
    if (atomic_fetch_add_explicit(&self->complaints, 1, memory_order_relaxed) < COMPLAINTS_MAX) {
        fprintf(stderr, "satchel-bench: %s of %.*s: %.*s\n", operation_word(operation),
                (int)key.len, (const char *)key.ptr, (int)(what.len < 200 ? what.len : 200),
                (const char *)what.ptr);
    }
}
