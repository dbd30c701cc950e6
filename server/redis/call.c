/* What handlers have in common: sessions, answers, arguments, events. */
#include "redis/call.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "redis/pubsub.h"

enum { CURSOR_BYTES_MAX = 31 }; /* more than a number of 64 bits has */

/* ---- Sessions ------------------------------------------------------------------------------- */

bool redis_session_of_kind(const struct redis_call *call, size_t i, enum satchel_kind kind,
                           const struct session **out)
{
    *out = redis_session(call, i);
    if (*out != NULL && (*out)->kind != kind) {
        redis_wrong_type(call);
        return false;
    }
    return true;
}

void redis_put_string(const struct redis_call *call, size_t i, struct view content,
                      int64_t expires_ms)
{
    const struct session next = {
        .kind = SATCHEL_BLOB, .content = content, .expires_ms = expires_ms};
    transaction_put(call->sessions, call->keys[i], &next);
}

void redis_replace_string(const struct redis_call *call, size_t i, struct view content)
{
    const struct session *old = redis_session(call, i);
    struct session next = {.kind = SATCHEL_BLOB, .content = content};
    if (old != NULL) {
        next.expires_ms = old->expires_ms;
        next.idle_ttl_ms = old->idle_ttl_ms;
    }
    transaction_put(call->sessions, call->keys[i], &next);
}

bool redis_string_fits(const struct redis_call *call, uint64_t bytes)
{
    if (bytes > call->value_bytes_max) {
        redis_too_large(call);
        return false;
    }
    return true;
}

const char *redis_type_name(enum satchel_kind kind)
{
    switch (kind) {
    case SATCHEL_BLOB:
        return "string";
    case SATCHEL_FIELDS:
        return "hash";
    case SATCHEL_NAMES:
        return "set";
    }
    return "none";
}

/* ---- Answers -------------------------------------------------------------------------------- */

void redis_ok(const struct redis_call *call)
{
    resp_simple(call->out, "OK");
}

void redis_syntax_error(const struct redis_call *call)
{
    resp_error(call->out, "ERR syntax error");
}

void redis_wrong_type(const struct redis_call *call)
{
    resp_error(call->out, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void redis_too_large(const struct redis_call *call)
{
    resp_error(call->out, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

void redis_wait_for(struct redis_call *call, uint64_t gate_lsn)
{
    if (call->client->ack != ACK_FAST && gate_lsn > call->gate_lsn) {
        call->gate_lsn = gate_lsn;
    }
}

void redis_refuse(struct resp_writer *out, enum satchel_status status)
{
    switch (status) {
    case SATCHEL_LOADING:
        resp_error(out, "LOADING Redis is loading the dataset in memory");
        break;
    case SATCHEL_STOPPING:
        resp_error(out, "TRYAGAIN This server is stopping, reconnect");
        break;
    case SATCHEL_BUSY:
        resp_error(out, "TRYAGAIN The storage is behind, try again");
        break;
    case SATCHEL_NO_SPACE:
        resp_error(out, "MISCONF The storage is full, nothing can be changed for now");
        break;
    case SATCHEL_WRONG_KIND:
        resp_error(out, "WRONGTYPE Operation against a key holding the wrong kind of value");
        break;
    case SATCHEL_TOO_LARGE:
        resp_error(out, "ERR this is larger than a session, or a transaction, can be");
        break;
    default:
        resp_error(out, "ERR this cannot be done to a session");
        break;
    }
}

/* ---- Arguments ------------------------------------------------------------------------------ */

bool redis_integer(const struct redis_call *call, struct view text, int64_t *out)
{
    if (resp_parse_integer(text, out)) {
        return true;
    }
    resp_error(call->out, "ERR value is not an integer or out of range");
    return false;
}

bool redis_cursor_arg(const struct redis_call *call, size_t arg, uint64_t *out)
{
    char text[CURSOR_BYTES_MAX + 1];
    struct view cursor = call->argv[arg];
    bool is_valid = cursor.len <= CURSOR_BYTES_MAX &&
                    (cursor.len == 0 || isspace(cursor.ptr[0]) == 0);
    if (is_valid) {
        char *end = text;
        *put_view((uint8_t *)text, cursor) = '\0';
        errno = 0;
        *out = strtoull(text, &end, 10);
        is_valid = *end == '\0' && errno == 0;
    }
    if (!is_valid) {
        resp_error(call->out, "ERR invalid cursor");
    }
    return is_valid;
}

/* No session lives longer than its header can say. */
enum { YEAR_MS_DIGITS = 44 };

bool redis_expiry_arg(const struct redis_call *call, size_t arg, enum redis_time_unit unit,
                      enum redis_time_base base, bool positive, int64_t *expires_ms)
{
    const int64_t latest_ms = (INT64_C(1) << YEAR_MS_DIGITS) - 1;
    int64_t time = 0;
    if (!redis_integer_arg(call, arg, &time)) {
        return false;
    }
    bool is_valid = (!positive || time > 0) &&
                    (unit != REDIS_SECONDS ||
                     !__builtin_mul_overflow(time, INT64_C(1000), &time)) &&
                    (base != REDIS_FROM_NOW || !__builtin_add_overflow(time, call->now_ms, &time));
    if (!is_valid) {
        resp_error(call->out, "ERR invalid expire time in '%s' command", call->command->name);
        return false;
    }
    *expires_ms = time < 1 ? 1 : time > latest_ms ? latest_ms : time;
    return true;
}

/* ---- Keyspace events ------------------------------------------------------------------------ */

void redis_notify(const struct redis_call *call, enum redis_event_class event_class,
                  const char *event, size_t i)
{
    if (call->client != NULL && !redis_has_subscribers(call->client->worker->redis->pubsub)) {
        return;
    }
    struct view id = call->sessions->keys[call->keys[i]].id;
    const uint8_t head[4] = {(uint8_t)event_class, (uint8_t)strlen(event), (uint8_t)id.len,
                             (uint8_t)(id.len >> 8)};
    size_t before = call->events->len;
    if (buf_append(call->events, view_of(head, sizeof head)) != STATUS_OK ||
        buf_append(call->events, view_str(event)) != STATUS_OK ||
        buf_append(call->events, id) != STATUS_OK) {
        call->events->len = before; /* events are told when there is memory for it */
    }
}
