/*
 * What a command does to a session. One function for each command; each is given the live session
 * or NULL, with the condition already found to hold.
 */
#include "session/session.h"

#include "session/fields.h"

enum {
    DURABLE_STEP_MS_LEAST = 1000,
    DURABLE_STEPS_IN_IDLE_TTL = 16,
};

int64_t session_durable_expiry(int64_t expires_ms, uint64_t idle_ttl_ms)
{
    if (expires_ms == 0 || idle_ttl_ms == 0) {
        return expires_ms;
    }
    int64_t step = (int64_t)(idle_ttl_ms / DURABLE_STEPS_IN_IDLE_TTL);
    if (step < DURABLE_STEP_MS_LEAST) {
        step = DURABLE_STEP_MS_LEAST;
    }
    int64_t beyond = expires_ms % step;
    return beyond == 0 ? expires_ms : expires_ms + (step - beyond);
}

void session_scratch_free(struct session_scratch *self)
{
    buf_free(&self->content);
    buf_free(&self->delta);
    buf_free(&self->returned);
}

static bool condition_holds(const struct session *old, const struct command *cmd)
{
    switch (cmd->condition) {
    case CONDITION_NONE:
        return true;
    case CONDITION_VERSION:
        return old != NULL && old->version == cmd->condition_version;
    case CONDITION_ABSENT:
        return old == NULL;
    case CONDITION_PRESENT:
        return old != NULL;
    }
    return false;
}

static bool gives_times(const struct command *cmd)
{
    return cmd->ttl_ms != 0 || cmd->idle_ttl_ms != 0;
}

/* The command gives at most one of the two; neither: the session lives on. */
static void take_times(struct session *next, const struct command *cmd, int64_t now_ms)
{
    uint64_t ttl_ms = cmd->idle_ttl_ms != 0 ? cmd->idle_ttl_ms : cmd->ttl_ms;
    next->idle_ttl_ms = cmd->idle_ttl_ms;
    next->expires_ms = ttl_ms != 0 ? now_ms + (int64_t)ttl_ms : 0;
}

/* Starts the idle time again. Never backwards: two threads may have read the clock in one order and
 * come here in the other. */
static void slide(struct session *next, int64_t now_ms)
{
    if (next->idle_ttl_ms != 0) {
        int64_t expires_ms = now_ms + (int64_t)next->idle_ttl_ms;
        if (expires_ms > next->expires_ms) {
            next->expires_ms = expires_ms;
        }
    }
}

static bool durable_expiry_moved(const struct session *old, const struct session *next)
{
    return session_durable_expiry(old->expires_ms, old->idle_ttl_ms) !=
           session_durable_expiry(next->expires_ms, next->idle_ttl_ms);
}

/* Fills `out` for a change of times only; `out->next` holds the new ones. */
static void finish_touch(const struct session *old, struct change *out)
{
    bool idle_ttl_changed = out->next.idle_ttl_ms != old->idle_ttl_ms;
    bool changed = idle_ttl_changed || out->next.expires_ms != old->expires_ms;
    out->kind = changed ? CHANGE_TOUCH : CHANGE_NONE;
    out->journal_touch = idle_ttl_changed || durable_expiry_moved(old, &out->next);
}

static void apply_get(const struct session *old, const struct command *cmd, int64_t now_ms,
                      struct change *out)
{
    if (old == NULL) {
        out->status = SATCHEL_NOT_FOUND;
        return;
    }
    if (cmd->touch) {
        slide(&out->next, now_ms);
        finish_touch(old, out);
    }
}

static void apply_set(const struct session *old, const struct command *cmd, int64_t now_ms,
                      struct change *out)
{
    struct session *next = &out->next;
    out->kind = CHANGE_PUT;
    if (old == NULL) {
        next->created_ms = now_ms;
    }
    next->owner = cmd->has_owner ? cmd->owner : (struct view){0};
    next->kind = cmd->kind;
    next->content = cmd->content;
    if (cmd->keep_ttl) {
        slide(next, now_ms);
    } else {
        take_times(next, cmd, now_ms);
    }
}

static void apply_delete(const struct session *old, const struct command *cmd, struct change *out)
{
    if (old == NULL) {
        out->status = SATCHEL_NOT_FOUND;
        return;
    }
    out->kind = CHANGE_DELETE;
    out->next = (struct session){.id = cmd->id};
}

static void apply_touch(const struct session *old, const struct command *cmd, int64_t now_ms,
                        struct change *out)
{
    if (old == NULL) {
        out->status = SATCHEL_NOT_FOUND;
        return;
    }
    if (gives_times(cmd)) {
        take_times(&out->next, cmd, now_ms);
    } else {
        slide(&out->next, now_ms);
    }
    finish_touch(old, out);
}

static uint64_t content_bytes_max(const struct command *cmd)
{
    return cmd->content_bytes_max == 0 ? SATCHEL_VALUE_BYTES_MAX : cmd->content_bytes_max;
}

/* Nothing comes from an older session, and a delta must not be replayed on one: a whole PUT. */
static void patch_absent(const struct command *cmd, int64_t now_ms, struct session_scratch *scratch,
                         struct change *out)
{
    out->status = fields_patch((struct view){0}, cmd->ops, content_bytes_max(cmd),
                               &scratch->content, NULL, &scratch->returned);
    if (out->status != SATCHEL_OK) {
        return;
    }
    out->kind = CHANGE_PUT;
    out->next.created_ms = now_ms;
    out->next.kind = SATCHEL_FIELDS;
    out->next.content = buf_view(&scratch->content);
    out->next.owner = cmd->has_owner ? cmd->owner : (struct view){0};
    take_times(&out->next, cmd, now_ms);
    out->returned = buf_view(&scratch->returned);
}

static void patch_present(const struct session *old, const struct command *cmd, int64_t now_ms,
                          struct session_scratch *scratch, struct change *out)
{
    if (old->kind != SATCHEL_FIELDS) {
        out->status = SATCHEL_WRONG_KIND;
        return;
    }
    out->status = fields_patch(old->content, cmd->ops, content_bytes_max(cmd), &scratch->content,
                               &scratch->delta, &scratch->returned);
    if (out->status != SATCHEL_OK) {
        return;
    }
    struct session *next = &out->next;
    bool owner_changed = cmd->has_owner && !view_equal(cmd->owner, old->owner);
    bool content_changed = scratch->delta.len != 0;
    if (gives_times(cmd)) {
        take_times(next, cmd, now_ms);
    } else {
        slide(next, now_ms);
    }
    if (owner_changed) {
        next->owner = cmd->owner;
    }
    out->returned = buf_view(&scratch->returned);
    if (!content_changed && !owner_changed) {
        finish_touch(old, out); /* for example a SET_IF_ABSENT of a field that is there */
        return;
    }
    next->content = buf_view(&scratch->content);
    if (owner_changed || next->idle_ttl_ms != old->idle_ttl_ms || durable_expiry_moved(old, next)) {
        out->kind = CHANGE_PUT; /* the delta alone would not tell the journal everything */
        return;
    }
    out->kind = CHANGE_PATCH;
    out->delta = buf_view(&scratch->delta);
}

static void apply_patch(const struct session *old, const struct command *cmd, int64_t now_ms,
                        struct session_scratch *scratch, struct change *out)
{
    if (old == NULL) {
        patch_absent(cmd, now_ms, scratch, out);
    } else {
        patch_present(old, cmd, now_ms, scratch, out);
    }
}

void session_apply(const struct session *old, const struct command *cmd, int64_t now_ms,
                   struct session_scratch *scratch, struct change *out)
{
    if (old != NULL && session_is_expired(old->expires_ms, now_ms)) {
        old = NULL;
    }
    *out = (struct change){.status = SATCHEL_OK, .kind = CHANGE_NONE};
    if (old != NULL) {
        out->next = *old;
    } else {
        out->next.id = cmd->id;
    }
    if (!condition_holds(old, cmd)) {
        out->status = SATCHEL_CONDITION_FAILED;
        return;
    }
    switch (cmd->op) {
    case SATCHEL_OP_GET:
        apply_get(old, cmd, now_ms, out);
        return;
    case SATCHEL_OP_SET:
        apply_set(old, cmd, now_ms, out);
        return;
    case SATCHEL_OP_DELETE:
        apply_delete(old, cmd, out);
        return;
    case SATCHEL_OP_TOUCH:
        apply_touch(old, cmd, now_ms, out);
        return;
    case SATCHEL_OP_PATCH:
        apply_patch(old, cmd, now_ms, scratch, out);
        return;
    case SATCHEL_OP_HELLO:
    case SATCHEL_OP_PING:
    case SATCHEL_OP_STATS:
    case SATCHEL_OP_SCAN:
    case SATCHEL_OP_GOAWAY:
        break;
    }
    out->status = SATCHEL_UNSUPPORTED; /* not a command on a session */
}
