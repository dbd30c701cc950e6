/* XXH3-128 from the xxHash library (0.8, BSD-2; https://xxhash.com). */
#include "base/hash128.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

/* The library's own state has to be aligned to 64 bytes, which its allocator sees to. */
static XXH3_state_t *state_of(struct hash128 *self)
{
    return (XXH3_state_t *)(void *)self;
}

static void put(XXH128_hash_t hash, uint8_t *out)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    _Static_assert(sizeof canonical.digest == HASH128_BYTES, "a hash is 16 bytes");
    memcpy(out, canonical.digest, HASH128_BYTES);
}

void hash128(struct view bytes, uint8_t out[static HASH128_BYTES])
{
    put(XXH3_128bits(bytes.ptr, bytes.len), out);
}

struct hash128 *hash128_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL) {
        XXH_errorcode code = XXH3_128bits_reset(state);
        assert(code == XXH_OK);
        (void)code;
    }
    return (struct hash128 *)(void *)state;
}

void hash128_free(struct hash128 *self)
{
    (void)XXH3_freeState(state_of(self));
}

void hash128_update(struct hash128 *self, struct view bytes)
{
    XXH_errorcode code = XXH3_128bits_update(state_of(self), bytes.ptr, bytes.len);
    assert(code == XXH_OK || bytes.len == 0);
    (void)code;
}

void hash128_digest(const struct hash128 *self, uint8_t out[static HASH128_BYTES])
{
    put(XXH3_128bits_digest((const XXH3_state_t *)(const void *)self), out);
}
