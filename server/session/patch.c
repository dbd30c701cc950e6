/*
 * Applying operations to fields.
 *
 * This runs under a shard lock, so it must not compare every operation with every field. The names
 * in the operations (at most 256) go into a small hash set, one walk over the old fields finds
 * where those names stand, the operations then run on these few targets, and the new content is
 * built from what lies between them:
 *
 *     old:   | a | b | c | d | e |          operations on b, d and new x
 *     new:   | a | b'| c | d'| e | x |      a, c and e are copied without being looked at again
 *
 * A field that is there before and after keeps its place, also when it was deleted and set again in
 * between; new fields come at the end in the order in which they are first named. The delta names
 * every target once with its final value, so replaying it gives the same places.
 */
#include "session/fields.h"

#include "session/names.h"
#include "session/number.h"

struct target {
    struct view value;  /* while is_there; in the old content, the operations or `digits` */
    size_t place;       /* while was_there: where in the old content its field begins */
    size_t place_bytes; /* and how long that is */
    bool was_there;
    bool is_there;
    bool changed;  /* while is_there: an operation gave it its value */
    bool answered; /* its value goes into what is returned */
    uint8_t digits[NUMBER_BYTES_MAX];
};

struct patch {
    struct names names; /* one target for every distinct name */
    struct target targets[SATCHEL_PATCH_OPS_MAX];
    uint16_t in_old_order[SATCHEL_PATCH_OPS_MAX]; /* targets that were there, as they stood */
    size_t in_old_order_count;
    size_t old_count; /* fields in the old content */
    struct name_entry entries[SATCHEL_PATCH_OPS_MAX];
    uint16_t slots[NAMES_SLOTS(SATCHEL_PATCH_OPS_MAX)];
};

static void collect_targets(struct patch *self, struct view ops)
{
    size_t count = 0;
    struct field_op op;
    for (struct view rest = ops; ops_next(&rest, &op) == STATUS_OK;) {
        count++;
    }
    names_init(&self->names, self->entries, self->slots, count);
    while (ops_next(&ops, &op) == STATUS_OK) {
        bool added = false;
        size_t at = names_add(&self->names, op.name, &added);
        if (added) {
            struct target *target = &self->targets[at];
            target->was_there = target->is_there = false;
            target->changed = target->answered = false;
        }
    }
}

/* False when `old` is not fields. */
static bool locate_targets(struct patch *self, struct view old)
{
    self->in_old_order_count = 0;
    self->old_count = 0;
    struct view rest = old;
    struct field field;
    enum status status = STATUS_OK;
    while ((status = fields_next(&rest, &field)) == STATUS_OK) {
        self->old_count++;
        ptrdiff_t at = names_find(&self->names, field.name);
        if (at == NAMES_NONE || self->targets[at].was_there) {
            continue;
        }
        struct target *target = &self->targets[at];
        target->was_there = target->is_there = true;
        target->value = field.value;
        target->place_bytes = fields_bytes(field.name, field.value);
        target->place = old.len - rest.len - target->place_bytes;
        self->in_old_order[self->in_old_order_count++] = (uint16_t)at;
    }
    return status == STATUS_END;
}

static enum satchel_status increment(struct target *self, struct view by)
{
    int64_t number = 0;
    if (self->is_there) {
        enum satchel_status status = number_parse(self->value, &number);
        if (status != SATCHEL_OK) {
            return status;
        }
    }
    if (__builtin_add_overflow(number, (int64_t)load_u64(by.ptr), &number)) {
        return SATCHEL_OUT_OF_RANGE;
    }
    self->value = number_format(number, self->digits);
    return SATCHEL_OK;
}

static enum satchel_status run_op(struct target *self, const struct field_op *op)
{
    enum satchel_status status = SATCHEL_OK;
    switch (op->op) {
    case SATCHEL_FIELD_SET:
        self->value = op->value;
        break;
    case SATCHEL_FIELD_DELETE:
        self->is_there = false;
        return SATCHEL_OK;
    case SATCHEL_FIELD_INCREMENT:
        self->answered = true;
        status = increment(self, op->value);
        break;
    case SATCHEL_FIELD_SET_IF_ABSENT:
        self->answered = true;
        if (self->is_there) {
            return SATCHEL_OK;
        }
        self->value = op->value;
        break;
    }
    self->changed = self->is_there = true;
    return status;
}

static enum satchel_status run_ops(struct patch *self, struct view ops)
{
    struct field_op op;
    while (ops_next(&ops, &op) == STATUS_OK) {
        ptrdiff_t at = names_find(&self->names, op.name);
        enum satchel_status status = run_op(&self->targets[at], &op);
        if (status != SATCHEL_OK) {
            return status;
        }
    }
    return SATCHEL_OK;
}

static enum satchel_status build_content(const struct patch *self, struct view old,
                                         uint64_t bytes_max, struct buf *content)
{
    size_t bytes = old.len;
    size_t count = self->old_count;
    for (size_t i = 0; i < self->names.count; i++) {
        const struct target *target = &self->targets[i];
        if (target->was_there) {
            bytes -= target->place_bytes;
            count--;
        }
        if (target->is_there) {
            bytes += fields_bytes(self->entries[i].name, target->value);
            count++;
        }
    }
    if (bytes > bytes_max || count > SATCHEL_FIELDS_MAX) {
        return SATCHEL_TOO_LARGE;
    }
    content->len = 0;
    if (buf_reserve(content, bytes) != STATUS_OK) {
        return SATCHEL_BUSY;
    }
    uint8_t *to = content->ptr;
    size_t copied = 0; /* of the old content */
    for (size_t i = 0; i < self->in_old_order_count; i++) {
        size_t at = self->in_old_order[i];
        const struct target *target = &self->targets[at];
        to = put_view(to, view_of(old.ptr + copied, target->place - copied));
        if (target->is_there) {
            to += fields_put(to, self->entries[at].name, target->value);
        }
        copied = target->place + target->place_bytes;
    }
    if (copied < old.len) {
        to = put_view(to, view_of(old.ptr + copied, old.len - copied));
    }
    for (size_t i = 0; i < self->names.count; i++) {
        if (self->targets[i].is_there && !self->targets[i].was_there) {
            to += fields_put(to, self->entries[i].name, self->targets[i].value);
        }
    }
    content->len = bytes;
    return SATCHEL_OK;
}

static enum status build_delta(const struct patch *self, struct buf *delta)
{
    delta->len = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->names.count && status == STATUS_OK; i++) {
        const struct target *target = &self->targets[i];
        if (target->is_there && target->changed) {
            status = ops_append(delta, SATCHEL_FIELD_SET, self->entries[i].name, target->value);
        } else if (target->was_there && !target->is_there) {
            status = ops_append(delta, SATCHEL_FIELD_DELETE, self->entries[i].name,
                                (struct view){0});
        }
    }
    return status;
}

static enum status build_returned(const struct patch *self, struct buf *returned)
{
    returned->len = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->names.count && status == STATUS_OK; i++) {
        if (self->targets[i].answered && self->targets[i].is_there) {
            status = fields_append(returned, self->entries[i].name, self->targets[i].value);
        }
    }
    return status;
}

enum satchel_status fields_patch(struct view old, struct view ops, uint64_t content_bytes_max,
                                 struct buf *content, struct buf *delta, struct buf *returned)
{
    struct patch patch;
    collect_targets(&patch, ops);
    if (!locate_targets(&patch, old)) {
        return SATCHEL_WRONG_KIND;
    }
    enum satchel_status status = run_ops(&patch, ops);
    if (status == SATCHEL_OK) {
        status = build_content(&patch, old, content_bytes_max, content);
    }
    if (status == SATCHEL_OK && delta != NULL && build_delta(&patch, delta) != STATUS_OK) {
        status = SATCHEL_BUSY;
    }
    if (status == SATCHEL_OK && returned != NULL && build_returned(&patch, returned) != STATUS_OK) {
        status = SATCHEL_BUSY;
    }
    return status;
}
