/* Telling keyspace events; see events.h. */
#include "redis/events.h"

#include "redis/call.h"
#include "redis/config.h"
#include "redis/names.h"
#include "redis/pubsub.h"

/* In the order in which Redis writes them; a flag is the bit of its place. Those of A are the first
 * ten. */
static const char letters[] = "g$lshzxetdnKEm";

enum {
    ALL_COUNT = 10,
    ALL = (1 << ALL_COUNT) - 1,
    NEW = 1 << 10,
    KEYSPACE = 1 << 11,
    KEYEVENT = 1 << 12,
    MESSAGE = 0, /* in the place of an event's class */
};

static uint32_t flag_of(uint8_t letter)
{
    const char *at = letter == '\0' ? NULL : strchr(letters, letter);
    return at == NULL ? 0 : UINT32_C(1) << (at - letters);
}

bool redis_event_flags_parse(struct view text, uint32_t *flags)
{
    *flags = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t flag = text.ptr[i] == 'A' ? ALL : flag_of(text.ptr[i]);
        if (flag == 0) {
            return false;
        }
        *flags |= flag;
    }
    return true;
}

void redis_event_flags_write(uint32_t flags, char out[static REDIS_EVENT_FLAGS_BYTES])
{
    size_t len = 0;
    if ((flags & ALL) == ALL) {
        out[len++] = 'A';
        flags &= ~(uint32_t)(ALL | NEW); /* Redis does not tell of n beside A */
    }
    for (size_t i = 0; letters[i] != '\0'; i++) {
        if ((flags & (UINT32_C(1) << i)) != 0) {
            out[len++] = letters[i];
        }
    }
    out[len] = '\0';
}

/* ---- Telling -------------------------------------------------------------------------------- */

/* Tells one thing on the channel __<kind>@<db>__:<subject>. */
static void tell(struct redis_pubsub *pubsub, const char *kind, unsigned db, struct view subject,
                 struct view message, uint64_t gate_lsn)
{
    struct buf channel = {0};
    if (buf_printf(&channel, "__%s@%u__:", kind, db) == STATUS_OK &&
        buf_append(&channel, subject) == STATUS_OK) {
        (void)redis_publish_message(pubsub, buf_view(&channel), message, gate_lsn);
    }
    buf_free(&channel);
}

static void tell_event(struct redis *redis, uint8_t event_class, struct view event, struct view id,
                       uint64_t gate_lsn)
{
    uint32_t wanted = redis_wanted_events(redis->config);
    if ((wanted & flag_of(event_class)) == 0) {
        return;
    }
    unsigned db = 0;
    struct view key = redis_key_of(id, &db);
    if ((wanted & KEYSPACE) != 0) {
        tell(redis->pubsub, "keyspace", db, key, event, gate_lsn);
    }
    if ((wanted & KEYEVENT) != 0) {
        tell(redis->pubsub, "keyevent", db, event, key, gate_lsn);
    }
}

static struct view take(struct view *from, size_t len)
{
    struct view taken = view_of(from->ptr, len);
    *from = view_of(from->ptr + len, from->len - len);
    return taken;
}

void redis_note_message(struct buf *events, struct view channel, struct view payload)
{
    uint8_t head[1 + 2 * sizeof(uint32_t)] = {MESSAGE};
    size_t before = events->len;
    store_u32(head + 1, (uint32_t)channel.len);
    store_u32(head + 1 + sizeof(uint32_t), (uint32_t)payload.len);
    if (buf_append(events, view_of(head, sizeof head)) != STATUS_OK ||
        buf_append(events, channel) != STATUS_OK || buf_append(events, payload) != STATUS_OK) {
        events->len = before;
    }
}

void redis_publish_events(struct redis *redis, struct view events, uint64_t gate_lsn)
{
    if (!redis_has_subscribers(redis->pubsub)) {
        return;
    }
    while (events.len != 0) {
        uint8_t event_class = take(&events, 1).ptr[0];
        if (event_class == MESSAGE) {
            uint32_t channel_len = load_u32(take(&events, sizeof(uint32_t)).ptr);
            uint32_t payload_len = load_u32(take(&events, sizeof(uint32_t)).ptr);
            struct view channel = take(&events, channel_len);
            struct view payload = take(&events, payload_len);
            (void)redis_publish_message(redis->pubsub, channel, payload, gate_lsn);
        } else {
            uint8_t name_len = take(&events, 1).ptr[0];
            uint16_t id_len = load_u16(take(&events, sizeof(uint16_t)).ptr);
            struct view name = take(&events, name_len);
            struct view id = take(&events, id_len);
            tell_event(redis, event_class, name, id, gate_lsn);
        }
    }
}

/* ---- Expiry --------------------------------------------------------------------------------- */

bool redis_wants_expired(const struct redis *self)
{
    uint32_t wanted = redis_wanted_events(self->config);
    return (wanted & flag_of(REDIS_EVENT_EXPIRED)) != 0 && (wanted & (KEYSPACE | KEYEVENT)) != 0 &&
           redis_has_subscribers(self->pubsub);
}

void redis_tell_expired(struct redis *self, struct view id)
{
    if (redis_wants_expired(self)) {
        tell_event(self, REDIS_EVENT_EXPIRED, view_str("expired"), id, 0);
    }
}
