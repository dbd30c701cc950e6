/* How a session goes from state to state. */
#include "crash/model.h"

#include <assert.h>
#include <stdio.h>

#include "session/session.h"

enum { SURELY_MS = 10000 };

void model_init(struct model *self, uint32_t number)
{
    *self = (struct model){.number = number, .count = 1};
}

struct view model_id(const struct model *self, char out[16])
{
    int len = snprintf(out, 16, "s%u", self->number);
    return view_of(out, (size_t)len);
}

static void start_idle_time(struct state *state, const struct model_op *op, int64_t until_ms)
{
    if (state->idle_ttl_ms != 0) {
        state->expires_least_ms = op->sent_ms + (int64_t)state->idle_ttl_ms;
        state->expires_most_ms = until_ms + (int64_t)state->idle_ttl_ms;
    }
}

/* An idle time that goes on never ends earlier than it would have. */
static void slide(struct state *state, const struct state *old, const struct model_op *op,
                  int64_t until_ms)
{
    start_idle_time(state, op, until_ms);
    if (old->expires_least_ms > state->expires_least_ms) {
        state->expires_least_ms = old->expires_least_ms;
    }
    if (old->expires_most_ms > state->expires_most_ms) {
        state->expires_most_ms = old->expires_most_ms;
    }
}

static void patch(struct state *next, const struct model_op *op)
{
    for (unsigned i = 0; i < MODEL_OPS_MAX; i++) {
        struct mark *field = &next->fields[op->ops[i].field];
        switch (op->ops[i].op) {
        case SATCHEL_FIELD_SET:
            *field = op->ops[i].value;
            break;
        case SATCHEL_FIELD_DELETE:
            *field = (struct mark){0};
            break;
        case SATCHEL_FIELD_INCREMENT:
            next->has_count = true;
            next->count += op->ops[i].delta;
            break;
        case SATCHEL_FIELD_SET_IF_ABSENT:
            *field = field->number == 0 ? op->ops[i].value : *field;
            break;
        }
    }
}

bool model_same_content(const struct state *a, const struct state *b)
{
    bool same = a->present == b->present && a->kind == b->kind && a->has_count == b->has_count &&
                a->count == b->count && a->blob.number == b->blob.number;
    for (unsigned i = 0; i < MODEL_FIELDS; i++) {
        same = same && a->fields[i].number == b->fields[i].number;
    }
    return same;
}

struct state model_after(const struct state *old, const struct model_op *op, int64_t until_ms)
{
    struct state next = *old;
    next.version = 0;
    switch (op->op) {
    case SATCHEL_OP_SET:
        next = (struct state){.present = true, .kind = op->kind, .blob = op->blob};
        memcpy(next.fields, op->fields, sizeof next.fields);
        next.idle_ttl_ms = op->keep_ttl ? old->idle_ttl_ms : op->idle_ttl_ms;
        if (op->keep_ttl) {
            slide(&next, old, op, until_ms);
        } else {
            start_idle_time(&next, op, until_ms);
        }
        return next;
    case SATCHEL_OP_DELETE:
        return (struct state){0};
    case SATCHEL_OP_TOUCH:
        next.version = old->version; /* only content, owner and times that are set count */
        slide(&next, old, op, until_ms);
        return next;
    case SATCHEL_OP_PATCH:
        if (!old->present) {
            next = (struct state){.present = true, .kind = SATCHEL_FIELDS};
        }
        patch(&next, op);
        slide(&next, old, op, until_ms);
        if (old->present && model_same_content(&next, old)) {
            next.version = old->version;
        }
        return next;
    default:
        next.version = old->version;
        return next;
    }
}

static void see_version(struct model *self, uint64_t version)
{
    if (version > self->version_max) {
        self->version_max = version;
    }
}

void model_acknowledge(struct model *self, const struct state *next, bool durable)
{
    see_version(self, next->version);
    if (durable) {
        self->history[0] = *next;
        self->count = 1;
        return;
    }
    model_maybe(self, next);
}

void model_maybe(struct model *self, const struct state *next)
{
    assert(self->count < MODEL_HISTORY_MAX);
    self->history[self->count++] = *next;
}

bool model_surely_lives(const struct state *state, int64_t now_ms)
{
    return state->present &&
           (state->idle_ttl_ms == 0 || state->expires_least_ms > now_ms + SURELY_MS);
}
