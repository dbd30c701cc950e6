/* Parts of strings. */
#include "redis/ranges.h"

#include "redis/call.h"

/* The string of the only key; empty when there is none. False: WRONGTYPE was answered. */
static bool find_string(const struct redis_call *call, struct view *content)
{
    const struct session *string;
    if (!redis_session_of_kind(call, 0, SATCHEL_BLOB, &string)) {
        return false;
    }
    *content = string != NULL ? string->content : (struct view){0};
    return true;
}

/*
 * Stages the string `old` with `part` written at `offset`, where zeros fill a gap, and answers how
 * long it is now. The offset is not negative, and nothing is staged when that would be too long.
 */
static void write_part(const struct redis_call *call, struct view old, uint64_t offset,
                       struct view part, const char *event)
{
    uint64_t end = offset + part.len; /* an int64_t and a length in memory: no overflow */
    size_t len = end > old.len ? end : old.len;
    if (!redis_string_fits(call, end)) {
        return;
    }
    struct buf *content = &call->scratch->content;
    content->len = 0;
    if (buf_reserve(content, len) != STATUS_OK) {
        redis_refuse(call->out, SATCHEL_BUSY);
        return;
    }
    uint8_t *gap = put_view(content->ptr, old);
    if (offset > old.len) {
        memset(gap, 0, offset - old.len);
    }
    (void)put_view(content->ptr + offset, part);
    content->len = len;
    redis_replace_string(call, 0, buf_view(content));
    redis_notify(call, REDIS_EVENT_STRING, event, 0);
    resp_integer(call->out, (int64_t)len);
}

void redis_append(struct redis_call *call)
{
    struct view old;
    if (find_string(call, &old)) {
        write_part(call, old, old.len, call->argv[2], "append");
    }
}

void redis_setrange(struct redis_call *call)
{
    int64_t offset = 0;
    if (!redis_integer_arg(call, 2, &offset)) {
        return;
    }
    if (offset < 0) {
        resp_error(call->out, "ERR offset is out of range");
        return;
    }
    struct view old;
    if (!find_string(call, &old)) {
        return;
    }
    if (call->argv[3].len == 0) {
        resp_integer(call->out, (int64_t)old.len); /* writing nothing makes nothing longer */
    } else {
        write_part(call, old, (uint64_t)offset, call->argv[3], "setrange");
    }
}

void redis_strlen(struct redis_call *call)
{
    struct view string;
    if (find_string(call, &string)) {
        resp_integer(call->out, (int64_t)string.len);
    }
}

/* A place that may be counted from the end, as one from the start; before the start is the start.
 */
static int64_t from_start(int64_t place, size_t len)
{
    int64_t counted = place < 0 ? place + (int64_t)len : place;
    return counted < 0 ? 0 : counted;
}

/* The bytes from `first` to `last`, both included. */
static struct view part_of(struct view string, int64_t first, int64_t last)
{
    bool is_reversed = first < 0 && last < 0 && first > last;
    first = from_start(first, string.len);
    last = from_start(last, string.len);
    if (last >= (int64_t)string.len) {
        last = (int64_t)string.len - 1;
    }
    if (is_reversed || first > last) {
        return (struct view){0};
    }
    return view_of(string.ptr + first, (size_t)(last - first) + 1);
}

void redis_getrange(struct redis_call *call)
{
    int64_t first = 0;
    int64_t last = 0;
    struct view string;
    if (redis_integer_arg(call, 2, &first) && redis_integer_arg(call, 3, &last) &&
        find_string(call, &string)) {
        resp_bulk(call->out, part_of(string, first, last));
    }
}
