/* Members of sets. */
#include "redis/sets.h"

#include "redis/elements.h"

enum { FIRST_MEMBER = 2 }; /* in argv: after the command and the key */

void redis_sadd(struct redis_call *call)
{
    const struct redis_element_change change = {SATCHEL_NAMES, SATCHEL_FIELD_SET_IF_ABSENT,
                                                FIRST_MEMBER, 1};
    int64_t added = 0;
    if (!redis_change_elements(call, &change, &added)) {
        return;
    }
    if (added != 0) {
        redis_notify(call, REDIS_EVENT_SET, "sadd", 0);
    }
    resp_integer(call->out, added);
}

void redis_srem(struct redis_call *call)
{
    const struct redis_element_change change = {SATCHEL_NAMES, SATCHEL_FIELD_DELETE, FIRST_MEMBER,
                                                1};
    int64_t added = 0;
    if (!redis_change_elements(call, &change, &added)) {
        return;
    }
    if (added != 0) {
        redis_notify(call, REDIS_EVENT_SET, "srem", 0);
        if (redis_session(call, 0) == NULL) {
            redis_notify(call, REDIS_EVENT_GENERIC, "del", 0);
        }
    }
    resp_integer(call->out, -added);
}

void redis_smembers(struct redis_call *call)
{
    struct view members;
    if (!redis_elements(call, SATCHEL_NAMES, &members)) {
        return;
    }
    resp_set(call->out, redis_element_count(members));
    struct field member;
    while (fields_next(&members, &member) == STATUS_OK) {
        resp_bulk(call->out, member.name);
    }
}

void redis_sismember(struct redis_call *call)
{
    struct view members;
    if (redis_elements(call, SATCHEL_NAMES, &members)) {
        resp_integer(call->out, redis_find_element(members, call->argv[FIRST_MEMBER], NULL));
    }
}

void redis_smismember(struct redis_call *call)
{
    struct view members;
    if (!redis_elements(call, SATCHEL_NAMES, &members)) {
        return;
    }
    size_t count = call->argc - FIRST_MEMBER;
    struct redis_element_lookup lookup;
    redis_element_lookup_init(&lookup, members, count);
    resp_array(call->out, count);
    for (size_t i = FIRST_MEMBER; i < call->argc; i++) {
        resp_integer(call->out, redis_element_lookup_find(&lookup, call->argv[i], NULL));
    }
}

void redis_scard(struct redis_call *call)
{
    struct view members;
    if (redis_elements(call, SATCHEL_NAMES, &members)) {
        resp_integer(call->out, (int64_t)redis_element_count(members));
    }
}
