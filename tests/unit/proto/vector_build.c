/* Frames from the text of the test vectors. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/native.h"
#include "session/fields.h"
#include "vector.h"
#include "vector_names.h"

/* The bytes of `"text"` or `0xhex`; `*at` moves behind them. */
static void parse_bytes(const char **at, struct buf *out)
{
    out->len = 0;
    if (**at == '"') {
        const char *end = strchr(*at + 1, '"');
        cr_assert_not_null(end);
        cr_assert_eq(buf_append(out, view_of(*at + 1, (size_t)(end - *at - 1))), STATUS_OK);
        *at = end + 1;
        return;
    }
    cr_assert(strncmp(*at, "0x", 2) == 0, "neither text nor hex: %.20s", *at);
    const char *end = *at + 2 + strspn(*at + 2, "0123456789abcdef");
    vector_unhex(*at + 2, end, out);
    *at = end;
}

/* The next word up to a blank or `;`. */
static struct view parse_word(const char **at)
{
    *at += strspn(*at, " ;");
    struct view word = view_of(*at, strcspn(*at, " ;\n"));
    *at += word.len;
    *at += strspn(*at, " ");
    return word;
}

static void build_fields(const char *at, struct buf *out)
{
    struct buf value = {0};
    while (*at != '\n') {
        struct view name = parse_word(&at);
        parse_bytes(&at, &value);
        cr_assert_eq(fields_append(out, name, buf_view(&value)), STATUS_OK);
    }
    buf_free(&value);
}

static void build_ops(const char *at, struct buf *out)
{
    struct buf value = {0};
    while (*at != '\n') {
        struct view op = parse_word(&at);
        struct view name = parse_word(&at);
        enum satchel_field_op number = vector_op_number(op);
        value.len = 0;
        if (number == SATCHEL_FIELD_INCREMENT) {
            char *end = NULL;
            int64_t delta = strtoll(at, &end, 10);
            at = end;
            cr_assert_eq(buf_append(&value, view_of(&delta, sizeof delta)), STATUS_OK);
        } else if (number != SATCHEL_FIELD_DELETE) {
            parse_bytes(&at, &value);
        }
        cr_assert_eq(ops_append(out, number, name, buf_view(&value)), STATUS_OK);
    }
    buf_free(&value);
}

/* One line of the body: `NAME`, `NAME = value` or `0xTAG = value`. */
static void build_tag(const char *line, struct buf *out)
{
    size_t name_bytes = strcspn(line, " \n");
    const char *value = line + name_bytes + strspn(line + name_bytes, " =");
    const struct vector_tag *tag = vector_tag_by_name(view_of(line, name_bytes));
    struct buf bytes = {0};
    enum status status = STATUS_OK;
    if (tag == NULL) {
        unsigned number = (unsigned)strtoul(line, NULL, 16);
        parse_bytes(&value, &bytes);
        status = native_put_bytes(out, (enum satchel_tag)number, buf_view(&bytes));
    } else if (strcmp(tag->type, "U64") == 0) {
        status = native_put_u64(out, tag->number, strtoull(value, NULL, 10));
    } else if (strcmp(tag->type, "U16") == 0) {
        status = native_put_u16(out, tag->number, (uint16_t)strtoul(value, NULL, 10));
    } else {
        if (strcmp(tag->type, "FIELDS") == 0) {
            build_fields(value, &bytes);
        } else if (strcmp(tag->type, "OPS") == 0) {
            build_ops(value, &bytes);
        } else if (strcmp(tag->type, "FLAG") != 0) {
            parse_bytes(&value, &bytes);
        }
        status = native_put_bytes(out, tag->number, buf_view(&bytes));
    }
    cr_assert_eq(status, STATUS_OK);
    buf_free(&bytes);
}

/* True when `line` begins with `key = `; `*value` is what follows. */
static bool has_key(const char *line, const char *key, const char **value)
{
    size_t len = strlen(key);
    *value = line + len + strspn(line + len, " =");
    return strncmp(line, key, len) == 0 && line[len] == ' ' && line[len + 1] == '=';
}

static uint8_t parse_flags(const char *value)
{
    uint8_t flags = 0;
    for (struct view word = parse_word(&value); word.len != 0; word = parse_word(&value)) {
        flags |= view_equal(word, view_str("REPLY"))         ? SATCHEL_FLAG_REPLY
                 : view_equal(word, view_str("ACK_DURABLE")) ? SATCHEL_FLAG_ACK_DURABLE
                 : view_equal(word, view_str("ACK_FAST"))
                     ? SATCHEL_FLAG_ACK_FAST
                     : (uint8_t)strtoul((const char *)word.ptr, NULL, 16);
    }
    return flags;
}

void vector_build(const char *text, struct buf *out)
{
    struct native_header header = {.version = SATCHEL_WIRE_VERSION};
    size_t start = 0;
    cr_assert_eq(native_frame_begin(out, &start), STATUS_OK);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *value = NULL;
        if (has_key(line, "version", &value)) {
            header.version = (uint8_t)strtoul(value, NULL, 10);
        } else if (has_key(line, "opcode", &value)) {
            header.opcode = vector_opcode_number(value);
        } else if (has_key(line, "flags", &value)) {
            header.flags = parse_flags(value);
        } else if (has_key(line, "request_id", &value)) {
            header.request_id = strtoull(value, NULL, 10);
        } else if (has_key(line, "status", &value)) {
            header.status = vector_status_number(value);
        } else {
            build_tag(line, out);
        }
    }
    native_frame_end(out, start, header);
}
