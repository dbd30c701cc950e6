/* Which keys come up how often. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "load/keys.h"
#include "load/zipf.h"

enum { DRAWS = 400000 };

/* Is a count within five standard deviations of what is expected? Once in millions it is not. */
static bool is_likely(uint64_t count, double expected)
{
    return fabs((double)count - expected) <= 5 * sqrt(expected) + 1;
}

/* Compares how often each rank comes with Zipf's law. */
static void check_zipf(uint64_t ranks, double exponent)
{
    struct zipf zipf;
    struct splitmix random = {.state = 3};
    uint64_t *counts = calloc(ranks, sizeof counts[0]);
    double weights = 0;
    cr_assert_not_null(counts);
    zipf_init(&zipf, ranks, exponent);
    for (uint64_t rank = 0; rank < ranks; rank++) {
        weights += pow((double)(rank + 1), -exponent);
    }
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t rank = zipf_next(&zipf, &random);
        cr_assert_lt(rank, ranks);
        counts[rank]++;
    }
    for (uint64_t rank = 0; rank < ranks; rank++) {
        double expected = DRAWS * pow((double)(rank + 1), -exponent) / weights;
        cr_assert(is_likely(counts[rank], expected), "s %g, rank %llu of %llu: %llu, expected %g",
                  exponent, (unsigned long long)rank, (unsigned long long)ranks,
                  (unsigned long long)counts[rank], expected);
    }
    free(counts);
}

Test(zipf, every_rank_comes_as_often_as_the_law_says)
{
    static const double exponents[] = {0.2, 0.99, 1, 1.2, 3};
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        check_zipf(1000, exponents[i]);
        check_zipf(2, exponents[i]);
        check_zipf(1, exponents[i]);
    }
}

Test(zipf, a_billion_ranks_cost_no_table_and_the_first_stays_frequent)
{
    struct zipf zipf;
    struct splitmix random = {.state = 4};
    uint64_t first = 0;
    zipf_init(&zipf, 1000000000, 1);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t rank = zipf_next(&zipf, &random);
        cr_assert_lt(rank, 1000000000);
        first += rank == 0;
    }
    /* The sum of the weights 1/k up to n is ln n + 0.5772. */
    cr_assert(is_likely(first, DRAWS / (log(1e9) + 0.5772)), "%llu", (unsigned long long)first);
}

/* Draws keys and counts them; the caller frees. */
static uint64_t *draw(uint64_t count, struct key_distribution distribution)
{
    struct keys keys;
    struct splitmix random = {.state = 5};
    uint64_t *counts = calloc(count, sizeof counts[0]);
    cr_assert_not_null(counts);
    keys_init(&keys, count, distribution, 0);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t key = keys_next(&keys, &random);
        cr_assert_lt(key, count);
        counts[key]++;
    }
    return counts;
}

Test(keys, uniform_ones_come_alike)
{
    uint64_t *counts = draw(100, (struct key_distribution){.pattern = KEY_UNIFORM});
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(is_likely(counts[i], DRAWS / 100.0), "%u", i);
    }
    free(counts);
}

Test(keys, hot_ones_take_their_share)
{
    uint64_t *counts = draw(
        100, (struct key_distribution){.pattern = KEY_HOT, .hot_percent = 10, .heat_percent = 90});
    unsigned hot = 0;
    for (unsigned i = 0; i < 100; i++) {
        bool is_hot = counts[i] > DRAWS / 100;
        cr_assert(is_likely(counts[i], is_hot ? DRAWS * 0.9 / 10 : DRAWS * 0.1 / 90), "%u", i);
        hot += is_hot;
    }
    cr_assert_eq(hot, 10);
    free(counts);
}

Test(keys, each_rank_has_a_key_of_its_own)
{
    static const uint64_t sizes[] = {1, 2, 3, 10, 64, 97, 1000, 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t *counts = draw(sizes[i],
                                (struct key_distribution){.pattern = KEY_ZIPF, .exponent = 0.1});
        for (uint64_t key = 0; key < sizes[i]; key++) {
            cr_assert_gt(counts[key], 0, "%llu of %llu", (unsigned long long)key,
                         (unsigned long long)sizes[i]);
        }
        free(counts);
    }
}

Test(keys, have_texts_that_differ_by_number_and_by_what_is_kept_there)
{
    struct keys keys[2];
    uint8_t texts[4][KEY_BYTES];
    keys_init(&keys[0], 10, (struct key_distribution){.pattern = KEY_UNIFORM}, 1);
    keys_init(&keys[1], 10, (struct key_distribution){.pattern = KEY_UNIFORM}, 2);
    for (unsigned i = 0; i < 4; i++) {
        keys_text(&keys[i / 2], i % 2 == 0 ? 7 : KEYS_MAX - 1, texts[i]);
        for (unsigned k = 0; k < i; k++) {
            cr_assert_neq(memcmp(texts[i], texts[k], KEY_BYTES), 0);
        }
    }
    cr_assert_eq(memcmp(texts[1] + 8, "000999999999", 12), 0);
}
