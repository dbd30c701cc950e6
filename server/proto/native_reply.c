/* Replies: to bytes for the server, from bytes for the client. */
#include "proto/native.h"

#include "proto/put.h"
#include "proto/tags.h"
#include "session/fields.h"

static size_t u64_tag_bytes(bool present)
{
    return present ? TAG_U64_BYTES : 0;
}

static size_t bytes_tag_bytes(bool present, size_t len)
{
    return present ? SATCHEL_TAG_BYTES + len : 0;
}

size_t native_reply_bytes(const struct native_reply *reply)
{
    return SATCHEL_HEADER_BYTES + u64_tag_bytes(reply->has_version) +
           u64_tag_bytes(reply->expires_in_ms != 0) + u64_tag_bytes(reply->idle_ttl_ms != 0) +
           u64_tag_bytes(reply->created_ms != 0) + u64_tag_bytes(reply->retry_after_ms != 0) +
           bytes_tag_bytes(reply->message.len != 0, reply->message.len) +
           bytes_tag_bytes(reply->owner.len != 0, reply->owner.len) +
           bytes_tag_bytes(reply->has_content, reply->content.len);
}

enum status native_encode_reply(struct buf *to, const struct native_reply *reply)
{
    size_t bytes = native_reply_bytes(reply);
    enum status status = buf_reserve(to, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *at = to->ptr + to->len;
    native_encode_header(
        at, &(struct native_header){.version = SATCHEL_WIRE_VERSION,
                                    .opcode = (uint8_t)reply->opcode,
                                    .flags = SATCHEL_FLAG_REPLY,
                                    .body_bytes = (uint32_t)(bytes - SATCHEL_HEADER_BYTES),
                                    .request_id = reply->request_id,
                                    .status = (uint16_t)reply->status});
    at += SATCHEL_HEADER_BYTES;
    if (reply->has_version) {
        at = put_tag_u64(at, SATCHEL_TAG_VERSION, reply->version);
    }
    if (reply->expires_in_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_EXPIRES_IN_MS, reply->expires_in_ms);
    }
    if (reply->idle_ttl_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_IDLE_TTL_MS, reply->idle_ttl_ms);
    }
    if (reply->created_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_CREATED_MS, reply->created_ms);
    }
    if (reply->retry_after_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_RETRY_AFTER_MS, reply->retry_after_ms);
    }
    if (reply->message.len != 0) {
        at = put_tag(at, SATCHEL_TAG_MESSAGE, reply->message);
    }
    if (reply->owner.len != 0) {
        at = put_tag(at, SATCHEL_TAG_OWNER, reply->owner);
    }
    if (reply->has_content) {
        at = put_tag(at, tag_of_kind(reply->kind), reply->content);
    }
    to->len = (size_t)(at - to->ptr);
    return STATUS_OK;
}

/* A number that this side does not know, or that must not travel, tells nothing about what
 * happened. */
static enum satchel_status status_from_wire(uint16_t number)
{
    enum { LOCAL_STATUSES_FROM = 1000 };
    switch (number) {
#define X(name, value, retry, text) case value:
        SATCHEL_STATUSES(X)
#undef X
        return number < LOCAL_STATUSES_FROM ? (enum satchel_status)number : SATCHEL_UNKNOWN_OUTCOME;
    default:
        return SATCHEL_UNKNOWN_OUTCOME;
    }
}

enum status native_decode_reply(const struct native_header *header, struct view body,
                                struct native_reply *out)
{
    if ((header->flags & SATCHEL_FLAG_REPLY) == 0) {
        return STATUS_INVALID;
    }
    struct tags tags;
    const char *why = NULL;
    if (tags_collect(&tags, body, &why) != SATCHEL_OK) {
        return STATUS_INVALID;
    }
    uint64_t contents = tags.seen & CONTENT_TAGS;
    *out = (struct native_reply){
        .request_id = header->request_id,
        .opcode = (enum satchel_opcode)header->opcode,
        .status = status_from_wire(header->status),
        .message = tags_bytes(&tags, TAG_INDEX_MESSAGE),
        .retry_after_ms = tags_u64(&tags, TAG_INDEX_RETRY_AFTER_MS),
        .has_version = tags_have(&tags, TAG_BIT(VERSION)),
        .version = tags_u64(&tags, TAG_INDEX_VERSION),
        .expires_in_ms = tags_u64(&tags, TAG_INDEX_EXPIRES_IN_MS),
        .idle_ttl_ms = tags_u64(&tags, TAG_INDEX_IDLE_TTL_MS),
        .created_ms = tags_u64(&tags, TAG_INDEX_CREATED_MS),
        .owner = tags_bytes(&tags, TAG_INDEX_OWNER),
        .has_content = contents != 0,
        .kind = tags_kind(&tags),
        .content = tags_content(&tags),
    };
    if (!at_most_one_bit(contents)) {
        return STATUS_INVALID;
    }
    return content_check(out->kind, out->content) == SATCHEL_OK ? STATUS_OK : STATUS_INVALID;
}
