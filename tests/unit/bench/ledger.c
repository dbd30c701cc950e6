/* What a read may bring, after which writes. */
#include "load/ledger.h"

#include <criterion/criterion.h>

enum { RUN = 7, VALUE = 1 };

static struct ledger ledger;

static void make_ledger(void)
{
    cr_assert_eq(ledger_init(&ledger, 2, RUN), STATUS_OK);
}

TestSuite(ledger, .init = make_ledger);

static enum ledger_verdict check(uint32_t number)
{
    return ledger_check(&ledger, VALUE, ledger_generation(&ledger, number),
                        ledger_floor(&ledger, VALUE));
}

static uint32_t write_alone(void)
{
    bool is_alone;
    uint32_t number = ledger_send(&ledger, VALUE, &is_alone);
    cr_assert(is_alone);
    ledger_answered(&ledger, VALUE, number, is_alone);
    return number;
}

Test(ledger, what_was_not_handed_out_cannot_be_read)
{
    bool is_alone;
    cr_assert_eq(check(0), LEDGER_NEVER);
    cr_assert_eq(check(1), LEDGER_NEVER);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone), 1);
    cr_assert_eq(check(1), LEDGER_GOOD, "it may be on its way");
    cr_assert_eq(check(2), LEDGER_NEVER);
    cr_assert_eq(check(0), LEDGER_NEVER);
    ledger_free(&ledger);
}

Test(ledger, behind_an_answered_write_nothing_older_comes)
{
    cr_assert_eq(write_alone(), 1);
    cr_assert_eq(ledger_floor(&ledger, VALUE), 1);
    uint32_t floor_of_a_read_in_flight = ledger_floor(&ledger, VALUE);
    cr_assert_eq(write_alone(), 2);
    cr_assert_eq(check(1), LEDGER_OLD);
    cr_assert_eq(check(2), LEDGER_GOOD);
    cr_assert_eq(
        ledger_check(&ledger, VALUE, ledger_generation(&ledger, 1), floor_of_a_read_in_flight),
        LEDGER_GOOD);
    cr_assert_eq(ledger_floor(&ledger, 0), 0, "another value's");
    ledger_free(&ledger);
}

Test(ledger, writes_side_by_side_may_end_in_any_order)
{
    bool is_alone[2];
    cr_assert_eq(write_alone(), 1);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone[0]), 2);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone[1]), 3);
    cr_assert(is_alone[0] && !is_alone[1]);
    ledger_answered(&ledger, VALUE, 3, is_alone[1]);
    cr_assert_eq(check(1), LEDGER_GOOD, "3 may have come first, and 1 was before both");
    ledger_answered(&ledger, VALUE, 2, is_alone[0]);
    cr_assert_eq(check(1), LEDGER_OLD);
    cr_assert_eq(check(2), LEDGER_GOOD, "3 may have come before 2");
    cr_assert_eq(check(3), LEDGER_GOOD);
    cr_assert_eq(write_alone(), 4);
    cr_assert_eq(check(3), LEDGER_OLD);
    ledger_free(&ledger);
}

Test(ledger, behind_a_refused_write_no_floor_rises_since_it_may_still_come)
{
    bool is_alone;
    cr_assert_eq(write_alone(), 1);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone), 2);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone), 3);
    cr_assert_not(is_alone);
    ledger_answered(&ledger, VALUE, 3, is_alone);
    cr_assert_eq(ledger_floor(&ledger, VALUE), 1);
    cr_assert_eq(ledger_send(&ledger, VALUE, &is_alone), 4);
    cr_assert_not(is_alone);
    ledger_free(&ledger);
}

Test(ledger, another_runs_value_is_told_and_is_old_once_this_one_has_written)
{
    uint64_t foreign = (uint64_t)(RUN - 1) << 32 | 5;
    cr_assert_eq(ledger_check(&ledger, VALUE, foreign, ledger_floor(&ledger, VALUE)),
                 LEDGER_FOREIGN);
    cr_assert_eq(write_alone(), 1);
    cr_assert_eq(ledger_check(&ledger, VALUE, foreign, ledger_floor(&ledger, VALUE)), LEDGER_OLD);
    ledger_free(&ledger);
}
