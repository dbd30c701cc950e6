/*
 * Random commands against a model that is too simple to be wrong: an array of named values, each
 * operation done on it at once. Besides the content it checks what the journal relies on: replaying
 * what it is given on what it has brings the same session back.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "session/fields.h"
#include "session/session.h"

enum { NAMES = 6, ROUNDS = 60000, VALUE_BYTES = 24 };

static uint64_t random_state = 20240229;

/* A number below `limit`; xorshift64*, the same on every run. */
static uint64_t pick(uint64_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * UINT64_C(2685821657736338717) >> 20) % limit;
}

static const char *const values[] = {"0", "1", "-7", "tea", "", "9223372036854775807", "42"};

struct model_field {
    bool present;
    char value[VALUE_BYTES];
};

struct model {
    bool present;
    bool fields; /* else a blob that says "blob" */
    bool owned;
    int64_t created_ms;
    int64_t expires_ms;
    uint64_t idle_ttl_ms;
    uint64_t version;
    struct model_field named[NAMES];
};

/* The session as the journal would have it, with the memory for it. */
struct kept {
    bool present;
    struct session session;
    struct buf content;
};

static void keep_content(struct kept *kept, struct view content)
{
    struct buf copy = {0};
    cr_assert_eq(buf_append(&copy, content), STATUS_OK);
    buf_free(&kept->content);
    kept->content = copy;
    kept->session.content = buf_view(&kept->content);
}

static void keep_put(struct kept *kept, const struct session *next, uint64_t lsn)
{
    struct view content = next->content;
    kept->session = *next;
    keep_content(kept, content);
    kept->session.version = lsn;
    kept->present = true;
}

/* What the store does with a change in memory. */
static void run_in_memory(struct kept *table, const struct change *change, uint64_t lsn)
{
    switch (change->kind) {
    case CHANGE_NONE:
        break;
    case CHANGE_PUT:
    case CHANGE_PATCH:
        keep_put(table, &change->next, lsn);
        break;
    case CHANGE_TOUCH:
        table->session.expires_ms = change->next.expires_ms;
        table->session.idle_ttl_ms = change->next.idle_ttl_ms;
        break;
    case CHANGE_DELETE:
        table->present = false;
        break;
    }
}

/* What replaying the journal makes of it: durable expiries, deltas, only the touches that count. */
static void run_in_journal(struct kept *journal, const struct change *change, uint64_t lsn)
{
    int64_t durable_ms = session_durable_expiry(change->next.expires_ms, change->next.idle_ttl_ms);
    struct buf content = {0};
    switch (change->kind) {
    case CHANGE_NONE:
        break;
    case CHANGE_PUT:
        keep_put(journal, &change->next, lsn);
        journal->session.expires_ms = durable_ms;
        break;
    case CHANGE_PATCH:
        cr_assert(journal->present);
        cr_assert_eq(ops_check(change->delta), SATCHEL_OK);
        cr_assert_eq(fields_patch(journal->session.content, change->delta, SATCHEL_VALUE_BYTES_MAX,
                                  &content, NULL, NULL),
                     SATCHEL_OK);
        keep_content(journal, buf_view(&content));
        journal->session.version = lsn;
        break;
    case CHANGE_TOUCH:
        if (change->journal_touch) {
            journal->session.expires_ms = durable_ms;
            journal->session.idle_ttl_ms = change->next.idle_ttl_ms;
        }
        break;
    case CHANGE_DELETE:
        journal->present = false;
        break;
    }
    buf_free(&content);
}

static void random_ops(struct buf *ops)
{
    ops->len = 0;
    for (uint64_t left = 1 + pick(5); left > 0; left--) {
        char name = (char)('a' + pick(NAMES));
        enum satchel_field_op op = (enum satchel_field_op)(1 + pick(4));
        int64_t delta = pick(8) == 0 ? INT64_MAX : (int64_t)pick(9) - 4;
        struct view value = view_str(values[pick(sizeof values / sizeof values[0])]);
        if (op == SATCHEL_FIELD_DELETE) {
            value = (struct view){0};
        } else if (op == SATCHEL_FIELD_INCREMENT) {
            value = view_of(&delta, sizeof delta);
        }
        cr_assert_eq(ops_append(ops, op, view_of(&name, 1), value), STATUS_OK);
    }
}

static struct command random_command(const struct model *model, struct buf *ops)
{
    static const enum satchel_opcode opcodes[] = {
        SATCHEL_OP_GET,   SATCHEL_OP_SET,   SATCHEL_OP_TOUCH, SATCHEL_OP_DELETE,
        SATCHEL_OP_PATCH, SATCHEL_OP_PATCH, SATCHEL_OP_PATCH, SATCHEL_OP_PATCH};
    struct command cmd = {.op = opcodes[pick(8)], .id = view_str("id")};
    bool changes = cmd.op != SATCHEL_OP_GET;
    if (changes && pick(4) == 0) {
        cmd.condition = (enum condition)(1 + pick(3));
        cmd.condition_version = model->version + pick(2);
    }
    if (changes && cmd.op != SATCHEL_OP_DELETE && pick(4) == 0) {
        *(pick(2) == 0 ? &cmd.ttl_ms : &cmd.idle_ttl_ms) = 1 + pick(40000);
    }
    if (cmd.op == SATCHEL_OP_GET) {
        cmd.touch = pick(2) == 0;
    }
    if ((cmd.op == SATCHEL_OP_SET || cmd.op == SATCHEL_OP_PATCH) && pick(4) == 0) {
        cmd.has_owner = true;
        cmd.owner = view_str("ann");
    }
    if (cmd.op == SATCHEL_OP_SET) {
        cmd.keep_ttl = cmd.ttl_ms == 0 && cmd.idle_ttl_ms == 0 && pick(2) == 0;
        cmd.kind = pick(4) == 0 ? SATCHEL_BLOB : SATCHEL_FIELDS;
        cmd.content = cmd.kind == SATCHEL_BLOB ? view_str("blob") : (struct view){0};
    }
    if (cmd.op == SATCHEL_OP_PATCH) {
        random_ops(ops);
        cmd.ops = buf_view(ops);
    }
    return cmd;
}

static bool is_integer(const char *text)
{
    char again[VALUE_BYTES];
    long long number = 0;
    return sscanf(text, "%lld", &number) == 1 &&
           snprintf(again, sizeof again, "%lld", number) > 0 && strcmp(again, text) == 0;
}

static enum satchel_status model_increment(struct model_field *field, int64_t delta)
{
    long long number = 0;
    if (field->present && !is_integer(field->value)) {
        return SATCHEL_NOT_A_NUMBER;
    }
    if (field->present) {
        (void)sscanf(field->value, "%lld", &number);
    }
    if (delta > 0 ? number > INT64_MAX - delta : number < INT64_MIN - delta) {
        return SATCHEL_OUT_OF_RANGE;
    }
    (void)snprintf(field->value, sizeof field->value, "%lld", number + (long long)delta);
    field->present = true;
    return SATCHEL_OK;
}

static enum satchel_status model_patch(struct model_field *named, struct view ops)
{
    struct field_op op;
    while (ops_next(&ops, &op) == STATUS_OK) {
        struct model_field *field = &named[op.name.ptr[0] - 'a'];
        if (op.op == SATCHEL_FIELD_DELETE) {
            field->present = false;
        } else if (op.op == SATCHEL_FIELD_INCREMENT) {
            enum satchel_status status = model_increment(field, (int64_t)load_u64(op.value.ptr));
            if (status != SATCHEL_OK) {
                return status;
            }
        } else if (op.op == SATCHEL_FIELD_SET || !field->present) {
            (void)snprintf(field->value, sizeof field->value, "%.*s", (int)op.value.len,
                           (const char *)op.value.ptr);
            field->present = true;
        }
    }
    return SATCHEL_OK;
}

static void model_times(struct model *model, const struct command *cmd, int64_t now_ms, bool slides)
{
    if (cmd->ttl_ms != 0 || cmd->idle_ttl_ms != 0) {
        model->idle_ttl_ms = cmd->idle_ttl_ms;
        model->expires_ms = now_ms + (int64_t)(cmd->ttl_ms + cmd->idle_ttl_ms);
    } else if (slides && model->idle_ttl_ms != 0) {
        int64_t slid_ms = now_ms + (int64_t)model->idle_ttl_ms;
        model->expires_ms = slid_ms > model->expires_ms ? slid_ms : model->expires_ms;
    }
}

static enum satchel_status model_run(struct model *model, const struct command *cmd, int64_t now_ms)
{
    if (model->present && model->expires_ms != 0 && model->expires_ms <= now_ms) {
        *model = (struct model){0};
    }
    bool holds = cmd->condition == CONDITION_NONE ||
                 (cmd->condition == CONDITION_ABSENT ? !model->present : model->present);
    if (cmd->condition == CONDITION_VERSION) {
        holds = model->present && model->version == cmd->condition_version;
    }
    if (!holds) {
        return SATCHEL_CONDITION_FAILED;
    }
    bool makes = cmd->op == SATCHEL_OP_SET || cmd->op == SATCHEL_OP_PATCH;
    if (!makes && !model->present) {
        return SATCHEL_NOT_FOUND;
    }
    struct model next = *model;
    if (makes && !model->present) {
        next = (struct model){.present = true, .fields = true, .created_ms = now_ms};
    }
    if (cmd->op == SATCHEL_OP_DELETE) {
        next = (struct model){0};
    } else if (cmd->op == SATCHEL_OP_SET) {
        next.fields = cmd->kind == SATCHEL_FIELDS;
        memset(next.named, 0, sizeof next.named);
        next.owned = cmd->has_owner;
        if (!cmd->keep_ttl) {
            next.expires_ms = 0;
            next.idle_ttl_ms = 0;
        }
    } else if (cmd->op == SATCHEL_OP_PATCH) {
        enum satchel_status status = next.fields ? model_patch(next.named, cmd->ops)
                                                 : SATCHEL_WRONG_KIND;
        if (status != SATCHEL_OK) {
            return status;
        }
        next.owned = next.owned || cmd->has_owner;
    }
    model_times(&next, cmd, now_ms, cmd->op != SATCHEL_OP_GET || cmd->touch);
    *model = next;
    return SATCHEL_OK;
}

static void expect_content(const struct model *model, struct view content)
{
    if (!model->fields) {
        cr_assert(view_equal(content, view_str("blob")));
        return;
    }
    cr_assert_eq(fields_check(content), SATCHEL_OK);
    for (size_t i = 0; i < NAMES; i++) {
        char name = (char)('a' + i);
        struct view value = {0};
        bool present = fields_find(content, view_of(&name, 1), &value);
        cr_assert_eq(present, model->named[i].present, "field %c", name);
        if (present) {
            cr_assert(view_equal(value, view_str(model->named[i].value)), "field %c", name);
        }
    }
}

static void expect_session(const struct model *model, const struct session *session)
{
    cr_assert_eq(session->created_ms, model->created_ms);
    cr_assert_eq(session->expires_ms, model->expires_ms);
    cr_assert_eq(session->idle_ttl_ms, model->idle_ttl_ms);
    cr_assert_eq(session->owner.len != 0, model->owned);
    cr_assert_eq(session->kind == SATCHEL_FIELDS, model->fields);
    expect_content(model, session->content);
}

static void expect_journal(const struct kept *table, const struct kept *journal)
{
    cr_assert_eq(table->present, journal->present);
    if (!table->present) {
        return;
    }
    const struct session *now = &table->session;
    const struct session *replayed = &journal->session;
    cr_assert_eq(now->version, replayed->version);
    cr_assert_eq(now->created_ms, replayed->created_ms);
    cr_assert_eq(now->idle_ttl_ms, replayed->idle_ttl_ms);
    cr_assert(view_equal(now->owner, replayed->owner));
    cr_assert(view_equal(now->content, replayed->content));
    cr_assert_eq(replayed->expires_ms, session_durable_expiry(now->expires_ms, now->idle_ttl_ms));
}

Test(apply, random_commands_agree_with_the_model_and_with_their_replay)
{
    struct model model = {0};
    struct kept table = {0}, journal = {0};
    struct session_scratch scratch = {0};
    struct buf ops = {0};
    unsigned seen[5] = {0};
    int64_t now_ms = INT64_C(1700000000000);
    for (uint64_t lsn = 1; lsn <= ROUNDS; lsn++) {
        now_ms += (int64_t)pick(500);
        struct command cmd = random_command(&model, &ops);
        struct change change;
        session_apply(table.present ? &table.session : NULL, &cmd, now_ms, &scratch, &change);
        enum satchel_status status = model_run(&model, &cmd, now_ms);
        cr_assert_eq(change.status, status, "round %u: %d, not %d", (unsigned)lsn, change.status,
                     status);
        seen[change.kind]++;
        if (status != SATCHEL_OK) {
            cr_assert_eq(change.kind, CHANGE_NONE);
        } else if (model.present) {
            expect_session(&model, &change.next);
        }
        run_in_journal(&journal, &change, lsn);
        run_in_memory(&table, &change, lsn);
        model.version = table.present && model.present ? table.session.version : 0;
        expect_journal(&table, &journal);
    }
    for (size_t kind = 0; kind < sizeof seen / sizeof seen[0]; kind++) {
        cr_assert_gt(seen[kind], ROUNDS / 100, "too few changes of kind %zu", kind);
    }
    buf_free(&table.content);
    buf_free(&journal.content);
    buf_free(&ops);
    session_scratch_free(&scratch);
}
