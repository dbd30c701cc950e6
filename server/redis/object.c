/* OBJECT and MEMORY. */
#include "redis/object.h"

#include "redis/call.h"
#include "redis/help.h"
#include "session/fields.h"
#include "store/entry.h"

/* From which sizes on Redis chooses another encoding, by default. */
enum {
    INTEGER_BYTES_MAX = 20,
    EMBEDDED_BYTES_MAX = 44,
    LISTPACK_FIELDS_MAX = 512,
    LISTPACK_BYTES_MAX = 64,
    INTSET_NAMES_MAX = 512,
};

enum { SHARED_INTEGERS = 10000 }; /* from 0 on: Redis has one object for all that hold such one */

/* Answers null when there is no session of that key. */
static const struct session *find_or_null(const struct redis_call *call)
{
    const struct session *found = redis_session(call, 0);
    if (found == NULL) {
        resp_null(call->out);
    }
    return found;
}

static bool is_integer(struct view bytes)
{
    int64_t number = 0;
    return bytes.len <= INTEGER_BYTES_MAX && resp_parse_integer(bytes, &number);
}

static const char *string_encoding(struct view content)
{
    if (is_integer(content)) {
        return "int";
    }
    return content.len <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

static const char *hash_encoding(struct view content)
{
    size_t count = 0;
    struct field field;
    while (fields_next(&content, &field) == STATUS_OK) {
        if (++count > LISTPACK_FIELDS_MAX || field.name.len > LISTPACK_BYTES_MAX ||
            field.value.len > LISTPACK_BYTES_MAX) {
            return "hashtable";
        }
    }
    return "listpack";
}

static const char *set_encoding(struct view content)
{
    size_t count = 0;
    struct field field;
    while (fields_next(&content, &field) == STATUS_OK) {
        if (++count > INTSET_NAMES_MAX || !is_integer(field.name)) {
            return "hashtable";
        }
    }
    return "intset";
}

static const char *encoding_of(const struct session *session)
{
    switch (session->kind) {
    case SATCHEL_BLOB:
        return string_encoding(session->content);
    case SATCHEL_FIELDS:
        return hash_encoding(session->content);
    case SATCHEL_NAMES:
        return set_encoding(session->content);
    }
    return "unknown";
}

void redis_object_encoding(struct redis_call *call)
{
    const struct session *found = find_or_null(call);
    if (found != NULL) {
        resp_bulk_text(call->out, encoding_of(found));
    }
}

void redis_object_refcount(struct redis_call *call)
{
    const struct session *found = find_or_null(call);
    if (found == NULL) {
        return;
    }
    int64_t number = -1;
    bool is_shared = found->kind == SATCHEL_BLOB && resp_parse_integer(found->content, &number) &&
                     number >= 0 && number < SHARED_INTEGERS;
    resp_integer(call->out, is_shared ? INT32_MAX : 1);
}

void redis_object_idletime(struct redis_call *call)
{
    if (find_or_null(call) != NULL) {
        resp_integer(call->out, 0);
    }
}

void redis_object_freq(struct redis_call *call)
{
    if (find_or_null(call) != NULL) {
        resp_error(call->out, "ERR An LFU maxmemory policy is not selected, access frequency not "
                              "tracked. Please note that when switching between policies at "
                              "runtime LRU and LFU data will take some time to adjust.");
    }
}

void redis_memory_usage(struct redis_call *call)
{
    for (size_t i = 3; i < call->argc; i += 2) {
        int64_t samples = 0; /* of a value's elements; here all are known */
        if (!redis_arg_is(call, i, "samples") || i + 1 == call->argc) {
            redis_syntax_error(call);
            return;
        }
        if (!redis_integer_arg(call, i + 1, &samples)) {
            return;
        }
        if (samples < 0) {
            redis_syntax_error(call);
            return;
        }
    }
    const struct session *found = find_or_null(call);
    if (found != NULL) {
        size_t bytes = sizeof(struct entry) + found->id.len + found->owner.len + found->content.len;
        resp_integer(call->out, (int64_t)bytes);
    }
}

/* ---- Help ----------------------------------------------------------------------------------- */

void redis_object_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
    };
    redis_help(call, "OBJECT", lines, sizeof lines / sizeof lines[0]);
}

void redis_memory_help(struct redis_call *call)
{
    static const char *const lines[] = {
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
    };
    redis_help(call, "MEMORY", lines, sizeof lines / sizeof lines[0]);
}
