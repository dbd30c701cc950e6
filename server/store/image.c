/* Sessions to bytes and back; the picture is in image.h. */
#include "store/image.h"

void image_encode(uint8_t *to, const struct session *session, uint64_t version)
{
    int64_t expires_ms = session_durable_expiry(session->expires_ms, session->idle_ttl_ms);
    memset(to, 0, 16);
    to[0] = IMAGE_FORMAT;
    to[1] = (uint8_t)session->kind;
    store_u16(to + 2, (uint16_t)session->id.len);
    to[4] = (uint8_t)session->owner.len;
    store_u32(to + 8, (uint32_t)session->content.len);
    store_u64(to + 16, version);
    store_u64(to + 24, (uint64_t)session->created_ms);
    store_u64(to + 32, (uint64_t)expires_ms);
    store_u64(to + 40, session->idle_ttl_ms);
    to = put_view(to + IMAGE_HEADER_BYTES, session->id);
    to = put_view(to, session->owner);
    (void)put_view(to, session->content);
}

static bool is_kind(uint8_t number)
{
    return number == SATCHEL_BLOB || number == SATCHEL_FIELDS || number == SATCHEL_NAMES;
}

enum status image_decode(struct view bytes, struct session *out)
{
    const uint8_t *from = bytes.ptr;
    if (bytes.len < IMAGE_HEADER_BYTES) {
        return STATUS_INVALID;
    }
    if (from[0] != IMAGE_FORMAT) {
        return STATUS_UNSUPPORTED;
    }
    size_t id_len = load_u16(from + 2);
    size_t owner_len = from[4];
    size_t content_len = load_u32(from + 8);
    if (id_len == 0 || id_len > SATCHEL_ID_BYTES_MAX || content_len > SATCHEL_VALUE_BYTES_MAX ||
        IMAGE_HEADER_BYTES + id_len + owner_len + content_len != bytes.len || !is_kind(from[1])) {
        return STATUS_INVALID;
    }
    const uint64_t time_max = UINT64_C(1) << 44;
    *out = (struct session){
        .id = view_of(from + IMAGE_HEADER_BYTES, id_len),
        .version = load_u64(from + 16),
        .created_ms = (int64_t)load_u64(from + 24),
        .expires_ms = (int64_t)load_u64(from + 32),
        .idle_ttl_ms = load_u64(from + 40),
        .owner = view_of(from + IMAGE_HEADER_BYTES + id_len, owner_len),
        .kind = (enum satchel_kind)from[1],
        .content = view_of(from + IMAGE_HEADER_BYTES + id_len + owner_len, content_len),
    };
    if ((uint64_t)out->created_ms >= time_max || (uint64_t)out->expires_ms >= time_max ||
        out->idle_ttl_ms > SATCHEL_TTL_MS_MAX || out->version == 0 ||
        out->version > SESSION_VERSION_MAX) {
        return STATUS_INVALID;
    }
    return STATUS_OK;
}
