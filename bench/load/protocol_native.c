/* Satchel's own protocol, by the codec that server and client use. Answers come in any order. */
#include "load/protocol.h"
#include "proto/native.h"

static enum status greet(struct view token, struct buf *to)
{
    size_t start;
    enum status status = native_frame_begin(to, &start);
    if (status == STATUS_OK) {
        status = native_put_u16(to, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION);
    }
    if (status == STATUS_OK) {
        status = native_put_bytes(to, SATCHEL_TAG_CLIENT_NAME, view_str("satchel-bench"));
    }
    if (status == STATUS_OK && token.len != 0) {
        status = native_put_bytes(to, SATCHEL_TAG_TOKEN, token);
    }
    if (status == STATUS_OK) {
        native_frame_end(
            to, start,
            (struct native_header){.version = SATCHEL_WIRE_VERSION, .opcode = SATCHEL_OP_HELLO});
    }
    return status;
}

static enum satchel_opcode opcode_of(enum operation operation)
{
    switch (operation) {
    case OPERATION_SET:
        return SATCHEL_OP_SET;
    case OPERATION_TOUCH:
        return SATCHEL_OP_TOUCH;
    case OPERATION_DELETE:
        return SATCHEL_OP_DELETE;
    case OPERATION_PATCH:
    case OPERATION_INCR:
        return SATCHEL_OP_PATCH;
    case OPERATION_GET:
    case OPERATION_CONNECT:
    case OPERATION_COUNT:
        break;
    }
    return SATCHEL_OP_GET;
}

/* Appends the fields of a new session, or the operation of a patch. */
static enum status put_fields(const struct request *request, struct buf *to)
{
    static const uint8_t one[8] = {1};
    if (request->operation == OPERATION_INCR) {
        return ops_append(to, SATCHEL_FIELD_INCREMENT, counter_name, view_of(one, sizeof one));
    }
    if (request->operation == OPERATION_PATCH) {
        return ops_append(to, SATCHEL_FIELD_SET, item_names[request->item], request->values[0]);
    }
    enum status status = fields_append(to, counter_name, view_str("0"));
    for (unsigned i = 0; i < ITEM_COUNT && status == STATUS_OK; i++) {
        status = fields_append(to, item_names[i], request->values[i]);
    }
    return status;
}

/* A request with fields is written where it is sent from: the codec would want them in a buffer of
 * their own first. */
static enum status encode_fields(const struct dialect *dialect, const struct request *request,
                                 struct native_header header, struct buf *to)
{
    bool is_set = request->operation == OPERATION_SET;
    size_t start;
    enum status status = native_frame_begin(to, &start);
    if (status == STATUS_OK) {
        status = native_put_bytes(to, SATCHEL_TAG_ID, request->key);
    }
    if (status == STATUS_OK && is_set && dialect->idle_ttl_ms != 0) {
        status = native_put_u64(to, SATCHEL_TAG_IDLE_TTL_MS, dialect->idle_ttl_ms);
    }
    size_t tag = to->len;
    if (status == STATUS_OK) {
        status = native_put_bytes(to, is_set ? SATCHEL_TAG_FIELDS : SATCHEL_TAG_OPS,
                                  (struct view){0});
    }
    if (status == STATUS_OK) {
        status = put_fields(request, to);
    }
    if (status == STATUS_OK) {
        size_t content = to->len - tag - SATCHEL_TAG_BYTES;
        store_u32(to->ptr + tag + sizeof(uint16_t), (uint32_t)content);
        native_frame_end(to, start, header);
    }
    return status;
}

static unsigned encode(const struct dialect *dialect, const struct request *request, struct buf *to)
{
    enum operation operation = request->operation;
    bool is_set = operation == OPERATION_SET;
    bool has_fields = operation == OPERATION_PATCH || operation == OPERATION_INCR ||
                      (is_set && dialect->has_fields);
    uint8_t ack = dialect->ack_fast ? SATCHEL_FLAG_ACK_FAST : SATCHEL_FLAG_ACK_DURABLE;
    uint8_t flags = operation == OPERATION_GET ? 0 : ack;
    enum status status;
    if (has_fields) {
        struct native_header header = {.version = SATCHEL_WIRE_VERSION,
                                       .opcode = (uint8_t)opcode_of(operation),
                                       .flags = flags,
                                       .request_id = request->id};
        status = encode_fields(dialect, request, header, to);
    } else {
        bool sets_times = is_set || operation == OPERATION_TOUCH;
        struct command command = {.op = opcode_of(operation),
                                  .kind = SATCHEL_BLOB,
                                  .idle_ttl_ms = sets_times ? dialect->idle_ttl_ms : 0,
                                  .id = request->key,
                                  .content = request->values[0]};
        status = native_encode_command(to, request->id, flags, &command);
    }
    return status == STATUS_OK ? 1 : 0;
}

static enum answer_kind kind_of(const struct native_reply *reply)
{
    if (reply->opcode == SATCHEL_OP_GOAWAY) {
        return ANSWER_PUSHED;
    }
    if (reply->status == SATCHEL_NOT_FOUND) {
        return ANSWER_MISSING;
    }
    if (reply->status != SATCHEL_OK) {
        return ANSWER_REFUSED;
    }
    if (reply->opcode != SATCHEL_OP_GET || !reply->has_content) {
        return ANSWER_DONE;
    }
    return reply->kind == SATCHEL_FIELDS ? ANSWER_FIELDS : ANSWER_VALUE;
}

static enum reading bad(struct answer *out, const char *text)
{
    out->text = view_str(text);
    return READING_BAD;
}

static enum reading decode(struct view bytes, struct answer *out, size_t *used)
{
    struct native_header header;
    enum status status = native_decode_header(bytes, &header);
    if (status == STATUS_AGAIN) {
        return READING_MORE;
    }
    if (status != STATUS_OK) {
        return bad(out, "not the header of a native frame");
    }
    if (header.body_bytes > SATCHEL_BODY_BYTES_MAX) {
        return bad(out, "a frame over the protocol's limit");
    }
    if (bytes.len - SATCHEL_HEADER_BYTES < header.body_bytes) {
        return READING_MORE;
    }
    struct view body = view_of(bytes.ptr + SATCHEL_HEADER_BYTES, header.body_bytes);
    struct native_reply reply;
    *used = SATCHEL_HEADER_BYTES + body.len;
    if (header.opcode == SATCHEL_OP_HELLO && header.status == SATCHEL_OK) {
        *out = (struct answer){.kind = ANSWER_DONE, .id = header.request_id};
        return READING_DONE;
    }
    if (native_decode_reply(&header, body, &reply) != STATUS_OK) {
        return bad(out, "a frame that is no reply");
    }
    *out = (struct answer){.kind = kind_of(&reply),
                           .id = reply.request_id,
                           .content = reply.content,
                           .text = view_str(satchel_status_text_of(reply.status))};
    return READING_DONE;
}

static bool next_field(struct view *rest, struct field *out)
{
    return fields_next(rest, out) == STATUS_OK;
}

const struct protocol protocol_native = {
    .name = "native",
    .has_fields = true,
    .greet = greet,
    .encode = encode,
    .decode = decode,
    .next_field = next_field,
};
