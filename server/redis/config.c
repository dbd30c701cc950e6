/* CONFIG; see config.h. */
#include "redis/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/call.h"
#include "redis/events.h"
#include "redis/glob.h"
#include "redis/help.h"
#include "redis/info.h"

struct redis_config {
    /* Relaxed: an event that happens while it changes may be told or not. */
    _Atomic uint32_t wanted_events;
};

struct redis_config *redis_config_new(void)
{
    return calloc(1, sizeof(struct redis_config));
}

void redis_config_free(struct redis_config *self)
{
    free(self);
}

uint32_t redis_wanted_events(const struct redis_config *self)
{
    return atomic_load_explicit(&self->wanted_events, memory_order_relaxed);
}

/* ---- Parameters ----------------------------------------------------------------------------- */

enum { VALUE_BYTES = 32 };

/* What clients ask for, and what it is here. One that is not here does not exist, like one of a
 * later Redis. */
struct parameter {
    const char *name;
    const char *value; /* NULL: `tell` writes it */
    void (*tell)(const struct redis *redis, char out[static VALUE_BYTES]);
};

static void tell_wanted_events(const struct redis *redis, char out[static VALUE_BYTES])
{
    redis_event_flags_write(redis_wanted_events(redis->config), out);
}

static void tell_value_bytes_max(const struct redis *redis, char out[static VALUE_BYTES])
{
    (void)snprintf(out, VALUE_BYTES, "%" PRIu64, redis->options.value_bytes_max);
}

static void tell_databases(const struct redis *redis, char out[static VALUE_BYTES])
{
    (void)redis;
    (void)snprintf(out, VALUE_BYTES, "%d", REDIS_DATABASES);
}

static void tell_appendfsync(const struct redis *redis, char out[static VALUE_BYTES])
{
    (void)snprintf(out, VALUE_BYTES, "%s",
                   redis->options.ack == ACK_DURABLE ? "always" : "everysec");
}

_Static_assert((int)VALUE_BYTES >= (int)REDIS_EVENT_FLAGS_BYTES, "tell_wanted_events() has room");

static const char events_name[] = "notify-keyspace-events";

static const struct parameter parameters[] = {
    {"appendfsync", NULL, tell_appendfsync},
    {"appendonly", "yes", NULL},
    {"cluster-enabled", "no", NULL},
    {"databases", NULL, tell_databases},
    {"lazyfree-lazy-expire", "no", NULL},
    {"lazyfree-lazy-user-del", "no", NULL},
    {"lazyfree-lazy-user-flush", "no", NULL},
    {"maxmemory", "0", NULL},
    {"maxmemory-policy", "noeviction", NULL},
    {"min-replicas-to-write", "0", NULL},
    {"min-slaves-to-write", "0", NULL},
    {events_name, NULL, tell_wanted_events},
    {"proto-max-bulk-len", NULL, tell_value_bytes_max},
    {"replica-read-only", "yes", NULL},
    {"save", "", NULL},
    {"slave-read-only", "yes", NULL},
    {"timeout", "0", NULL},
};

enum { PARAMETERS = sizeof parameters / sizeof parameters[0] };

/* The value as text; it may be in `room`. */
static const char *value_of(const struct parameter *self, const struct redis *redis,
                            char room[static VALUE_BYTES])
{
    if (self->value != NULL) {
        return self->value;
    }
    self->tell(redis, room);
    return room;
}

static const struct parameter *find_parameter(struct view name)
{
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (resp_is_word(name, parameters[i].name)) {
            return &parameters[i];
        }
    }
    return NULL;
}

/* ---- CONFIG GET ----------------------------------------------------------------------------- */

static bool is_pattern(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("*?[", text.ptr[i]) != NULL && text.ptr[i] != '\0') {
            return true;
        }
    }
    return false;
}

/* The name by which a parameter was asked for: as it was written if it was named itself, its own if
 * a pattern matches; false: it was not asked for. */
static bool name_asked_for(const struct redis_call *call, const struct parameter *parameter,
                           struct view *name)
{
    for (size_t i = 2; i < call->argc; i++) {
        struct view asked = call->argv[i];
        if (!is_pattern(asked) && resp_is_word(asked, parameter->name)) {
            *name = asked;
            return true;
        }
        if (is_pattern(asked) &&
            redis_glob_matches(asked, view_str(parameter->name), REDIS_GLOB_ANY_CASE)) {
            *name = view_str(parameter->name);
            return true;
        }
    }
    return false;
}

void redis_config_get(struct redis_call *call)
{
    const struct parameter *found[PARAMETERS];
    struct view names[PARAMETERS];
    size_t count = 0;
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (name_asked_for(call, &parameters[i], &names[count])) {
            found[count++] = &parameters[i];
        }
    }
    resp_map(call->out, count);
    for (size_t i = 0; i < count; i++) {
        char room[VALUE_BYTES];
        resp_bulk(call->out, names[i]);
        resp_bulk_text(call->out, value_of(found[i], call->client->worker->redis, room));
    }
}

/* ---- CONFIG SET ----------------------------------------------------------------------------- */

static bool is_set_twice(const struct redis_call *call, size_t arg)
{
    for (size_t i = 2; i < arg; i += 2) {
        if (find_parameter(call->argv[i]) == find_parameter(call->argv[arg])) {
            return true;
        }
    }
    return false;
}

/* Why the parameter at `arg` cannot become what follows it; NULL: it can. */
static const char *why_not(const struct redis_call *call, const struct parameter *parameter,
                           size_t arg)
{
    char room[VALUE_BYTES];
    uint32_t flags = 0;
    if (is_set_twice(call, arg)) {
        return "duplicate parameter";
    }
    if (parameter->name == events_name) {
        return redis_event_flags_parse(call->argv[arg + 1], &flags)
                   ? NULL
                   : "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    }
    /* What it is already, it may be told to be. */
    const char *value = value_of(parameter, call->client->worker->redis, room);
    return resp_is_word(call->argv[arg + 1], value) ? NULL : "can't set immutable config";
}

/* Looks at all of it; false: an error was answered. */
static bool can_set(const struct redis_call *call)
{
    for (size_t arg = 2; arg < call->argc; arg += 2) {
        struct view name = call->argv[arg];
        const struct parameter *parameter = find_parameter(name);
        if (parameter == NULL) {
            resp_error(call->out,
                       "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                       (int)(name.len < 128 ? name.len : 128), (const char *)name.ptr);
            return false;
        }
        const char *why = why_not(call, parameter, arg);
        if (why != NULL) {
            resp_error(call->out, "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
                       parameter->name, why);
            return false;
        }
    }
    return true;
}

void redis_config_set(struct redis_call *call)
{
    if (call->argc % 2 != 0) {
        redis_syntax_error(call);
        return;
    }
    if (!can_set(call)) {
        return;
    }
    for (size_t arg = 2; arg < call->argc; arg += 2) {
        uint32_t flags = 0;
        if (redis_arg_is(call, arg, events_name) &&
            redis_event_flags_parse(call->argv[arg + 1], &flags)) {
            atomic_store_explicit(&call->client->worker->redis->config->wanted_events, flags,
                                  memory_order_relaxed);
        }
    }
    redis_ok(call);
}

/* ---- The others ----------------------------------------------------------------------------- */

void redis_config_resetstat(struct redis_call *call)
{
    redis_stats_reset(call->client->worker->redis);
    redis_ok(call);
}

void redis_config_rewrite(struct redis_call *call)
{
    resp_error(call->out, "ERR The server is running without a config file");
}

void redis_config_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
    };
    redis_help(call, "CONFIG", lines, sizeof lines / sizeof lines[0]);
}
