/* Writing tagged fields into room that was reserved before. The tag's number is a constant at every
 * call, so each of these becomes a few stores. */
#pragma once

#include "base/bytes.h"
#include "satchel/protocol.h"

enum { TAG_U64_BYTES = SATCHEL_TAG_BYTES + sizeof(uint64_t) };

/** Writes a tag with `bytes`; returns the address behind it. */
static inline uint8_t *put_tag(uint8_t *to, enum satchel_tag tag, struct view bytes)
{
    store_u16(to, (uint16_t)tag);
    store_u32(to + 2, (uint32_t)bytes.len);
    return put_view(to + SATCHEL_TAG_BYTES, bytes);
}

/** Writes a tag with a number; returns the address behind it. */
static inline uint8_t *put_tag_u64(uint8_t *to, enum satchel_tag tag, uint64_t value)
{
    store_u16(to, (uint16_t)tag);
    store_u32(to + 2, sizeof value);
    store_u64(to + SATCHEL_TAG_BYTES, value);
    return to + TAG_U64_BYTES;
}
