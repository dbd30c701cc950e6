/* Frames that are encoded once; what changes from request to request is their header. */
#include "micro/null_replies.h"

static enum status make_hello(struct buf *out)
{
    size_t start;
    enum status status = native_frame_begin(out, &start);
    if (status == STATUS_OK) {
        status = native_put_u16(out, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION);
    }
    if (status == STATUS_OK) {
        native_frame_end(out, start, (struct native_header){.opcode = SATCHEL_OP_HELLO});
    }
    return status;
}

enum status null_replies_init(struct null_replies *self)
{
    static const uint8_t value[NULL_VALUE_BYTES];
    const struct native_reply ok = {.opcode = SATCHEL_OP_SET, .has_version = true, .version = 1};
    const struct native_reply found = {.opcode = SATCHEL_OP_GET,
                                       .has_version = true,
                                       .version = 1,
                                       .has_content = true,
                                       .kind = SATCHEL_BLOB,
                                       .content = view_of(value, sizeof value)};
    *self = (struct null_replies){0};
    enum status status = make_hello(&self->hello);
    if (status == STATUS_OK) {
        status = native_encode_reply(&self->ok, &ok);
    }
    if (status == STATUS_OK) {
        status = native_encode_reply(&self->value, &found);
    }
    return status;
}

void null_replies_free(struct null_replies *self)
{
    buf_free(&self->hello);
    buf_free(&self->ok);
    buf_free(&self->value);
}

enum status null_replies_append(const struct null_replies *self, const struct native_header *header,
                                struct buf *out)
{
    const struct buf *reply = header->opcode == SATCHEL_OP_HELLO ? &self->hello
                              : header->opcode == SATCHEL_OP_GET ? &self->value
                                                                 : &self->ok;
    size_t start = out->len;
    enum status status = buf_append(out, buf_view(reply));
    if (status == STATUS_OK) {
        const struct native_header answer = {
            .version = SATCHEL_WIRE_VERSION,
            .opcode = header->opcode,
            .flags = SATCHEL_FLAG_REPLY,
            .body_bytes = (uint32_t)(reply->len - SATCHEL_HEADER_BYTES),
            .request_id = header->request_id};
        native_encode_header(out->ptr + start, &answer);
    }
    return status;
}
