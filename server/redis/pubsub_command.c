/* SUBSCRIBE, PUBLISH and the like; see pubsub.h. */
#include "redis/call.h"
#include "redis/glob.h"
#include "redis/help.h"
#include "redis/pubsub.h"

/* ---- Subscribing ---------------------------------------------------------------------------- */

/* Tells the client what it has begun or ended to listen to, and how much is left. */
static void tell(const struct redis_call *call, const char *what, const struct view *name)
{
    resp_push(call->out, 3);
    resp_bulk_text(call->out, what);
    if (name != NULL) {
        resp_bulk(call->out, *name);
    } else {
        resp_null(call->out);
    }
    resp_integer(call->out, (int64_t)call->client->channel_count + call->client->pattern_count);
}

static void join_all(const struct redis_call *call, enum redis_topic_kind kind, const char *what)
{
    for (size_t i = 1; i < call->argc; i++) {
        if (!redis_topic_join(call->client, kind, call->argv[i])) {
            resp_error(call->out, "ERR too many subscriptions, or out of memory");
            return;
        }
        tell(call, what, &call->argv[i]);
    }
}

void redis_subscribe(struct redis_call *call)
{
    join_all(call, REDIS_CHANNEL, "subscribe");
}

void redis_psubscribe(struct redis_call *call)
{
    join_all(call, REDIS_PATTERN, "psubscribe");
}

/* Ends all subscriptions of a kind. */
static void leave_all(const struct redis_call *call, enum redis_topic_kind kind, const char *what)
{
    struct buf *name = &call->scratch->content;
    bool has_left = false;
    while (redis_topic_first(call->client, kind, name)) {
        struct view left = buf_view(name);
        redis_topic_leave(call->client, kind, left);
        tell(call, what, &left);
        has_left = true;
    }
    if (!has_left) {
        tell(call, what, NULL);
    }
}

static void leave(const struct redis_call *call, enum redis_topic_kind kind, const char *what)
{
    if (call->argc == 1) {
        leave_all(call, kind, what);
    }
    for (size_t i = 1; i < call->argc; i++) {
        redis_topic_leave(call->client, kind, call->argv[i]);
        tell(call, what, &call->argv[i]);
    }
}

void redis_unsubscribe(struct redis_call *call)
{
    leave(call, REDIS_CHANNEL, "unsubscribe");
}

void redis_punsubscribe(struct redis_call *call)
{
    leave(call, REDIS_PATTERN, "punsubscribe");
}

/* ---- Publishing ----------------------------------------------------------------------------- */

void redis_publish(struct redis_call *call)
{
    struct redis_pubsub *pubsub = call->client->worker->redis->pubsub;
    size_t count = 0;
    if (call->client->multi.is_open) {
        /* What a transaction says is said when it has happened. */
        count = redis_count_listeners(pubsub, call->argv[1]);
        redis_note_message(call->events, call->argv[1], call->argv[2]);
    } else {
        count = redis_publish_message(pubsub, call->argv[1], call->argv[2], 0);
    }
    resp_integer(call->out, (int64_t)count);
}

/* ---- Looking -------------------------------------------------------------------------------- */

struct channel_list {
    struct view pattern;
    struct buf *names; /* length u32 and bytes of each */
    size_t count;
    bool has_failed;
};

static void list_channel(void *arg, struct view name)
{
    struct channel_list *self = arg;
    uint8_t len[sizeof(uint32_t)];
    if (!redis_glob_matches(self->pattern, name, REDIS_GLOB_EXACT)) {
        return;
    }
    store_u32(len, (uint32_t)name.len);
    self->has_failed |= buf_append(self->names, view_of(len, sizeof len)) != STATUS_OK ||
                        buf_append(self->names, name) != STATUS_OK;
    self->count++;
}

void redis_pubsub_channels(struct redis_call *call)
{
    if (call->argc > 3) {
        redis_wrong_subcommand(call);
        return;
    }
    struct channel_list list = {.pattern = call->argc == 3 ? call->argv[2] : view_str("*"),
                                .names = &call->scratch->content};
    list.names->len = 0;
    redis_each_channel(call->client->worker->redis->pubsub, list_channel, &list);
    if (list.has_failed) {
        redis_refuse(call->out, SATCHEL_BUSY);
        return;
    }
    resp_array(call->out, list.count);
    const uint8_t *at = list.names->ptr;
    for (size_t i = 0; i < list.count; i++) {
        uint32_t len = load_u32(at);
        resp_bulk(call->out, view_of(at + sizeof len, len));
        at += sizeof len + len;
    }
}

void redis_pubsub_numsub(struct redis_call *call)
{
    struct redis_pubsub *pubsub = call->client->worker->redis->pubsub;
    resp_array(call->out, (call->argc - 2) * 2);
    for (size_t i = 2; i < call->argc; i++) {
        resp_bulk(call->out, call->argv[i]);
        resp_integer(call->out, (int64_t)redis_subscriber_count(pubsub, call->argv[i]));
    }
}

void redis_pubsub_numpat(struct redis_call *call)
{
    struct redis_pubsub *pubsub = call->client->worker->redis->pubsub;
    resp_integer(call->out, (int64_t)redis_topic_count(pubsub, REDIS_PATTERN));
}

void redis_pubsub_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
    };
    redis_help(call, "PUBSUB", lines, sizeof lines / sizeof lines[0]);
}
