/* The retry policy. */
#include "client/policy.h"

#include <criterion/criterion.h>

static const uint64_t randoms[] = {0, 1, 7, 999, 1000, UINT64_MAX, 0x123456789abcdef0};
enum { RANDOMS = sizeof randoms / sizeof randoms[0] };

Test(policy, retries_exactly_where_the_class_allows)
{
    static const struct {
        enum satchel_status status;
        bool sent;
        bool repeatable;
        bool retried;
    } rows[] = {
        {SATCHEL_OK, true, true, false},
        {SATCHEL_NOT_FOUND, true, true, false},
        {SATCHEL_CONDITION_FAILED, true, true, false},
        {SATCHEL_UNAUTHENTICATED, false, true, false},
        {SATCHEL_TOO_LARGE, false, true, false},
        {SATCHEL_NO_MEMORY, false, true, false},
        {SATCHEL_BUSY, true, false, true},
        {SATCHEL_LOADING, true, false, true},
        {SATCHEL_NO_SPACE, true, false, true},
        {SATCHEL_STOPPING, true, false, true},
        {SATCHEL_UNREACHABLE, false, false, true},
        {SATCHEL_DISCONNECTED, false, false, true},
        {SATCHEL_DISCONNECTED, true, false, false},
        {SATCHEL_DISCONNECTED, true, true, true},
        {SATCHEL_UNKNOWN_OUTCOME, true, false, false},
        {SATCHEL_UNKNOWN_OUTCOME, true, true, true},
        {SATCHEL_BAD_REPLY, true, false, false},
        {SATCHEL_BAD_REPLY, false, false, true},
        {(enum satchel_status)777, true, false, false}, /* unknown: may have been applied */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_case ended = {.status = rows[i].status,
                                    .sent = rows[i].sent,
                                    .repeatable = rows[i].repeatable,
                                    .failures = 1,
                                    .left_ms = 10000};
        cr_assert_eq(policy_pause_ms(&ended) != POLICY_GIVE_UP, rows[i].retried, "row %zu", i);
    }
}

Test(policy, pauses_double_from_10_ms_to_a_second_with_full_jitter)
{
    static const uint64_t ceilings[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000};
    for (unsigned failures = 1; failures <= 10; failures++) {
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        for (uint64_t random = 0; random < 2000; random++) {
            uint64_t pause = policy_backoff_ms(failures, random);
            least = pause < least ? pause : least;
            most = pause > most ? pause : most;
        }
        cr_assert_eq(least, 1, "no busy loop");
        cr_assert_eq(most, ceilings[failures - 1], "%u failures: %lu", failures, most);
    }
    cr_assert_leq(policy_backoff_ms(UINT32_MAX, UINT64_MAX), 1000);
}

Test(policy, what_the_server_asks_for_is_the_least_pause)
{
    for (size_t i = 0; i < RANDOMS; i++) {
        struct policy_case ended = {.status = SATCHEL_BUSY,
                                    .failures = 1,
                                    .retry_after_ms = 300,
                                    .left_ms = 2000,
                                    .random = randoms[i]};
        int64_t pause = policy_pause_ms(&ended);
        cr_assert(pause > 300 && pause <= 310, "%ld", pause);
    }
}

Test(policy, never_waits_beyond_the_deadline)
{
    for (uint64_t left = 0; left < 400; left++) {
        for (size_t i = 0; i < RANDOMS; i++) {
            struct policy_case ended = {.status = SATCHEL_BUSY,
                                        .failures = 9,
                                        .retry_after_ms = 100,
                                        .left_ms = left,
                                        .random = randoms[i]};
            int64_t pause = policy_pause_ms(&ended);
            cr_assert_eq(pause == POLICY_GIVE_UP, left <= 100 + POLICY_ATTEMPT_MS, "%lu left",
                         left);
            cr_assert(pause == POLICY_GIVE_UP ||
                      (pause > 100 && (uint64_t)pause + POLICY_ATTEMPT_MS <= left));
        }
    }
    struct policy_case forever = {
        .status = SATCHEL_BUSY, .failures = 1, .retry_after_ms = UINT64_MAX, .left_ms = 1000};
    cr_assert_eq(policy_pause_ms(&forever), POLICY_GIVE_UP);
}

Test(policy, only_harmless_requests_are_repeatable)
{
    static const struct {
        enum satchel_opcode opcode;
        bool has_condition;
        bool has_increment;
        bool repeatable;
    } rows[] = {
        {SATCHEL_OP_GET, false, false, true},    {SATCHEL_OP_PING, false, false, true},
        {SATCHEL_OP_STATS, false, false, true},  {SATCHEL_OP_SCAN, false, false, true},
        {SATCHEL_OP_SET, false, false, true},    {SATCHEL_OP_SET, true, false, false},
        {SATCHEL_OP_DELETE, false, false, true}, {SATCHEL_OP_DELETE, true, false, false},
        {SATCHEL_OP_TOUCH, false, false, true},  {SATCHEL_OP_TOUCH, true, false, false},
        {SATCHEL_OP_PATCH, false, false, true},  {SATCHEL_OP_PATCH, true, false, false},
        {SATCHEL_OP_PATCH, false, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(
            policy_is_repeatable(rows[i].opcode, rows[i].has_condition, rows[i].has_increment),
            rows[i].repeatable, "row %zu", i);
    }
}

Test(policy, a_later_failure_does_not_hide_that_a_change_may_have_been_applied)
{
    cr_assert_eq(policy_final_status(SATCHEL_UNREACHABLE, SATCHEL_DISCONNECTED),
                 SATCHEL_DISCONNECTED);
    cr_assert_eq(policy_final_status(SATCHEL_BUSY, SATCHEL_UNKNOWN_OUTCOME),
                 SATCHEL_UNKNOWN_OUTCOME);
    cr_assert_eq(policy_final_status(SATCHEL_UNREACHABLE, SATCHEL_OK), SATCHEL_UNREACHABLE);
    cr_assert_eq(policy_final_status(SATCHEL_OK, SATCHEL_DISCONNECTED), SATCHEL_OK);
    cr_assert_eq(policy_final_status(SATCHEL_TIMED_OUT, SATCHEL_DISCONNECTED), SATCHEL_TIMED_OUT);
    cr_assert(policy_is_ambiguous(SATCHEL_DISCONNECTED, true));
    cr_assert_not(policy_is_ambiguous(SATCHEL_DISCONNECTED, false));
    cr_assert_not(policy_is_ambiguous(SATCHEL_BUSY, true));
}
