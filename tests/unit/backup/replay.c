/* Batch by batch: what of it belongs to the state. */
#include "backup/replay.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/backup/kit.h"

static struct replay replay;

static void begin(uint64_t from_lsn, uint64_t through_lsn, struct target target)
{
    const struct manifest snapshot = {.id = {.from_lsn = from_lsn}, .through_lsn = through_lsn};
    replay_begin(&replay, &snapshot, &target);
}

static void slot(uint64_t seq, uint64_t keep_lsn)
{
    struct slot_header header = {.seq = seq};
    uint8_t hash[HASH128_BYTES] = {(uint8_t)seq};
    header.prev[0] = (uint8_t)(seq - 1);
    const struct plan_step step = {.keep_lsn = keep_lsn};
    cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), STATUS_OK), "%s", replay.errmsg);
}

/* Changes first..last that follow `follows` at `ms`: what of them, and up to where the state is
 * then. */
static void expect(uint64_t follows_lsn, uint64_t first_lsn, uint64_t last_lsn, int64_t ms,
                   enum replay_verdict expected, uint32_t expected_count, uint64_t expected_lsn)
{
    const struct slot_batch batch = {.follows_lsn = follows_lsn,
                                     .first_lsn = first_lsn,
                                     .time_ms = ms,
                                     .count = (uint32_t)(last_lsn - first_lsn + 1)};
    uint32_t count = 99;
    cr_assert(eq(int, replay_batch(&replay, &batch, &count), expected));
    cr_assert(eq(u32, count, expected_count));
    cr_assert(eq(u64, replay.last_lsn, expected_lsn));
}

static const struct target latest = {.kind = TARGET_LATEST};

Test(replay, batches_that_follow_each_other_are_applied)
{
    begin(10, 14, latest);
    slot(5, UINT64_MAX);
    cr_assert(not(replay_is_consistent(&replay)));
    expect(3, 4, 7, 1, REPLAY_SKIP, 0, 10);   /* the rows have it */
    expect(7, 8, 12, 2, REPLAY_APPLY, 5, 12); /* and some of this */
    expect(12, 13, 13, 3, REPLAY_APPLY, 1, 13);
    cr_assert(not(replay_is_consistent(&replay)));
    slot(6, UINT64_MAX);
    expect(13, 100, 102, 4, REPLAY_APPLY, 3, 102); /* another process goes on */
    cr_assert(replay_is_consistent(&replay));
}

Test(replay, the_first_batch_may_follow_what_only_the_rows_have)
{
    begin(10, 10, latest);
    slot(5, UINT64_MAX);
    expect(6, 20, 21, 1, REPLAY_APPLY, 2, 21);
    expect(6, 22, 23, 1, REPLAY_GAP, 0, 21); /* no other may */
    begin(10, 10, latest);
    slot(5, UINT64_MAX);
    expect(11, 20, 21, 1, REPLAY_GAP, 0, 10);
    cr_assert(eq(u64, replay.lost_lsn, 11));
    cr_assert(strstr(replay.errmsg, "from 20 on follow 11, which is not 10") != NULL, "%s",
              replay.errmsg);
}

Test(replay, what_is_void_or_there_already_is_passed_over_whatever_it_follows)
{
    begin(0, 0, latest);
    slot(1, 12);
    expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
    expect(10, 11, 14, 2, REPLAY_APPLY, 2, 12);
    expect(14, 15, 16, 3, REPLAY_SKIP, 0, 12);
    expect(90, 91, 92, 4, REPLAY_SKIP, 0, 12); /* changes are missing, but they are void as well */
    slot(2, UINT64_MAX);
    expect(9, 10, 12, 5, REPLAY_SKIP, 0, 12); /* a process that shipped them once more */
    expect(12, 100, 101, 6, REPLAY_APPLY, 2, 101);
    begin(0, 0, latest);
    slot(1, 12);
    expect(14, 15, 16, 3, REPLAY_SKIP, 0, 0);
}

Test(replay, what_was_shipped_twice_is_no_gap)
{
    begin(0, 0, latest);
    slot(1, UINT64_MAX);
    expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
    slot(2, UINT64_MAX);
    expect(4, 5, 10, 2, REPLAY_SKIP, 0, 10);  /* all of it once more */
    expect(6, 7, 14, 3, REPLAY_APPLY, 8, 14); /* and with what came behind */
    expect(14, 15, 15, 4, REPLAY_APPLY, 1, 15);
    cr_assert_not(replay.has_gap);
}

Test(replay, a_process_that_took_over_more_than_there_is_ends_it)
{
    struct slot_header header = {.seq = 2,
                                 .prev = {1},
                                 .flags = SLOT_FENCE,
                                 .base_lsn = 12,
                                 .first_lsn = 12,
                                 .last_lsn = 12};
    const uint8_t hash[HASH128_BYTES] = {2};
    struct plan_step step = {.keep_lsn = UINT64_MAX};
    for (unsigned is_void = 0; is_void < 2; is_void++) {
        begin(0, 0, latest);
        slot(1, UINT64_MAX);
        expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
        step.is_void = is_void;
        enum status expected = is_void ? STATUS_OK : STATUS_END;
        cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), expected));
        cr_assert(eq(int, replay.has_gap, !is_void));
        cr_assert(eq(u64, replay.lost_lsn, is_void ? 0 : 12));
    }
    header.base_lsn = 10;
    begin(0, 0, latest);
    slot(1, UINT64_MAX);
    expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
    step.is_void = false;
    cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), STATUS_OK));
}

Test(replay, an_lsn_is_reached_inside_a_batch_or_between_two)
{
    begin(0, 0, (struct target){.kind = TARGET_LSN, .lsn = 12});
    slot(1, UINT64_MAX);
    expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
    expect(10, 11, 14, 2, REPLAY_APPLY, 2, 12);
    expect(14, 15, 16, 3, REPLAY_DONE, 0, 12);
    begin(0, 0, (struct target){.kind = TARGET_LSN, .lsn = 12});
    slot(1, UINT64_MAX);
    expect(0, 1, 10, 1, REPLAY_APPLY, 10, 10);
    expect(10, 20, 21, 2, REPLAY_DONE, 0, 10); /* there is no 12 */
    expect(15, 20, 21, 2, REPLAY_GAP, 0, 10);  /* there may have been */
}

Test(replay, a_time_ends_before_the_first_batch_that_is_later)
{
    begin(0, 0, (struct target){.kind = TARGET_TIME, .time_ms = 50});
    slot(1, UINT64_MAX);
    expect(0, 1, 10, 50, REPLAY_APPLY, 10, 10);
    expect(10, 11, 14, 51, REPLAY_DONE, 0, 10);
    expect(12, 13, 14, 51, REPLAY_GAP, 0, 10); /* 11 and 12 may have been earlier */
    expect(8, 9, 10, 51, REPLAY_DONE, 0, 10);
}

Test(replay, only_the_slot_that_was_written_behind_the_last_one_follows_it)
{
    struct slot_header header = {.seq = 7};
    uint8_t hash[HASH128_BYTES] = {7};
    const struct plan_step step = {.keep_lsn = 0};
    begin(0, 0, latest);
    slot(5, UINT64_MAX);
    cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), STATUS_CORRUPT));
    cr_assert(strstr(replay.errmsg, "slot 7") != NULL);
    header.seq = 6;
    header.prev[0] = 5;
    header.prev[15] = 1;
    cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), STATUS_CORRUPT));
    cr_assert(strstr(replay.errmsg, "another slot") != NULL);
    header.prev[15] = 0;
    cr_assert(eq(int, replay_slot(&replay, &header, hash, &step), STATUS_OK));
}
