/* Buffers, views and little-endian numbers. */
#include "base/bytes.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(bytes, a_buffer_keeps_what_was_appended_while_it_grows)
{
    struct buf buf = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        cr_assert(eq(int, buf_append(&buf, view_of(&byte, 1)), STATUS_OK));
    }
    cr_assert(eq(sz, buf.len, 10000));
    for (unsigned i = 0; i < 10000; i++) {
        cr_assert(eq(u8, buf.ptr[i], (uint8_t)(i * 7)));
    }
    buf_free(&buf);
    cr_assert_null(buf.ptr);
    cr_assert(eq(sz, buf.len + buf.cap, 0));
}

Test(bytes, reserving_makes_room_and_changes_nothing_else)
{
    struct buf buf = {0};
    cr_assert(eq(int, buf_reserve(&buf, 0), STATUS_OK));
    cr_assert(eq(int, buf_reserve(&buf, 5000), STATUS_OK));
    cr_assert(ge(sz, buf.cap, 5000));
    cr_assert(eq(sz, buf.len, 0));
    uint8_t *before = buf.ptr;
    cr_assert(eq(int, buf_reserve(&buf, 5000), STATUS_OK));
    cr_assert(eq(ptr, buf.ptr, before));
    buf_free(&buf);
}

Test(bytes, an_impossible_size_is_refused_and_leaves_the_buffer_as_it_was)
{
    struct buf buf = {0};
    cr_assert(eq(int, buf_append(&buf, view_str("abc")), STATUS_OK));
    cr_assert(eq(int, buf_reserve(&buf, SIZE_MAX), STATUS_NO_MEMORY));
    cr_assert(eq(int, buf_reserve(&buf, SIZE_MAX - 1), STATUS_NO_MEMORY));
    cr_assert(view_equal(buf_view(&buf), view_str("abc")));
    buf_free(&buf);
}

Test(bytes, an_empty_view_without_an_address_is_fine_everywhere)
{
    struct view empty = view_of(NULL, 0);
    struct buf buf = {0};
    uint8_t to[1];
    cr_assert(eq(int, buf_append(&buf, empty), STATUS_OK));
    cr_assert(view_equal(empty, view_str("")));
    cr_assert(view_equal_constant_time(empty, view_str("")));
    cr_assert(eq(ptr, put_view(to, empty), to));
    buf_free(&buf);
}

Test(bytes, formatted_text_is_appended_without_its_zero)
{
    struct buf buf = {0};
    for (int i = 0; i < 300; i++) {
        cr_assert(eq(int, buf_printf(&buf, "%03d,", i), STATUS_OK));
    }
    cr_assert(eq(sz, buf.len, 1200));
    cr_assert(view_equal(view_of(buf.ptr, 8), view_str("000,001,")));
    cr_assert(view_equal(view_of(buf.ptr + 1192, 8), view_str("298,299,")));
    buf_free(&buf);
}

Test(bytes, consuming_removes_from_the_front)
{
    struct buf buf = {0};
    cr_assert(eq(int, buf_append(&buf, view_str("hello world")), STATUS_OK));
    buf_consume(&buf, 0);
    buf_consume(&buf, 6);
    cr_assert(view_equal(buf_view(&buf), view_str("world")));
    buf_consume(&buf, 5);
    cr_assert(eq(sz, buf.len, 0));
    buf_consume(&buf, 1);
    cr_assert(eq(sz, buf.len, 0));
    buf_free(&buf);
}

Test(bytes, both_comparisons_agree)
{
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } cases[] = {
        {"", "", true},         {"a", "a", true},           {"a", "b", false},
        {"a", "", false},       {"abc", "abd", false},      {"xbc", "abc", false},
        {"abc", "abcd", false}, {"secret", "secret", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view a = view_str(cases[i].a);
        struct view b = view_str(cases[i].b);
        cr_assert(eq(int, view_equal(a, b), cases[i].equal), "case %zu", i);
        cr_assert(eq(int, view_equal_constant_time(a, b), cases[i].equal), "case %zu", i);
    }
}

Test(bytes, numbers_are_little_endian_at_any_address)
{
    uint8_t bytes[10] = {0};
    store_u64(bytes + 1, UINT64_C(0x8877665544332211));
    cr_assert(
        view_equal(view_of(bytes, 10), view_of("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x00", 10)));
    cr_assert(eq(u64, load_u64(bytes + 1), UINT64_C(0x8877665544332211)));
    cr_assert(eq(u32, load_u32(bytes + 1), UINT32_C(0x44332211)));
    cr_assert(eq(u16, load_u16(bytes + 1), 0x2211));
    store_u32(bytes + 3, UINT32_C(0xddccbbaa));
    store_u16(bytes + 8, 0xffee);
    cr_assert(
        view_equal(view_of(bytes, 10), view_of("\x00\x11\x22\xaa\xbb\xcc\xdd\x77\xee\xff", 10)));
    cr_assert(eq(ptr, put_view(bytes, view_str("ok")), bytes + 2));
    cr_assert(eq(u8, bytes[1], 'k'));
}
