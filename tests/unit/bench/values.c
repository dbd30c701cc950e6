/* Values: that a good one passes and nothing else does. */
#include "load/values.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

enum { BYTES_MAX = 600 };

static const struct value_shape shapes[] = {
    {.json = false, .bytes_min = VALUE_PLAIN_BYTES_MIN, .bytes_max = VALUE_PLAIN_BYTES_MIN},
    {.json = false, .bytes_min = 100, .bytes_max = BYTES_MAX},
    {.json = true, .bytes_min = VALUE_JSON_BYTES_MIN, .bytes_max = VALUE_JSON_BYTES_MIN + 3},
    {.json = true, .bytes_min = 400, .bytes_max = BYTES_MAX},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* Checks a copy of exactly that size, so that a sanitizer sees a read behind it. */
static enum value_verdict check(const struct values *values, uint64_t key, const uint8_t *bytes,
                                size_t len, uint64_t *generation)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    cr_assert_not_null(copy);
    (void)put_view(copy, view_of(bytes, len));
    enum value_verdict verdict = values_check(values, key, view_of(copy, len), generation);
    free(copy);
    return verdict;
}

Test(values, what_was_made_is_good_and_tells_its_generation)
{
    for (unsigned i = 0; i < SHAPES; i++) {
        struct values values;
        uint8_t bytes[BYTES_MAX];
        size_t shortest = SIZE_MAX;
        size_t longest = 0;
        cr_assert_eq(values_init(&values, shapes[i]), STATUS_OK);
        for (uint64_t key = 0; key < 100; key++) {
            for (uint64_t generation = 1; generation < 100; generation++) {
                uint64_t told = 0;
                size_t len = values_make(&values, key, generation, bytes);
                cr_assert_eq(check(&values, key, bytes, len, &told), VALUE_GOOD);
                cr_assert_eq(told, generation);
                shortest = len < shortest ? len : shortest;
                longest = len > longest ? len : longest;
            }
        }
        cr_assert_eq(shortest, shapes[i].bytes_min);
        cr_assert_eq(longest, shapes[i].bytes_max);
        values_free(&values);
    }
}

Test(values, one_wrong_byte_is_seen_wherever_it_is)
{
    for (unsigned i = 0; i < SHAPES; i++) {
        struct values values;
        uint8_t bytes[BYTES_MAX];
        uint64_t generation;
        cr_assert_eq(values_init(&values, shapes[i]), STATUS_OK);
        size_t len = values_make(&values, 12, 34, bytes);
        for (size_t at = 0; at < len; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                /* Eight bytes of nothing but key and generation are another one's value. */
                bool is_another = len == VALUE_PLAIN_BYTES_MIN && at >= 8;
                bytes[at] ^= (uint8_t)(1U << bit);
                enum value_verdict verdict = check(&values, 12, bytes, len, &generation);
                cr_assert(is_another ? verdict == VALUE_GOOD && generation != 34
                                     : verdict != VALUE_GOOD,
                          "shape %u, byte %zu, bit %u", i, at, bit);
                bytes[at] ^= (uint8_t)(1U << bit);
            }
        }
        values_free(&values);
    }
}

Test(values, a_cut_a_longer_and_a_torn_one_are_seen)
{
    for (unsigned i = 1; i < SHAPES; i++) {
        struct values values;
        uint8_t bytes[BYTES_MAX + 1];
        uint8_t later[BYTES_MAX];
        uint64_t generation;
        cr_assert_eq(values_init(&values, shapes[i]), STATUS_OK);
        size_t len = values_make(&values, 5, 1, bytes);
        bytes[len] = 'x';
        for (size_t cut = 0; cut < len; cut++) {
            cr_assert_eq(check(&values, 5, bytes, cut, &generation), VALUE_DAMAGED, "%zu", cut);
        }
        cr_assert_eq(check(&values, 5, bytes, len + 1, &generation), VALUE_DAMAGED);
        /* The head of one write and the rest of another. */
        size_t later_len = values_make(&values, 5, 2, later);
        size_t shorter = later_len < len ? later_len : len;
        memcpy(bytes + shorter / 2, later + shorter / 2, later_len - shorter / 2);
        if (shapes[i].bytes_min > VALUE_JSON_BYTES_MIN) {
            cr_assert_eq(check(&values, 5, bytes, later_len, &generation), VALUE_DAMAGED);
        }
        values_free(&values);
    }
}

Test(values, another_keys_is_seen)
{
    for (unsigned i = 0; i < SHAPES; i++) {
        struct values values;
        uint8_t bytes[BYTES_MAX];
        uint64_t generation;
        cr_assert_eq(values_init(&values, shapes[i]), STATUS_OK);
        size_t len = values_make(&values, 5, 1, bytes);
        cr_assert_eq(check(&values, 6, bytes, len, &generation), VALUE_OTHER_KEY);
        memset(bytes, 0, sizeof bytes);
        cr_assert_neq(check(&values, 6, bytes, len, &generation), VALUE_GOOD);
        values_free(&values);
    }
}

Test(values, a_json_value_is_json)
{
    struct values values;
    uint8_t bytes[BYTES_MAX];
    cr_assert_eq(values_init(&values, shapes[3]), STATUS_OK);
    size_t len = values_make(&values, 0xabc, 0x12, bytes);
    json_t *parsed = json_loadb((const char *)bytes, len, 0, NULL);
    cr_assert_not_null(parsed);
    cr_assert_str_eq(json_string_value(json_object_get(parsed, "key")), "0000000000000abc");
    cr_assert_str_eq(json_string_value(json_object_get(parsed, "gen")), "0000000000000012");
    json_decref(parsed);
    values_free(&values);
}
