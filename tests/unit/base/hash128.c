/* XXH3-128: the values are in the archive, so they are pinned. */
#include "base/hash128.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static void expect(struct view bytes, const uint8_t expected[HASH128_BYTES])
{
    uint8_t hash[HASH128_BYTES];
    hash128(bytes, hash);
    cr_assert(eq(int, memcmp(hash, expected, HASH128_BYTES), 0));
}

Test(hash128, is_what_xxhsum_prints)
{
    /* The same from every implementation of XXH3, in hex: 99aa06d3014798d86001c324468d497f and
     * 06b05ab6733a618578af5f94892f3950. */
    expect(view_of(NULL, 0), (const uint8_t[]){0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60,
                                               0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f});
    expect(view_str("abc"), (const uint8_t[]){0x06, 0xb0, 0x5a, 0xb6, 0x73, 0x3a, 0x61, 0x85, 0x78,
                                              0xaf, 0x5f, 0x94, 0x89, 0x2f, 0x39, 0x50});
}

Test(hash128, of_pieces_is_that_of_the_whole)
{
    uint8_t bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    for (size_t step = 1; step <= sizeof bytes; step += 1 + step / 3) {
        struct hash128 *hash = hash128_new();
        cr_assert(ne(ptr, hash, NULL));
        uint8_t pieces[HASH128_BYTES];
        uint8_t whole[HASH128_BYTES];
        for (size_t at = 0; at < sizeof bytes; at += step) {
            size_t len = sizeof bytes - at < step ? sizeof bytes - at : step;
            hash128_update(hash, view_of(bytes + at, len));
            hash128_digest(hash, pieces);
            hash128(view_of(bytes, at + len), whole);
            cr_assert(eq(int, memcmp(pieces, whole, HASH128_BYTES), 0), "%zu bytes", at + len);
        }
        hash128_update(hash, view_of(NULL, 0));
        hash128_digest(hash, whole);
        cr_assert(eq(int, memcmp(pieces, whole, HASH128_BYTES), 0));
        hash128_free(hash);
    }
    hash128_free(NULL);
}
