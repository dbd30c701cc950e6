/* Values that prove themselves. */
#include "support/pattern.h"

enum { PIECE_BYTES = 8 };

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t pattern_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The i-th eight bytes of a value: 0 and 1 are the header. */
static uint64_t piece(uint64_t *state, size_t i, size_t len, uint32_t session, uint32_t number)
{
    if (i == 0) {
        *state = (uint64_t)number << 32 | session;
        return *state;
    }
    if (i == 1) {
        *state ^= (uint64_t)len << 17;
        return (pattern_random(state) << 32) | (uint32_t)len;
    }
    return pattern_random(state);
}

void pattern_fill(uint8_t *out, size_t len, uint32_t session, uint32_t number)
{
    uint64_t state = 0;
    for (size_t at = 0; at < len; at += PIECE_BYTES) {
        uint8_t bytes[PIECE_BYTES];
        store_u64(bytes, piece(&state, at / PIECE_BYTES, len, session, number));
        memcpy(out + at, bytes, len - at < PIECE_BYTES ? len - at : PIECE_BYTES);
    }
}

bool pattern_matches(struct view value, size_t len, uint32_t session, uint32_t number)
{
    if (value.len != len) {
        return false;
    }
    uint64_t state = 0;
    for (size_t at = 0; at < len; at += PIECE_BYTES) {
        uint8_t bytes[PIECE_BYTES];
        store_u64(bytes, piece(&state, at / PIECE_BYTES, len, session, number));
        if (memcmp(value.ptr + at, bytes, len - at < PIECE_BYTES ? len - at : PIECE_BYTES) != 0) {
            return false;
        }
    }
    return true;
}

bool pattern_read(struct view value, uint32_t *session, uint32_t *number)
{
    if (value.len < PATTERN_HEADER_BYTES) {
        return false;
    }
    *session = load_u32(value.ptr);
    *number = load_u32(value.ptr + 4);
    return pattern_matches(value, value.len, *session, *number);
}
