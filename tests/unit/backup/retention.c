/* What retention gives up: one test for each promise of retention.h. That what is left restores as
 * before is tried on random archives in retention_random.c. */
#include "backup/retention.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

enum { SNAPSHOTS = 6, SLOTS = 70 };

static const int64_t hour_ms = 3600 * 1000;

static struct retention_snapshot snapshots[SNAPSHOTS];
static struct retention_slot slots[SLOTS];
static struct retention_input input;
static struct retention decided;

/* Six snapshots, a day between two, each ten slots behind the one before; five days of slots. */
static void set_up(uint64_t count, uint64_t age_ms)
{
    const int64_t begin_ms = INT64_C(1700000000000);
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        snapshots[i] = (struct retention_snapshot){.kind = RETENTION_GOOD,
                                                   .next_seq = 1 + i * 10,
                                                   .through_lsn = 100 + i * 100,
                                                   .stored_ms = begin_ms +
                                                                (int64_t)i * 24 * hour_ms};
    }
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i] = (struct retention_slot){.seq = i,
                                           .stored_ms = begin_ms + (int64_t)i * 24 * hour_ms / 10};
    }
    input = (struct retention_input){.policy = {.count = count, .age_ms = age_ms},
                                     .snapshots = snapshots,
                                     .snapshot_count = SNAPSHOTS,
                                     .slots = slots,
                                     .slot_count = SLOTS,
                                     .latest = SNAPSHOTS - 1,
                                     .hold_seq = UINT64_MAX,
                                     .now_ms = begin_ms + 7 * 24 * hour_ms};
}

/* `kept`: one letter a snapshot, x: it goes. */
static void expect(const char *kept, size_t slots_gone)
{
    char found[SNAPSHOTS + 1] = "";
    retention_free(&decided);
    cr_assert(eq(int, retention_decide(&input, &decided), STATUS_OK));
    for (size_t i = 0; i < input.snapshot_count; i++) {
        found[i] = decided.reasons[i] != NULL ? 'K' : 'x';
    }
    cr_assert(eq(str, found, (char *)kept));
    cr_assert(eq(sz, decided.slots_gone, slots_gone));
    retention_free(&decided);
}

static void expect_nothing(const char *words)
{
    retention_free(&decided);
    cr_assert(eq(int, retention_decide(&input, &decided), STATUS_OK));
    cr_assert(decided.nothing != NULL && strstr(decided.nothing, words) != NULL, "%s",
              decided.nothing != NULL ? decided.nothing : "something goes");
    for (size_t i = 0; i < input.snapshot_count; i++) {
        cr_assert_not_null(decided.reasons[i]);
    }
    cr_assert(eq(sz, decided.slots_gone, 0));
    retention_free(&decided);
}

Test(retention, the_newest_ones_stay_and_the_slots_behind_the_oldest_of_them)
{
    set_up(2, 0);
    expect("xxxxKK", 41);
    input.policy.count = 1;
    expect("xxxxxK", 51);
    input.policy.count = 6;
    expect("KKKKKK", 1);
    input.policy.count = UINT64_MAX;
    expect("KKKKKK", 1);
}

Test(retention, what_is_younger_stays_whatever_its_number)
{
    set_up(1, (uint64_t)(4 * 24 * hour_ms));
    expect("xxxxKK", 41); /* three and two days old; the one of four days is not younger */
    input.policy.age_ms++;
    expect("xxxKKK", 31);
    input.policy.age_ms = UINT64_MAX;
    expect("KKKKKK", 1);
    input.policy = (struct retention_policy){.count = 0, .age_ms = 1};
    expect("xxxxxK", 51); /* the newest stays when all are too old */
}

Test(retention, the_order_of_what_is_told_does_not_matter)
{
    set_up(2, 0);
    struct retention_snapshot first = snapshots[0];
    snapshots[0] = snapshots[5];
    snapshots[5] = first;
    input.latest = 0;
    expect("KxxxKx", 41);
}

Test(retention, what_the_latest_state_is_restored_from_stays)
{
    set_up(1, 0);
    input.latest = 2;
    expect("xxKxxK", 21);
}

Test(retention, the_last_slot_and_young_ones_stay)
{
    set_up(1, 0);
    snapshots[5].next_seq = 1000;
    expect("xxxxxK", SLOTS - 1);
    slots[30].stored_ms = input.now_ms - hour_ms + 1;
    expect("xxxxxK", 30);
    slots[30].stored_ms = input.now_ms - hour_ms;
    expect("xxxxxK", SLOTS - 1);
    slots[20].stored_ms = input.now_ms + hour_ms; /* a clock that went back */
    expect("xxxxxK", 20);
    slots[10].stored_ms = 0; /* nobody knows */
    expect("xxxxxK", 10);
    input.slot_count = 0;
    expect("xxxxxK", 0);
}

Test(retention, a_snapshot_of_the_future_counts_as_young)
{
    set_up(1, 1);
    snapshots[1].stored_ms = input.now_ms + 1;
    expect("xKxxxK", 11);
}

Test(retention, a_hold_keeps_slots_and_snapshots_behind_it)
{
    set_up(1, 0);
    input.hold_seq = 31;
    expect("xxxKKK", 31);
    input.hold_seq = 30; /* a slot that no snapshot begins with */
    expect("xxxKKK", 30);
    input.hold_seq = 1;
    expect("KKKKKK", 1);
    input.hold_seq = 0;
    expect_nothing("a restore is looking");
}

Test(retention, what_is_damaged_goes_later_and_counts_for_nothing)
{
    set_up(2, 0);
    for (size_t i = 1; i < SNAPSHOTS; i += 2) {
        snapshots[i].kind = RETENTION_DAMAGED;
    }
    snapshots[1].next_seq = UINT64_MAX;
    input.latest = 4;
    expect("xxKxKK", 21); /* 5 is newer than the newest good one, 4 */
    input.policy.age_ms = (uint64_t)(5 * 24 * hour_ms);
    expect("xxKKKK", 21);
    input.policy.age_ms = 0;
    input.now_ms = snapshots[4].stored_ms + 3600;
    expect("xxKxKK", 21);
    snapshots[3].stored_ms = input.now_ms - 24 * hour_ms + 1;
    expect("xxKKKK", 21);
}

Test(retention, rows_without_a_manifest_may_be_in_the_making)
{
    set_up(2, 0);
    snapshots[0].kind = RETENTION_ORPHAN;
    snapshots[0].next_seq = UINT64_MAX;
    expect("xxxxKK", 41);
    input.policy.age_ms = UINT64_MAX; /* has no say in it */
    expect("xKKKKK", 11);
    snapshots[0].stored_ms = input.now_ms - 24 * hour_ms;
    expect("KKKKKK", 11); /* newer than the newest good one */
    snapshots[5].stored_ms = input.now_ms;
    expect("xKKKKK", 11);
    snapshots[0].stored_ms++;
    expect("KKKKKK", 11);
}

Test(retention, nothing_goes_when_that_could_be_wrong)
{
    set_up(0, 0);
    expect_nothing("policy keeps everything");
    set_up(1, 0);
    input.now_ms = 0;
    expect_nothing("what time it is");
    set_up(1, 0);
    input.has_many_stores = true;
    expect_nothing("more than one store");
    set_up(1, 0);
    snapshots[1].kind = RETENTION_UNKNOWN;
    expect_nothing("newer format");
    set_up(1, 0);
    input.latest = SIZE_MAX;
    expect_nothing("the latest state");
    set_up(1, 0);
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        snapshots[i].kind = i % 2 == 0 ? RETENTION_DAMAGED : RETENTION_ORPHAN;
    }
    expect_nothing("no good snapshot");
    set_up(1, 0);
    input.snapshot_count = 0;
    expect_nothing("no good snapshot");
}
