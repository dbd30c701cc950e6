/* Setting, getting and deleting fields of hashes. */
#include "redis/hashes.h"

#include "redis/elements.h"

enum { FIRST_FIELD = 2 }; /* in argv: after the command and the key */

/* ---- Setting -------------------------------------------------------------------------------- */

/* Sets all fields that the arguments name; false: it has been answered why not. */
static bool set_all(const struct redis_call *call, int64_t *added)
{
    if (call->argc % 2 != 0) {
        resp_error(call->out, "ERR wrong number of arguments for '%s' command",
                   call->command->name);
        return false;
    }
    const struct redis_element_change change = {SATCHEL_FIELDS, SATCHEL_FIELD_SET, FIRST_FIELD, 2};
    if (!redis_change_elements(call, &change, added)) {
        return false;
    }
    redis_notify(call, REDIS_EVENT_HASH, "hset", 0);
    return true;
}

void redis_hset(struct redis_call *call)
{
    int64_t added = 0;
    if (set_all(call, &added)) {
        resp_integer(call->out, added);
    }
}

void redis_hmset(struct redis_call *call)
{
    int64_t added = 0;
    if (set_all(call, &added)) {
        redis_ok(call);
    }
}

void redis_hsetnx(struct redis_call *call)
{
    const struct redis_element_change change = {SATCHEL_FIELDS, SATCHEL_FIELD_SET_IF_ABSENT,
                                                FIRST_FIELD, 2};
    int64_t added = 0;
    if (!redis_change_elements(call, &change, &added)) {
        return;
    }
    if (added != 0) {
        redis_notify(call, REDIS_EVENT_HASH, "hset", 0);
    }
    resp_integer(call->out, added);
}

void redis_hdel(struct redis_call *call)
{
    const struct redis_element_change change = {SATCHEL_FIELDS, SATCHEL_FIELD_DELETE, FIRST_FIELD,
                                                1};
    int64_t added = 0;
    if (!redis_change_elements(call, &change, &added)) {
        return;
    }
    if (added != 0) {
        redis_notify(call, REDIS_EVENT_HASH, "hdel", 0);
        if (redis_session(call, 0) == NULL) {
            redis_notify(call, REDIS_EVENT_GENERIC, "del", 0);
        }
    }
    resp_integer(call->out, -added);
}

/* ---- Getting -------------------------------------------------------------------------------- */

static void put_value(const struct redis_call *call, bool is_there, struct view value)
{
    if (is_there) {
        resp_bulk(call->out, value);
    } else {
        resp_null(call->out);
    }
}

void redis_hget(struct redis_call *call)
{
    struct view fields;
    struct view value = {0};
    if (redis_elements(call, SATCHEL_FIELDS, &fields)) {
        put_value(call, redis_find_element(fields, call->argv[FIRST_FIELD], &value), value);
    }
}

void redis_hmget(struct redis_call *call)
{
    struct view fields;
    if (!redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    size_t count = call->argc - FIRST_FIELD;
    struct redis_element_lookup lookup;
    redis_element_lookup_init(&lookup, fields, count);
    resp_array(call->out, count);
    for (size_t i = FIRST_FIELD; i < call->argc; i++) {
        struct view value = {0};
        bool is_there = redis_element_lookup_find(&lookup, call->argv[i], &value);
        put_value(call, is_there, value);
    }
}

void redis_hexists(struct redis_call *call)
{
    struct view fields;
    if (redis_elements(call, SATCHEL_FIELDS, &fields)) {
        resp_integer(call->out, redis_find_element(fields, call->argv[FIRST_FIELD], NULL));
    }
}

void redis_hstrlen(struct redis_call *call)
{
    struct view fields;
    struct view value = {0};
    if (redis_elements(call, SATCHEL_FIELDS, &fields)) {
        (void)redis_find_element(fields, call->argv[FIRST_FIELD], &value);
        resp_integer(call->out, (int64_t)value.len);
    }
}

void redis_hlen(struct redis_call *call)
{
    struct view fields;
    if (redis_elements(call, SATCHEL_FIELDS, &fields)) {
        resp_integer(call->out, (int64_t)redis_element_count(fields));
    }
}

enum part { FIELD_NAMES = 1, FIELD_VALUES = 2 };

static void put_all(const struct redis_call *call, unsigned parts)
{
    struct view fields;
    if (!redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    size_t count = redis_element_count(fields);
    if (parts == (FIELD_NAMES | FIELD_VALUES)) {
        resp_map(call->out, count);
    } else {
        resp_array(call->out, count);
    }
    struct field field;
    while (fields_next(&fields, &field) == STATUS_OK) {
        if ((parts & FIELD_NAMES) != 0) {
            resp_bulk(call->out, field.name);
        }
        if ((parts & FIELD_VALUES) != 0) {
            resp_bulk(call->out, field.value);
        }
    }
}

void redis_hgetall(struct redis_call *call)
{
    put_all(call, FIELD_NAMES | FIELD_VALUES);
}

void redis_hkeys(struct redis_call *call)
{
    put_all(call, FIELD_NAMES);
}

void redis_hvals(struct redis_call *call)
{
    put_all(call, FIELD_VALUES);
}
