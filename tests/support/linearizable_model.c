/* What each operation does to a session, and the answers that fit. */
#include "support/linearizable_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What recovery may add to the life of a sliding session (docs/durability.md). */
enum { EXPIRY_STEP_MS_LEAST = 1000, EXPIRY_STEPS_IN_IDLE_TTL = 16 };

enum verdict { NO, YES, MAYBE };

/* One way in which an operation goes on: with the session, or without one. */
struct way {
    const struct history_op *op;
    struct session_model now; /* what the operation finds; its content's kind is 0: nothing */
    struct session_model next;
    const char *why; /* it cannot be so; a constant */
};

static bool is_answered(const struct way *self)
{
    return self->op->outcome == HISTORY_ANSWERED;
}

static void refuse(struct way *self, const char *why)
{
    if (self->why == NULL) {
        self->why = why;
    }
}

/* ---- Times ---------------------------------------------------------------------------------- */

static void take_times(struct way *self)
{
    const struct history_op *op = self->op;
    int64_t ttl_ms = (int64_t)(op->idle_ttl_ms != 0 ? op->idle_ttl_ms : op->ttl_ms);
    self->next.idle_ttl_ms = op->idle_ttl_ms;
    self->next.expires_least_ms = ttl_ms == 0 ? 0 : op->invoke_ms + ttl_ms;
    self->next.expires_most_ms = ttl_ms == 0 ? 0 : op->return_ms + ttl_ms;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void slide(struct way *self)
{
    struct session_model *next = &self->next;
    if (next->idle_ttl_ms != 0) {
        int64_t ttl_ms = (int64_t)next->idle_ttl_ms;
        next->expires_least_ms = later(next->expires_least_ms, self->op->invoke_ms + ttl_ms);
        next->expires_most_ms = later(next->expires_most_ms, self->op->return_ms + ttl_ms);
    }
}

static bool gives_times(const struct history_op *op)
{
    return op->ttl_ms != 0 || op->idle_ttl_ms != 0;
}

/* The time left to live that was answered has to be about what is known of the expiry. */
static void check_expiry(struct way *self)
{
    const struct history_op *op = self->op;
    const struct session_model *next = &self->next;
    if (op->expires_in_ms == 0 || next->expires_least_ms == 0) {
        if (op->expires_in_ms != 0) {
            refuse(self, "it is told to expire, and lives on");
        } else if (next->expires_least_ms != 0) {
            refuse(self, "it is told to live on, and expires");
        }
        return;
    }
    int64_t least_ms = op->invoke_ms + (int64_t)op->expires_in_ms;
    int64_t most_ms = op->return_ms + (int64_t)op->expires_in_ms;
    if (most_ms < next->expires_least_ms) {
        refuse(self, "it is told to expire earlier than it may");
    } else if (least_ms > next->expires_most_ms) {
        refuse(self, "it is told to expire later than it may");
    }
}

/* ---- Versions ------------------------------------------------------------------------------- */

/* The session's version is this one. */
static void observe_version(struct way *self, struct session_model *state, uint64_t version)
{
    if (state->version == 0) {
        if (version <= state->above) {
            refuse(self, "the version is not above the earlier ones");
        }
        state->version = version;
        state->above = 0;
        state->floor = version > state->floor ? version : state->floor;
    } else if (state->version != version) {
        refuse(self, "the session has another version");
    }
}

/* The operation made a new version. */
static void new_version(struct way *self)
{
    self->next.version = 0; /* not known yet */
    self->next.above = self->next.floor;
    if (is_answered(self)) {
        observe_version(self, &self->next, self->op->version);
    }
}

static enum verdict condition_holds(const struct way *self)
{
    const struct history_op *op = self->op;
    bool lives = self->now.content.kind != 0;
    switch (op->condition) {
    case CONDITION_NONE:
        return YES;
    case CONDITION_ABSENT:
        return lives ? NO : YES;
    case CONDITION_PRESENT:
        return lives ? YES : NO;
    case CONDITION_VERSION:
        break;
    }
    if (!lives || op->condition_version == 0) {
        return NO;
    }
    if (self->now.version == 0) {
        return MAYBE;
    }
    return op->condition_version == self->now.version ? YES : NO;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void expect_status(struct way *self, enum satchel_status status, const char *why)
{
    if (is_answered(self) && self->op->status != status) {
        refuse(self, why);
    }
}

/* Nothing was done: the answer names the version that is there. */
static void answer_without_change(struct way *self)
{
    self->next = self->now;
    if (!is_answered(self)) {
        refuse(self, "it would do nothing");
    } else if (self->now.content.kind == 0) {
        if (self->op->version != 0) {
            refuse(self, "a version is told, and there is no session");
        }
    } else {
        observe_version(self, &self->next, self->op->version);
    }
}

static void expect_content(struct way *self, const struct history_content *content)
{
    if (is_answered(self) &&
        (!self->op->has_content || !history_content_equal(&self->op->answer, content))) {
        refuse(self, "the answer has other content");
    }
}

/* ---- Operations ----------------------------------------------------------------------------- */

static void not_found(struct way *self)
{
    expect_status(self, SATCHEL_NOT_FOUND, "there is no session");
    answer_without_change(self);
}

static void get(struct way *self)
{
    if (self->now.content.kind == 0) {
        not_found(self);
        return;
    }
    expect_status(self, SATCHEL_OK, "there is a session");
    expect_content(self, &self->now.content);
    if (is_answered(self)) {
        observe_version(self, &self->next, self->op->version);
        if (self->op->answer_owner != self->now.owner) {
            refuse(self, "the answer has another owner");
        }
    }
    if (self->op->touch) {
        slide(self);
    }
}

static void set(struct way *self)
{
    const struct history_op *op = self->op;
    expect_status(self, SATCHEL_OK, "a SET does not fail so");
    self->next.content = op->content;
    self->next.owner = op->owner;
    new_version(self);
    if (op->keep_ttl) {
        slide(self);
    } else {
        take_times(self);
    }
}

static void delete (struct way *self)
{
    if (self->now.content.kind == 0) {
        not_found(self);
        return;
    }
    expect_status(self, SATCHEL_OK, "there is a session");
    if (is_answered(self) && self->op->version != 0) {
        refuse(self, "a version is told, and there is no session");
    }
    self->next = (struct session_model){.floor = self->now.floor};
}

static void touch(struct way *self)
{
    if (self->now.content.kind == 0) {
        not_found(self);
        return;
    }
    expect_status(self, SATCHEL_OK, "there is a session");
    if (is_answered(self)) {
        observe_version(self, &self->next, self->op->version); /* a touch keeps it */
    }
    if (gives_times(self->op)) {
        take_times(self);
    } else {
        slide(self);
    }
}

/* What a PATCH does to the fields. */
struct patched {
    struct history_content content;
    struct history_content returned; /* fields that were incremented or set if absent */
    bool changed;
    bool not_a_number;
};

static void patch_fields(const struct history_op *op, struct patched *out)
{
    bool was_there[HISTORY_FIELDS];
    bool given[HISTORY_FIELDS] = {false};
    bool asked[HISTORY_FIELDS] = {false};
    memcpy(was_there, out->content.there, sizeof was_there);
    for (unsigned i = 0; i < op->ops_count; i++) {
        unsigned at = op->ops[i].field;
        bool *there = &out->content.there[at];
        int64_t *value = &out->content.values[at];
        switch (op->ops[i].op) {
        case SATCHEL_FIELD_DELETE:
            *there = false;
            *value = 0;
            continue;
        case SATCHEL_FIELD_INCREMENT:
            asked[at] = true;
            if (*value >= HISTORY_TEXT_LEAST) {
                out->not_a_number = true;
                return;
            }
            *value += op->ops[i].value; /* one that is not there counts as 0 */
            break;
        case SATCHEL_FIELD_SET_IF_ABSENT:
            asked[at] = true;
            if (*there) {
                continue;
            }
            *value = op->ops[i].value;
            break;
        case SATCHEL_FIELD_SET:
            *value = op->ops[i].value;
            break;
        }
        *there = true;
        given[at] = true;
    }
    for (unsigned at = 0; at < HISTORY_FIELDS; at++) {
        bool there = out->content.there[at];
        out->changed = out->changed || (there ? given[at] : was_there[at]);
        if (there && asked[at]) {
            out->returned.there[at] = true;
            out->returned.values[at] = out->content.values[at];
        }
    }
}

static void expect_patched(struct way *self, const struct patched *patched)
{
    const struct history_content *returned = &patched->returned;
    if (self->op->return_content) {
        expect_content(self, &patched->content);
        if (is_answered(self) && self->op->answer_owner != self->next.owner) {
            refuse(self, "the answer has another owner");
        }
    } else if (returned->there[0] || returned->there[1] || returned->there[2]) {
        expect_content(self, returned);
    } else if (is_answered(self) && self->op->has_content) {
        refuse(self, "the answer has content that nobody asked for");
    }
}

static void patch(struct way *self)
{
    const struct history_op *op = self->op;
    bool lives = self->now.content.kind != 0;
    if (lives && self->now.content.kind != SATCHEL_FIELDS) {
        expect_status(self, SATCHEL_WRONG_KIND, "the session is a blob");
        answer_without_change(self);
        return;
    }
    struct patched patched = {.content = self->now.content, .returned = {.kind = SATCHEL_FIELDS}};
    patched.content.kind = SATCHEL_FIELDS;
    patch_fields(op, &patched);
    if (patched.not_a_number) {
        expect_status(self, SATCHEL_NOT_A_NUMBER, "an incremented field is no number");
        answer_without_change(self);
        return;
    }
    expect_status(self, SATCHEL_OK, "this PATCH does not fail so");
    uint32_t owner = op->owner != 0 ? op->owner : self->now.owner;
    bool changed = !lives || patched.changed || owner != self->now.owner;
    self->next.content = patched.content;
    self->next.owner = owner;
    if (changed) {
        new_version(self);
    } else if (is_answered(self)) {
        observe_version(self, &self->next, op->version);
    }
    if (!lives || gives_times(op)) {
        take_times(self);
    } else {
        slide(self);
    }
    expect_patched(self, &patched);
}

static void run(struct way *self)
{
    switch (self->op->op) {
    case SATCHEL_OP_GET:
        get(self);
        break;
    case SATCHEL_OP_SET:
        set(self);
        break;
    case SATCHEL_OP_DELETE:
        delete (self);
        break;
    case SATCHEL_OP_TOUCH:
        touch(self);
        break;
    case SATCHEL_OP_PATCH:
        patch(self);
        break;
    default:
        refuse(self, "this is not an operation on a session");
        break;
    }
    if (is_answered(self) && self->op->status == SATCHEL_OK && self->op->op != SATCHEL_OP_DELETE) {
        check_expiry(self);
    }
}

/* Goes one way, and adds the state that it leads to. */
static unsigned go(struct way *self, struct session_model next[SESSION_MODEL_NEXT_MAX],
                   unsigned count, const char **why)
{
    enum verdict holds = condition_holds(self);
    bool failed = is_answered(self) && self->op->status == SATCHEL_CONDITION_FAILED;
    self->next = self->now;
    if (failed || holds == NO) {
        bool is_told = self->op->condition == CONDITION_VERSION &&
                       self->op->version == self->op->condition_version;
        if (holds == YES || (holds == MAYBE && is_told)) {
            refuse(self, "the condition holds");
        }
        expect_status(self, SATCHEL_CONDITION_FAILED, "the condition does not hold");
        answer_without_change(self);
    } else {
        if (holds == MAYBE) { /* then it held, so the version is known now */
            observe_version(self, &self->now, self->op->condition_version);
            self->next = self->now;
        }
        run(self);
    }
    if (self->why != NULL) {
        *why = self->why;
        return count;
    }
    next[count] = self->next;
    return count + 1;
}

unsigned session_model_step(const struct session_model *before, const struct history_op *op,
                            struct session_model next[SESSION_MODEL_NEXT_MAX], const char **why)
{
    unsigned count = 0;
    bool expires = before->content.kind != 0 && before->expires_least_ms != 0;
    struct way alive = {.op = op, .now = *before};
    struct way gone = {.op = op, .now = {.floor = before->floor}};
    *why = NULL;
    if (before->content.kind != 0) {
        if (expires && op->invoke_ms >= before->expires_most_ms) {
            *why = "the session has expired";
        } else {
            /* The server found it alive, so its clock, at the earliest now, had not passed. */
            if (expires) {
                alive.now.expires_least_ms = later(before->expires_least_ms, op->invoke_ms + 1);
            }
            count = go(&alive, next, count, why);
        }
    }
    if (before->content.kind == 0) {
        return go(&gone, next, count, why);
    }
    if (!expires || op->return_ms < before->expires_least_ms) {
        return count;
    }
    unsigned alive_count = count;
    count = go(&gone, next, count, why);
    bool leaves_nothing = op->op == SATCHEL_OP_DELETE && op->status == SATCHEL_NOT_FOUND;
    if (count > alive_count && next[alive_count].content.kind == 0 && !leaves_nothing) {
        /* It expired, but after a crash it may be there again for a moment. A DELETE that found
         * nothing has removed what is left of it. */
        next[alive_count] = *before;
        if (next[alive_count].expires_most_ms > op->return_ms) {
            next[alive_count].expires_most_ms = op->return_ms;
        }
    }
    return count;
}

void session_model_key(const struct session_model *self, struct session_model_key *out)
{
    uint64_t *word = out->words;
    *word++ = (uint64_t)self->content.kind | (uint64_t)self->owner << 32;
    for (unsigned i = 0; i < HISTORY_FIELDS; i++) {
        out->words[0] |= (uint64_t)self->content.there[i] << (8 + i);
        *word++ = (uint64_t)self->content.values[i];
    }
    *word++ = self->version;
    *word++ = self->above;
    *word++ = self->floor;
    *word++ = (uint64_t)self->expires_least_ms;
    *word++ = (uint64_t)self->expires_most_ms;
    *word = self->idle_ttl_ms;
}

void session_model_crash(struct session_model *self)
{
    if (self->idle_ttl_ms == 0) {
        return;
    }
    int64_t step_ms = (int64_t)(self->idle_ttl_ms / EXPIRY_STEPS_IN_IDLE_TTL);
    step_ms = step_ms < EXPIRY_STEP_MS_LEAST ? EXPIRY_STEP_MS_LEAST : step_ms;
    int64_t beyond_ms = self->expires_most_ms % step_ms;
    self->expires_most_ms += beyond_ms == 0 ? 0 : step_ms - beyond_ms;
}

void session_model_text(const struct session_model *self, char *out, size_t bytes)
{
    char content[128];
    char version[48] = "a version that nobody was told";
    if (self->content.kind == 0) {
        (void)snprintf(out, bytes, "no session; earlier versions up to %" PRIu64, self->floor);
        return;
    }
    history_content_text(&self->content, content, sizeof content);
    if (self->version != 0) {
        (void)snprintf(version, sizeof version, "version %" PRIu64, self->version);
    }
    int len = snprintf(out, bytes, "%s at %s", content, version);
    if (self->expires_least_ms != 0 && len > 0 && (size_t)len < bytes) {
        (void)snprintf(out + len, bytes - (size_t)len, ", expires at %" PRId64 "..%" PRId64 " ms",
                       self->expires_least_ms, self->expires_most_ms);
    }
}
