/* What is staged in a transaction, what its body sees of it, and which change comes of it. */
#include "session/transaction.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "fields_text.h"

enum { NOW = 1000000, LATER = NOW + 5000, BYTES_MAX = 1000 };

/* One session of a transaction and what happens to it, a letter each:
 *
 *     p  becomes the string "p"        P  becomes "P", expiring LATER
 *     f  patched: a=1                  g  patched: b=2
 *     t  expires LATER                 T  expires never
 *     x  patched: c goes               d  deleted
 *     u  all is taken back
 */
struct staged {
    const char *name;
    const char *old; /* fields; "" a string "old"; NULL: there is none */
    const char *steps;
    enum change_kind kind;
    const char *content; /* of `next`; NULL: there is none */
    const char *delta;
    int64_t expires_ms;
    bool is_stale; /* instead of the old session an expired one is stored */
};

static const struct staged cases[] = {
    {"nothing", "", "", CHANGE_NONE, "old"},
    {"a new string", NULL, "p", CHANGE_PUT, "p"},
    {"a string", "", "p", CHANGE_PUT, "p"},
    {"the last one counts", "", "pPp", CHANGE_PUT, "p"},
    {"a string with an end", "", "P", CHANGE_PUT, "P", "", LATER},
    {"new fields are a whole session", NULL, "f", CHANGE_PUT, "a=1"},
    {"fields: the delta is enough", "a=0", "f", CHANGE_PATCH, "a=1", "a=1"},
    {"twice: it is not", "a=0", "fg", CHANGE_PUT, "a=1 b=2"},
    {"a field that is not there goes: no change", "a=1", "x", CHANGE_NONE, "a=1"},
    {"times", "a=0", "t", CHANGE_TOUCH, "a=0", "", LATER},
    {"times and back", "a=0", "tT", CHANGE_TOUCH, "a=0"},
    {"times behind fields: the delta would not tell", "a=0", "ft", CHANGE_PUT, "a=1", "", LATER},
    {"fields behind times", "a=0", "tf", CHANGE_PUT, "a=1", "", LATER},
    {"times of a new one", NULL, "pt", CHANGE_PUT, "p", "", LATER},
    {"no times that it has already", "a=0", "T", CHANGE_NONE, "a=0"},
    {"deleted", "", "d", CHANGE_DELETE},
    {"deleted, though there is none", NULL, "d", CHANGE_NONE},
    {"deleted, though expired", NULL, "d", CHANGE_DELETE, .is_stale = true},
    {"made and deleted", NULL, "pd", CHANGE_NONE},
    {"deleted and made", "a=0", "dp", CHANGE_PUT, "p"},
    {"deleted and patched: nothing of the old one", "a=0 e=3", "df", CHANGE_PUT, "a=1"},
    {"taken back", "a=0", "fdpu", CHANGE_NONE, "a=0"},
};

static void put(struct transaction *transaction, const char *content, int64_t expires_ms)
{
    const struct session next = {
        .kind = SATCHEL_BLOB, .content = view_str(content), .expires_ms = expires_ms};
    transaction_put(transaction, 0, &next);
}

static void patch(struct transaction *transaction, const char *text)
{
    struct buf ops = {0};
    ops_from_text(&ops, text);
    cr_assert(eq(int,
                 transaction_patch(transaction, 0, SATCHEL_FIELDS, buf_view(&ops), BYTES_MAX, NULL),
                 SATCHEL_OK));
    buf_free(&ops);
}

static void take_step(struct transaction *transaction, char step)
{
    switch (step) {
    case 'p':
        put(transaction, "p", 0);
        break;
    case 'P':
        put(transaction, "P", LATER);
        break;
    case 'f':
        patch(transaction, "a=1");
        break;
    case 'g':
        patch(transaction, "b=2");
        break;
    case 'x':
        patch(transaction, "-c");
        break;
    case 't':
        transaction_set_times(transaction, 0, LATER, 0);
        break;
    case 'T':
        transaction_set_times(transaction, 0, 0, 0);
        break;
    case 'd':
        transaction_delete(transaction, 0);
        break;
    default:
        transaction_undo(transaction);
        break;
    }
}

static void check_content(const struct staged *it, const struct session *seen)
{
    char text[FIELDS_TEXT_BYTES];
    if (it->content == NULL) {
        cr_assert(seen == NULL, "%s", it->name);
        return;
    }
    cr_assert(seen != NULL, "%s", it->name);
    if (seen->kind == SATCHEL_FIELDS) {
        cr_assert(eq(str, (char *)fields_to_text(seen->content, text), (char *)it->content), "%s",
                  it->name);
    } else {
        cr_assert(view_equal(seen->content, view_str(it->content)), "%s", it->name);
    }
    cr_assert(eq(i64, seen->expires_ms, it->expires_ms), "%s", it->name);
    cr_assert(eq(i64, seen->created_ms, it->old != NULL && it->steps[0] != 'd' ? 7 : NOW), "%s",
              it->name);
}

Test(transaction, what_is_staged_is_seen_and_becomes_one_change)
{
    struct transaction transaction = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct staged *it = &cases[i];
        struct buf fields = {0};
        char text[FIELDS_TEXT_BYTES];
        size_t index = 1;
        transaction_begin(&transaction, NOW);
        cr_assert(eq(int, transaction_name(&transaction, view_str("id"), 5, &index), STATUS_OK));
        cr_assert(eq(sz, index, 0));
        struct transaction_key *key = &transaction.keys[0];
        key->is_stale = it->is_stale;
        if (it->old != NULL) {
            bool is_string = it->old[0] == '\0';
            fields_from_text(&fields, it->old);
            key->has_old = true;
            key->old = (struct session){
                .id = view_str("id"),
                .version = 3,
                .created_ms = 7,
                .kind = is_string ? SATCHEL_BLOB : SATCHEL_FIELDS,
                .content = is_string ? view_str("old") : buf_view(&fields),
            };
        }
        for (const char *step = it->steps; *step != '\0'; step++) {
            take_step(&transaction, *step);
        }
        check_content(it, transaction_find(&transaction, 0));
        struct change change = transaction_change(&transaction, 0);
        cr_assert(eq(int, change.kind, it->kind), "%s", it->name);
        cr_assert(eq(str, (char *)ops_to_text(change.delta, text),
                     (char *)(it->delta == NULL ? "" : it->delta)),
                  "%s", it->name);
        cr_assert(change.kind == CHANGE_NONE || view_equal(change.next.id, view_str("id")), "%s",
                  it->name);
        buf_free(&fields);
    }
    transaction_free(&transaction);
}

Test(transaction, a_kind_is_not_patched_as_another)
{
    struct transaction transaction = {0};
    struct buf ops = {0};
    size_t index = 0;
    ops_from_text(&ops, "a=1");
    transaction_begin(&transaction, NOW);
    cr_assert(eq(int, transaction_name(&transaction, view_str("id"), 5, &index), STATUS_OK));
    put(&transaction, "p", 0);
    cr_assert(
        eq(int, transaction_patch(&transaction, 0, SATCHEL_FIELDS, buf_view(&ops), BYTES_MAX, NULL),
           SATCHEL_WRONG_KIND));
    cr_assert(view_equal(transaction_find(&transaction, 0)->content, view_str("p")));
    buf_free(&ops);
    transaction_free(&transaction);
}

Test(transaction, a_name_that_comes_again_is_the_same_session)
{
    enum { NAMES = 5000 };
    static char texts[NAMES][8];
    struct transaction transaction = {0};
    for (int round = 0; round < 3; round++) {
        transaction_begin(&transaction, NOW);
        for (size_t i = 0; i < 2 * (size_t)NAMES; i++) {
            size_t index = 0;
            (void)snprintf(texts[i % NAMES], sizeof texts[0], "%zu", i % NAMES);
            /* Few hashes: ids decide. */
            cr_assert(eq(
                int,
                transaction_name(&transaction, view_str(texts[i % NAMES]), i % NAMES % 50, &index),
                STATUS_OK));
            cr_assert(eq(sz, index, i % NAMES));
        }
        cr_assert(eq(sz, transaction.count, NAMES));
    }
    transaction_free(&transaction);
}

Test(transaction, a_copy_is_like_its_model_at_that_moment)
{
    struct transaction transaction = {0};
    transaction_begin(&transaction, NOW);
    size_t model = 0;
    size_t copy = 0;
    cr_assert(eq(int, transaction_name(&transaction, view_str("model"), 1, &model), STATUS_OK));
    cr_assert(eq(int, transaction_name(&transaction, view_str("copy"), 2, &copy), STATUS_OK));
    transaction.keys[model].has_old = true;
    transaction.keys[model].old = (struct session){.id = view_str("model"),
                                                   .version = 7,
                                                   .created_ms = NOW - 10,
                                                   .expires_ms = LATER,
                                                   .idle_ttl_ms = 5000,
                                                   .owner = view_str("ann"),
                                                   .kind = SATCHEL_BLOB,
                                                   .content = view_str("cart")};
    transaction.keys[copy].has_old = true;
    transaction.keys[copy].old = (struct session){
        .id = view_str("copy"), .version = 9, .owner = view_str("bob"), .kind = SATCHEL_FIELDS};
    transaction_copy(&transaction, copy, model);
    put(&transaction, "changed", 0); /* the model is the first one */
    transaction_copy(&transaction, copy, copy);

    struct change change = transaction_change(&transaction, copy);
    cr_assert(eq(int, change.kind, CHANGE_PUT));
    cr_assert(view_equal(change.next.id, view_str("copy")));
    cr_assert(eq(u64, change.next.version, 9));
    cr_assert(view_equal(change.next.content, view_str("cart")));
    cr_assert(view_equal(change.next.owner, view_str("ann")));
    cr_assert(eq(i64, change.next.created_ms, NOW - 10));
    cr_assert(eq(i64, change.next.expires_ms, LATER));
    cr_assert(eq(u64, change.next.idle_ttl_ms, 5000));
    cr_assert(eq(int, (int)change.next.kind, SATCHEL_BLOB));

    transaction_copy(&transaction, copy, model);
    cr_assert(view_equal(transaction_find(&transaction, copy)->content, view_str("changed")));
    transaction_free(&transaction);
}
