/* Recorded operations: keeping, encoding and showing them. */
#include "support/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/native.h"
#include "session/fields.h"
#include "support/require.h"

enum { PADDING_MAX = 4096 };

void history_add(struct history *self, const struct history_op *op)
{
    if (self->count == self->cap) {
        self->cap = self->cap == 0 ? 256 : self->cap * 2;
        self->ops = realloc(self->ops, self->cap * sizeof *self->ops);
        REQUIRE(self->ops != NULL);
    }
    self->ops[self->count++] = *op;
}

void history_free(struct history *self)
{
    free(self->ops);
    *self = (struct history){0};
}

static int by_session_and_time(const void *a, const void *b)
{
    const struct history_op *left = a;
    const struct history_op *right = b;
    if (left->session != right->session) {
        return left->session < right->session ? -1 : 1;
    }
    return (left->invoke_ns > right->invoke_ns) - (left->invoke_ns < right->invoke_ns);
}

void history_sort(struct history *self)
{
    if (self->count > 0) {
        qsort(self->ops, self->count, sizeof *self->ops, by_session_and_time);
    }
}

/* ---- What travels --------------------------------------------------------------------------- */

static const char *const field_names[HISTORY_FIELDS] = {"a", "b", "c"};

/* A number is its decimal digits, which INCREMENT understands; one from HISTORY_TEXT_LEAST on has a
 * letter and as many zeros in front as make it `padding` bytes long. */
static struct view value_text(int64_t value, unsigned padding, char out[PADDING_MAX + 32])
{
    REQUIRE(padding <= PADDING_MAX);
    int len = value < HISTORY_TEXT_LEAST ? snprintf(out, PADDING_MAX + 32, "%" PRId64, value)
                                         : snprintf(out, PADDING_MAX + 32, "t%0*" PRId64,
                                                    (int)padding, value - HISTORY_TEXT_LEAST);
    return view_of(out, (size_t)len);
}

static bool read_value(struct view text, int64_t *out)
{
    char digits[PADDING_MAX + 32];
    if (text.len == 0 || text.len >= sizeof digits) {
        return false;
    }
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    bool is_text = digits[0] == 't';
    char *end = NULL;
    int64_t number = strtoll(digits + is_text, &end, 10);
    *out = is_text ? number + HISTORY_TEXT_LEAST : number;
    return *end == '\0' && end != digits + is_text;
}

void history_content_encode(const struct history_content *content, unsigned padding, struct buf *to)
{
    char text[PADDING_MAX + 32];
    if (content->kind == SATCHEL_BLOB) {
        REQUIRE(buf_append(to, value_text(content->values[0], padding, text)) == STATUS_OK);
        return;
    }
    for (unsigned i = 0; i < HISTORY_FIELDS; i++) {
        if (content->there[i]) {
            REQUIRE(fields_append(to, view_str(field_names[i]),
                                  value_text(content->values[i], padding, text)) == STATUS_OK);
        }
    }
}

void history_ops_encode(const struct history_op *op, unsigned padding, struct buf *to)
{
    char text[PADDING_MAX + 32];
    for (unsigned i = 0; i < op->ops_count; i++) {
        const struct history_field_op *step = &op->ops[i];
        struct view value = {0};
        if (step->op == SATCHEL_FIELD_INCREMENT) {
            value = view_of(&step->value, sizeof step->value);
        } else if (step->op != SATCHEL_FIELD_DELETE) {
            value = value_text(step->value, padding, text);
        }
        REQUIRE(ops_append(to, step->op, view_str(field_names[step->field]), value) == STATUS_OK);
    }
}

static bool decode_fields(struct view content, struct history_content *out)
{
    struct field field;
    enum status status = STATUS_OK;
    while ((status = fields_next(&content, &field)) == STATUS_OK) {
        unsigned at = 0;
        while (at < HISTORY_FIELDS && !view_equal(field.name, view_str(field_names[at]))) {
            at++;
        }
        if (at == HISTORY_FIELDS || out->there[at] || !read_value(field.value, &out->values[at])) {
            return false;
        }
        out->there[at] = true;
    }
    return status == STATUS_END;
}

bool history_content_decode(enum satchel_kind kind, struct view content,
                            struct history_content *out)
{
    *out = (struct history_content){.kind = kind};
    if (kind == SATCHEL_FIELDS) {
        return decode_fields(content, out);
    }
    out->there[0] = true;
    return kind == SATCHEL_BLOB && read_value(content, &out->values[0]);
}

bool history_content_equal(const struct history_content *a, const struct history_content *b)
{
    bool equal = a->kind == b->kind;
    for (unsigned i = 0; i < HISTORY_FIELDS; i++) {
        equal = equal && a->there[i] == b->there[i] && a->values[i] == b->values[i];
    }
    return equal;
}

/* ---- For people ----------------------------------------------------------------------------- */

struct text {
    char *at;
    size_t left; /* with the ending zero */
};

__attribute__((format(printf, 2, 3))) static void say(struct text *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(self->at, self->left, format, args);
    va_end(args);
    size_t taken = len < 0 ? 0 : (size_t)len < self->left ? (size_t)len : self->left - 1;
    self->at += taken;
    self->left -= taken;
}

static void say_value(struct text *to, int64_t value)
{
    if (value < HISTORY_TEXT_LEAST) {
        say(to, "%" PRId64, value);
    } else {
        say(to, "t%" PRId64, value - HISTORY_TEXT_LEAST);
    }
}

static void say_content(struct text *to, const struct history_content *content)
{
    if (content->kind == SATCHEL_BLOB) {
        say(to, "blob ");
        say_value(to, content->values[0]);
        return;
    }
    say(to, "{");
    const char *between = "";
    for (unsigned i = 0; i < HISTORY_FIELDS; i++) {
        if (content->there[i]) {
            say(to, "%s%s=", between, field_names[i]);
            say_value(to, content->values[i]);
            between = " ";
        }
    }
    say(to, "}");
}

void history_content_text(const struct history_content *content, char *out, size_t bytes)
{
    say_content(&(struct text){out, bytes}, content);
}

static void say_arguments(struct text *to, const struct history_op *op)
{
    static const char *const words[] = {
        [SATCHEL_FIELD_SET] = "=",
        [SATCHEL_FIELD_DELETE] = "-",
        [SATCHEL_FIELD_INCREMENT] = "+",
        [SATCHEL_FIELD_SET_IF_ABSENT] = "?=",
    };
    if (op->op == SATCHEL_OP_SET) {
        say(to, " ");
        say_content(to, &op->content);
    }
    for (unsigned i = 0; i < op->ops_count; i++) {
        const struct history_field_op *step = &op->ops[i];
        say(to, " %s%s", field_names[step->field], words[step->op]);
        if (step->op != SATCHEL_FIELD_DELETE) {
            say_value(to, step->value);
        }
    }
    if (op->owner != 0) {
        say(to, " owner %" PRIu32, op->owner);
    }
    if (op->ttl_ms != 0) {
        say(to, " ttl %" PRIu64, op->ttl_ms);
    }
    if (op->idle_ttl_ms != 0) {
        say(to, " idle-ttl %" PRIu64, op->idle_ttl_ms);
    }
    say(to, "%s%s%s%s", op->keep_ttl ? " keep-ttl" : "", op->touch ? " touch" : "",
        op->return_content ? " return-content" : "", op->fast ? " fast" : "");
    switch (op->condition) {
    case CONDITION_NONE:
        break;
    case CONDITION_VERSION:
        say(to, " if-version %" PRIu64, op->condition_version);
        break;
    case CONDITION_ABSENT:
        say(to, " if-absent");
        break;
    case CONDITION_PRESENT:
        say(to, " if-present");
        break;
    }
}

static void say_outcome(struct text *to, const struct history_op *op)
{
    if (op->outcome == HISTORY_UNKNOWN) {
        say(to, " -> no answer");
        return;
    }
    say(to, " -> %s", satchel_status_name_of(op->status));
    if (op->outcome == HISTORY_REFUSED) {
        return;
    }
    if (op->version != 0) {
        say(to, " version %" PRIu64, op->version);
    }
    if (op->has_content) {
        say(to, " ");
        say_content(to, &op->answer);
    }
    if (op->answer_owner != 0) {
        say(to, " owner %" PRIu32, op->answer_owner);
    }
    if (op->expires_in_ms != 0) {
        say(to, " expires in %" PRIu64, op->expires_in_ms);
    }
}

void history_op_text(const struct history_op *op, int64_t origin_ns, char *out, size_t bytes)
{
    struct text to = {out, bytes};
    say(&to, "run %u  %9.3f ", op->run, (double)(op->invoke_ns - origin_ns) / 1e6);
    if (op->return_ns == HISTORY_NEVER) {
        say(&to, "…    (never)");
    } else {
        say(&to, "… %9.3f", (double)(op->return_ns - origin_ns) / 1e6);
    }
    say(&to, "  client %u: %s", op->client, native_opcode_word(op->op));
    say_arguments(&to, op);
    say_outcome(&to, op);
}

/* ---- Versions ------------------------------------------------------------------------------- */

struct seen_version {
    uint64_t version;
    uint32_t session;
    size_t at; /* which operation showed it */
};

static int by_version(const void *a, const void *b)
{
    const struct seen_version *left = a;
    const struct seen_version *right = b;
    if (left->version != right->version) {
        return left->version < right->version ? -1 : 1;
    }
    return (left->session > right->session) - (left->session < right->session);
}

bool history_versions_are_unique(const struct history *self, const struct history_op **one,
                                 const struct history_op **other)
{
    struct seen_version *seen = calloc(self->count + 1, sizeof *seen);
    REQUIRE(seen != NULL);
    size_t count = 0;
    for (size_t i = 0; i < self->count; i++) {
        const struct history_op *op = &self->ops[i];
        if (op->outcome == HISTORY_ANSWERED && op->version != 0) {
            seen[count++] = (struct seen_version){op->version, op->session, i};
        }
    }
    qsort(seen, count, sizeof *seen, by_version);
    bool unique = true;
    for (size_t i = 1; i < count && unique; i++) {
        unique = seen[i - 1].version != seen[i].version || seen[i - 1].session == seen[i].session;
        *one = &self->ops[seen[i - 1].at];
        *other = &self->ops[seen[i].at];
    }
    free(seen);
    return unique;
}
