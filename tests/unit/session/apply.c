/* What each command does to a session that is absent, fixed, sliding, lasting or expired. */
#include <criterion/criterion.h>

#include "fields_text.h"
#include "session/session.h"

enum { NOW = 1000000, IDLE = 160000, STEP = IDLE / 16 };

#define OP(name) .op = SATCHEL_OP_##name
#define ID .id = {(const uint8_t *)"id", 2}
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

/* The sessions that commands meet. All have version 7 and were created at 5. */
enum old { ABSENT, LASTING, FIXED, SLIDING, EXPIRED, BLOB, NAMES };

static const struct session olds[] = {
    [LASTING] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_FIELDS, .owner = TEXT("ann")},
    [FIXED] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_FIELDS, .expires_ms = NOW + 50},
    [SLIDING] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_FIELDS, .owner = TEXT("ann"),
                 .idle_ttl_ms = IDLE, .expires_ms = NOW + IDLE - STEP},
    [EXPIRED] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_FIELDS, .owner = TEXT("ann"),
                 .idle_ttl_ms = IDLE, .expires_ms = NOW},
    [BLOB] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_BLOB},
    [NAMES] = {ID, .version = 7, .created_ms = 5, .kind = SATCHEL_NAMES},
};

static const struct apply_case {
    const char *name;
    enum old old;
    struct command cmd;
    const char *ops; /* PATCH */
    /* What comes of it. */
    enum satchel_status status;
    enum change_kind kind;
    bool journal_touch;
    uint64_t version;
    int64_t created_ms;
    int64_t expires_ms;
    uint64_t idle_ttl_ms;
    const char *owner; /* NULL: none */
    const char *content;
} cases[] = {
#define SAME_LASTING 7, 5, 0, 0, "ann", "n=1"
#define SAME_FIXED 7, 5, NOW + 50, 0, NULL, "n=1"
#define SAME_SLIDING 7, 5, NOW + IDLE - STEP, IDLE, "ann", "n=1"
#define SLID 7, 5, NOW + IDLE, IDLE, "ann"
#define NOTHING 0, 0, 0, 0, NULL, ""
#define OK_NONE SATCHEL_OK, CHANGE_NONE, false
#define OK_PUT SATCHEL_OK, CHANGE_PUT, false
#define REFUSED(status) status, CHANGE_NONE, false
    {"GET of nothing", ABSENT, {OP(GET), ID}, NULL, REFUSED(SATCHEL_NOT_FOUND), NOTHING},
    {"GET of an expired one", EXPIRED, {OP(GET), ID}, NULL, REFUSED(SATCHEL_NOT_FOUND), NOTHING},
    {"GET", SLIDING, {OP(GET), ID}, NULL, OK_NONE, SAME_SLIDING},
    {"GET with touch",
     SLIDING,
     {OP(GET), ID, .touch = true},
     NULL,
     SATCHEL_OK,
     CHANGE_TOUCH,
     true,
     SLID,
     "n=1"},
    {"GET with touch of a fixed one",
     FIXED,
     {OP(GET), ID, .touch = true},
     NULL,
     OK_NONE,
     SAME_FIXED},

    {"SET of a new one",
     ABSENT,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .content = TEXT("x")},
     NULL,
     OK_PUT,
     0,
     NOW,
     0,
     0,
     NULL,
     "x"},
    {"SET keeps when it was created and clears owner and times",
     SLIDING,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .content = TEXT("x")},
     NULL,
     OK_PUT,
     7,
     5,
     0,
     0,
     NULL,
     "x"},
    {"SET over an expired one is a new one",
     EXPIRED,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true, .content = TEXT("x")},
     NULL,
     OK_PUT,
     0,
     NOW,
     0,
     0,
     NULL,
     "x"},
    {"SET with a fixed time and an owner",
     SLIDING,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .ttl_ms = 9, .has_owner = true, .owner = TEXT("bob")},
     NULL,
     OK_PUT,
     7,
     5,
     NOW + 9,
     0,
     "bob",
     ""},
    {"SET with a sliding time",
     FIXED,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .idle_ttl_ms = 9},
     NULL,
     OK_PUT,
     7,
     5,
     NOW + 9,
     9,
     NULL,
     ""},
    {"SET that keeps a fixed time",
     FIXED,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true},
     NULL,
     OK_PUT,
     7,
     5,
     NOW + 50,
     0,
     NULL,
     ""},
    {"SET that keeps a sliding time slides",
     SLIDING,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true},
     NULL,
     OK_PUT,
     7,
     5,
     NOW + IDLE,
     IDLE,
     NULL,
     ""},
    {"SET of nothing that keeps no time",
     ABSENT,
     {OP(SET), ID, .kind = SATCHEL_BLOB, .keep_ttl = true},
     NULL,
     OK_PUT,
     0,
     NOW,
     0,
     0,
     NULL,
     ""},

    {"DELETE of nothing", ABSENT, {OP(DELETE), ID}, NULL, REFUSED(SATCHEL_NOT_FOUND), NOTHING},
    {"DELETE of an expired one",
     EXPIRED,
     {OP(DELETE), ID},
     NULL,
     REFUSED(SATCHEL_NOT_FOUND),
     NOTHING},
    {"DELETE", SLIDING, {OP(DELETE), ID}, NULL, SATCHEL_OK, CHANGE_DELETE, false, NOTHING},

    {"TOUCH of nothing", ABSENT, {OP(TOUCH), ID}, NULL, REFUSED(SATCHEL_NOT_FOUND), NOTHING},
    {"TOUCH", SLIDING, {OP(TOUCH), ID}, NULL, SATCHEL_OK, CHANGE_TOUCH, true, SLID, "n=1"},
    {"TOUCH of a fixed one", FIXED, {OP(TOUCH), ID}, NULL, OK_NONE, SAME_FIXED},
    {"TOUCH of a lasting one", LASTING, {OP(TOUCH), ID}, NULL, OK_NONE, SAME_LASTING},
    {"TOUCH with a shorter fixed time",
     SLIDING,
     {OP(TOUCH), ID, .ttl_ms = 9},
     NULL,
     SATCHEL_OK,
     CHANGE_TOUCH,
     true,
     7,
     5,
     NOW + 9,
     0,
     "ann",
     "n=1"},
    {"TOUCH with the same fixed time",
     FIXED,
     {OP(TOUCH), ID, .ttl_ms = 50},
     NULL,
     OK_NONE,
     SAME_FIXED},
    {"TOUCH with an idle time that ends at the same moment",
     FIXED,
     {OP(TOUCH), ID, .idle_ttl_ms = 50},
     NULL,
     SATCHEL_OK,
     CHANGE_TOUCH,
     true,
     7,
     5,
     NOW + 50,
     50,
     NULL,
     "n=1"},

    {"PATCH of nothing makes fields",
     ABSENT,
     {OP(PATCH), ID, .idle_ttl_ms = 9, .has_owner = true, .owner = TEXT("bob")},
     "n+=2",
     OK_PUT,
     0,
     NOW,
     NOW + 9,
     9,
     "bob",
     "n=2"},
    {"PATCH of an expired one starts from nothing",
     EXPIRED,
     {OP(PATCH), ID},
     "n+=2",
     OK_PUT,
     0,
     NOW,
     0,
     0,
     NULL,
     "n=2"},
    {"PATCH",
     LASTING,
     {OP(PATCH), ID},
     "n+=2",
     SATCHEL_OK,
     CHANGE_PATCH,
     false,
     7,
     5,
     0,
     0,
     "ann",
     "n=3"},
    {"PATCH that moves the durable expiry", SLIDING, {OP(PATCH), ID}, "n+=2", OK_PUT, SLID, "n=3"},
    {"PATCH that gives a time",
     LASTING,
     {OP(PATCH), ID, .ttl_ms = 9},
     "n+=2",
     OK_PUT,
     7,
     5,
     NOW + 9,
     0,
     "ann",
     "n=3"},
    {"PATCH that gives another owner",
     LASTING,
     {OP(PATCH), ID, .has_owner = true, .owner = TEXT("bob")},
     "n?=1",
     OK_PUT,
     7,
     5,
     0,
     0,
     "bob",
     "n=1"},
    {"PATCH that gives the same owner",
     LASTING,
     {OP(PATCH), ID, .has_owner = true, .owner = TEXT("ann")},
     "n=2",
     SATCHEL_OK,
     CHANGE_PATCH,
     false,
     7,
     5,
     0,
     0,
     "ann",
     "n=2"},
    {"PATCH that changes nothing", LASTING, {OP(PATCH), ID}, "n?=9 -x", OK_NONE, SAME_LASTING},
    {"PATCH that changes nothing but slides",
     SLIDING,
     {OP(PATCH), ID},
     "n?=9",
     SATCHEL_OK,
     CHANGE_TOUCH,
     true,
     SLID,
     "n=1"},
    {"PATCH of a blob",
     BLOB,
     {OP(PATCH), ID},
     "n+=1",
     REFUSED(SATCHEL_WRONG_KIND),
     7,
     5,
     0,
     0,
     NULL,
     "n=1"},
    {"PATCH of names",
     NAMES,
     {OP(PATCH), ID},
     "x=",
     REFUSED(SATCHEL_WRONG_KIND),
     7,
     5,
     0,
     0,
     NULL,
     "n=1"},
    {"PATCH of text that is no number",
     FIXED,
     {OP(PATCH), ID},
     "m=tea m+=1",
     REFUSED(SATCHEL_NOT_A_NUMBER),
     SAME_FIXED},
};

Test(apply, each_command_does_to_each_session_what_it_should)
{
    struct buf content = {0}, ops = {0};
    fields_from_text(&content, "n=1");
    struct session_scratch scratch = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct apply_case *at = &cases[i];
        struct session old = olds[at->old];
        old.content = buf_view(&content);
        struct command cmd = at->cmd;
        ops.len = 0;
        if (at->ops != NULL) {
            ops_from_text(&ops, at->ops);
            cmd.ops = buf_view(&ops);
        }
        struct change change;
        session_apply(at->old == ABSENT ? NULL : &old, &cmd, NOW, &scratch, &change);
        const struct session *next = &change.next;
        cr_assert_eq(change.status, at->status, "%s: status %d", at->name, change.status);
        cr_assert_eq(change.kind, at->kind, "%s: kind %d", at->name, change.kind);
        cr_assert_eq(change.journal_touch, at->journal_touch, "%s: journal_touch", at->name);
        cr_assert_eq(next->version, at->version, "%s: version", at->name);
        cr_assert_eq(next->created_ms, at->created_ms, "%s: created", at->name);
        cr_assert_eq(next->expires_ms, at->expires_ms, "%s: expires", at->name);
        cr_assert_eq(next->idle_ttl_ms, at->idle_ttl_ms, "%s: idle", at->name);
        cr_assert(view_equal(next->owner, view_str(at->owner == NULL ? "" : at->owner)),
                  "%s: owner", at->name);
        cr_assert(view_equal(next->id, view_str("id")), "%s: id", at->name);
        char text[FIELDS_TEXT_BYTES];
        if (next->kind == SATCHEL_FIELDS || at->old == BLOB || at->old == NAMES) {
            cr_assert_str_eq(fields_to_text(next->content, text), at->content, "%s", at->name);
        } else {
            cr_assert(view_equal(next->content, view_str(at->content)), "%s", at->name);
        }
    }
    session_scratch_free(&scratch);
    buf_free(&content);
    buf_free(&ops);
}

Test(apply, a_condition_is_decided_before_anything_else_and_answers_with_the_version)
{
    static const enum satchel_opcode opcodes[] = {SATCHEL_OP_SET, SATCHEL_OP_DELETE,
                                                  SATCHEL_OP_TOUCH, SATCHEL_OP_PATCH};
    static const struct {
        enum condition condition;
        uint64_t version;
        enum old old;
        bool holds;
    } conditions[] = {
        {CONDITION_NONE, 0, LASTING, true},     {CONDITION_VERSION, 7, LASTING, true},
        {CONDITION_VERSION, 6, LASTING, false}, {CONDITION_VERSION, 0, ABSENT, false},
        {CONDITION_VERSION, 7, EXPIRED, false}, {CONDITION_ABSENT, 0, LASTING, false},
        {CONDITION_ABSENT, 0, ABSENT, true},    {CONDITION_ABSENT, 0, EXPIRED, true},
        {CONDITION_PRESENT, 0, LASTING, true},  {CONDITION_PRESENT, 0, ABSENT, false},
        {CONDITION_PRESENT, 0, EXPIRED, false},
    };
    struct buf ops = {0};
    ops_from_text(&ops, "n=1");
    struct session_scratch scratch = {0};
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        for (size_t j = 0; j < sizeof conditions / sizeof conditions[0]; j++) {
            struct command cmd = {ID,
                                  .op = opcodes[i],
                                  .kind = SATCHEL_BLOB,
                                  .ops = buf_view(&ops),
                                  .condition = conditions[j].condition,
                                  .condition_version = conditions[j].version};
            const struct session *old = conditions[j].old == ABSENT ? NULL
                                                                    : &olds[conditions[j].old];
            struct change change;
            session_apply(old, &cmd, NOW, &scratch, &change);
            bool failed = change.status == SATCHEL_CONDITION_FAILED;
            cr_assert_eq(failed, !conditions[j].holds, "opcode %d, condition %zu", opcodes[i], j);
            if (failed) {
                cr_assert_eq(change.kind, CHANGE_NONE);
                cr_assert_eq(change.next.version, conditions[j].old == LASTING ? 7 : 0);
            }
        }
    }
    session_scratch_free(&scratch);
    buf_free(&ops);
}

Test(apply, a_slide_within_the_durable_step_needs_no_journal_and_never_goes_back)
{
    const int64_t aligned = (NOW + IDLE) / STEP * STEP;
    static const struct {
        int64_t from; /* expiry before, relative to a multiple of the step */
        int64_t to;   /* what now + idle would make of it */
        enum change_kind kind;
        bool journal_touch;
    } slides[] = {
        {1, 2, CHANGE_TOUCH, false},          {1, STEP, CHANGE_TOUCH, false},
        {1, STEP + 1, CHANGE_TOUCH, true},    {0, 1, CHANGE_TOUCH, true},
        {STEP, STEP + 1, CHANGE_TOUCH, true}, {5, 5, CHANGE_NONE, false},
        {5, 4, CHANGE_NONE, false},           {1, -1, CHANGE_NONE, false},
    };
    struct session_scratch scratch = {0};
    for (size_t i = 0; i < sizeof slides / sizeof slides[0]; i++) {
        struct session old = olds[SLIDING];
        old.expires_ms = aligned + slides[i].from;
        struct change change;
        session_apply(&old, &(struct command){OP(TOUCH), ID}, aligned + slides[i].to - IDLE,
                      &scratch, &change);
        cr_assert_eq(change.kind, slides[i].kind, "slide %zu", i);
        cr_assert_eq(change.journal_touch, slides[i].journal_touch, "slide %zu", i);
        cr_assert_geq(change.next.expires_ms, old.expires_ms, "slide %zu", i);
    }
}

Test(apply, a_patch_whose_slide_stays_within_the_step_is_journalled_as_a_delta)
{
    struct buf content = {0}, ops = {0};
    fields_from_text(&content, "n=1");
    ops_from_text(&ops, "n+=1");
    struct session old = olds[SLIDING];
    old.content = buf_view(&content);
    old.expires_ms = (NOW + IDLE) / STEP * STEP + 1;
    struct session_scratch scratch = {0};
    struct change change;
    session_apply(&old, &(struct command){OP(PATCH), ID, .ops = buf_view(&ops)},
                  old.expires_ms + 1 - IDLE, &scratch, &change);
    char text[FIELDS_TEXT_BYTES];
    cr_assert_eq(change.kind, CHANGE_PATCH);
    cr_assert_eq(change.next.expires_ms, old.expires_ms + 1);
    cr_assert_str_eq(ops_to_text(change.delta, text), "n=2");
    cr_assert_str_eq(fields_to_text(change.returned, text), "n=2");
    session_scratch_free(&scratch);
    buf_free(&content);
    buf_free(&ops);
}

Test(apply, a_patch_answers_with_what_it_counted_whether_there_was_a_session_or_not)
{
    struct buf content = {0}, ops = {0};
    fields_from_text(&content, "n=1 m=4");
    ops_from_text(&ops, "n+=1 x=1 m?=5");
    struct session old = olds[LASTING];
    old.content = buf_view(&content);
    struct session_scratch scratch = {0};
    struct command cmd = {OP(PATCH), ID, .ops = buf_view(&ops)};
    struct change change;
    char text[FIELDS_TEXT_BYTES];
    session_apply(NULL, &cmd, NOW, &scratch, &change);
    cr_assert_str_eq(fields_to_text(change.returned, text), "n=1 m=5");
    session_apply(&old, &cmd, NOW, &scratch, &change);
    cr_assert_str_eq(fields_to_text(change.returned, text), "n=2 m=4");
    session_scratch_free(&scratch);
    buf_free(&content);
    buf_free(&ops);
}

Test(apply, a_command_that_is_not_about_a_session_is_unsupported)
{
    struct session_scratch scratch = {0};
    struct change change;
    session_apply(&olds[FIXED], &(struct command){OP(PING), ID}, NOW, &scratch, &change);
    cr_assert_eq(change.status, SATCHEL_UNSUPPORTED);
    cr_assert_eq(change.kind, CHANGE_NONE);
}

Test(durable_expiry, is_never_before_the_expiry_and_at_most_one_step_later)
{
    static const uint64_t idle_ttls_ms[] = {1, 999, 16000, 16001, 160000, SATCHEL_TTL_MS_MAX};
    for (size_t i = 0; i < sizeof idle_ttls_ms / sizeof idle_ttls_ms[0]; i++) {
        int64_t step = (int64_t)idle_ttls_ms[i] / 16 > 1000 ? (int64_t)idle_ttls_ms[i] / 16 : 1000;
        int64_t before = 0;
        for (int64_t k = 0; k < 5000; k++) {
            int64_t expires_ms = INT64_C(1700000000000) + k * step / 700;
            int64_t durable_ms = session_durable_expiry(expires_ms, idle_ttls_ms[i]);
            cr_assert_geq(durable_ms, expires_ms);
            cr_assert_lt(durable_ms - expires_ms, step);
            cr_assert_geq(durable_ms, before);
            /* What recovery reads back is not rounded once more: otherwise a slide behind it
             * would look like one that the journal has. */
            cr_assert_eq(session_durable_expiry(durable_ms, idle_ttls_ms[i]), durable_ms);
            before = durable_ms;
        }
    }
}

Test(durable_expiry, is_exact_for_sessions_that_do_not_slide)
{
    cr_assert_eq(session_durable_expiry(1234567, 0), 1234567);
    cr_assert_eq(session_durable_expiry(0, 0), 0);
    cr_assert_eq(session_durable_expiry(0, IDLE), 0);
}
