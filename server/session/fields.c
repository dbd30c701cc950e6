/* Reading, checking and building the encodings of fields and of operations on them. */
#include "session/fields.h"

#include "session/names.h"

enum {
    FIELD_HEAD_BYTES = 6, /* name length u16, value length u32 */
    OP_HEAD_BYTES = 7,    /* op u8 before those */
    INCREMENT_BYTES = 8,
};

/* Takes {name length, value length, name, value} off the front of `*rest`; `skip` bytes stand
 * before it and were looked at by the caller. */
static enum status take_pair(struct view *rest, size_t skip, struct view *name, struct view *value)
{
    if (rest->len < skip + FIELD_HEAD_BYTES) {
        return STATUS_INVALID;
    }
    const uint8_t *head = rest->ptr + skip;
    size_t name_bytes = load_u16(head);
    size_t value_bytes = load_u32(head + 2);
    size_t left = rest->len - skip - FIELD_HEAD_BYTES;
    if (name_bytes > left || value_bytes > left - name_bytes) {
        return STATUS_INVALID;
    }
    *name = view_of(head + FIELD_HEAD_BYTES, name_bytes);
    *value = view_of(head + FIELD_HEAD_BYTES + name_bytes, value_bytes);
    size_t taken = skip + FIELD_HEAD_BYTES + name_bytes + value_bytes;
    *rest = view_of(rest->ptr + taken, rest->len - taken);
    return STATUS_OK;
}

enum status fields_next(struct view *rest, struct field *out)
{
    if (rest->len == 0) {
        return STATUS_END;
    }
    return take_pair(rest, 0, &out->name, &out->value);
}

static bool op_value_fits(enum satchel_field_op op, size_t value_bytes)
{
    switch (op) {
    case SATCHEL_FIELD_SET:
    case SATCHEL_FIELD_SET_IF_ABSENT:
        return true;
    case SATCHEL_FIELD_DELETE:
        return value_bytes == 0;
    case SATCHEL_FIELD_INCREMENT:
        return value_bytes == INCREMENT_BYTES;
    }
    return false; /* a number that is no operation */
}

enum status ops_next(struct view *rest, struct field_op *out)
{
    if (rest->len == 0) {
        return STATUS_END;
    }
    out->op = (enum satchel_field_op)rest->ptr[0];
    enum status status = take_pair(rest, 1, &out->name, &out->value);
    if (status == STATUS_OK && !op_value_fits(out->op, out->value.len)) {
        status = STATUS_INVALID;
    }
    return status;
}

static enum satchel_status check_name(struct view name)
{
    if (name.len == 0) {
        return SATCHEL_BAD_REQUEST;
    }
    return name.len <= SATCHEL_FIELD_NAME_BYTES_MAX ? SATCHEL_OK : SATCHEL_TOO_LARGE;
}

/* True when a name stands twice in well-formed fields, `count` of them. */
static bool has_duplicate(struct view fields, size_t count)
{
    struct name_entry entries[SATCHEL_FIELDS_MAX];
    uint16_t slots[NAMES_SLOTS(SATCHEL_FIELDS_MAX)];
    struct names names;
    names_init(&names, entries, slots, count);
    struct field field;
    bool added = true;
    while (added && fields_next(&fields, &field) == STATUS_OK) {
        (void)names_add(&names, field.name, &added);
    }
    return !added;
}

enum satchel_status fields_check(struct view fields)
{
    struct view rest = fields;
    struct field field;
    size_t count = 0;
    enum status status = STATUS_OK;
    while ((status = fields_next(&rest, &field)) == STATUS_OK) {
        enum satchel_status checked = check_name(field.name);
        if (checked != SATCHEL_OK) {
            return checked;
        }
        count++;
        if (count > SATCHEL_FIELDS_MAX) {
            return SATCHEL_TOO_LARGE;
        }
    }
    if (status != STATUS_END) {
        return SATCHEL_BAD_REQUEST;
    }
    return count > 1 && has_duplicate(fields, count) ? SATCHEL_BAD_REQUEST : SATCHEL_OK;
}

static bool has_value(struct view fields)
{
    struct field field;
    while (fields_next(&fields, &field) == STATUS_OK) {
        if (field.value.len != 0) {
            return true;
        }
    }
    return false;
}

enum satchel_status content_check(enum satchel_kind kind, struct view content)
{
    switch (kind) {
    case SATCHEL_BLOB:
        return SATCHEL_OK;
    case SATCHEL_FIELDS:
        return fields_check(content);
    case SATCHEL_NAMES:
        return has_value(content) ? SATCHEL_BAD_REQUEST : fields_check(content);
    }
    return SATCHEL_BAD_REQUEST; /* a number that is no kind */
}

enum satchel_status ops_check(struct view ops)
{
    struct field_op op;
    size_t count = 0;
    enum status status = STATUS_OK;
    while ((status = ops_next(&ops, &op)) == STATUS_OK) {
        enum satchel_status checked = check_name(op.name);
        if (checked != SATCHEL_OK) {
            return checked;
        }
        count++;
        if (count > SATCHEL_PATCH_OPS_MAX) {
            return SATCHEL_TOO_LARGE;
        }
    }
    return status == STATUS_END && count > 0 ? SATCHEL_OK : SATCHEL_BAD_REQUEST;
}

size_t fields_put(uint8_t *to, struct view name, struct view value)
{
    store_u16(to, (uint16_t)name.len);
    store_u32(to + 2, (uint32_t)value.len);
    (void)put_view(put_view(to + FIELD_HEAD_BYTES, name), value);
    return fields_bytes(name, value);
}

size_t fields_bytes(struct view name, struct view value)
{
    return FIELD_HEAD_BYTES + name.len + value.len;
}

enum status fields_append(struct buf *to, struct view name, struct view value)
{
    enum status status = buf_reserve(to, fields_bytes(name, value));
    if (status == STATUS_OK) {
        to->len += fields_put(to->ptr + to->len, name, value);
    }
    return status;
}

enum status ops_append(struct buf *to, enum satchel_field_op op, struct view name,
                       struct view value)
{
    enum status status = buf_reserve(to, OP_HEAD_BYTES + name.len + value.len);
    if (status == STATUS_OK) {
        to->ptr[to->len] = (uint8_t)op;
        to->len += 1 + fields_put(to->ptr + to->len + 1, name, value);
    }
    return status;
}

bool fields_find(struct view fields, struct view name, struct view *value)
{
    struct field field;
    while (fields_next(&fields, &field) == STATUS_OK) {
        if (view_equal(field.name, name)) {
            *value = field.value;
            return true;
        }
    }
    return false;
}
