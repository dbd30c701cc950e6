/* Reading and changing what hashes and sets hold. */
#include "redis/elements.h"

enum { QUESTIONS_FOR_INDEX = 8 };

/* ---- Reading -------------------------------------------------------------------------------- */

bool redis_elements(const struct redis_call *call, enum satchel_kind kind, struct view *out)
{
    const struct session *session;
    if (!redis_session_of_kind(call, 0, kind, &session)) {
        return false;
    }
    *out = session == NULL ? (struct view){0} : session->content;
    return true;
}

size_t redis_element_count(struct view content)
{
    struct field field;
    size_t count = 0;
    while (fields_next(&content, &field) == STATUS_OK) {
        count++;
    }
    return count;
}

bool redis_find_element(struct view content, struct view name, struct view *value)
{
    struct view ignored;
    return fields_find(content, name, value == NULL ? &ignored : value);
}

void redis_element_lookup_init(struct redis_element_lookup *self, struct view content,
                               size_t questions)
{
    self->content = content;
    self->is_indexed = questions >= QUESTIONS_FOR_INDEX;
    if (!self->is_indexed) {
        return;
    }
    names_init(&self->names, self->entries, self->slots, SATCHEL_FIELDS_MAX);
    struct field field;
    while (fields_next(&content, &field) == STATUS_OK) {
        bool added = false;
        size_t at = names_add(&self->names, field.name, &added);
        self->values[at] = field.value;
    }
}

bool redis_element_lookup_find(const struct redis_element_lookup *self, struct view name,
                               struct view *value)
{
    if (!self->is_indexed) {
        return redis_find_element(self->content, name, value);
    }
    ptrdiff_t at = names_find(&self->names, name);
    if (at == NAMES_NONE) {
        return false;
    }
    if (value != NULL) {
        *value = self->values[at];
    }
    return true;
}

/* ---- Changing ------------------------------------------------------------------------------- */

static bool is_possible_name(struct view name)
{
    return name.len >= 1 && name.len <= SATCHEL_FIELD_NAME_BYTES_MAX;
}

/* What cannot be there is not deleted either; everything else has to have a name that can be. */
static bool check_names(const struct redis_call *call, const struct redis_element_change *change)
{
    if (change->op == SATCHEL_FIELD_DELETE) {
        return true;
    }
    for (size_t i = change->first_arg; i < call->argc; i += change->step) {
        if (!is_possible_name(call->argv[i])) {
            resp_error(call->out, "ERR the name of a field or member has 1 to %d bytes here",
                       SATCHEL_FIELD_NAME_BYTES_MAX);
            return false;
        }
    }
    return true;
}

/* Fills `ops` with as many operations as one patch can have, from argument `*next` on. */
static enum satchel_status put_ops(const struct redis_call *call,
                                   const struct redis_element_change *change, size_t *next,
                                   struct buf *ops)
{
    ops->len = 0;
    size_t count = 0;
    for (; *next < call->argc && count < SATCHEL_PATCH_OPS_MAX; *next += change->step) {
        struct view name = call->argv[*next];
        if (!is_possible_name(name)) {
            continue;
        }
        struct view value = change->step == 2 ? call->argv[*next + 1] : (struct view){0};
        if (value.len > call->value_bytes_max) {
            return SATCHEL_TOO_LARGE;
        }
        if (ops_append(ops, change->op, name, value) != STATUS_OK) {
            return SATCHEL_BUSY;
        }
        count++;
    }
    return SATCHEL_OK;
}

/* More operations than a patch can have: one patch upon the other in memory, and the result is put
 * as a whole, so that an error on the way leaves nothing behind. `*next` is where the second patch
 * begins; the operations of the first are in the scratch. */
static enum satchel_status patch_repeatedly(const struct redis_call *call,
                                            const struct redis_element_change *change, size_t next)
{
    struct redis_scratch *scratch = call->scratch;
    struct buf *result = &scratch->content;
    struct buf *spare = &scratch->returned;
    const struct session *old = redis_session(call, 0);
    struct view content = old == NULL ? (struct view){0} : old->content;
    enum satchel_status status = SATCHEL_OK;
    while (status == SATCHEL_OK && scratch->ops.len != 0) {
        status = fields_patch(content, buf_view(&scratch->ops), call->value_bytes_max, result, NULL,
                              NULL);
        content = buf_view(result);
        struct buf *written = result;
        result = spare;
        spare = written;
        if (status == SATCHEL_OK) {
            status = put_ops(call, change, &next, &scratch->ops);
        }
    }
    if (status != SATCHEL_OK) {
        return status;
    }
    if (old == NULL || !view_equal(old->content, content)) {
        struct session made = old != NULL ? *old : (struct session){.kind = change->kind};
        made.content = content;
        transaction_put(call->sessions, call->keys[0], &made);
    }
    return SATCHEL_OK;
}

static enum satchel_status patch(const struct redis_call *call,
                                 const struct redis_element_change *change)
{
    size_t next = change->first_arg;
    enum satchel_status status = put_ops(call, change, &next, &call->scratch->ops);
    if (status != SATCHEL_OK || call->scratch->ops.len == 0) {
        return status;
    }
    if (next < call->argc) {
        return patch_repeatedly(call, change, next);
    }
    return transaction_patch(call->sessions, call->keys[0], change->kind,
                             buf_view(&call->scratch->ops), call->value_bytes_max, NULL);
}

bool redis_change_elements(const struct redis_call *call, const struct redis_element_change *change,
                           int64_t *difference)
{
    struct view content;
    *difference = 0;
    if (!redis_elements(call, change->kind, &content) || !check_names(call, change)) {
        return false;
    }
    if (redis_session(call, 0) == NULL && change->op == SATCHEL_FIELD_DELETE) {
        return true;
    }
    int64_t before = (int64_t)redis_element_count(content);
    enum satchel_status status = patch(call, change);
    if (status != SATCHEL_OK) {
        redis_refuse(call->out, status);
        return false;
    }
    const struct session *now = redis_session(call, 0);
    int64_t after = now == NULL ? 0 : (int64_t)redis_element_count(now->content);
    if (after == 0) {
        transaction_delete(call->sessions, call->keys[0]);
    }
    *difference = after - before;
    return true;
}

bool redis_set_element(const struct redis_call *call, struct view name, struct view value)
{
    const struct view argv[] = {call->argv[0], call->argv[1], name, value};
    struct redis_call one = *call;
    one.argv = argv;
    one.argc = sizeof argv / sizeof argv[0];
    const struct redis_element_change change = {SATCHEL_FIELDS, SATCHEL_FIELD_SET, 2, 2};
    int64_t difference = 0;
    return redis_change_elements(&one, &change, &difference);
}
