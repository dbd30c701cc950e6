/* Plans for archives that are written out here, one for each rule of plan.h; the rest is tried on
 * random ones in plan_random.c. */
#include "backup/plan.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "unit/backup/kit.h"

enum { SLOTS_MAX = 16 };

static struct plan_slot slots[SLOTS_MAX];
static struct manifest manifests[4];
static struct plan_input input;
static struct plan plan;

/* A fence of process `name`, whose epoch is its letter, at time `ms`. */
static void fence(char name, uint64_t base_lsn, int64_t ms)
{
    struct plan_slot *slot = &slots[input.slot_count];
    *slot = (struct plan_slot){.seq = input.slot_count,
                               .header = {.flags = SLOT_FENCE,
                                          .uuid = "u",
                                          .nonce = {(uint8_t)name},
                                          .epoch = (uint64_t)name,
                                          .seq = input.slot_count,
                                          .base_lsn = base_lsn,
                                          .first_lsn = base_lsn,
                                          .last_lsn = base_lsn,
                                          .from_ms = ms,
                                          .to_ms = ms}};
    input.slot_count++;
}

/* The next slot of the process that wrote the last one. */
static void changes(uint64_t first_lsn, uint64_t last_lsn, int64_t from_ms, int64_t to_ms)
{
    struct plan_slot *slot = &slots[input.slot_count];
    *slot = slots[input.slot_count - 1];
    slot->seq = input.slot_count++;
    slot->header.seq = slot->seq;
    slot->header.flags = 0;
    slot->header.first_lsn = first_lsn;
    slot->header.last_lsn = last_lsn;
    slot->header.from_ms = from_ms;
    slot->header.to_ms = to_ms;
    slot->header.batches = 1;
}

static void snapshot(char epoch, uint64_t from_lsn, uint64_t through_lsn, uint64_t next_seq,
                     int64_t time_ms)
{
    manifests[input.manifest_count++] = (struct manifest){
        .id = {.from_lsn = from_lsn, .epoch = (uint32_t)epoch},
        .uuid = "u",
        .through_lsn = through_lsn,
        .next_seq = next_seq,
        .time_ms = time_ms};
}

static void begin(void)
{
    input = (struct plan_input){.manifests = manifests, .slots = slots};
}

static void lose(size_t seq)
{
    memmove(&slots[seq], &slots[seq + 1], (input.slot_count - seq - 1) * sizeof *slots);
    input.slot_count--;
}

static const struct target latest = {.kind = TARGET_LATEST};

static struct target lsn(uint64_t number)
{
    return (struct target){.kind = TARGET_LSN, .lsn = number};
}

static struct target at(int64_t time_ms)
{
    return (struct target){.kind = TARGET_TIME, .time_ms = time_ms};
}

static void expect(struct target target, size_t manifest, enum plan_end end, uint64_t end_seq,
                   uint64_t last_lsn, uint64_t lost_lsn)
{
    plan_free(&plan);
    input.target = target;
    cr_assert(eq(int, plan_make(&input, &plan), STATUS_OK));
    cr_assert(plan.is_found, "%s", plan.text);
    cr_assert(eq(sz, plan.manifest, manifest), "%s", plan.text);
    cr_assert(eq(int, plan.end, end), "%s", plan.text);
    cr_assert(eq(u64, plan.end_seq, end_seq), "%s", plan.text);
    cr_assert(eq(u64, plan.last_lsn, last_lsn), "%s", plan.text);
    cr_assert(eq(u64, plan.lost_lsn, lost_lsn), "%s", plan.text);
}

static void expect_none(struct target target)
{
    plan_free(&plan);
    input.target = target;
    cr_assert(eq(int, plan_make(&input, &plan), STATUS_OK));
    cr_assert(not(plan.is_found), "%s", plan.text);
    cr_assert(plan.text[0] != '\0');
}

static void expect_refused(size_t manifest, const char *words)
{
    cr_assert(plan.refused[manifest] != NULL && strstr(plan.refused[manifest], words) != NULL,
              "snapshot %zu: %s", manifest,
              plan.refused[manifest] != NULL ? plan.refused[manifest] : "taken");
}

/* The archive that plan.h draws, with a snapshot of each process; seconds as times. */
static void draw(void)
{
    begin();
    fence('A', 0, 0);
    changes(1, 50, 10, 19);
    changes(51, 100, 20, 29);
    fence('B', 60, 30);
    changes(200, 220, 40, 49);
    fence('C', 210, 50);
    changes(300, 310, 60, 69);
    snapshot('A', 0, 0, 1, 1);
    snapshot('A', 50, 55, 2, 21);
    snapshot('B', 60, 60, 4, 31);
    snapshot('C', 300, 305, 6, 65);
}

Test(plan, the_newest_snapshot_that_leads_to_the_target_is_taken)
{
    draw();
    expect(latest, 3, PLAN_END_ARCHIVE, 7, 310, 0);
    expect(lsn(310), 3, PLAN_END_TARGET, 7, 310, 0);
    expect(lsn(305), 3, PLAN_END_TARGET, 7, 305, 0);
    expect(lsn(304), 2, PLAN_END_TARGET, 7, 304, 0);
    expect(lsn(215), 2, PLAN_END_TARGET, 5, 215, 0);
    expect(lsn(60), 2, PLAN_END_TARGET, 4, 60, 0);
    expect(lsn(54), 0, PLAN_END_TARGET, 3, 54, 0);
    expect(lsn(0), 0, PLAN_END_TARGET, 1, 0, 0);
    expect(at(100), 3, PLAN_END_ARCHIVE, 7, 310, 0);
    expect(at(64), 2, PLAN_END_TARGET, 7, 310, 0); /* the replay knows where in the last slot */
    expect(at(30), 1, PLAN_END_TARGET, 4 + 1, 60, 0);
    expect(at(29), 1, PLAN_END_TARGET, 3, 100, 0);
    expect(at(1), 0, PLAN_END_TARGET, 2, 0, 0);
    expect_none(at(0));
    plan_free(&plan);
}

Test(plan, what_was_abandoned_can_be_had_and_does_not_get_mixed_in)
{
    draw();
    expect(lsn(80), 1, PLAN_END_TARGET, 3, 80, 0); /* B's snapshot stands beside it */
    expect_refused(2, "abandoned");
    expect(lsn(220), 2, PLAN_END_TARGET, 5, 220, 0);
    expect(lsn(304), 2, PLAN_END_TARGET, 7, 304, 0);
    cr_assert(plan.step_count == 3 && plan.steps[0].slot == 4);
    cr_assert(eq(u64, plan.steps[0].keep_lsn, 210));
    cr_assert(eq(u64, plan.steps[2].keep_lsn, UINT64_MAX));
    input.manifest_count = 1;
    expect(latest, 0, PLAN_END_ARCHIVE, 7, 310, 0);
    cr_assert(plan.step_count == 6 && plan.steps[1].keep_lsn == 60 &&
              plan.steps[3].keep_lsn == 210);
    plan_free(&plan);
}

Test(plan, an_lsn_that_does_not_exist_stands_for_the_last_one_before_it)
{
    draw();
    expect(lsn(150), 1, PLAN_END_ABSENT, 3, 100, 0);
    expect(lsn(250), 2, PLAN_END_ABSENT, 5, 220, 0);
    expect(lsn(1000), 3, PLAN_END_ABSENT, 7, 310, 0);
    /* Above everything is the latest state, also where that is older than what was abandoned. */
    input.slot_count = 4;
    input.manifest_count = 3;
    expect(lsn(150), 2, PLAN_END_ABSENT, 4, 60, 0);
    expect(lsn(100), 1, PLAN_END_TARGET, 3, 100, 0);
    plan_free(&plan);
}

Test(plan, a_process_may_go_back_to_what_its_predecessor_had_abandoned)
{
    begin();
    fence('A', 0, 0);
    changes(1, 100, 10, 19);
    fence('B', 60, 30);
    changes(200, 220, 40, 49);
    fence('C', 80, 50);
    changes(300, 310, 60, 69);
    snapshot('A', 0, 0, 1, 1);
    snapshot('A', 70, 75, 1, 15); /* still good: C went on behind it */
    snapshot('B', 60, 60, 3, 31); /* lacks what C has of A */
    snapshot('B', 200, 210, 4, 45);
    expect(latest, 1, PLAN_END_ARCHIVE, 6, 310, 0);
    expect_refused(2, "had been abandoned");
    expect_refused(3, "abandoned before the target");
    cr_assert(plan.steps[0].keep_lsn == 80 && plan.steps[2].keep_lsn == 80);
    /* Also when the slots before are gone, which tell that 80 is not B's. */
    manifests[1].next_seq = 2;
    manifests[1].id.from_lsn = manifests[1].through_lsn = 80;
    input.manifest_count = 2;
    lose(0);
    lose(0);
    expect(latest, 1, PLAN_END_ARCHIVE, 6, 310, 0);
    plan_free(&plan);
}

/* What older snapshots, and the slots before, may change, and what not. */
Test(plan, a_plan_is_settled_unless_a_later_process_took_over_what_is_not_in_the_input)
{
    static const struct {
        uint64_t base_lsn; /* of C */
        size_t damaged;
        enum plan_end end;
        bool is_settled;
    } cases[] = {
        {210, SIZE_MAX, PLAN_END_ARCHIVE, true}, {210, 5, PLAN_END_DAMAGED, true},
        {80, 3, PLAN_END_DAMAGED, false},        {80, SIZE_MAX, PLAN_END_GAP, false},
        {60, 3, PLAN_END_DAMAGED, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin();
        fence('A', 0, 0);
        changes(1, 100, 10, 19);
        fence('B', 60, 30);
        changes(200, 220, 40, 49);
        fence('C', cases[i].base_lsn, 50);
        changes(300, 310, 60, 69);
        snapshot('B', 60, 60, 3, 31);
        if (cases[i].damaged != SIZE_MAX) {
            slots[cases[i].damaged].is_damaged = true;
        }
        input.slots = slots + 3; /* the newest snapshot's, and no more */
        input.slot_count -= 3;
        plan_free(&plan);
        input.target = latest;
        cr_assert(eq(int, plan_make(&input, &plan), STATUS_OK));
        cr_assert(eq(int, plan.end, cases[i].end), "case %zu: %s", i, plan.text);
        cr_assert(eq(int, plan.is_settled, cases[i].is_settled), "case %zu: %s", i, plan.text);
    }
    plan_free(&plan);
}

Test(plan, a_snapshot_that_may_hold_what_was_abandoned_is_not_taken)
{
    draw();
    manifests[1].through_lsn = 61;
    expect(at(35), 2, PLAN_END_TARGET, 5, 60, 0);
    input.manifest_count = 2;
    expect(at(35), 0, PLAN_END_TARGET, 5, 60, 0);
    expect_refused(1, "abandoned before the target");
    expect(at(29), 1, PLAN_END_TARGET, 3, 100, 0);
    plan_free(&plan);
}

Test(plan, where_a_slot_is_missing_the_walk_ends_and_says_what_is_lost)
{
    draw();
    input.manifest_count = 2;
    lose(4);
    expect(latest, 1, PLAN_END_MISSING, 4, 60, 310);
    expect(lsn(305), 1, PLAN_END_MISSING, 4, 60, 305);
    expect(lsn(90), 1, PLAN_END_TARGET, 3, 90, 0);
    expect(at(45), 1, PLAN_END_MISSING, 4, 60, 0);
    draw();
    input.manifest_count = 2;
    slots[4].is_damaged = true;
    expect(latest, 1, PLAN_END_DAMAGED, 4, 60, 310);
    /* A fence is lost, but the slot behind it says where its process began. */
    draw();
    input.manifest_count = 2;
    lose(3);
    expect(latest, 1, PLAN_END_MISSING, 3, 60, 310);
    cr_assert(eq(u64, plan.steps[0].keep_lsn, 60));
    plan_free(&plan);
}

Test(plan, slots_that_a_snapshot_knows_of_are_missing_also_at_the_end)
{
    draw();
    manifests[3] = (struct manifest){.id = {.from_lsn = 400, .epoch = 'C'},
                                     .uuid = "u",
                                     .through_lsn = 400,
                                     .next_seq = 9,
                                     .time_ms = 90};
    expect(latest, 3, PLAN_END_ARCHIVE, 9, 400, 0);
    input.spoiled = (const bool[]){false, false, false, true};
    expect(latest, 2, PLAN_END_MISSING, 7, 310, 0);
    expect_refused(3, "turned out");
    plan_free(&plan);
}

Test(plan, a_snapshot_is_not_whole_before_the_slots_reach_far_enough)
{
    draw();
    manifests[3].through_lsn = 311; /* its last change was never shipped */
    expect(latest, 2, PLAN_END_ARCHIVE, 7, 310, 0);
    expect_refused(3, "cannot be had");
    manifests[3].through_lsn = 310;
    lose(6);
    expect(latest, 2, PLAN_END_ARCHIVE, 6, 210, 0);
    expect_refused(3, "cannot be had");
    plan_free(&plan);
}

Test(plan, a_fence_that_took_over_more_than_the_slots_have_is_a_gap)
{
    begin();
    fence('A', 0, 0);
    changes(1, 50, 10, 19);
    fence('B', 60, 30);
    changes(200, 220, 40, 49);
    snapshot('A', 0, 0, 1, 1);
    expect(latest, 0, PLAN_END_GAP, 2, 50, 220);
    expect(at(25), 0, PLAN_END_GAP, 2, 50, 60); /* some of it may have been before */
    expect(lsn(50), 0, PLAN_END_TARGET, 2, 50, 0);
    snapshot('B', 60, 60, 3, 31);
    expect(latest, 1, PLAN_END_ARCHIVE, 4, 220, 0);
    plan_free(&plan);
}

Test(plan, slots_that_do_not_belong_together_end_the_walk)
{
    static const struct {
        size_t at;
        uint8_t uuid;
        uint8_t nonce;
        uint64_t epoch;
        uint64_t base_lsn;
        uint64_t first_lsn;
        uint32_t flags;
    } cases[] = {
        {4, 'x', 'B', 'B', 60, 200, 0},          /* of another store */
        {4, 'u', 'x', 'B', 60, 200, 0},          /* of a process that has no fence */
        {4, 'u', 'B', 'C', 60, 200, 0},          /* in another epoch than before */
        {4, 'u', 'B', 'B', 59, 200, 0},          /* with another beginning than before */
        {4, 'u', 'B', 'B', 60, 200, SLOT_FENCE}, /* with a second fence */
        {4, 'u', 'x', 'B', 60, 200, SLOT_FENCE}, /* a fence in an epoch that is not higher */
        {2, 'u', 'A', 'A', 0, 50, 0},            /* a change twice */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        draw();
        input.manifest_count = 1;
        struct slot_header *header = &slots[cases[i].at].header;
        header->uuid[0] = cases[i].uuid;
        header->nonce[0] = cases[i].nonce;
        header->epoch = cases[i].epoch;
        header->base_lsn = cases[i].base_lsn;
        header->first_lsn = cases[i].first_lsn;
        header->flags = cases[i].flags;
        plan_free(&plan);
        input.target = latest;
        cr_assert(eq(int, plan_make(&input, &plan), STATUS_OK));
        cr_assert(plan.end == PLAN_END_FORK && plan.end_seq == cases[i].at, "case %zu: %s", i,
                  plan.text);
    }
    plan_free(&plan);
}

Test(plan, a_fence_counts_from_the_first_change_of_its_process)
{
    begin();
    fence('A', 0, 0);
    changes(1, 50, 10, 19);
    fence('B', 50, 40); /* the storage could not be reached sooner */
    changes(200, 220, 30, 49);
    snapshot('A', 0, 0, 1, 1);
    expect(at(35), 0, PLAN_END_TARGET, 4, 220, 0);
    expect(at(29), 0, PLAN_END_TARGET, 2, 50, 0);
    plan_free(&plan);
}

Test(plan, an_archive_without_a_usable_snapshot_says_so)
{
    begin();
    expect_none(latest);
    fence('A', 0, 0);
    changes(1, 50, 10, 19);
    expect_none(latest);
    snapshot('A', 0, 60, 1, 20);
    expect_none(latest);
    expect_refused(0, "cannot be had");
    expect_none(lsn(30));
    expect_refused(0, "later");
    expect_none(at(19));
    expect_refused(0, "later");
    plan_free(&plan);
}
