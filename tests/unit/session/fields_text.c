/* Fields and operations as text, for the tables of the tests. */
#include "fields_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Takes the next word off the text; empty at the end. */
static struct view next_word(const char **text)
{
    *text += strspn(*text, " ");
    struct view word = view_of(*text, strcspn(*text, " "));
    *text += word.len;
    return word;
}

void fields_from_text(struct buf *to, const char *text)
{
    for (struct view word = next_word(&text); word.len != 0; word = next_word(&text)) {
        const uint8_t *equals = memchr(word.ptr, '=', word.len);
        cr_assert_not_null(equals);
        size_t name_bytes = (size_t)(equals - word.ptr);
        cr_assert_eq(fields_append(to, view_of(word.ptr, name_bytes),
                                   view_of(equals + 1, word.len - name_bytes - 1)),
                     STATUS_OK);
    }
}

void ops_from_text(struct buf *to, const char *text)
{
    for (struct view word = next_word(&text); word.len != 0; word = next_word(&text)) {
        enum satchel_field_op op = SATCHEL_FIELD_SET;
        struct view name = view_of(word.ptr + 1, word.len - 1);
        struct view value = {0};
        int64_t delta = 0;
        if (word.ptr[0] == '-') {
            op = SATCHEL_FIELD_DELETE;
        } else {
            const uint8_t *equals = memchr(word.ptr, '=', word.len);
            cr_assert_not_null(equals);
            name = view_of(word.ptr, (size_t)(equals - word.ptr));
            value = view_of(equals + 1, word.len - name.len - 1);
            if (equals[-1] == '?') {
                op = SATCHEL_FIELD_SET_IF_ABSENT;
                name.len--;
            } else if (equals[-1] == '+') {
                op = SATCHEL_FIELD_INCREMENT;
                name.len--;
                delta = strtoll((const char *)value.ptr, NULL, 10);
                value = view_of(&delta, sizeof delta);
            }
        }
        cr_assert_eq(ops_append(to, op, name, value), STATUS_OK);
    }
}

static size_t add_text(char *out, size_t at, const char *format, struct view name,
                       struct view value)
{
    int len = snprintf(out + at, FIELDS_TEXT_BYTES - at, format, at == 0 ? "" : " ", (int)name.len,
                       (const char *)name.ptr, (int)value.len, (const char *)value.ptr);
    cr_assert(len > 0 && at + (size_t)len < FIELDS_TEXT_BYTES);
    return at + (size_t)len;
}

const char *fields_to_text(struct view fields, char out[FIELDS_TEXT_BYTES])
{
    size_t at = 0;
    out[0] = '\0';
    struct field field;
    enum status status = STATUS_OK;
    while ((status = fields_next(&fields, &field)) == STATUS_OK) {
        at = add_text(out, at, "%s%.*s=%.*s", field.name, field.value);
    }
    return status == STATUS_END ? out : "malformed";
}

const char *ops_to_text(struct view ops, char out[FIELDS_TEXT_BYTES])
{
    static const char *const formats[] = {
        [SATCHEL_FIELD_SET] = "%s%.*s=%.*s",
        [SATCHEL_FIELD_DELETE] = "%s-%.*s%.*s",
        [SATCHEL_FIELD_INCREMENT] = "%s%.*s+=%.*s",
        [SATCHEL_FIELD_SET_IF_ABSENT] = "%s%.*s?=%.*s",
    };
    size_t at = 0;
    out[0] = '\0';
    struct field_op op;
    enum status status = STATUS_OK;
    while ((status = ops_next(&ops, &op)) == STATUS_OK) {
        at = add_text(out, at, formats[op.op], op.name, op.value);
    }
    return status == STATUS_END ? out : "malformed";
}
