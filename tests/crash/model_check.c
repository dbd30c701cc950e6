/* Is what came back allowed? */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash/model.h"
#include "session/fields.h"
#include "support/pattern.h"

/* The name of field `i` is one letter; "count" is the one that is incremented. */
static const char *fields_differ(const struct model *self, const struct state *state,
                                 struct view content)
{
    struct field field;
    unsigned expected = state->has_count;
    for (unsigned i = 0; i < MODEL_FIELDS; i++) {
        expected += state->fields[i].number != 0;
    }
    unsigned seen = 0;
    enum status status = STATUS_OK;
    while ((status = fields_next(&content, &field)) == STATUS_OK) {
        seen++;
        if (view_equal(field.name, view_str("count"))) {
            char text[32];
            (void)snprintf(text, sizeof text, "%" PRId64, state->count);
            if (!state->has_count || !view_equal(field.value, view_str(text))) {
                return "another count";
            }
            continue;
        }
        unsigned i = field.name.len == 1 ? (unsigned)field.name.ptr[0] - 'a' : MODEL_FIELDS;
        if (i >= MODEL_FIELDS || state->fields[i].number == 0) {
            return "a field that should not be there";
        }
        if (!pattern_matches(field.value, state->fields[i].len, self->number,
                             state->fields[i].number)) {
            return "another value in a field";
        }
    }
    return status != STATUS_END ? "fields that cannot be read"
           : seen != expected   ? "a field is missing"
                                : NULL;
}

static int64_t latest_end_ms(const struct state *state, bool recovered)
{
    if (!recovered) {
        return state->expires_most_ms;
    }
    int64_t step_ms = (int64_t)(state->idle_ttl_ms / 16);
    return state->expires_most_ms + (step_ms < 1000 ? 1000 : step_ms);
}

const char *model_differs(const struct model *self, const struct state *state,
                          const struct native_reply *reply, bool recovered, int64_t sent_ms,
                          int64_t now_ms)
{
    if (reply->status == SATCHEL_NOT_FOUND) {
        bool may_be_gone = !state->present ||
                           (state->idle_ttl_ms != 0 && now_ms >= state->expires_least_ms);
        return may_be_gone ? NULL : "it is gone";
    }
    if (reply->status != SATCHEL_OK || !reply->has_content) {
        return "no usable answer";
    }
    if (!state->present) {
        return "it is there";
    }
    if (state->idle_ttl_ms != 0 && sent_ms > latest_end_ms(state, recovered)) {
        return "it is there after its time";
    }
    if (reply->idle_ttl_ms != state->idle_ttl_ms) {
        return "another idle time";
    }
    if (reply->kind != state->kind) {
        return "another kind";
    }
    if (state->version != 0 && reply->version != state->version) {
        return "another version";
    }
    if (state->kind == SATCHEL_FIELDS) {
        return fields_differ(self, state, reply->content);
    }
    return pattern_matches(reply->content, state->blob.len, self->number, state->blob.number)
               ? NULL
               : "another value";
}

/* In words, what an answer holds that should not be. */
static void describe(const struct native_reply *reply, char *out, size_t out_bytes)
{
    uint32_t session = 0;
    uint32_t number = 0;
    if (reply->status != SATCHEL_OK) {
        (void)snprintf(out, out_bytes, "%s", satchel_status_text_of(reply->status));
    } else if (reply->kind == SATCHEL_FIELDS) {
        (void)snprintf(out, out_bytes, "fields, %zu bytes, version %" PRIu64, reply->content.len,
                       reply->version);
    } else if (pattern_read(reply->content, &session, &number)) {
        (void)snprintf(out, out_bytes, "whole value %u of s%u, version %" PRIu64, number, session,
                       reply->version);
    } else {
        (void)snprintf(out, out_bytes, "%s, version %" PRIu64,
                       reply->content.len < PATTERN_HEADER_BYTES ? "a short value"
                                                                 : "a value that is HALF THERE",
                       reply->version);
    }
}

bool model_verify(struct model *self, const struct native_reply *reply, int64_t sent_ms,
                  int64_t now_ms, char *why, size_t why_bytes)
{
    const char *differs = NULL;
    /* From the newest back: an expired one fits several. */
    for (unsigned i = self->count; i > 0; i--) {
        struct state found = self->history[i - 1];
        const char *this_differs = model_differs(self, &found, reply, true, sent_ms, now_ms);
        if (this_differs != NULL) {
            differs = differs == NULL ? this_differs : differs;
            continue;
        }
        bool here = reply->status == SATCHEL_OK;
        if (here && found.version == 0 && reply->version <= self->version_max) {
            differs = "its version went back";
            continue;
        }
        found.version = here ? reply->version : found.version;
        if (here && found.idle_ttl_ms != 0) { /* the server says how much later it ends */
            found.expires_least_ms = sent_ms + (int64_t)reply->expires_in_ms;
            found.expires_most_ms = now_ms + (int64_t)reply->expires_in_ms;
        }
        model_acknowledge(self, &found, true);
        return true;
    }
    char what[128];
    describe(reply, what, sizeof what);
    const struct state *last = model_now(self);
    (void)snprintf(why, why_bytes,
                   "s%u: %s; got: %s; %u states were allowed, the newest: %s kind=%d number=%u "
                   "version=%" PRIu64 " idle_ttl_ms=%" PRIu64,
                   self->number, differs == NULL ? "?" : differs, what, self->count,
                   last->present ? "present" : "absent", (int)last->kind, last->blob.number,
                   last->version, last->idle_ttl_ms);
    return false;
}
