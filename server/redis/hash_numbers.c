/* Counting in fields of hashes, and picking fields at random. */
#include "redis/hashes.h"

#include <math.h>

#include "base/random.h"
#include "redis/elements.h"
#include "session/number.h"

/* ---- Counting ------------------------------------------------------------------------------- */

void redis_hincrby(struct redis_call *call)
{
    struct view fields;
    struct view value;
    int64_t amount = 0;
    int64_t number = 0;
    if (!redis_integer_arg(call, 3, &amount) || !redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    if (redis_find_element(fields, call->argv[2], &value) && !resp_parse_integer(value, &number)) {
        resp_error(call->out, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(number, amount, &number)) {
        resp_error(call->out, "ERR increment or decrement would overflow");
        return;
    }
    uint8_t digits[NUMBER_BYTES_MAX];
    if (redis_set_element(call, call->argv[2], number_format(number, digits))) {
        redis_notify(call, REDIS_EVENT_HASH, "hincrby", 0);
        resp_integer(call->out, number);
    }
}

void redis_hincrbyfloat(struct redis_call *call)
{
    struct view fields;
    struct view value;
    long double amount = 0;
    long double number = 0;
    if (!resp_parse_float(call->argv[3], &amount)) {
        resp_error(call->out, "ERR value is not a valid float");
        return;
    }
    if (isinf(amount)) {
        resp_error(call->out, "ERR value is NaN or Infinity");
        return;
    }
    if (!redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    if (redis_find_element(fields, call->argv[2], &value) && !resp_parse_float(value, &number)) {
        resp_error(call->out, "ERR hash value is not a float");
        return;
    }
    number += amount;
    if (isnan(number) || isinf(number)) {
        resp_error(call->out, "ERR increment would produce NaN or Infinity");
        return;
    }
    char digits[RESP_NUMBER_BYTES_MAX];
    struct view text = resp_format_float(number, digits);
    if (redis_set_element(call, call->argv[2], text)) {
        redis_notify(call, REDIS_EVENT_HASH, "hincrbyfloat", 0);
        resp_bulk(call->out, text);
    }
}

/* ---- Picking -------------------------------------------------------------------------------- */

/* What a reply with repetitions may grow to: they cost the client nothing, but us memory. */
enum { PICKED_BYTES_MAX = 16 * 1024 * 1024, REPLY_BYTES_EACH = 32 };

/* Numbers that are as random as a caller of HRANDFIELD needs, without a system call for each. */
struct picker {
    uint64_t state;
};

/* Below `count`, which is small: that the first numbers are a little likelier does not show. */
static size_t pick(struct picker *self, size_t count)
{
    self->state = self->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((self->state >> 32) * count >> 32);
}

static void put_picked(const struct redis_call *call, const struct field *field, bool with_values)
{
    if (with_values && call->out->is_resp3) {
        resp_array(call->out, 2);
    }
    resp_bulk(call->out, field->name);
    if (with_values) {
        resp_bulk(call->out, field->value);
    }
}

static void begin_picked(const struct redis_call *call, size_t count, bool with_values)
{
    resp_array(call->out, with_values && !call->out->is_resp3 ? count * 2 : count);
}

/* `wanted` different fields of `count`, in the order they stand in. */
static void pick_different(const struct redis_call *call, struct view fields, size_t count,
                           size_t wanted, bool with_values)
{
    struct picker picker = {random_u64()};
    wanted = wanted < count ? wanted : count;
    begin_picked(call, wanted, with_values);
    struct field field;
    for (; wanted > 0 && fields_next(&fields, &field) == STATUS_OK; count--) {
        if (pick(&picker, count) < wanted) {
            put_picked(call, &field, with_values);
            wanted--;
        }
    }
}

/* `wanted` fields, each any of them. */
static void pick_repeatedly(const struct redis_call *call, struct view fields, uint64_t wanted,
                            bool with_values)
{
    struct picker picker = {random_u64()};
    struct field all[SATCHEL_FIELDS_MAX];
    size_t count = 0;
    size_t longest = 0;
    while (count < SATCHEL_FIELDS_MAX && fields_next(&fields, &all[count]) == STATUS_OK) {
        size_t bytes = all[count].name.len + (with_values ? all[count].value.len : 0);
        longest = bytes > longest ? bytes : longest;
        count++;
    }
    if (wanted > PICKED_BYTES_MAX / (longest + REPLY_BYTES_EACH)) {
        resp_error(call->out, "ERR value is out of range");
        return;
    }
    begin_picked(call, wanted, with_values);
    for (uint64_t i = 0; i < wanted; i++) {
        put_picked(call, &all[pick(&picker, count)], with_values);
    }
}

static void pick_one(const struct redis_call *call)
{
    struct view fields;
    if (!redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    size_t count = redis_element_count(fields);
    if (count == 0) {
        resp_null(call->out);
        return;
    }
    struct picker picker = {random_u64()};
    struct field field = {0};
    size_t left = pick(&picker, count);
    while (fields_next(&fields, &field) == STATUS_OK && left > 0) {
        left--;
    }
    resp_bulk(call->out, field.name);
}

void redis_hrandfield(struct redis_call *call)
{
    int64_t wanted = 0;
    bool with_values = call->argc == 4 && redis_arg_is(call, 3, "withvalues");
    struct view fields;
    if (call->argc == 2) {
        pick_one(call);
        return;
    }
    if (!redis_integer_arg(call, 2, &wanted)) {
        return;
    }
    if (wanted == INT64_MIN) {
        resp_error(call->out,
                   "ERR value is out of range, value must between -9223372036854775807 and "
                   "9223372036854775807");
        return;
    }
    if (call->argc > 4 || (call->argc == 4 && !with_values)) {
        redis_syntax_error(call);
        return;
    }
    if (with_values && (wanted < -INT64_MAX / 2 || wanted > INT64_MAX / 2)) {
        resp_error(call->out, "ERR value is out of range");
        return;
    }
    if (!redis_elements(call, SATCHEL_FIELDS, &fields)) {
        return;
    }
    if (wanted == 0 || fields.len == 0) {
        resp_array(call->out, 0);
    } else if (wanted > 0) {
        pick_different(call, fields, redis_element_count(fields), (size_t)wanted, with_values);
    } else {
        pick_repeatedly(call, fields, (uint64_t)-wanted, with_values);
    }
}
