/* Frames as fuzz inputs: the header's magic and checksum are put right, because no mutation would,
 * and the body is what follows, whatever length the header names. */
#pragma once

#include "fuzz.h"
#include "proto/native.h"

/** Splits the input; false when it is shorter than a header or the header is refused. */
static inline bool frame_split(const uint8_t *input, size_t len, struct native_header *header,
                               struct view *body)
{
    if (len < SATCHEL_HEADER_BYTES) {
        struct native_header partial;
        REQUIRE(native_decode_header(view_of(input, len), &partial) != STATUS_OK);
        return false;
    }
    *header = (struct native_header){
        .version = input[1],
        .opcode = input[2],
        .flags = input[3],
        .body_bytes = (uint32_t)(len - SATCHEL_HEADER_BYTES),
        .request_id = load_u64(input + 8),
        .status = load_u16(input + 16),
    };
    uint8_t bytes[SATCHEL_HEADER_BYTES];
    native_encode_header(bytes, header);
    enum status status = native_decode_header(view_of(bytes, sizeof bytes), header);
    REQUIRE(status == STATUS_OK || status == STATUS_UNSUPPORTED);
    *body = view_of(input + SATCHEL_HEADER_BYTES, len - SATCHEL_HEADER_BYTES);
    return status == STATUS_OK;
}
