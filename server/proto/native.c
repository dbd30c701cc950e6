/*
 * What frames are made of: the header, tagged fields, and the pieces from which frames with
 * unusual bodies are built.
 *
 *      0        1        2        3        4                 8
 *     +--------+--------+--------+--------+-----------------+
 *     | magic  |version | opcode | flags  |   body length   |
 *     +--------+--------+--------+--------+-----------------+
 *     |                    request id                       |
 *     +-----------------+-----------------+-----------------+
 *     |     status      |  reserved = 0   | header checksum |
 *     +-----------------+-----------------+-----------------+
 */
#include "proto/native.h"

#include <assert.h>

#include "base/hash.h"
#include "proto/put.h"

enum {
    AT_MAGIC = 0,
    AT_VERSION = 1,
    AT_OPCODE = 2,
    AT_FLAGS = 3,
    AT_BODY_BYTES = 4,
    AT_REQUEST_ID = 8,
    AT_STATUS = 16,
    AT_RESERVED = 18,
    AT_CHECKSUM = 20,
};

enum { FLAGS_KNOWN = SATCHEL_FLAG_REPLY | SATCHEL_FLAG_ACK_DURABLE | SATCHEL_FLAG_ACK_FAST };

static uint32_t header_checksum(const uint8_t *header)
{
    return (uint32_t)hash64(view_of(header, SATCHEL_HEADER_CHECKED_BYTES), 0);
}

enum status native_decode_header(struct view bytes, struct native_header *out)
{
    if (bytes.len > 0 && bytes.ptr[AT_MAGIC] != SATCHEL_WIRE_MAGIC) {
        return STATUS_INVALID; /* no need to wait for the rest */
    }
    if (bytes.len < SATCHEL_HEADER_BYTES) {
        return STATUS_AGAIN;
    }
    const uint8_t *from = bytes.ptr;
    if (load_u32(from + AT_CHECKSUM) != header_checksum(from)) {
        return STATUS_INVALID;
    }
    *out = (struct native_header){
        .version = from[AT_VERSION],
        .opcode = from[AT_OPCODE],
        .flags = from[AT_FLAGS],
        .body_bytes = load_u32(from + AT_BODY_BYTES),
        .request_id = load_u64(from + AT_REQUEST_ID),
        .status = load_u16(from + AT_STATUS),
    };
    if (out->version != SATCHEL_WIRE_VERSION || (out->flags & ~FLAGS_KNOWN) != 0 ||
        load_u16(from + AT_RESERVED) != 0) {
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

void native_encode_header(uint8_t out[SATCHEL_HEADER_BYTES], const struct native_header *header)
{
    out[AT_MAGIC] = SATCHEL_WIRE_MAGIC;
    out[AT_VERSION] = header->version;
    out[AT_OPCODE] = header->opcode;
    out[AT_FLAGS] = header->flags;
    store_u32(out + AT_BODY_BYTES, header->body_bytes);
    store_u64(out + AT_REQUEST_ID, header->request_id);
    store_u16(out + AT_STATUS, header->status);
    store_u16(out + AT_RESERVED, 0);
    store_u32(out + AT_CHECKSUM, header_checksum(out));
}

uint32_t native_body_bytes_max(unsigned opcode, uint64_t value_bytes_max)
{
    if (opcode == SATCHEL_OP_HELLO || opcode == SATCHEL_OP_PING) {
        return SATCHEL_HELLO_BODY_BYTES_MAX;
    }
    if (value_bytes_max > SATCHEL_VALUE_BYTES_MAX) {
        value_bytes_max = SATCHEL_VALUE_BYTES_MAX;
    }
    return (uint32_t)value_bytes_max + (SATCHEL_BODY_BYTES_MAX - SATCHEL_VALUE_BYTES_MAX);
}

enum status native_frame_begin(struct buf *to, size_t *start)
{
    enum status status = buf_reserve(to, SATCHEL_HEADER_BYTES);
    if (status == STATUS_OK) {
        *start = to->len;
        to->len += SATCHEL_HEADER_BYTES;
    }
    return status;
}

enum status native_put_bytes(struct buf *to, enum satchel_tag tag, struct view bytes)
{
    enum status status = buf_reserve(to, SATCHEL_TAG_BYTES + bytes.len);
    if (status == STATUS_OK) {
        to->len = (size_t)(put_tag(to->ptr + to->len, tag, bytes) - to->ptr);
    }
    return status;
}

enum status native_put_u64(struct buf *to, enum satchel_tag tag, uint64_t value)
{
    return native_put_bytes(to, tag, view_of(&value, sizeof value));
}

enum status native_put_u16(struct buf *to, enum satchel_tag tag, uint16_t value)
{
    return native_put_bytes(to, tag, view_of(&value, sizeof value));
}

void native_frame_end(struct buf *to, size_t start, struct native_header header)
{
    assert(to->len - start - SATCHEL_HEADER_BYTES <= UINT32_MAX);
    header.body_bytes = (uint32_t)(to->len - start - SATCHEL_HEADER_BYTES);
    native_encode_header(to->ptr + start, &header);
}

const char *native_opcode_word(unsigned opcode)
{
    switch (opcode) {
#define X(name, number, word, meaning)                                                             \
    case number:                                                                                   \
        return word;
        SATCHEL_OPCODES(X)
#undef X
    default:
        return NULL;
    }
}
