/* Sets of names are patched within transactions; what the journal has of that is replayed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "session/fields.h"
#include "support/store_stand.h"

struct step {
    enum satchel_field_op op;
    const char *name;
};

static void patch(void *arg, struct transaction *transaction)
{
    const struct step *step = arg;
    struct buf ops = {0};
    cr_assert(
        eq(int, ops_append(&ops, step->op, view_str(step->name), (struct view){0}), STATUS_OK));
    cr_assert(eq(int,
                 transaction_patch(transaction, 0, SATCHEL_NAMES, buf_view(&ops),
                                   SATCHEL_VALUE_BYTES_MAX, NULL),
                 SATCHEL_OK));
    buf_free(&ops);
}

static void run(struct stand *stand, struct transaction *transaction, struct step step)
{
    size_t index = 0;
    struct store_outcome outcome;
    struct view id = view_str("set");
    transaction_begin(transaction, stand->now_ms);
    cr_assert(eq(int, transaction_name(transaction, id, store_hash(stand->store, id), &index),
                 STATUS_OK));
    cr_assert(eq(int, store_transact(stand->store, transaction, NULL, patch, &step, &outcome),
                 STATUS_OK));
    cr_assert(eq(int, outcome.status, SATCHEL_OK));
    store_flush(stand->store, true);
}

static void expect(struct stand *stand, const char *names)
{
    struct answer answer = {0};
    struct field field;
    size_t at = 0;
    cr_assert(eq(int, stand_get(stand, "set", &answer), SATCHEL_OK));
    cr_assert(eq(int, answer.session.kind, SATCHEL_NAMES));
    cr_assert(eq(int, content_check(SATCHEL_NAMES, answer.session.content), SATCHEL_OK));
    while (fields_next(&answer.session.content, &field) == STATUS_OK) {
        cr_assert(field.name.len == 1 && field.name.ptr[0] == (uint8_t)names[at], "%s", names);
        at++;
    }
    cr_assert(eq(sz, at, strlen(names)));
    answer_free(&answer);
}

Test(store_names, come_back_from_the_journal_and_from_rows)
{
    struct stand stand;
    struct transaction transaction = {0};
    stand_init(&stand);
    stand_open(&stand);
    run(&stand, &transaction, (struct step){SATCHEL_FIELD_SET_IF_ABSENT, "a"});
    run(&stand, &transaction, (struct step){SATCHEL_FIELD_SET_IF_ABSENT, "b"});
    run(&stand, &transaction, (struct step){SATCHEL_FIELD_SET_IF_ABSENT, "a"});
    stand_settle(&stand);
    stand_kill(&stand); /* a PUT and a PATCH are in the journal */
    stand_open(&stand);
    expect(&stand, "ab");
    stand_checkpoint(&stand);
    run(&stand, &transaction, (struct step){SATCHEL_FIELD_SET_IF_ABSENT, "c"});
    run(&stand, &transaction, (struct step){SATCHEL_FIELD_DELETE, "a"});
    stand_settle(&stand);
    stand_kill(&stand); /* the row has "ab", the journal a PATCH of it */
    stand_open(&stand);
    expect(&stand, "bc");
    stand_checkpoint(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    expect(&stand, "bc");
    transaction_free(&transaction);
    stand_end(&stand);
}
