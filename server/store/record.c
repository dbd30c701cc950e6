/* Changes to journal records and back; the picture is in record.h. */
#include "store/record.h"

#include <assert.h>

#include "session/fields.h"
#include "store/image.h"

enum { TOUCH_BYTES = 16 };

enum record_type record_type_of(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_PUT:
        return RECORD_PUT;
    case CHANGE_PATCH:
        return RECORD_PATCH;
    case CHANGE_TOUCH:
        return RECORD_TOUCH;
    case CHANGE_DELETE:
        return RECORD_DELETE;
    case CHANGE_NONE:
        break;
    }
    assert(false && "a change that is none has no record");
    return RECORD_DELETE;
}

size_t record_bytes(enum record_type type, const struct change *change)
{
    const struct session *next = &change->next;
    switch (type) {
    case RECORD_PUT:
        return RECORD_HEADER_BYTES + image_bytes(next);
    case RECORD_PATCH:
        return RECORD_HEADER_BYTES + next->id.len + change->delta.len;
    case RECORD_TOUCH:
        return RECORD_HEADER_BYTES + next->id.len + TOUCH_BYTES;
    case RECORD_DELETE:
        return RECORD_HEADER_BYTES + next->id.len;
    }
    return 0;
}

void record_encode(uint8_t *to, enum record_type type, const struct change *change, uint64_t lsn)
{
    const struct session *next = &change->next;
    store_u32(to, (uint32_t)record_bytes(type, change));
    to[4] = (uint8_t)type;
    to[5] = 0;
    store_u16(to + 6, type == RECORD_PUT ? 0 : (uint16_t)next->id.len);
    uint8_t *body = to + RECORD_HEADER_BYTES;
    switch (type) {
    case RECORD_PUT:
        image_encode(body, next, lsn);
        break;
    case RECORD_PATCH:
        (void)put_view(put_view(body, next->id), change->delta);
        break;
    case RECORD_TOUCH:
        body = put_view(body, next->id);
        store_u64(body, (uint64_t)session_durable_expiry(next->expires_ms, next->idle_ttl_ms));
        store_u64(body + 8, next->idle_ttl_ms);
        break;
    case RECORD_DELETE:
        (void)put_view(body, next->id);
        break;
    }
}

static enum status decode_body(uint8_t type, size_t id_len, struct view body, struct record *out)
{
    if (type == RECORD_PUT) {
        out->type = RECORD_PUT;
        return id_len == 0 ? image_decode(body, &out->session) : STATUS_INVALID;
    }
    if (id_len == 0 || id_len > SATCHEL_ID_BYTES_MAX || id_len > body.len) {
        return STATUS_INVALID;
    }
    out->session.id = view_of(body.ptr, id_len);
    struct view tail = view_of(body.ptr + id_len, body.len - id_len);
    switch (type) {
    case RECORD_PATCH:
        out->type = RECORD_PATCH;
        out->ops = tail;
        for (struct field_op op; tail.len != 0;) {
            if (ops_next(&tail, &op) != STATUS_OK ||
                (op.op != SATCHEL_FIELD_SET && op.op != SATCHEL_FIELD_DELETE)) {
                return STATUS_INVALID;
            }
        }
        return STATUS_OK;
    case RECORD_TOUCH:
        out->type = RECORD_TOUCH;
        if (tail.len != TOUCH_BYTES || load_u64(tail.ptr) >= UINT64_C(1) << 44 ||
            load_u64(tail.ptr + 8) > SATCHEL_TTL_MS_MAX) {
            return STATUS_INVALID;
        }
        out->session.expires_ms = (int64_t)load_u64(tail.ptr);
        out->session.idle_ttl_ms = load_u64(tail.ptr + 8);
        return STATUS_OK;
    case RECORD_DELETE:
        out->type = RECORD_DELETE;
        return tail.len == 0 ? STATUS_OK : STATUS_INVALID;
    default:
        return STATUS_INVALID;
    }
}

enum status record_next(struct view *rest, struct record *out)
{
    if (rest->len == 0) {
        return STATUS_END;
    }
    if (rest->len < RECORD_HEADER_BYTES) {
        return STATUS_INVALID;
    }
    size_t len = load_u32(rest->ptr);
    if (len < RECORD_HEADER_BYTES || len > rest->len || rest->ptr[5] != 0) {
        return STATUS_INVALID;
    }
    *out = (struct record){.bytes = view_of(rest->ptr, len)};
    struct view body = view_of(rest->ptr + RECORD_HEADER_BYTES, len - RECORD_HEADER_BYTES);
    enum status status = decode_body(rest->ptr[4], load_u16(rest->ptr + 6), body, out);
    *rest = view_of(rest->ptr + len, rest->len - len);
    return status;
}
