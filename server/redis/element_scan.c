/*
 * HSCAN and SSCAN. A hash or set is small (session limits), so all of it is one page and the cursor
 * that comes back is 0, as Redis does with its small ones; COUNT is only checked.
 */
#include "redis/elements.h"
#include "redis/glob.h"
#include "redis/hashes.h"
#include "redis/sets.h"

enum { CURSOR_ARG = 2, FIRST_OPTION = 3 };

struct scan_options {
    bool has_pattern;
    struct view pattern; /* only names that match */
};

/* False: what is wrong has been answered. */
static bool read_options(const struct redis_call *call, struct scan_options *out)
{
    *out = (struct scan_options){0};
    for (size_t i = FIRST_OPTION; i < call->argc; i += 2) {
        bool has_value = i + 1 < call->argc;
        int64_t count = 1;
        if (has_value && redis_arg_is(call, i, "count")) {
            if (!redis_integer_arg(call, i + 1, &count)) {
                return false;
            }
        } else if (has_value && redis_arg_is(call, i, "match")) {
            out->has_pattern = true;
            out->pattern = call->argv[i + 1];
        } else {
            count = 0;
        }
        if (count < 1) {
            redis_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void put_page(const struct redis_call *call, struct view content, bool with_values,
                     const struct scan_options *options)
{
    bool matches[SATCHEL_FIELDS_MAX];
    size_t seen = 0;
    size_t matching = 0;
    struct field field;
    for (struct view rest = content;
         seen < SATCHEL_FIELDS_MAX && fields_next(&rest, &field) == STATUS_OK; seen++) {
        matches[seen] = !options->has_pattern ||
                        redis_glob_matches(options->pattern, field.name, REDIS_GLOB_EXACT);
        matching += matches[seen];
    }
    resp_array(call->out, 2);
    resp_bulk_text(call->out, "0");
    resp_array(call->out, with_values ? matching * 2 : matching);
    for (size_t i = 0; i < seen && fields_next(&content, &field) == STATUS_OK; i++) {
        if (!matches[i]) {
            continue;
        }
        resp_bulk(call->out, field.name);
        if (with_values) {
            resp_bulk(call->out, field.value);
        }
    }
}

static void scan(const struct redis_call *call, enum satchel_kind kind)
{
    struct view content;
    struct scan_options options = {0};
    uint64_t cursor = 0; /* of no meaning: there is one page */
    if (!redis_cursor_arg(call, CURSOR_ARG, &cursor)) {
        return;
    }
    if (!redis_elements(call, kind, &content)) {
        return;
    }
    /* Redis does not look at the options when there is nothing to scan. */
    if (content.len == 0 || read_options(call, &options)) {
        put_page(call, content, kind == SATCHEL_FIELDS, &options);
    }
}

void redis_hscan(struct redis_call *call)
{
    scan(call, SATCHEL_FIELDS);
}

void redis_sscan(struct redis_call *call)
{
    scan(call, SATCHEL_NAMES);
}
