/* Histories written by hand, good ones and bad ones, for every rule of support/linearizable.h. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "support/linearizable.h"

enum { ROWS_MAX = 12 };

struct scenario {
    const char *name;
    enum linearizable_verdict verdict;
    struct history_op ops[ROWS_MAX]; /* a row without an opcode ends them */
};

/* Times are whole milliseconds; the wall clock shows the same. */
#define AT(invoke, ret)                                                                            \
    .invoke_ns = (invoke)*INT64_C(1000000), .return_ns = (ret)*INT64_C(1000000),                   \
    .invoke_ms = (invoke), .return_ms = (ret)
#define FROM(invoke, over)                                                                         \
    .invoke_ns = (invoke)*INT64_C(1000000), .return_ns = HISTORY_NEVER, .invoke_ms = (invoke),     \
    .return_ms = (over), .outcome = HISTORY_UNKNOWN

#define SET .op = SATCHEL_OP_SET
#define GET .op = SATCHEL_OP_GET
#define PATCH .op = SATCHEL_OP_PATCH
#define DELETE .op = SATCHEL_OP_DELETE
#define TOUCH .op = SATCHEL_OP_TOUCH
#define BLOB(n)                                                                                    \
    {                                                                                              \
        .kind = SATCHEL_BLOB, .there = {true}, .values = { n }                                     \
    }
#define FIELD_A(n)                                                                                 \
    {                                                                                              \
        .kind = SATCHEL_FIELDS, .there = {true}, .values = { n }                                   \
    }
#define NO_FIELDS                                                                                  \
    {                                                                                              \
        .kind = SATCHEL_FIELDS                                                                     \
    }
#define PLUS(n) .ops_count = 1, .ops = {{.op = SATCHEL_FIELD_INCREMENT, .value = (n)}}
#define NOTHING .ops_count = 1, .ops = {{.op = SATCHEL_FIELD_DELETE, .field = 1}}
#define IF_VERSION(v) .condition = CONDITION_VERSION, .condition_version = (v)
#define OK(v) .outcome = HISTORY_ANSWERED, .version = (v)
#define SAYS(s) .outcome = HISTORY_ANSWERED, .status = SATCHEL_##s
#define REFUSED(s) .outcome = HISTORY_REFUSED, .status = SATCHEL_##s
#define SHOWS(...) .has_content = true, .answer = __VA_ARGS__

static void run(const struct scenario *scenarios, size_t count)
{
    static const char *const names[] = {"linearizable", "not linearizable", "undecided"};
    for (size_t i = 0; i < count; i++) {
        const struct scenario *self = &scenarios[i];
        size_t rows = 0;
        while (rows < ROWS_MAX && self->ops[rows].op != 0) {
            rows++;
        }
        struct linearizable_end end;
        enum linearizable_verdict verdict = linearizable_check(self->ops, rows, &end);
        if (verdict == NOT_LINEARIZABLE && self->verdict == LINEARIZABLE) {
            linearizable_story(self->ops, rows, stderr);
        }
        cr_expect_eq(verdict, self->verdict, "%s: %s", self->name, names[verdict]);
    }
}

#define RUN(scenarios) run(scenarios, sizeof(scenarios) / sizeof((scenarios)[0]))

/* A session that does not exist at first is set to 1, which is version 10. */
#define SET_1                                                                                      \
    {                                                                                              \
        SET, AT(0, 1), .content = BLOB(1), OK(10)                                                  \
    }

Test(linearizable, operations_that_do_not_overlap_keep_their_order)
{
    static const struct scenario scenarios[] = {
        {"read what was written", LINEARIZABLE, {SET_1, {GET, AT(2, 3), OK(10), SHOWS(BLOB(1))}}},
        {"read before it was written",
         NOT_LINEARIZABLE,
         {{GET, AT(0, 1), OK(10), SHOWS(BLOB(1))}, {SET, AT(2, 3), .content = BLOB(1), OK(10)}}},
        {"an old value",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 3), .content = BLOB(2), OK(11)},
          {GET, AT(4, 5), OK(10), SHOWS(BLOB(1))}}},
        {"an old value while the new one is being written",
         LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 6), .content = BLOB(2), OK(11)},
          {GET, AT(4, 5), OK(10), SHOWS(BLOB(1))}}},
        {"the new value, then the old one",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 9), .content = BLOB(2), OK(11)},
          {GET, AT(3, 4), OK(11), SHOWS(BLOB(2))},
          {GET, AT(5, 6), OK(10), SHOWS(BLOB(1))}}},
        {"deleted and still there",
         NOT_LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {GET, AT(4, 5), OK(10), SHOWS(BLOB(1))}}},
        {"deleted",
         LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {GET, AT(4, 5), SAYS(NOT_FOUND)}}},
        {"not found, and it was there",
         NOT_LINEARIZABLE,
         {SET_1, {GET, AT(2, 3), SAYS(NOT_FOUND)}}},
        {"deleted twice by one deletion",
         NOT_LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 5), OK(0)}, {DELETE, AT(3, 6), OK(0)}}},
    };
    RUN(scenarios);
}

Test(linearizable, conditions_hold_or_fail_as_the_state_says)
{
    static const struct scenario scenarios[] = {
        {"one of two wins",
         LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 5), .content = BLOB(2), IF_VERSION(10), OK(11)},
          {SET, AT(3, 6), .content = BLOB(3), IF_VERSION(10), SAYS(CONDITION_FAILED),
           .version = 11}}},
        {"both win",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 5), .content = BLOB(2), IF_VERSION(10), OK(11)},
          {SET, AT(3, 6), .content = BLOB(3), IF_VERSION(10), OK(12)}}},
        {"nobody wins",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 5), .content = BLOB(2), IF_VERSION(10), SAYS(CONDITION_FAILED),
           .version = 10}}},
        {"the failure names another version",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 5), .content = BLOB(2), IF_VERSION(9), SAYS(CONDITION_FAILED),
           .version = 11}}},
        {"if-absent where something is",
         NOT_LINEARIZABLE,
         {SET_1, {SET, AT(2, 3), .content = BLOB(2), .condition = CONDITION_ABSENT, OK(11)}}},
        {"if-absent fails where nothing is",
         NOT_LINEARIZABLE,
         {{SET, AT(2, 3), .content = BLOB(2), .condition = CONDITION_ABSENT,
           SAYS(CONDITION_FAILED)}}},
        {"if-present where nothing is",
         NOT_LINEARIZABLE,
         {{PATCH, AT(2, 3), PLUS(1), .condition = CONDITION_PRESENT, OK(11), SHOWS(FIELD_A(1))}}},
        {"if-present",
         LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), .condition = CONDITION_PRESENT, OK(0)}}},
        {"the version of a lost answer is the one that the condition named",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 99), .content = BLOB(2)},
          {SET, AT(3, 4), .content = BLOB(3), IF_VERSION(11), OK(12)}}},
        {"… and can be no earlier one",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 3), .content = BLOB(2), OK(11)},
          {SET, FROM(4, 99), .content = BLOB(3)},
          {SET, AT(5, 6), .content = BLOB(4), IF_VERSION(10), OK(13)}}},
        {"… nor at once the one that failed",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 99), .content = BLOB(2)},
          {SET, AT(3, 4), .content = BLOB(3), IF_VERSION(11), SAYS(CONDITION_FAILED),
           .version = 11}}},
    };
    RUN(scenarios);
}

Test(linearizable, versions_grow_and_never_repeat)
{
    static const struct scenario scenarios[] = {
        {"a lower version", NOT_LINEARIZABLE, {SET_1, {SET, AT(2, 3), .content = BLOB(2), OK(9)}}},
        {"the same version",
         NOT_LINEARIZABLE,
         {SET_1, {SET, AT(2, 3), .content = BLOB(2), OK(10)}}},
        {"again after a deletion",
         NOT_LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {SET, AT(4, 5), .content = BLOB(2), OK(10)}}},
        {"after a deletion",
         LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {SET, AT(4, 5), .content = BLOB(2), OK(12)}}},
        {"a touch keeps it",
         LINEARIZABLE,
         {SET_1, {TOUCH, AT(2, 3), OK(10)}, {GET, AT(4, 5), OK(10), SHOWS(BLOB(1))}}},
        {"a touch moves it", NOT_LINEARIZABLE, {SET_1, {TOUCH, AT(2, 3), OK(11)}}},
        {"a patch that changes nothing keeps it",
         LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(5), OK(10)},
          {PATCH, AT(2, 3), .ops_count = 1, .ops = {{SATCHEL_FIELD_SET_IF_ABSENT, 0, 7}}, OK(10),
           SHOWS(FIELD_A(5))}}},
        {"a patch that changes nothing moves it",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(5), OK(10)},
          {PATCH, AT(2, 3), .ops_count = 1, .ops = {{SATCHEL_FIELD_SET_IF_ABSENT, 0, 7}}, OK(11),
           SHOWS(FIELD_A(5))}}},
        {"what is not found tells one",
         NOT_LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {GET, AT(4, 5), SAYS(NOT_FOUND), .version = 10}}},
        {"a deletion tells one", NOT_LINEARIZABLE, {SET_1, {DELETE, AT(2, 3), OK(11)}}},
        {"one that was lost in a crash is used again",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 3), .content = BLOB(2), .fast = true, OK(11)},
          {SET, AT(5, 6), .run = 1, .content = BLOB(3), OK(11)}}},
        {"one that was lost in a crash is skipped",
         LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 3), .content = BLOB(2), .fast = true, OK(11)},
          {SET, AT(5, 6), .run = 1, .content = BLOB(3), IF_VERSION(10), OK(12)}}},
    };
    RUN(scenarios);
}

Test(linearizable, a_patch_does_what_its_operations_say)
{
    static const struct scenario scenarios[] = {
        {"two increments",
         LINEARIZABLE,
         {{PATCH, AT(0, 5), PLUS(1), OK(11), SHOWS(FIELD_A(3))},
          {PATCH, AT(1, 6), PLUS(2), OK(10), SHOWS(FIELD_A(2))}}},
        {"a lost update",
         NOT_LINEARIZABLE,
         {{PATCH, AT(0, 5), PLUS(1), OK(10), SHOWS(FIELD_A(1))},
          {PATCH, AT(1, 6), PLUS(1), OK(11), SHOWS(FIELD_A(1))}}},
        {"on a blob",
         LINEARIZABLE,
         {SET_1, {PATCH, AT(2, 3), PLUS(1), SAYS(WRONG_KIND), .version = 10}}},
        {"on a blob that becomes fields",
         NOT_LINEARIZABLE,
         {SET_1, {PATCH, AT(2, 3), PLUS(1), OK(11), SHOWS(FIELD_A(1))}}},
        {"on text",
         LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(HISTORY_TEXT_LEAST + 1), OK(10)},
          {PATCH, AT(2, 3), PLUS(1), SAYS(NOT_A_NUMBER), .version = 10}}},
        {"half of it",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), OK(10)},
          {PATCH, AT(2, 3), .ops_count = 2,
           .ops = {{SATCHEL_FIELD_SET, 1, 7}, {SATCHEL_FIELD_DELETE, 0, 0}}, OK(11)},
          {GET, AT(4, 5), OK(11), SHOWS({SATCHEL_FIELDS, {true, true}, {1, 7}})}}},
        {"a field goes",
         LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), OK(10)},
          {PATCH, AT(2, 3), .ops_count = 1, .ops = {{SATCHEL_FIELD_DELETE, 0, 0}},
           .return_content = true, OK(11), SHOWS(NO_FIELDS)}}},
        {"the owner is told",
         LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), .owner = 4, OK(10)},
          {PATCH, AT(2, 3), .owner = 5, PLUS(1), OK(11), SHOWS(FIELD_A(2))},
          {GET, AT(4, 5), OK(11), SHOWS(FIELD_A(2)), .answer_owner = 5}}},
        {"another owner makes a version",
         LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), .owner = 4, OK(10)},
          {PATCH, AT(2, 3), .owner = 5, NOTHING, OK(11)}}},
        {"another owner makes none",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), .owner = 4, OK(10)},
          {PATCH, AT(2, 3), .owner = 5, NOTHING, OK(10)}}},
        {"another owner is told",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), .owner = 4, OK(10)},
          {PATCH, AT(2, 3), PLUS(1), .return_content = true, OK(11), SHOWS(FIELD_A(2)),
           .answer_owner = 5}}},
        {"the owner is not told",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = FIELD_A(1), .owner = 4, OK(10)},
          {GET, AT(4, 5), OK(10), SHOWS(FIELD_A(1))}}},
        {"content that nobody asked for",
         NOT_LINEARIZABLE,
         {{PATCH, AT(2, 3), .ops_count = 1, .ops = {{SATCHEL_FIELD_SET, 0, 7}}, OK(11),
           SHOWS(FIELD_A(7))}}},
    };
    RUN(scenarios);
}

Test(linearizable, what_was_acknowledged_or_shown_survives_a_crash)
{
    static const struct scenario scenarios[] = {
        {"acknowledged and there",
         LINEARIZABLE,
         {SET_1, {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"acknowledged and lost",
         NOT_LINEARIZABLE,
         {SET_1, {GET, AT(5, 6), .run = 1, SAYS(NOT_FOUND)}}},
        {"acknowledged, and lost two crashes later",
         NOT_LINEARIZABLE,
         {SET_1,
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))},
          {GET, AT(7, 8), .run = 3, SAYS(NOT_FOUND)}}},
        {"deleted and back",
         NOT_LINEARIZABLE,
         {SET_1, {DELETE, AT(2, 3), OK(0)}, {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"unanswered and there",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 4), .content = BLOB(2)},
          {GET, AT(5, 6), .run = 1, OK(11), SHOWS(BLOB(2))}}},
        {"unanswered and not there",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 4), .content = BLOB(2)},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"unanswered, shown and lost",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 4), .content = BLOB(2)},
          {GET, AT(3, 4), OK(11), SHOWS(BLOB(2))},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"unanswered, and a failed condition showed it",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 4), .content = BLOB(2)},
          {SET, AT(3, 4), .content = BLOB(3), IF_VERSION(10), SAYS(CONDITION_FAILED),
           .version = 11},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"unanswered, not there, then there",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 4), .content = BLOB(2)},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))},
          {GET, AT(7, 8), .run = 1, OK(11), SHOWS(BLOB(2))}}},
        {"unanswered, and done while the server lives",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 9), .content = BLOB(2)},
          {GET, AT(5, 6), OK(10), SHOWS(BLOB(1))},
          {GET, AT(7, 8), OK(11), SHOWS(BLOB(2))}}},
        {"unanswered, and done before it was asked",
         NOT_LINEARIZABLE,
         {SET_1, {GET, AT(2, 3), OK(11), SHOWS(BLOB(2))}, {SET, FROM(4, 9), .content = BLOB(2)}}},
        {"refused and done",
         NOT_LINEARIZABLE,
         {SET_1,
          {SET, AT(2, 3), .content = BLOB(2), REFUSED(BUSY)},
          {GET, AT(5, 6), OK(11), SHOWS(BLOB(2))}}},
        {"a lost update in the middle",
         NOT_LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), OK(10), SHOWS(FIELD_A(1))},
          {PATCH, AT(2, 3), PLUS(2), OK(11), SHOWS(FIELD_A(3))},
          {PATCH, AT(5, 6), .run = 1, PLUS(4), OK(12), SHOWS(FIELD_A(5))}}},
    };
    RUN(scenarios);
}

#define FAST_2                                                                                     \
    {                                                                                              \
        SET, AT(2, 3), .content = BLOB(2), .fast = true, OK(11)                                    \
    }

Test(linearizable, what_was_acknowledged_from_memory_may_go_with_a_crash_and_all_behind_it)
{
    static const struct scenario scenarios[] = {
        {"kept", LINEARIZABLE, {SET_1, FAST_2, {GET, AT(5, 6), .run = 1, OK(11), SHOWS(BLOB(2))}}},
        {"lost", LINEARIZABLE, {SET_1, FAST_2, {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"lost without a crash",
         NOT_LINEARIZABLE,
         {SET_1, FAST_2, {GET, AT(5, 6), OK(10), SHOWS(BLOB(1))}}},
        {"lost after it was shown to who asks for durable answers",
         NOT_LINEARIZABLE,
         {SET_1,
          FAST_2,
          {GET, AT(3, 4), OK(11), SHOWS(BLOB(2))},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"lost after it was shown to who does not",
         LINEARIZABLE,
         {SET_1,
          FAST_2,
          {GET, AT(3, 4), .fast = true, OK(11), SHOWS(BLOB(2))},
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))}}},
        {"lost from the middle",
         NOT_LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), .fast = true, OK(10), SHOWS(FIELD_A(1))},
          {PATCH, AT(2, 3), PLUS(2), .fast = true, OK(11), SHOWS(FIELD_A(3))},
          {GET, AT(5, 6), .run = 1, OK(11), SHOWS(FIELD_A(2))}}},
        {"lost, and two before it were never told, of which one stays",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 99), .content = BLOB(2)},
          {SET, FROM(3, 99), .content = BLOB(3)},
          {TOUCH, AT(5, 6), .fast = true, OK(15)},
          {GET, AT(6, 7), .fast = true, OK(15), SHOWS(BLOB(3))},
          {GET, AT(8, 9), .run = 1, OK(12), SHOWS(BLOB(2))}}},
        {"lost, and what came before it was never told",
         LINEARIZABLE,
         {SET_1,
          {SET, FROM(2, 99), .content = BLOB(2)},
          {DELETE, AT(3, 4), .fast = true, OK(0)},
          {SET, AT(5, 6), .content = BLOB(3), .fast = true, OK(15)},
          {GET, AT(7, 8), .run = 1, OK(12), SHOWS(BLOB(2))}}},
        {"lost with what came before",
         LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), .fast = true, OK(10), SHOWS(FIELD_A(1))},
          {PATCH, AT(2, 3), PLUS(2), .fast = true, OK(11), SHOWS(FIELD_A(3))},
          {GET, AT(5, 6), .run = 1, SAYS(NOT_FOUND)}}},
        {"lost in one crash, back after the next",
         NOT_LINEARIZABLE,
         {SET_1,
          FAST_2,
          {GET, AT(5, 6), .run = 1, OK(10), SHOWS(BLOB(1))},
          {GET, AT(7, 8), .run = 2, OK(11), SHOWS(BLOB(2))}}},
        {"a durable change behind it keeps it",
         NOT_LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), .fast = true, OK(10), SHOWS(FIELD_A(1))},
          {PATCH, AT(2, 3), PLUS(2), OK(11), SHOWS(FIELD_A(3))},
          {GET, AT(5, 6), .run = 1, SAYS(NOT_FOUND)}}},
    };
    RUN(scenarios);
}

#define SET_TTL_10                                                                                 \
    {                                                                                              \
        SET, AT(0, 1), .content = BLOB(1), .ttl_ms = 10, OK(10), .expires_in_ms = 10               \
    }
#define SET_IDLE_10                                                                                \
    {                                                                                              \
        SET, AT(0, 1), .content = BLOB(1), .idle_ttl_ms = 10, OK(10), .expires_in_ms = 10          \
    }

Test(linearizable, a_session_is_there_until_it_expires_and_not_longer)
{
    static const struct scenario scenarios[] = {
        {"there",
         LINEARIZABLE,
         {SET_TTL_10, {GET, AT(8, 9), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 2}}},
        {"gone too early", NOT_LINEARIZABLE, {SET_TTL_10, {GET, AT(8, 9), SAYS(NOT_FOUND)}}},
        {"gone", LINEARIZABLE, {SET_TTL_10, {GET, AT(20, 21), SAYS(NOT_FOUND)}}},
        {"there too late",
         NOT_LINEARIZABLE,
         {SET_TTL_10, {GET, AT(11, 12), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 1}}},
        {"gone and back",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 10), .content = BLOB(1), .ttl_ms = 10, OK(10), .expires_in_ms = 10},
          {GET, AT(11, 12), SAYS(NOT_FOUND)},
          {GET, AT(13, 14), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 1}}},
        {"set again where it has expired",
         LINEARIZABLE,
         {SET_TTL_10,
          {SET, AT(20, 21), .content = BLOB(2), .condition = CONDITION_ABSENT, OK(11)}}},
        {"a touch starts the idle time again",
         LINEARIZABLE,
         {SET_IDLE_10,
          {TOUCH, AT(6, 7), OK(10), .expires_in_ms = 10},
          {GET, AT(14, 15), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 2}}},
        {"a touch that did nothing",
         NOT_LINEARIZABLE,
         {SET_IDLE_10,
          {TOUCH, AT(6, 7), OK(10), .expires_in_ms = 10},
          {GET, AT(14, 15), SAYS(NOT_FOUND)}}},
        {"a touch that is told to have done nothing",
         NOT_LINEARIZABLE,
         {SET_IDLE_10, {TOUCH, AT(6, 7), OK(10), .expires_in_ms = 4}}},
        {"a touch of nothing", NOT_LINEARIZABLE, {{TOUCH, AT(6, 7), OK(10)}}},
        {"a sliding session lives a little longer after a crash",
         LINEARIZABLE,
         {SET_IDLE_10,
          {GET, AT(900, 901), .run = 1, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 100}}},
        {"… but not that long",
         NOT_LINEARIZABLE,
         {SET_IDLE_10,
          {GET, AT(1001, 1002), .run = 1, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 1}}},
        {"… and never shorter",
         NOT_LINEARIZABLE,
         {{SET, AT(0, 1), .content = BLOB(1), .idle_ttl_ms = 5000, OK(10), .expires_in_ms = 5000},
          {GET, AT(4000, 4001), .run = 1, SAYS(NOT_FOUND)}}},
        {"a fixed time is exact after a crash",
         NOT_LINEARIZABLE,
         {SET_TTL_10, {GET, AT(12, 13), .run = 1, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 1}}},
        {"expired, deleted, and back after a crash",
         NOT_LINEARIZABLE,
         {SET_IDLE_10,
          {DELETE, AT(20, 21), SAYS(NOT_FOUND)},
          {GET, AT(900, 901), .run = 1, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 100}}},
        {"keep-ttl keeps it",
         LINEARIZABLE,
         {SET_TTL_10,
          {SET, AT(5, 6), .content = BLOB(2), .keep_ttl = true, OK(11), .expires_in_ms = 5},
          {GET, AT(12, 13), SAYS(NOT_FOUND)}}},
        {"deleted when it has expired",
         NOT_LINEARIZABLE,
         {SET_TTL_10, {DELETE, AT(20, 21), OK(0)}}},
        {"expired, and back for a moment after a crash",
         LINEARIZABLE,
         {SET_IDLE_10,
          {GET, AT(20, 21), SAYS(NOT_FOUND)},
          {GET, AT(500, 501), .run = 1, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 500}}},
        {"a GET that touches",
         LINEARIZABLE,
         {SET_IDLE_10,
          {GET, AT(6, 7), .touch = true, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 10},
          {GET, AT(14, 15), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 2}}},
        {"a GET that touches and did not",
         NOT_LINEARIZABLE,
         {SET_IDLE_10,
          {GET, AT(6, 7), .touch = true, OK(10), SHOWS(BLOB(1)), .expires_in_ms = 10},
          {GET, AT(14, 15), SAYS(NOT_FOUND)}}},
        {"a PATCH gives times",
         LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), .ttl_ms = 10, OK(10), SHOWS(FIELD_A(1)), .expires_in_ms = 10},
          {GET, AT(20, 21), SAYS(NOT_FOUND)}}},
        {"a PATCH without times keeps them",
         NOT_LINEARIZABLE,
         {{PATCH, AT(0, 1), PLUS(1), .ttl_ms = 10, OK(10), SHOWS(FIELD_A(1)), .expires_in_ms = 10},
          {PATCH, AT(5, 6), PLUS(1), OK(11), SHOWS(FIELD_A(2))}}},
        {"told to expire later than it does",
         NOT_LINEARIZABLE,
         {SET_TTL_10, {GET, AT(5, 6), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 20}}},
        {"told to live on",
         NOT_LINEARIZABLE,
         {SET_TTL_10, {GET, AT(5, 6), OK(10), SHOWS(BLOB(1))}}},
        {"told to expire",
         NOT_LINEARIZABLE,
         {SET_1, {GET, AT(5, 6), OK(10), SHOWS(BLOB(1)), .expires_in_ms = 5}}},
    };
    RUN(scenarios);
}

Test(linearizable, only_one_process_answers)
{
    static const struct scenario scenarios[] = {
        {"the old one answers what it was asked before",
         LINEARIZABLE,
         {SET_1,
          {GET, AT(2, 9), OK(10), SHOWS(BLOB(1))},
          {SET, AT(4, 5), .run = 1, .content = BLOB(2), OK(11)}}},
        {"the old one answers what it is asked later, even rightly",
         NOT_LINEARIZABLE,
         {SET_1,
          {GET, AT(4, 5), .run = 1, OK(10), SHOWS(BLOB(1))},
          {GET, AT(6, 7), OK(10), SHOWS(BLOB(1))}}},
        {"the old one only refuses",
         LINEARIZABLE,
         {SET_1,
          {GET, AT(4, 5), .run = 1, OK(10), SHOWS(BLOB(1))},
          {GET, AT(6, 7), REFUSED(STOPPING)}}},
    };
    RUN(scenarios);
}

Test(linearizable, many_operations_at_the_same_time_are_decided_quickly)
{
    /* Eight clients increment; each round they all overlap, and are answered in another order. */
    struct history history = {0};
    int64_t sum = 0;
    for (int round = 0; round < 200; round++) {
        for (int client = 0; client < 8; client++) {
            struct history_op op = {PATCH, AT(round * 10 + client, round * 10 + 9), PLUS(1)};
            op.outcome = HISTORY_ANSWERED;
            op.version = 100 + (uint64_t)(round * 8 + (client * 3) % 8);
            op.has_content = true;
            op.answer = (struct history_content)FIELD_A(round * 8 + (client * 3) % 8 + 1);
            history_add(&history, &op);
            sum++;
        }
    }
    cr_expect_eq(linearizable_check(history.ops, history.count, NULL), LINEARIZABLE);
    struct history_op last = {GET, AT(3000, 3001), OK(100 + 1599), SHOWS(FIELD_A(sum - 1))};
    history_add(&history, &last);
    cr_expect_eq(linearizable_check(history.ops, history.count, NULL), NOT_LINEARIZABLE);
    history_free(&history);
}

Test(linearizable, too_much_at_a_time_is_not_called_good)
{
    struct history history = {0};
    for (int i = 0; i <= LINEARIZABLE_UNKNOWN_MAX; i++) {
        struct history_op op = {SET, FROM(i, 999), .content = BLOB(i)};
        history_add(&history, &op);
    }
    cr_expect_eq(linearizable_check(history.ops, history.count, NULL), LINEARIZABLE_UNDECIDED);
    history_free(&history);
}

Test(linearizable, the_story_names_what_does_not_fit_and_leaves_the_rest_out)
{
    static const struct history_op ops[] = {
        SET_1,
        {GET, AT(2, 3), OK(10), SHOWS(BLOB(1))},
        {SET, AT(4, 5), .content = BLOB(2), OK(11)},
        {GET, AT(6, 7), OK(10), SHOWS(BLOB(1))},
        {SET, AT(8, 9), .content = BLOB(3), OK(12)},
    };
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    linearizable_story(ops, sizeof ops / sizeof ops[0], to);
    cr_assert_eq(fclose(to), 0);
    cr_expect(
        strstr(text, " -> run 0      6.000 …     7.000  client 0: get -> OK version 10 blob 1"),
        "%s", text);
    cr_expect(strstr(text, "cannot come next: the answer has other content"), "%s", text);
    cr_expect(strstr(text, "set blob 2 -> OK version 11"), "%s", text);
    cr_expect_null(strstr(text, "2.000"), "the first GET does not matter: %s", text);
    cr_expect_null(strstr(text, "blob 3"), "what came later does not matter: %s", text);
    free(text);
}

Test(history, a_version_belongs_to_one_session)
{
    struct history history = {0};
    struct history_op one = {SET, AT(0, 1), .session = 1, .content = BLOB(1), OK(10)};
    struct history_op again = {GET, AT(2, 3), .session = 1, OK(10), SHOWS(BLOB(1))};
    struct history_op other = {SET, AT(0, 1), .session = 2, .content = BLOB(1), OK(11)};
    struct history_op stolen = {TOUCH, AT(2, 3), .session = 2, OK(10)};
    const struct history_op *found[2] = {NULL, NULL};
    history_add(&history, &one);
    history_add(&history, &again);
    history_add(&history, &other);
    cr_expect(history_versions_are_unique(&history, &found[0], &found[1]));
    history_add(&history, &stolen);
    cr_expect_not(history_versions_are_unique(&history, &found[0], &found[1]));
    cr_expect_eq(found[0]->version, 10);
    cr_expect_neq(found[0]->session, found[1]->session);
    history_free(&history);
}

Test(history, contents_come_back_as_they_were_sent)
{
    static const struct history_content contents[] = {
        BLOB(0),   BLOB(7),     BLOB(HISTORY_TEXT_LEAST + 12),
        NO_FIELDS, FIELD_A(-3), {SATCHEL_FIELDS, {true, false, true}, {HISTORY_TEXT_LEAST, 0, 5}},
    };
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct buf bytes = {0};
        struct history_content back;
        history_content_encode(&contents[i], 300, &bytes);
        cr_expect(history_content_decode(contents[i].kind, buf_view(&bytes), &back), "%zu", i);
        cr_expect(history_content_equal(&contents[i], &back), "%zu", i);
        buf_free(&bytes);
    }
    struct history_content out;
    cr_expect_not(history_content_decode(SATCHEL_BLOB, view_str("12x"), &out));
    cr_expect_not(history_content_decode(SATCHEL_BLOB, view_str(""), &out));
}
