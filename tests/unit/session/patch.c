/* Applying operations to fields. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "fields_text.h"

static const struct patch_case {
    const char *old;
    const char *ops;
    enum satchel_status status;
    const char *content;
    const char *delta;
    const char *returned;
} cases[] = {
    {"", "a=1", SATCHEL_OK, "a=1", "a=1", ""},
    {"a=1 b=2 c=3", "b=22", SATCHEL_OK, "a=1 b=22 c=3", "b=22", ""},
    {"a=1 b=2 c=3", "-a", SATCHEL_OK, "b=2 c=3", "-a", ""},
    {"a=1 b=2 c=3", "-c -a", SATCHEL_OK, "b=2", "-c -a", ""},
    {"a=1 b=2 c=3", "-a -b -c", SATCHEL_OK, "", "-a -b -c", ""},
    {"a=1", "-x", SATCHEL_OK, "a=1", "", ""},
    {"a=1", "x=9 -x", SATCHEL_OK, "a=1", "", ""},
    {"a=1 b=2", "c=3 a=11 d=4", SATCHEL_OK, "a=11 b=2 c=3 d=4", "c=3 a=11 d=4", ""},
    /* A field that is there before and after keeps its place. */
    {"a=1 b=2", "-a a=9", SATCHEL_OK, "a=9 b=2", "a=9", ""},
    {"a=1 b=2", "a=3 -a", SATCHEL_OK, "b=2", "-a", ""},
    {"", "x=1 y=1 -x x=2", SATCHEL_OK, "x=2 y=1", "x=2 y=1", ""},
    /* Numbers. An absent field counts as 0. */
    {"n=5", "n+=3", SATCHEL_OK, "n=8", "n=8", "n=8"},
    {"n=5", "n+=-6", SATCHEL_OK, "n=-1", "n=-1", "n=-1"},
    {"n=5", "n+=0", SATCHEL_OK, "n=5", "n=5", "n=5"},
    {"", "n+=1 n+=1 n+=1", SATCHEL_OK, "n=3", "n=3", "n=3"},
    {"n=5 m=1", "n+=1 -n", SATCHEL_OK, "m=1", "-n", ""},
    {"n=5 m=1", "-n n+=1", SATCHEL_OK, "n=1 m=1", "n=1", "n=1"},
    {"n=7", "n=10 n+=1", SATCHEL_OK, "n=11", "n=11", "n=11"},
    {"n=9223372036854775806", "n+=1", SATCHEL_OK, "n=9223372036854775807", "n=9223372036854775807",
     "n=9223372036854775807"},
    {"n=9223372036854775807", "n+=1", SATCHEL_OUT_OF_RANGE, "", "", ""},
    {"n=-9223372036854775808", "n+=-1", SATCHEL_OUT_OF_RANGE, "", "", ""},
    {"n=12345678901234567890", "n+=1", SATCHEL_OUT_OF_RANGE, "", "", ""},
    {"n=tea", "n+=1", SATCHEL_NOT_A_NUMBER, "", "", ""},
    {"n=", "n+=1", SATCHEL_NOT_A_NUMBER, "", "", ""},
    /* The first operation that fails decides. */
    {"n=tea m=9223372036854775807", "m+=1 n+=1", SATCHEL_OUT_OF_RANGE, "", "", ""},
    {"n=tea m=9223372036854775807", "n+=1 m+=1", SATCHEL_NOT_A_NUMBER, "", "", ""},
    /* Set if absent answers with what is there now. */
    {"a=1", "a?=2", SATCHEL_OK, "a=1", "", "a=1"},
    {"a=1", "b?=2", SATCHEL_OK, "a=1 b=2", "b=2", "b=2"},
    {"a=1", "a?=2 b?=3 a=4", SATCHEL_OK, "a=4 b=3", "a=4 b=3", "a=4 b=3"},
    {"a=1", "-a a?=2", SATCHEL_OK, "a=2", "a=2", "a=2"},
};

Test(patch, gives_the_content_the_delta_and_what_was_asked_for)
{
    /* The buffers are kept from case to case, as a server keeps them. */
    struct buf content = {0}, delta = {0}, returned = {0}, replayed = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct patch_case *at = &cases[i];
        struct buf old = {0}, ops = {0};
        fields_from_text(&old, at->old);
        ops_from_text(&ops, at->ops);
        enum satchel_status status = fields_patch(
            buf_view(&old), buf_view(&ops), SATCHEL_VALUE_BYTES_MAX, &content, &delta, &returned);
        cr_assert_eq(status, at->status, "%s | %s: %d", at->old, at->ops, status);
        if (status == SATCHEL_OK) {
            char text[FIELDS_TEXT_BYTES];
            cr_assert_str_eq(fields_to_text(buf_view(&content), text), at->content);
            cr_assert_str_eq(ops_to_text(buf_view(&delta), text), at->delta);
            cr_assert_str_eq(fields_to_text(buf_view(&returned), text), at->returned);
            cr_assert_eq(fields_patch(buf_view(&old), buf_view(&delta), SATCHEL_VALUE_BYTES_MAX,
                                      &replayed, NULL, NULL),
                         SATCHEL_OK);
            cr_assert(view_equal(buf_view(&replayed), buf_view(&content)), "%s | %s", at->old,
                      at->ops);
        }
        buf_free(&old);
        buf_free(&ops);
    }
    buf_free(&content);
    buf_free(&delta);
    buf_free(&returned);
    buf_free(&replayed);
}

Test(patch, content_over_the_byte_limit_is_refused_and_at_the_limit_is_not)
{
    struct buf old = {0}, ops = {0}, content = {0};
    fields_from_text(&old, "a=1");
    ops_from_text(&ops, "a=22 b=333");
    size_t bytes = fields_bytes(view_str("a"), view_str("22")) +
                   fields_bytes(view_str("b"), view_str("333"));
    cr_assert_eq(fields_patch(buf_view(&old), buf_view(&ops), bytes, &content, NULL, NULL),
                 SATCHEL_OK);
    cr_assert_eq(content.len, bytes);
    cr_assert_eq(fields_patch(buf_view(&old), buf_view(&ops), bytes - 1, &content, NULL, NULL),
                 SATCHEL_TOO_LARGE);
    buf_free(&old);
    buf_free(&ops);
    buf_free(&content);
}

Test(patch, the_most_operations_on_the_most_fields_keep_to_the_field_limit)
{
    struct buf old = {0}, ops = {0}, content = {0}, delta = {0};
    char text[32];
    for (size_t i = 0; i < SATCHEL_FIELDS_MAX; i++) {
        (void)snprintf(text, sizeof text, "field-%zu=%zu", i, i);
        fields_from_text(&old, text);
    }
    for (size_t i = 0; i < SATCHEL_PATCH_OPS_MAX; i++) {
        (void)snprintf(text, sizeof text, "field-%zu+=1", i * 4);
        ops_from_text(&ops, text);
    }
    cr_assert_eq(fields_patch(buf_view(&old), buf_view(&ops), SATCHEL_VALUE_BYTES_MAX, &content,
                              &delta, NULL),
                 SATCHEL_OK);
    cr_assert_eq(fields_check(buf_view(&content)), SATCHEL_OK);
    struct view rest = buf_view(&content);
    struct field field;
    for (size_t i = 0; i < SATCHEL_FIELDS_MAX; i++) {
        cr_assert_eq(fields_next(&rest, &field), STATUS_OK);
        (void)snprintf(text, sizeof text, "%zu", i % 4 == 0 ? i + 1 : i);
        cr_assert(view_equal(field.value, view_str(text)), "field %zu", i);
    }
    cr_assert_eq(rest.len, 0);

    ops.len = 0;
    ops_from_text(&ops, "one-more=1");
    cr_assert_eq(fields_patch(buf_view(&old), buf_view(&ops), SATCHEL_VALUE_BYTES_MAX, &content,
                              &delta, NULL),
                 SATCHEL_TOO_LARGE);
    ops_from_text(&ops, "-field-7");
    cr_assert_eq(fields_patch(buf_view(&old), buf_view(&ops), SATCHEL_VALUE_BYTES_MAX, &content,
                              &delta, NULL),
                 SATCHEL_OK);
    buf_free(&old);
    buf_free(&ops);
    buf_free(&content);
    buf_free(&delta);
}

Test(patch, old_content_that_is_not_fields_is_refused)
{
    struct buf ops = {0}, content = {0};
    ops_from_text(&ops, "a=1");
    cr_assert_eq(fields_patch(view_str("not fields at all"), buf_view(&ops),
                              SATCHEL_VALUE_BYTES_MAX, &content, NULL, NULL),
                 SATCHEL_WRONG_KIND);
    buf_free(&ops);
    buf_free(&content);
}
