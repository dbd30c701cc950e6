/* Encoding and checking of fields and operations, and decimal numbers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fields_text.h"
#include "session/number.h"

/* Exactly as many bytes as given, so that a sanitizer sees a read behind them. */
static struct view exact_copy(struct view bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    cr_assert_not_null(copy);
    return view_of(copy, (size_t)(put_view(copy, bytes) - copy));
}

Test(fields, what_is_appended_is_read_back_in_order)
{
    struct buf fields = {0};
    fields_from_text(&fields, "qty=2 name=tea empty=");
    static const uint8_t first[] = {3, 0, 1, 0, 0, 0, 'q', 't', 'y', '2'};
    cr_assert_eq(memcmp(fields.ptr, first, sizeof first), 0);
    char text[FIELDS_TEXT_BYTES];
    cr_assert_str_eq(fields_to_text(buf_view(&fields), text), "qty=2 name=tea empty=");
    struct view value;
    cr_assert(fields_find(buf_view(&fields), view_str("name"), &value));
    cr_assert(view_equal(value, view_str("tea")));
    cr_assert_not(fields_find(buf_view(&fields), view_str("nam"), &value));
    cr_assert_not(fields_find((struct view){0}, view_str("name"), &value));
    buf_free(&fields);
}

Test(fields, every_cut_within_a_field_is_refused)
{
    struct buf fields = {0};
    struct buf ops = {0};
    fields_from_text(&fields, "name=value");
    ops_from_text(&ops, "name=value");
    for (size_t len = 1; len < fields.len; len++) {
        struct view cut = exact_copy(view_of(fields.ptr, len));
        cr_assert_eq(fields_check(cut), SATCHEL_BAD_REQUEST, "%zu bytes of fields", len);
        free((void *)cut.ptr);
    }
    for (size_t len = 0; len < ops.len; len++) {
        struct view cut = exact_copy(view_of(ops.ptr, len));
        cr_assert_eq(ops_check(cut), SATCHEL_BAD_REQUEST, "%zu bytes of operations", len);
        free((void *)cut.ptr);
    }
    cr_assert_eq(fields_check(buf_view(&fields)), SATCHEL_OK);
    cr_assert_eq(fields_check((struct view){0}), SATCHEL_OK);
    cr_assert_eq(ops_check(buf_view(&ops)), SATCHEL_OK);
    buf_free(&fields);
    buf_free(&ops);
}

Test(fields, lengths_that_would_wrap_are_refused)
{
    static const uint8_t huge_value[] = {1, 0, 0xff, 0xff, 0xff, 0xff, 'a', 'b'};
    static const uint8_t huge_name[] = {0xff, 0xff, 0, 0, 0, 0, 'a', 'b'};
    cr_assert_eq(fields_check(view_of(huge_value, sizeof huge_value)), SATCHEL_BAD_REQUEST);
    cr_assert_eq(fields_check(view_of(huge_name, sizeof huge_name)), SATCHEL_BAD_REQUEST);
}

Test(fields, a_name_that_stands_twice_is_found_anywhere_among_the_most_fields)
{
    struct buf fields = {0};
    char name[SATCHEL_FIELD_NAME_BYTES_MAX];
    for (size_t i = 0; i < SATCHEL_FIELDS_MAX; i++) {
        int len = snprintf(name, sizeof name, "field-%zu", i);
        cr_assert_eq(fields_append(&fields, view_of(name, (size_t)len), (struct view){0}), 0);
    }
    cr_assert_eq(fields_check(buf_view(&fields)), SATCHEL_OK);
    size_t most = fields.len;
    cr_assert_eq(fields_append(&fields, view_str("one-more"), (struct view){0}), STATUS_OK);
    cr_assert_eq(fields_check(buf_view(&fields)), SATCHEL_TOO_LARGE);
    fields.len = most;
    /* The last field takes the name of the first, of the same length after padding. */
    fields.len = most - fields_bytes(view_of(name, strlen(name)), (struct view){0});
    cr_assert_eq(fields_append(&fields, view_str("field-0"), (struct view){0}), STATUS_OK);
    cr_assert_eq(fields_check(buf_view(&fields)), SATCHEL_BAD_REQUEST);
    buf_free(&fields);
}

Test(fields, names_have_between_1_and_256_bytes)
{
    static const struct {
        size_t name_bytes;
        enum satchel_status status;
    } cases[] = {{0, SATCHEL_BAD_REQUEST},
                 {1, SATCHEL_OK},
                 {SATCHEL_FIELD_NAME_BYTES_MAX, SATCHEL_OK},
                 {SATCHEL_FIELD_NAME_BYTES_MAX + 1, SATCHEL_TOO_LARGE}};
    uint8_t name[SATCHEL_FIELD_NAME_BYTES_MAX + 1] = {'n'};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf fields = {0};
        struct buf ops = {0};
        struct view view = view_of(name, cases[i].name_bytes);
        cr_assert_eq(fields_append(&fields, view, (struct view){0}), STATUS_OK);
        cr_assert_eq(ops_append(&ops, SATCHEL_FIELD_SET, view, (struct view){0}), STATUS_OK);
        cr_assert_eq(fields_check(buf_view(&fields)), cases[i].status, "%zu", view.len);
        cr_assert_eq(ops_check(buf_view(&ops)), cases[i].status, "%zu", view.len);
        buf_free(&fields);
        buf_free(&ops);
    }
}

Test(fields, operations_are_known_have_the_right_value_and_are_at_most_256)
{
    static const struct {
        unsigned op;
        size_t value_bytes;
        enum satchel_status status;
    } cases[] = {
        {0, 0, SATCHEL_BAD_REQUEST},
        {SATCHEL_FIELD_SET, 0, SATCHEL_OK},
        {SATCHEL_FIELD_DELETE, 0, SATCHEL_OK},
        {SATCHEL_FIELD_DELETE, 1, SATCHEL_BAD_REQUEST},
        {SATCHEL_FIELD_INCREMENT, 7, SATCHEL_BAD_REQUEST},
        {SATCHEL_FIELD_INCREMENT, 8, SATCHEL_OK},
        {SATCHEL_FIELD_INCREMENT, 9, SATCHEL_BAD_REQUEST},
        {SATCHEL_FIELD_SET_IF_ABSENT, 3, SATCHEL_OK},
        {5, 0, SATCHEL_BAD_REQUEST},
        {255, 8, SATCHEL_BAD_REQUEST},
    };
    static const uint8_t value[16] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf ops = {0};
        cr_assert_eq(ops_append(&ops, (enum satchel_field_op)cases[i].op, view_str("n"),
                                view_of(value, cases[i].value_bytes)),
                     STATUS_OK);
        cr_assert_eq(ops_check(buf_view(&ops)), cases[i].status, "case %zu", i);
        buf_free(&ops);
    }
    struct buf ops = {0};
    for (size_t i = 0; i <= SATCHEL_PATCH_OPS_MAX; i++) {
        cr_assert_eq(ops_check(buf_view(&ops)), i == 0 ? SATCHEL_BAD_REQUEST : SATCHEL_OK);
        ops_from_text(&ops, "n=1");
    }
    cr_assert_eq(ops_check(buf_view(&ops)), SATCHEL_TOO_LARGE);
    buf_free(&ops);
}

Test(number, there_is_one_spelling_for_each_number)
{
    static const struct {
        const char *text;
        enum satchel_status status;
        int64_t number;
    } cases[] = {
        {"0", SATCHEL_OK, 0},
        {"7", SATCHEL_OK, 7},
        {"-1", SATCHEL_OK, -1},
        {"9223372036854775807", SATCHEL_OK, INT64_MAX},
        {"-9223372036854775808", SATCHEL_OK, INT64_MIN},
        {"9223372036854775808", SATCHEL_OUT_OF_RANGE, 0},
        {"-9223372036854775809", SATCHEL_OUT_OF_RANGE, 0},
        {"99999999999999999999999", SATCHEL_OUT_OF_RANGE, 0},
        {"9999999999999999999999x", SATCHEL_NOT_A_NUMBER, 0},
        {"", SATCHEL_NOT_A_NUMBER, 0},
        {"-", SATCHEL_NOT_A_NUMBER, 0},
        {"-0", SATCHEL_NOT_A_NUMBER, 0},
        {"007", SATCHEL_NOT_A_NUMBER, 0},
        {"-07", SATCHEL_NOT_A_NUMBER, 0},
        {"+1", SATCHEL_NOT_A_NUMBER, 0},
        {" 1", SATCHEL_NOT_A_NUMBER, 0},
        {"1 ", SATCHEL_NOT_A_NUMBER, 0},
        {"1.5", SATCHEL_NOT_A_NUMBER, 0},
        {"0x10", SATCHEL_NOT_A_NUMBER, 0},
        {"--1", SATCHEL_NOT_A_NUMBER, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t number = 0;
        cr_assert_eq(number_parse(view_str(cases[i].text), &number), cases[i].status, "\"%s\"",
                     cases[i].text);
        cr_assert_eq(number, cases[i].number, "\"%s\"", cases[i].text);
        uint8_t digits[NUMBER_BYTES_MAX];
        if (cases[i].status == SATCHEL_OK) {
            cr_assert(view_equal(number_format(number, digits), view_str(cases[i].text)));
        }
    }
}
