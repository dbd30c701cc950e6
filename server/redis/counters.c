/* Counting in strings. The number stays text, as Redis shows it. */
#include "redis/counters.h"

#include <math.h>

#include "redis/call.h"
#include "session/number.h"

/* Adds to the only key, which counts as 0 when it is not there, and answers the sum. */
static void add(const struct redis_call *call, int64_t amount)
{
    const struct session *old;
    int64_t number = 0;
    if (!redis_session_of_kind(call, 0, SATCHEL_BLOB, &old) ||
        (old != NULL && !redis_integer(call, old->content, &number))) {
        return;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        resp_error(call->out, "ERR increment or decrement would overflow");
        return;
    }
    uint8_t digits[NUMBER_BYTES_MAX];
    redis_replace_string(call, 0, number_format(number, digits));
    redis_notify(call, REDIS_EVENT_STRING, "incrby", 0);
    resp_integer(call->out, number);
}

void redis_incr(struct redis_call *call)
{
    add(call, 1);
}

void redis_decr(struct redis_call *call)
{
    add(call, -1);
}

void redis_incrby(struct redis_call *call)
{
    int64_t amount = 0;
    if (redis_integer_arg(call, 2, &amount)) {
        add(call, amount);
    }
}

void redis_decrby(struct redis_call *call)
{
    int64_t amount = 0;
    if (!redis_integer_arg(call, 2, &amount)) {
        return;
    }
    if (amount == INT64_MIN) {
        resp_error(call->out, "ERR decrement would overflow");
        return;
    }
    add(call, -amount);
}

void redis_incrbyfloat(struct redis_call *call)
{
    const struct session *old;
    long double number = 0;
    long double amount = 0;
    if (!redis_session_of_kind(call, 0, SATCHEL_BLOB, &old)) {
        return;
    }
    if ((old != NULL && !resp_parse_float(old->content, &number)) ||
        !resp_parse_float(call->argv[2], &amount)) {
        resp_error(call->out, "ERR value is not a valid float");
        return;
    }
    number += amount;
    if (isnan(number) || isinf(number)) {
        resp_error(call->out, "ERR increment would produce NaN or Infinity");
        return;
    }
    char digits[RESP_NUMBER_BYTES_MAX];
    struct view text = resp_format_float(number, digits);
    redis_replace_string(call, 0, text);
    redis_notify(call, REDIS_EVENT_STRING, "incrbyfloat", 0);
    resp_bulk(call->out, text);
}
