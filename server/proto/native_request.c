/* Requests: from bytes for the server, to bytes for the client. */
#include "proto/native.h"

#include "proto/put.h"
#include "proto/tags.h"

static enum satchel_status refuse(enum satchel_status status, const char *text, const char **why)
{
    *why = text;
    return status;
}

/* Critical tags that a request may carry, by its opcode. Critical means that ignoring it would do
 * something else than was asked for, so elsewhere it is refused. */
static uint64_t allowed_tags(enum satchel_opcode op)
{
    const uint64_t id = TAG_BIT(ID);
    const uint64_t conditions = TAG_BIT(IF_VERSION) | TAG_BIT(IF_ABSENT) | TAG_BIT(IF_PRESENT);
    const uint64_t times = TAG_BIT(TTL_MS) | TAG_BIT(IDLE_TTL_MS);
    switch (op) {
    case SATCHEL_OP_HELLO:
        return TAG_BIT(WIRE_VERSION) | TAG_BIT(TOKEN);
    case SATCHEL_OP_GET:
        return id | TAG_BIT(TOUCH);
    case SATCHEL_OP_SET:
        return id | conditions | times | CONTENT_TAGS | TAG_BIT(OWNER) | TAG_BIT(KEEP_TTL);
    case SATCHEL_OP_DELETE:
        return id | conditions;
    case SATCHEL_OP_TOUCH:
        return id | conditions | times;
    case SATCHEL_OP_PATCH:
        return id | conditions | times | TAG_BIT(OPS) | TAG_BIT(OWNER) | TAG_BIT(RETURN_CONTENT);
    case SATCHEL_OP_SCAN:
        return TAG_BIT(CURSOR) | TAG_BIT(COUNT) | TAG_BIT(PREFIX);
    case SATCHEL_OP_PING:
    case SATCHEL_OP_STATS:
    case SATCHEL_OP_GOAWAY:
        break;
    }
    return 0;
}

#define X(name, number, type, where, meaning)                                                      \
    | ((number) >= SATCHEL_TAG_CRITICAL ? TAG_BIT(name) : 0)
static const uint64_t critical_tags = 0 SATCHEL_TAGS(X);
#undef X

static enum satchel_status check_header(const struct native_header *header, const char **why)
{
    const uint8_t both_acks = SATCHEL_FLAG_ACK_DURABLE | SATCHEL_FLAG_ACK_FAST;
    if (native_opcode_word(header->opcode) == NULL) {
        return refuse(SATCHEL_UNSUPPORTED, "unknown opcode", why);
    }
    if (header->opcode == SATCHEL_OP_GOAWAY) {
        return refuse(SATCHEL_BAD_REQUEST, "only a server sends GOAWAY", why);
    }
    if ((header->flags & SATCHEL_FLAG_REPLY) != 0 || header->status != SATCHEL_OK) {
        return refuse(SATCHEL_BAD_REQUEST, "a request carries neither reply flag nor status", why);
    }
    if ((header->flags & both_acks) == both_acks) {
        return refuse(SATCHEL_BAD_REQUEST, "two ack levels at once", why);
    }
    return SATCHEL_OK;
}

/* A time of 0 would mean "not given" further on, so it is refused where it is still visible. */
static bool has_zero_time(const struct tags *tags)
{
    return (tags_have(tags, TAG_BIT(TTL_MS)) && tags_u64(tags, TAG_INDEX_TTL_MS) == 0) ||
           (tags_have(tags, TAG_BIT(IDLE_TTL_MS)) && tags_u64(tags, TAG_INDEX_IDLE_TTL_MS) == 0);
}

static enum condition condition_of(const struct tags *tags)
{
    if (tags_have(tags, TAG_BIT(IF_VERSION))) {
        return CONDITION_VERSION;
    }
    if (tags_have(tags, TAG_BIT(IF_ABSENT))) {
        return CONDITION_ABSENT;
    }
    return tags_have(tags, TAG_BIT(IF_PRESENT)) ? CONDITION_PRESENT : CONDITION_NONE;
}

static enum satchel_status decode_command(const struct native_header *header,
                                          const struct tags *tags, enum ack ack_default,
                                          struct command *out, const char **why)
{
    const uint64_t conditions = TAG_BIT(IF_VERSION) | TAG_BIT(IF_ABSENT) | TAG_BIT(IF_PRESENT);
    if (!at_most_one_bit(tags->seen & conditions)) {
        return refuse(SATCHEL_BAD_REQUEST, "more than one condition", why);
    }
    if (!at_most_one_bit(tags->seen & CONTENT_TAGS)) {
        return refuse(SATCHEL_BAD_REQUEST, "content of two kinds at once", why);
    }
    if (header->opcode == SATCHEL_OP_SET && !tags_have(tags, CONTENT_TAGS)) {
        return refuse(SATCHEL_BAD_REQUEST, "a SET without content", why);
    }
    if (has_zero_time(tags)) {
        return refuse(SATCHEL_BAD_REQUEST, "a time to live of zero", why);
    }
    *out = (struct command){
        .op = (enum satchel_opcode)header->opcode,
        .ack = (header->flags & SATCHEL_FLAG_ACK_FAST) != 0      ? ACK_FAST
               : (header->flags & SATCHEL_FLAG_ACK_DURABLE) != 0 ? ACK_DURABLE
                                                                 : ack_default,
        .condition = condition_of(tags),
        .condition_version = tags_u64(tags, TAG_INDEX_IF_VERSION),
        .keep_ttl = tags_have(tags, TAG_BIT(KEEP_TTL)),
        .touch = tags_have(tags, TAG_BIT(TOUCH)),
        .return_content = tags_have(tags, TAG_BIT(RETURN_CONTENT)),
        .has_owner = tags_have(tags, TAG_BIT(OWNER)),
        .kind = tags_kind(tags),
        .ttl_ms = tags_u64(tags, TAG_INDEX_TTL_MS),
        .idle_ttl_ms = tags_u64(tags, TAG_INDEX_IDLE_TTL_MS),
        .id = tags_bytes(tags, TAG_INDEX_ID),
        .owner = tags_bytes(tags, TAG_INDEX_OWNER),
        .content = tags_content(tags),
        .ops = tags_bytes(tags, TAG_INDEX_OPS),
    };
    return SATCHEL_OK;
}

static enum satchel_status decode_hello(const struct tags *tags, struct native_hello *out,
                                        const char **why)
{
    if (!tags_have(tags, TAG_BIT(WIRE_VERSION))) {
        return refuse(SATCHEL_BAD_REQUEST, "a HELLO without wire version", why);
    }
    *out = (struct native_hello){
        .wire_version = load_u16(tags->values[TAG_INDEX_WIRE_VERSION].ptr),
        .features = tags_u64(tags, TAG_INDEX_FEATURES),
        .token = tags_bytes(tags, TAG_INDEX_TOKEN),
        .client_name = tags_bytes(tags, TAG_INDEX_CLIENT_NAME),
    };
    if (out->wire_version == 0) {
        return refuse(SATCHEL_UNSUPPORTED, "there is no wire version 0", why);
    }
    return SATCHEL_OK;
}

static enum satchel_status decode_scan(const struct tags *tags, struct native_scan *out,
                                       const char **why)
{
    *out = (struct native_scan){
        .cursor = tags_u64(tags, TAG_INDEX_CURSOR),
        .count = SATCHEL_SCAN_COUNT_DEFAULT,
        .prefix = tags_bytes(tags, TAG_INDEX_PREFIX),
    };
    if (tags_have(tags, TAG_BIT(COUNT))) {
        out->count = tags_u64(tags, TAG_INDEX_COUNT);
    }
    if (out->count == 0) {
        return refuse(SATCHEL_BAD_REQUEST, "a SCAN of nothing", why);
    }
    if (out->count > SATCHEL_SCAN_COUNT_MAX || out->prefix.len > SATCHEL_ID_BYTES_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the count or the prefix is over its limit", why);
    }
    return SATCHEL_OK;
}

enum satchel_status native_decode_request(struct native_request *request, struct view body,
                                          enum ack ack_default, uint64_t value_bytes_max,
                                          const char **why)
{
    const struct native_header header = request->header;
    enum satchel_status status = check_header(&header, why);
    if (status != SATCHEL_OK) {
        return status;
    }
    if (body.len > native_body_bytes_max(header.opcode, value_bytes_max)) {
        return refuse(SATCHEL_TOO_LARGE, "the body is over its limit", why);
    }
    struct tags tags;
    status = tags_collect(&tags, body, why);
    if (status != SATCHEL_OK) {
        return status;
    }
    enum satchel_opcode op = (enum satchel_opcode)header.opcode;
    if (tags_have(&tags, critical_tags & ~allowed_tags(op))) {
        return refuse(SATCHEL_BAD_REQUEST, "a tag that this opcode does not take", why);
    }
    switch (op) {
    case SATCHEL_OP_HELLO:
        return decode_hello(&tags, &request->hello, why);
    case SATCHEL_OP_GET:
    case SATCHEL_OP_SET:
    case SATCHEL_OP_DELETE:
    case SATCHEL_OP_TOUCH:
    case SATCHEL_OP_PATCH:
        status = decode_command(&header, &tags, ack_default, &request->command, why);
        if (status == SATCHEL_OK) {
            request->command.content_bytes_max = value_bytes_max;
            status = session_check_command(&request->command, value_bytes_max, why);
        }
        return status;
    case SATCHEL_OP_SCAN:
        return decode_scan(&tags, &request->scan, why);
    case SATCHEL_OP_PING:
    case SATCHEL_OP_STATS:
    case SATCHEL_OP_GOAWAY:
        break;
    }
    return SATCHEL_OK;
}

/* Upper bound of a command's frame: all the tags there are, also those that exclude each other. */
static size_t command_bytes_bound(const struct command *cmd)
{
    enum { TAGS_MAX = 10, U64S_MAX = 3 };
    return SATCHEL_HEADER_BYTES + TAGS_MAX * SATCHEL_TAG_BYTES + U64S_MAX * sizeof(uint64_t) +
           cmd->id.len + cmd->owner.len + cmd->content.len + cmd->ops.len;
}

static uint8_t *put_condition(uint8_t *to, const struct command *cmd)
{
    switch (cmd->condition) {
    case CONDITION_NONE:
        break;
    case CONDITION_VERSION:
        return put_tag_u64(to, SATCHEL_TAG_IF_VERSION, cmd->condition_version);
    case CONDITION_ABSENT:
        return put_tag(to, SATCHEL_TAG_IF_ABSENT, (struct view){0});
    case CONDITION_PRESENT:
        return put_tag(to, SATCHEL_TAG_IF_PRESENT, (struct view){0});
    }
    return to;
}

enum status native_encode_command(struct buf *to, uint64_t request_id, uint8_t flags,
                                  const struct command *cmd)
{
    size_t start = to->len;
    enum status status = buf_reserve(to, command_bytes_bound(cmd));
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *at = to->ptr + start + SATCHEL_HEADER_BYTES;
    at = put_tag(at, SATCHEL_TAG_ID, cmd->id);
    at = put_condition(at, cmd);
    if (cmd->ttl_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_TTL_MS, cmd->ttl_ms);
    }
    if (cmd->idle_ttl_ms != 0) {
        at = put_tag_u64(at, SATCHEL_TAG_IDLE_TTL_MS, cmd->idle_ttl_ms);
    }
    if (cmd->keep_ttl) {
        at = put_tag(at, SATCHEL_TAG_KEEP_TTL, (struct view){0});
    }
    if (cmd->touch) {
        at = put_tag(at, SATCHEL_TAG_TOUCH, (struct view){0});
    }
    if (cmd->return_content) {
        at = put_tag(at, SATCHEL_TAG_RETURN_CONTENT, (struct view){0});
    }
    if (cmd->has_owner) {
        at = put_tag(at, SATCHEL_TAG_OWNER, cmd->owner);
    }
    if (cmd->op == SATCHEL_OP_SET) {
        at = put_tag(at, tag_of_kind(cmd->kind), cmd->content);
    }
    if (cmd->op == SATCHEL_OP_PATCH) {
        at = put_tag(at, SATCHEL_TAG_OPS, cmd->ops);
    }
    to->len = (size_t)(at - to->ptr);
    native_frame_end(to, start,
                     (struct native_header){.version = SATCHEL_WIRE_VERSION,
                                            .opcode = (uint8_t)cmd->op,
                                            .flags = flags,
                                            .request_id = request_id});
    return STATUS_OK;
}
