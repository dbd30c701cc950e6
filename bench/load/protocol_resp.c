/*
 * What Redis and its relatives speak (RESP2 and 3), with the commands that session stores use:
 * a value is SET … EX, GET, EXPIRE, DEL; fields are HSET (and EXPIRE), HGETALL, HINCRBY.
 */
#include "load/protocol.h"

enum { LINE_BYTES_MAX = 64 * 1024 };

/* Without a password PING, which also says when the server still loads. A greeting has one answer,
 * so with a password that is found out by the first requests. */
static enum status greet(struct view token, struct buf *to)
{
    if (token.len == 0) {
        return buf_append(to, view_str("*1\r\n$4\r\nPING\r\n"));
    }
    enum status status = buf_printf(to, "*2\r\n$4\r\nAUTH\r\n$%zu\r\n", token.len);
    if (status == STATUS_OK) {
        status = buf_append(to, token);
    }
    return status == STATUS_OK ? buf_append(to, view_str("\r\n")) : status;
}

/* Writing: room is reserved before, so these only copy. */

static uint8_t *put_text(uint8_t *to, const char *text)
{
    return put_view(to, view_str(text));
}

static uint8_t *put_decimal(uint8_t *to, uint64_t number)
{
    uint8_t digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

static uint8_t *put_array(uint8_t *to, unsigned count)
{
    *to++ = '*';
    to = put_decimal(to, count);
    return put_text(to, "\r\n");
}

static uint8_t *put_bulk(uint8_t *to, struct view bytes)
{
    *to++ = '$';
    to = put_decimal(to, bytes.len);
    to = put_text(to, "\r\n");
    to = put_view(to, bytes);
    return put_text(to, "\r\n");
}

static uint8_t *put_word(uint8_t *to, const char *text)
{
    return put_bulk(to, view_str(text));
}

static uint8_t *put_bulk_decimal(uint8_t *to, uint64_t number)
{
    uint8_t digits[20];
    return put_bulk(to, view_of(digits, (size_t)(put_decimal(digits, number) - digits)));
}

/* Whole seconds where that is what is meant, as session middleware does it. */
static bool is_seconds(uint64_t ms)
{
    return ms % 1000 == 0;
}

static uint8_t *put_expire(const struct dialect *dialect, struct view key, uint8_t *at)
{
    uint64_t ttl_ms = dialect->idle_ttl_ms;
    at = put_array(at, 3);
    at = put_word(at, is_seconds(ttl_ms) ? "EXPIRE" : "PEXPIRE");
    at = put_bulk(at, key);
    return put_bulk_decimal(at, is_seconds(ttl_ms) ? ttl_ms / 1000 : ttl_ms);
}

static uint8_t *put_set(const struct dialect *dialect, const struct request *request, uint8_t *at)
{
    uint64_t ttl_ms = dialect->idle_ttl_ms;
    at = put_array(at, ttl_ms == 0 ? 3 : 5);
    at = put_word(at, "SET");
    at = put_bulk(at, request->key);
    at = put_bulk(at, request->values[0]);
    if (ttl_ms != 0) {
        at = put_word(at, is_seconds(ttl_ms) ? "EX" : "PX");
        at = put_bulk_decimal(at, is_seconds(ttl_ms) ? ttl_ms / 1000 : ttl_ms);
    }
    return at;
}

static uint8_t *put_set_fields(const struct request *request, uint8_t *at)
{
    at = put_array(at, 2 + 2 * (ITEM_COUNT + 1));
    at = put_word(at, "HSET");
    at = put_bulk(at, request->key);
    at = put_bulk(at, counter_name);
    at = put_word(at, "0");
    for (unsigned i = 0; i < ITEM_COUNT; i++) {
        at = put_bulk(at, item_names[i]);
        at = put_bulk(at, request->values[i]);
    }
    return at;
}

static uint8_t *put_patch(const struct request *request, uint8_t *at)
{
    bool is_increment = request->operation == OPERATION_INCR;
    at = put_array(at, 4);
    at = put_word(at, is_increment ? "HINCRBY" : "HSET");
    at = put_bulk(at, request->key);
    at = put_bulk(at, is_increment ? counter_name : item_names[request->item]);
    return is_increment ? put_word(at, "1") : put_bulk(at, request->values[0]);
}

static uint8_t *put_short(const char *word, struct view key, uint8_t *at)
{
    at = put_array(at, 2);
    at = put_word(at, word);
    return put_bulk(at, key);
}

static unsigned encode(const struct dialect *dialect, const struct request *request, struct buf *to)
{
    enum { WORDS_BYTES_MAX = 512 }; /* all that is neither key nor value */
    size_t bytes = WORDS_BYTES_MAX + 2 * request->key.len;
    unsigned answers = 1;
    for (unsigned i = 0; i < ITEM_COUNT; i++) {
        bytes += request->values[i].len;
    }
    if (buf_reserve(to, bytes) != STATUS_OK) {
        return 0;
    }
    uint8_t *at = to->ptr + to->len;
    switch (request->operation) {
    case OPERATION_GET:
        at = put_short(dialect->has_fields ? "HGETALL" : "GET", request->key, at);
        break;
    case OPERATION_SET:
        if (!dialect->has_fields) {
            at = put_set(dialect, request, at);
            break;
        }
        at = put_set_fields(request, at);
        if (dialect->idle_ttl_ms != 0) {
            at = put_expire(dialect, request->key, at);
            answers = 2;
        }
        break;
    case OPERATION_TOUCH:
        at = dialect->idle_ttl_ms == 0 ? put_short("TOUCH", request->key, at)
                                       : put_expire(dialect, request->key, at);
        break;
    case OPERATION_DELETE:
        at = put_short("DEL", request->key, at);
        break;
    case OPERATION_PATCH:
    case OPERATION_INCR:
        at = put_patch(request, at);
        break;
    case OPERATION_CONNECT:
    case OPERATION_COUNT:
        break;
    }
    to->len = (size_t)(at - to->ptr);
    return answers;
}

static enum reading bad(struct answer *out, const char *text)
{
    out->text = view_str(text);
    return READING_BAD;
}

/* Takes one line "<type><text>\r\n" off the front of `*rest`; READING_BAD without a text. */
static enum reading take_line(struct view *rest, uint8_t *type, struct view *text)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->ptr, '\n', rest->len);
    if (end == NULL) {
        return rest->len > LINE_BYTES_MAX ? READING_BAD : READING_MORE;
    }
    size_t len = (size_t)(end - rest->ptr);
    if (len < 2 || rest->ptr[len - 1] != '\r') {
        return READING_BAD;
    }
    *type = rest->ptr[0];
    *text = view_of(rest->ptr + 1, len - 2);
    rest->ptr += len + 1;
    rest->len -= len + 1;
    return READING_DONE;
}

static bool number_of(struct view text, int64_t *out)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    int64_t number = 0;
    if (at == text.len || text.len - at > 18) {
        return false;
    }
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (text.ptr[i] - '0');
    }
    *out = at == 1 ? -number : number;
    return true;
}

/* Takes the `len` bytes of a bulk string and its line end off the front of `*rest`. */
static enum reading take_bulk(struct view *rest, int64_t len, struct view *out)
{
    if (len < 0 || len > SATCHEL_BODY_BYTES_MAX) {
        return READING_BAD;
    }
    if (rest->len < (size_t)len + 2) {
        return READING_MORE;
    }
    if (rest->ptr[len] != '\r' || rest->ptr[len + 1] != '\n') {
        return READING_BAD;
    }
    *out = view_of(rest->ptr, (size_t)len);
    rest->ptr += len + 2;
    rest->len -= (size_t)len + 2;
    return READING_DONE;
}

/* Takes one bulk string with its first line. */
static enum reading take_string(struct view *rest, struct view *out)
{
    uint8_t type;
    struct view text;
    int64_t len;
    enum reading reading = take_line(rest, &type, &text);
    if (reading != READING_DONE) {
        return reading;
    }
    return type == '$' && number_of(text, &len) ? take_bulk(rest, len, out) : READING_BAD;
}

/* The strings of an array or map: HGETALL is the only one that is asked for. */
static enum reading take_fields(struct view *rest, int64_t strings, struct answer *out)
{
    const uint8_t *start = rest->ptr;
    struct view ignored;
    for (int64_t i = 0; i < strings; i++) {
        enum reading reading = take_string(rest, &ignored);
        if (reading != READING_DONE) {
            return reading;
        }
    }
    out->kind = strings == 0 ? ANSWER_MISSING : ANSWER_FIELDS;
    out->content = view_of(start, (size_t)(rest->ptr - start));
    return strings % 2 == 0 ? READING_DONE : READING_BAD;
}

static enum reading take_answer(struct view *rest, struct answer *out)
{
    uint8_t type;
    enum reading reading = take_line(rest, &type, &out->text);
    if (reading != READING_DONE) {
        return reading;
    }
    if (type == '+' || type == '-' || type == '_') {
        out->kind = type == '+' ? ANSWER_DONE : type == '-' ? ANSWER_REFUSED : ANSWER_MISSING;
        return READING_DONE;
    }
    if (!number_of(out->text, &out->number)) {
        return READING_BAD;
    }
    switch (type) {
    case ':':
        out->kind = ANSWER_NUMBER;
        return READING_DONE;
    case '$':
        out->kind = out->number == -1 ? ANSWER_MISSING : ANSWER_VALUE;
        return out->number == -1 ? READING_DONE : take_bulk(rest, out->number, &out->content);
    case '*':
        return take_fields(rest, out->number, out);
    case '%':
        return take_fields(rest, out->number * 2, out);
    default:
        return READING_BAD;
    }
}

static enum reading decode(struct view bytes, struct answer *out, size_t *used)
{
    struct view rest = bytes;
    *out = (struct answer){.kind = ANSWER_DONE};
    enum reading reading = take_answer(&rest, out);
    if (reading == READING_BAD) {
        return bad(out, "not an answer in RESP");
    }
    *used = bytes.len - rest.len;
    return reading;
}

static bool next_field(struct view *rest, struct field *out)
{
    return take_string(rest, &out->name) == READING_DONE &&
           take_string(rest, &out->value) == READING_DONE;
}

const struct protocol protocol_resp = {
    .name = "resp",
    .answers_in_order = true,
    .has_fields = true,
    .greet = greet,
    .encode = encode,
    .decode = decode,
    .next_field = next_field,
};
