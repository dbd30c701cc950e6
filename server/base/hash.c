/* XXH3-64, inlined from the library's header so that short inputs cost no call. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(struct view bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed);
}

uint64_t hash64_pair(struct view first, struct view second, uint64_t seed)
{
    XXH3_state_t state;
    /* Resetting reads these two: a state that seems to have this seed already keeps its secret, so
     * on the stack they must not be left to chance. */
    XXH3_INITSTATE(&state);
    state.extSecret = NULL;
    (void)XXH3_64bits_reset_withSeed(&state, seed);
    (void)XXH3_64bits_update(&state, first.ptr, first.len);
    (void)XXH3_64bits_update(&state, second.ptr, second.len);
    return XXH3_64bits_digest(&state);
}
