/*
 * Fields and operations on them. The input is the length of the fields (u16), the fields, and the
 * rest is operations. Whatever passes the checks can be patched, and the delta replayed.
 */
#include "fuzz.h"

#include "session/fields.h"

static void expect_fields_read_to_the_end(struct view fields)
{
    struct view rest = fields;
    struct field field;
    size_t bytes = 0;
    while (fields_next(&rest, &field) == STATUS_OK) {
        REQUIRE(view_within(field.name, fields) && view_within(field.value, fields));
        bytes += fields_bytes(field.name, field.value);
    }
    REQUIRE(bytes == fields.len);
}

static void expect_patch_and_replay(struct view old, struct view ops)
{
    struct buf content = {0}, delta = {0}, returned = {0}, replayed = {0};
    enum satchel_status status = fields_patch(old, ops, SATCHEL_VALUE_BYTES_MAX, &content, &delta,
                                              &returned);
    if (status == SATCHEL_OK) {
        REQUIRE(fields_check(buf_view(&content)) == SATCHEL_OK);
        REQUIRE(fields_check(buf_view(&returned)) == SATCHEL_OK);
        REQUIRE(delta.len == 0 || ops_check(buf_view(&delta)) == SATCHEL_OK);
        REQUIRE(fields_patch(old, buf_view(&delta), SATCHEL_VALUE_BYTES_MAX, &replayed, NULL,
                             NULL) == SATCHEL_OK);
        REQUIRE(view_equal(buf_view(&content), buf_view(&replayed)));
    } else {
        REQUIRE(status == SATCHEL_NOT_A_NUMBER || status == SATCHEL_OUT_OF_RANGE ||
                status == SATCHEL_TOO_LARGE);
    }
    buf_free(&content);
    buf_free(&delta);
    buf_free(&returned);
    buf_free(&replayed);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len < 2) {
        return 0;
    }
    size_t fields_len = load_u16(input);
    if (fields_len > len - 2) {
        fields_len = len - 2;
    }
    struct view fields = view_of(input + 2, fields_len);
    struct view ops = view_of(input + 2 + fields_len, len - 2 - fields_len);
    bool fields_ok = fields_check(fields) == SATCHEL_OK;
    if (fields_ok) {
        expect_fields_read_to_the_end(fields);
    }
    if (ops_check(ops) == SATCHEL_OK && fields_ok) {
        expect_patch_and_replay(fields, ops);
    }
    return 0;
}
