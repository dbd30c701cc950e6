/* Keys of any kind. */
#include "redis/keys.h"

#include <inttypes.h>

#include "redis/call.h"
#include "redis/client.h"

void redis_del(struct redis_call *call)
{
    int64_t count = 0;
    for (size_t i = 0; i < call->key_count; i++) {
        if (redis_session(call, i) != NULL) {
            redis_notify(call, REDIS_EVENT_GENERIC, "del", i);
            count++;
        }
        transaction_delete(call->sessions, call->keys[i]); /* also what has expired but is stored */
    }
    resp_integer(call->out, count);
}

void redis_exists(struct redis_call *call)
{
    int64_t count = 0;
    for (size_t i = 0; i < call->key_count; i++) {
        count += redis_session(call, i) != NULL ? 1 : 0; /* a key named twice counts twice */
    }
    resp_integer(call->out, count);
}

void redis_type(struct redis_call *call)
{
    const struct session *found = redis_session(call, 0);
    resp_simple(call->out, found != NULL ? redis_type_name(found->kind) : "none");
}

/* ---- Other names ---------------------------------------------------------------------------- */

static bool are_same(const struct redis_call *call)
{
    return call->keys[0] == call->keys[1];
}

/* The session of the first key becomes that of the second. */
static void move(const struct redis_call *call)
{
    transaction_copy(call->sessions, call->keys[1], call->keys[0]);
    transaction_delete(call->sessions, call->keys[0]);
    redis_notify(call, REDIS_EVENT_GENERIC, "rename_from", 0);
    redis_notify(call, REDIS_EVENT_GENERIC, "rename_to", 1);
}

/* True when there is something to rename; otherwise an error was answered. */
static bool has_source(const struct redis_call *call)
{
    if (redis_session(call, 0) == NULL) {
        resp_error(call->out, "ERR no such key");
        return false;
    }
    return true;
}

void redis_rename(struct redis_call *call)
{
    if (!has_source(call)) {
        return;
    }
    if (!are_same(call)) {
        move(call);
    }
    redis_ok(call);
}

void redis_renamenx(struct redis_call *call)
{
    if (!has_source(call)) {
        return;
    }
    bool is_free = redis_session(call, 1) == NULL; /* never when both are the same */
    if (is_free) {
        move(call);
    }
    resp_integer(call->out, is_free ? 1 : 0);
}

/* Reads the database that COPY names, which has to be the connection's own: keys of others are not
 * named by this command. False: an error was answered. */
static bool is_own_database(const struct redis_call *call, size_t arg)
{
    int64_t db = 0;
    if (!redis_integer_arg(call, arg, &db)) {
        return false;
    }
    if (db < INT32_MIN || db > INT32_MAX) {
        resp_error(call->out,
                   "ERR value is out of range, value must between %" PRId32 " and %" PRId32,
                   INT32_MIN, INT32_MAX);
        return false;
    }
    if (db != call->client->db) {
        resp_error(call->out, "ERR DB index is out of range");
        return false;
    }
    return true;
}

void redis_copy(struct redis_call *call)
{
    bool replaces = false;
    for (size_t i = 3; i < call->argc; i++) {
        if (redis_arg_is(call, i, "replace")) {
            replaces = true;
        } else if (redis_arg_is(call, i, "db") && i + 1 < call->argc) {
            if (!is_own_database(call, ++i)) {
                return;
            }
        } else {
            redis_syntax_error(call);
            return;
        }
    }
    if (are_same(call)) {
        resp_error(call->out, "ERR source and destination objects are the same");
        return;
    }
    bool is_done = redis_session(call, 0) != NULL && (replaces || redis_session(call, 1) == NULL);
    if (is_done) {
        transaction_copy(call->sessions, call->keys[1], call->keys[0]);
        redis_notify(call, REDIS_EVENT_GENERIC, "copy_to", 1);
    }
    resp_integer(call->out, is_done ? 1 : 0);
}
