/* API calls to request bodies. */
#include "client/request.h"

#include "client/policy.h"
#include "proto/native.h"
#include "session/fields.h"
#include "session/session.h"

enum { SCAN_PAGE = 500 };

static const struct satchel_command_options no_options = {0};

static enum satchel_status refuse(const char *text, const char **why)
{
    *why = text;
    return SATCHEL_BAD_REQUEST;
}

/* Only what session_check_command() cannot see, because a struct command has no place for it. */
static enum satchel_status check_options(const struct request_call *call, const char **why)
{
    const struct satchel_command_options *options = call->options;
    if (call->opcode == SATCHEL_OP_GET && options->ack != SATCHEL_ACK_DEFAULT) {
        return refuse("a GET takes no ack", why);
    }
    if ((unsigned)options->ack > SATCHEL_ACK_FAST) {
        return refuse("there is no such ack", why);
    }
    if ((unsigned)options->condition > SATCHEL_IF_PRESENT) {
        return refuse("there is no such condition", why);
    }
    if (options->if_version != 0 && options->condition != SATCHEL_IF_VERSION) {
        return refuse("if_version goes with SATCHEL_IF_VERSION only", why);
    }
    if (options->condition == SATCHEL_IF_VERSION && options->if_version == 0) {
        return refuse("if_version is 0, which no session has", why);
    }
    return SATCHEL_OK;
}

static enum satchel_status check_name(struct satchel_bytes name, const char **why)
{
    if (name.len == 0 || name.len > SATCHEL_FIELD_NAME_BYTES_MAX) {
        return refuse("a field's name is empty or longer than 256 bytes", why);
    }
    return SATCHEL_OK;
}

static enum satchel_status check_value(struct satchel_bytes value, const char **why)
{
    if (value.len > SATCHEL_VALUE_BYTES_MAX) {
        *why = "a value is larger than 16 MiB";
        return SATCHEL_TOO_LARGE;
    }
    return SATCHEL_OK;
}

static struct view view_of_bytes(struct satchel_bytes bytes)
{
    return view_of(bytes.ptr, bytes.len);
}

static enum satchel_status put_fields(struct buf *to, const struct request_call *call,
                                      const char **why)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct satchel_field *field = &call->fields[i];
        enum satchel_status status = check_name(field->name, why);
        if (status == SATCHEL_OK) {
            status = check_value(field->value, why);
        }
        if (status != SATCHEL_OK) {
            return status;
        }
        if (fields_append(to, view_of_bytes(field->name), view_of_bytes(field->value)) !=
            STATUS_OK) {
            return SATCHEL_NO_MEMORY;
        }
    }
    return SATCHEL_OK;
}

static enum satchel_status put_ops(struct buf *to, const struct request_call *call,
                                   const char **why)
{
    for (size_t i = 0; i < call->count; i++) {
        const struct satchel_op *op = &call->ops[i];
        bool is_increment = op->op == SATCHEL_FIELD_INCREMENT;
        bool has_value = op->op == SATCHEL_FIELD_SET || op->op == SATCHEL_FIELD_SET_IF_ABSENT;
        enum satchel_status status = check_name(op->name, why);
        if (status == SATCHEL_OK) {
            status = check_value(op->value, why);
        }
        if (status != SATCHEL_OK) {
            return status;
        }
        if ((op->value.len != 0 && !has_value) || (op->delta != 0 && !is_increment)) {
            return refuse("an operation has a value or a delta that it does not take", why);
        }
        struct view value = is_increment ? view_of(&op->delta, sizeof op->delta)
                                         : view_of_bytes(op->value);
        if (ops_append(to, op->op, view_of_bytes(op->name), value) != STATUS_OK) {
            return SATCHEL_NO_MEMORY;
        }
    }
    return SATCHEL_OK;
}

static bool has_increment(const struct request_call *call)
{
    for (size_t i = 0; i < call->count && call->ops != NULL; i++) {
        if (call->ops[i].op == SATCHEL_FIELD_INCREMENT) {
            return true;
        }
    }
    return false;
}

static enum condition condition_of(enum satchel_condition condition)
{
    switch (condition) {
    case SATCHEL_ALWAYS:
        return CONDITION_NONE;
    case SATCHEL_IF_VERSION:
        return CONDITION_VERSION;
    case SATCHEL_IF_ABSENT:
        return CONDITION_ABSENT;
    case SATCHEL_IF_PRESENT:
        return CONDITION_PRESENT;
    }
    return CONDITION_NONE;
}

static uint8_t flags_of(enum satchel_ack ack)
{
    switch (ack) {
    case SATCHEL_ACK_DEFAULT:
        return 0;
    case SATCHEL_ACK_DURABLE:
        return SATCHEL_FLAG_ACK_DURABLE;
    case SATCHEL_ACK_FAST:
        return SATCHEL_FLAG_ACK_FAST;
    }
    return 0;
}

static struct command command_of(const struct request_call *call, const struct buf *encoded)
{
    const struct satchel_command_options *options = call->options;
    struct command cmd = {
        .op = call->opcode,
        .condition = condition_of(options->condition),
        .condition_version = options->if_version,
        .keep_ttl = options->keep_ttl,
        .touch = options->touch,
        .return_content = options->return_content,
        .has_owner = options->owner != NULL,
        .kind = call->kind,
        .ttl_ms = options->ttl_ms,
        .idle_ttl_ms = options->idle_ttl_ms,
        .id = view_of_bytes(call->id),
    };
    if (options->owner != NULL) {
        cmd.owner = view_of_bytes(*options->owner);
    }
    if (call->opcode == SATCHEL_OP_PATCH) {
        cmd.ops = buf_view(encoded);
    } else if (call->kind == SATCHEL_FIELDS) {
        cmd.content = buf_view(encoded);
    } else {
        cmd.content = view_of_bytes(call->value);
    }
    return cmd;
}

static enum satchel_status encode(struct request *self, const struct request_call *call,
                                  struct buf *encoded, const char **why)
{
    enum satchel_status status = check_options(call, why);
    if (status == SATCHEL_OK && call->opcode == SATCHEL_OP_PATCH) {
        status = put_ops(encoded, call, why);
    } else if (status == SATCHEL_OK && call->kind == SATCHEL_FIELDS) {
        status = put_fields(encoded, call, why);
    }
    if (status != SATCHEL_OK) {
        return status;
    }
    struct command cmd = command_of(call, encoded);
    status = session_check_command(&cmd, SATCHEL_VALUE_BYTES_MAX, why);
    if (status == SATCHEL_OK &&
        native_encode_command(&self->frame, 0, self->flags, &cmd) != STATUS_OK) {
        status = SATCHEL_NO_MEMORY;
    }
    return status;
}

enum satchel_status request_init(struct request *self, const struct request_call *call,
                                 const char **why)
{
    struct request_call with_options = *call;
    if (with_options.options == NULL) {
        with_options.options = &no_options;
    }
    const struct satchel_command_options *options = with_options.options;
    *self = (struct request){
        .opcode = call->opcode,
        .flags = flags_of(options->ack),
        .is_repeatable = policy_is_repeatable(call->opcode, options->condition != SATCHEL_ALWAYS,
                                              has_increment(call)),
        .is_change = call->opcode != SATCHEL_OP_GET,
        .deadline_ms = options->deadline_ms,
    };
    struct buf encoded = {0};
    enum satchel_status status = encode(self, &with_options, &encoded, why);
    buf_free(&encoded);
    if (status == SATCHEL_NO_MEMORY) {
        *why = satchel_status_text_of(status);
    }
    if (status != SATCHEL_OK) {
        request_free(self);
    }
    return status;
}

enum satchel_status request_init_plain(struct request *self, enum satchel_opcode opcode)
{
    *self = (struct request){.opcode = opcode, .is_repeatable = true};
    size_t start;
    return native_frame_begin(&self->frame, &start) == STATUS_OK ? SATCHEL_OK : SATCHEL_NO_MEMORY;
}

enum satchel_status request_init_scan(struct request *self, uint64_t cursor,
                                      struct satchel_bytes prefix)
{
    enum satchel_status status = request_init_plain(self, SATCHEL_OP_SCAN);
    if (status != SATCHEL_OK) {
        return status;
    }
    if (native_put_u64(&self->frame, SATCHEL_TAG_CURSOR, cursor) != STATUS_OK ||
        native_put_u64(&self->frame, SATCHEL_TAG_COUNT, SCAN_PAGE) != STATUS_OK ||
        (prefix.len != 0 &&
         native_put_bytes(&self->frame, SATCHEL_TAG_PREFIX, view_of_bytes(prefix)) != STATUS_OK)) {
        request_free(self);
        return SATCHEL_NO_MEMORY;
    }
    return SATCHEL_OK;
}

void request_free(struct request *self)
{
    buf_free(&self->frame);
}

struct view request_body(const struct request *self)
{
    return view_of(self->frame.ptr + SATCHEL_HEADER_BYTES, self->frame.len - SATCHEL_HEADER_BYTES);
}
