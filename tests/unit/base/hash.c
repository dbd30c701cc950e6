/* Hashes: the values are on disk and on the wire, so they are pinned. */
#include "base/hash.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(hash, is_xxh3_64)
{
    /* Known values with seed 0, the same from every implementation of XXH3. */
    cr_assert(eq(u64, hash64(view_of(NULL, 0), 0), UINT64_C(0x2d06800538d394c2)));
    cr_assert(eq(u64, hash64(view_str("a"), 0), UINT64_C(0xe6c632b61e964e1f)));
    cr_assert(eq(u64, hash64(view_str("abc"), 0), UINT64_C(0x78af5f94892f3950)));
}

Test(hash, depends_on_the_seed)
{
    cr_assert(ne(u64, hash64(view_str("cart:42"), 1), hash64(view_str("cart:42"), 2)));
}

Test(hash, of_a_pair_is_that_of_the_joined_bytes)
{
    static const uint64_t seeds[] = {0, 1, UINT64_C(0x123456789abcdef0)};
    uint8_t bytes[1500];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    for (size_t seed = 0; seed < sizeof seeds / sizeof seeds[0]; seed++) {
        /* Every length twice in a row with one seed: nothing of the call before may matter. */
        for (size_t len = 0; len <= sizeof bytes; len += 1 + len / 8) {
            for (size_t cut = 0; cut <= len; cut += 1 + len / 4) {
                cr_assert(eq(u64,
                             hash64_pair(view_of(bytes, cut), view_of(bytes + cut, len - cut),
                                         seeds[seed]),
                             hash64(view_of(bytes, len), seeds[seed])),
                          "%zu bytes cut at %zu", len, cut);
            }
        }
    }
    cr_assert(
        eq(u64, hash64_pair(view_of(NULL, 0), view_of(NULL, 0), 5), hash64(view_of(NULL, 0), 5)));
}
