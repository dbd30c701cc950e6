/* memcached's text protocol: set, get, touch, delete. */
#include "load/protocol.h"

#include <stdio.h>

enum {
    LINE_BYTES_MAX = 2048,
    SECONDS_MAX = 30 * 86400, /* memcached takes more for a date */
};

/* Its text protocol has no secret. */
static enum status greet(struct view token, struct buf *to)
{
    (void)token;
    return buf_append(to, view_str("version\r\n"));
}

/* Its clock knows seconds only. */
static unsigned seconds_of(uint64_t ms)
{
    uint64_t seconds = (ms + 999) / 1000;
    return (unsigned)(seconds > SECONDS_MAX ? SECONDS_MAX : seconds);
}

static unsigned encode(const struct dialect *dialect, const struct request *request, struct buf *to)
{
    struct view value = request->values[0];
    char tail[64];
    int tail_bytes = 0;
    const char *word = "get ";
    switch (request->operation) {
    case OPERATION_SET:
        word = "set ";
        tail_bytes = snprintf(tail, sizeof tail, " 0 %u %zu\r\n", seconds_of(dialect->idle_ttl_ms),
                              value.len);
        break;
    case OPERATION_TOUCH:
        word = "touch ";
        tail_bytes = snprintf(tail, sizeof tail, " %u\r\n", seconds_of(dialect->idle_ttl_ms));
        break;
    case OPERATION_DELETE:
        word = "delete ";
        break;
    case OPERATION_GET:
    case OPERATION_PATCH:
    case OPERATION_INCR:
    case OPERATION_CONNECT:
    case OPERATION_COUNT:
        break;
    }
    struct view end = tail_bytes == 0 ? view_str("\r\n") : view_of(tail, (size_t)tail_bytes);
    if (buf_reserve(to, sizeof "delete " + request->key.len + end.len + value.len + 2) !=
        STATUS_OK) {
        return 0;
    }
    uint8_t *at = put_view(to->ptr + to->len, view_str(word));
    at = put_view(at, request->key);
    at = put_view(at, end);
    if (request->operation == OPERATION_SET) {
        at = put_view(at, value);
        at = put_view(at, view_str("\r\n"));
    }
    to->len = (size_t)(at - to->ptr);
    return 1;
}

static bool begins(struct view text, const char *with)
{
    struct view start = view_str(with);
    return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

static enum reading bad(struct answer *out)
{
    out->text = view_str("not an answer in memcached's protocol");
    return READING_BAD;
}

/* The value behind its line "VALUE <key> <flags> <bytes>", and the END behind that. */
static enum reading take_value(struct view line, struct view rest, struct answer *out, size_t *used)
{
    static const char after[] = "\r\nEND\r\n";
    enum { AFTER_BYTES = sizeof after - 1 };
    const uint8_t *digits = memrchr(line.ptr, ' ', line.len);
    size_t len = 0;
    for (const uint8_t *at = digits + 1; at < line.ptr + line.len; at++) {
        if (*at < '0' || *at > '9' || len > SATCHEL_BODY_BYTES_MAX) {
            return bad(out);
        }
        len = len * 10 + (size_t)(*at - '0');
    }
    if (rest.len < len + AFTER_BYTES) {
        return READING_MORE;
    }
    if (memcmp(rest.ptr + len, after, AFTER_BYTES) != 0) {
        return bad(out);
    }
    *used += len + AFTER_BYTES;
    out->kind = ANSWER_VALUE;
    out->content = view_of(rest.ptr, len);
    return READING_DONE;
}

static enum reading decode(struct view bytes, struct answer *out, size_t *used)
{
    const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
    if (end == NULL) {
        return bytes.len > LINE_BYTES_MAX ? bad(out) : READING_MORE;
    }
    size_t line_bytes = (size_t)(end - bytes.ptr) + 1;
    if (line_bytes < 2 || end[-1] != '\r') {
        return bad(out);
    }
    struct view line = view_of(bytes.ptr, line_bytes - 2);
    *used = line_bytes;
    *out = (struct answer){.kind = ANSWER_DONE, .text = line};
    if (begins(line, "VALUE ")) {
        return take_value(line, view_of(end + 1, bytes.len - line_bytes), out, used);
    }
    if (begins(line, "END") || begins(line, "NOT_FOUND")) {
        out->kind = ANSWER_MISSING;
        return READING_DONE;
    }
    if (begins(line, "ERROR") || begins(line, "CLIENT_ERROR") || begins(line, "SERVER_ERROR") ||
        begins(line, "NOT_STORED")) {
        out->kind = ANSWER_REFUSED;
        return READING_DONE;
    }
    bool is_done = begins(line, "STORED") || begins(line, "TOUCHED") || begins(line, "DELETED") ||
                   begins(line, "VERSION");
    return is_done ? READING_DONE : bad(out);
}

const struct protocol protocol_memcache = {
    .name = "memcache",
    .answers_in_order = true,
    .greet = greet,
    .encode = encode,
    .decode = decode,
};
