/* Setting, telling and removing expiries. */
#include "redis/expire.h"

#include "redis/call.h"

/* ---- EXPIRE and its kin --------------------------------------------------------------------- */

/* When an expiry is to be set; those that are asked for have to hold all. */
struct conditions {
    bool if_none;
    bool if_any;
    bool if_later; /* than the present one; no expiry is the latest */
    bool if_earlier;
};

/* Reads the conditions. False: an error was answered. */
static bool read_conditions(const struct redis_call *call, struct conditions *out)
{
    *out = (struct conditions){0};
    for (size_t i = 3; i < call->argc; i++) {
        if (redis_arg_is(call, i, "nx")) {
            out->if_none = true;
        } else if (redis_arg_is(call, i, "xx")) {
            out->if_any = true;
        } else if (redis_arg_is(call, i, "gt")) {
            out->if_later = true;
        } else if (redis_arg_is(call, i, "lt")) {
            out->if_earlier = true;
        } else {
            resp_error(call->out, "ERR Unsupported option %.*s", (int)call->argv[i].len,
                       (const char *)call->argv[i].ptr);
            return false;
        }
    }
    if (out->if_none && (out->if_any || out->if_later || out->if_earlier)) {
        resp_error(call->out,
                   "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (out->if_later && out->if_earlier) {
        resp_error(call->out, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static bool do_hold(const struct conditions *conditions, int64_t present_ms, int64_t expires_ms)
{
    if (present_ms == 0) {
        return !conditions->if_any && !conditions->if_later;
    }
    return !conditions->if_none && (!conditions->if_later || expires_ms > present_ms) &&
           (!conditions->if_earlier || expires_ms < present_ms);
}

static void expire(const struct redis_call *call, enum redis_time_unit unit,
                   enum redis_time_base base)
{
    struct conditions conditions;
    int64_t expires_ms = 0;
    if (!read_conditions(call, &conditions) ||
        !redis_expiry_arg(call, 2, unit, base, false, &expires_ms)) {
        return;
    }
    const struct session *found = redis_session(call, 0);
    bool is_done = found != NULL && do_hold(&conditions, found->expires_ms, expires_ms);
    if (is_done && session_is_expired(expires_ms, call->now_ms)) {
        transaction_delete(call->sessions, call->keys[0]);
        redis_notify(call, REDIS_EVENT_GENERIC, "del", 0);
    } else if (is_done) {
        transaction_set_times(call->sessions, call->keys[0], expires_ms, 0);
        redis_notify(call, REDIS_EVENT_GENERIC, "expire", 0);
    }
    resp_integer(call->out, is_done ? 1 : 0);
}

void redis_expire(struct redis_call *call)
{
    expire(call, REDIS_SECONDS, REDIS_FROM_NOW);
}

void redis_pexpire(struct redis_call *call)
{
    expire(call, REDIS_MILLISECONDS, REDIS_FROM_NOW);
}

void redis_expireat(struct redis_call *call)
{
    expire(call, REDIS_SECONDS, REDIS_SINCE_1970);
}

void redis_pexpireat(struct redis_call *call)
{
    expire(call, REDIS_MILLISECONDS, REDIS_SINCE_1970);
}

void redis_persist(struct redis_call *call)
{
    const struct session *found = redis_session(call, 0);
    bool is_done = found != NULL && found->expires_ms != 0;
    if (is_done) {
        transaction_set_times(call->sessions, call->keys[0], 0, 0);
        redis_notify(call, REDIS_EVENT_GENERIC, "persist", 0);
    }
    resp_integer(call->out, is_done ? 1 : 0);
}

/* ---- TTL and its kin ------------------------------------------------------------------------ */

enum { NO_KEY = -2, NO_EXPIRY = -1 };

static void tell(const struct redis_call *call, enum redis_time_unit unit,
                 enum redis_time_base base)
{
    const struct session *found = redis_session(call, 0);
    if (found == NULL || found->expires_ms == 0) {
        resp_integer(call->out, found == NULL ? NO_KEY : NO_EXPIRY);
        return;
    }
    int64_t time_ms = base == REDIS_FROM_NOW ? found->expires_ms - call->now_ms : found->expires_ms;
    resp_integer(call->out, unit == REDIS_SECONDS ? (time_ms + 500) / 1000 : time_ms);
}

void redis_ttl(struct redis_call *call)
{
    tell(call, REDIS_SECONDS, REDIS_FROM_NOW);
}

void redis_pttl(struct redis_call *call)
{
    tell(call, REDIS_MILLISECONDS, REDIS_FROM_NOW);
}

void redis_expiretime(struct redis_call *call)
{
    tell(call, REDIS_SECONDS, REDIS_SINCE_1970);
}

void redis_pexpiretime(struct redis_call *call)
{
    tell(call, REDIS_MILLISECONDS, REDIS_SINCE_1970);
}
