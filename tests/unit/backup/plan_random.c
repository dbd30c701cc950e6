/*
 * Plans and replays against the model: thousands of small random histories, each restored to random
 * targets. Whatever was lost, what comes out is a state that the store has had; what is called the
 * target is the target; and what nothing was lost of is restored.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "backup/replay.h"
#include "unit/backup/archive_model.h"

enum { HISTORIES = 8000, TARGETS = 12, EVENTS_MAX = 160 };

static struct model model;

/* What a plan is made of, as far as it is left. */
static struct manifest manifests[MODEL_SNAPSHOTS_MAX];
static struct plan_slot slots[MODEL_SLOTS_MAX];
static struct plan_input input;

static void look_at_archive(void)
{
    input = (struct plan_input){.manifests = manifests, .slots = slots};
    for (size_t i = 0; i < model.snapshot_count; i++) {
        manifests[input.manifest_count++] = model.snapshots[i].manifest;
    }
    for (size_t i = 0; i < model.slot_count; i++) {
        if (!model.slots[i].is_lost) {
            struct plan_slot *slot = &slots[input.slot_count++];
            *slot = (struct plan_slot){.seq = i, .is_damaged = model.slots[i].is_damaged};
            if (slot->is_damaged) {
                memset(&slot->header, 0xee, sizeof slot->header);
            } else {
                slot->header = model.slots[i].header;
            }
        }
    }
}

/* ---- Restoring ---- */

struct outcome {
    bool is_found;
    size_t snapshot; /* of the model */
    enum plan_end end;
    bool has_gap; /* the replay found one */
    uint64_t lsn;
    struct model_state state;
    const char *refused[MODEL_SNAPSHOTS_MAX];
};

static void apply(struct model_state *state, uint64_t first_lsn, uint32_t count)
{
    for (uint64_t lsn = first_lsn; lsn < first_lsn + count; lsn++) {
        model_apply(state, model_change(&model, lsn));
    }
}

/* True: goes on. */
static bool replay_one(struct replay *replay, const struct plan_step *step, struct outcome *out)
{
    const struct model_slot *slot = &model.slots[slots[step->slot].seq];
    uint8_t hash[HASH128_BYTES] = {0};
    uint64_t next = slot->header.seq + 1;
    memcpy(hash, &next, sizeof next); /* what the model writes into the next one's prev */
    enum status status = replay_slot(replay, &slot->header, hash, step);
    if (status == STATUS_END) {
        cr_assert(lt(u64, replay->last_lsn, replay->lost_lsn));
        out->has_gap = true;
        return false;
    }
    cr_assert(eq(int, status, STATUS_OK), "%s", replay->errmsg);
    for (size_t i = 0; i < slot->header.batches; i++) {
        uint32_t count;
        switch (replay_batch(replay, &slot->batches[i], &count)) {
        case REPLAY_APPLY:
            cr_assert(count != 0 && count <= slot->batches[i].count);
            apply(&out->state, slot->batches[i].first_lsn, count);
            break;
        case REPLAY_SKIP:
            break;
        case REPLAY_GAP:
            out->has_gap = true;
            cr_assert(replay->lost_lsn == 0 || replay->lost_lsn > replay->last_lsn);
            return false;
        case REPLAY_DONE:
            return false;
        }
    }
    return true;
}

/* The input, as far as it is in view: the snapshots whose next_seq is not before `from_seq`, and
 * the slots that are not. */
static struct plan_input look_from(uint64_t from_seq, const struct target *target)
{
    static struct manifest seen[MODEL_SNAPSHOTS_MAX];
    struct plan_input view = {.manifests = seen, .slots = slots, .target = *target};
    for (size_t i = 0; i < input.manifest_count; i++) {
        if (manifests[i].next_seq >= from_seq) {
            seen[view.manifest_count++] = manifests[i];
        }
    }
    while (view.slots < slots + input.slot_count && view.slots->seq < from_seq) {
        view.slots++;
    }
    view.slot_count = input.slot_count - (size_t)(view.slots - slots);
    return view;
}

/* The next_seq of the newest snapshot that is older than `before`; 0: there is none. */
static uint64_t look_further(uint64_t before)
{
    uint64_t from_seq = 0;
    for (size_t i = 0; i < input.manifest_count; i++) {
        uint64_t seq = manifests[i].next_seq;
        from_seq = seq < before && seq > from_seq ? seq : from_seq;
    }
    return from_seq;
}

static size_t index_of(const struct manifest *manifest)
{
    size_t i = 0;
    while (!model_is_same(&manifests[i], manifest)) {
        i++;
    }
    return i;
}

static unsigned looks; /* plans that were settled before everything was in view */

/* Restores from what is in view, which reaches back to slot `from_seq` at first and further as long
 * as the plan is not settled. */
static struct outcome restore(const struct target *target, uint64_t from_seq)
{
    bool spoiled[MODEL_SNAPSHOTS_MAX] = {false};
    for (;;) {
        struct outcome out = {0};
        struct plan plan;
        struct replay replay;
        bool seen_spoiled[MODEL_SNAPSHOTS_MAX];
        struct plan_input view = look_from(from_seq, target);
        for (size_t i = 0; i < view.manifest_count; i++) {
            seen_spoiled[i] = spoiled[index_of(&view.manifests[i])];
        }
        view.spoiled = seen_spoiled;
        cr_assert(eq(int, plan_make(&view, &plan), STATUS_OK));
        if (from_seq > 0 && !plan.is_settled) {
            from_seq = look_further(from_seq);
            plan_free(&plan);
            continue;
        }
        if (!plan.is_found) {
            plan_free(&plan);
            return (struct outcome){0};
        }
        looks += from_seq > 0;
        out = (struct outcome){.is_found = true, .end = plan.end};
        out.snapshot = index_of(&view.manifests[plan.manifest]);
        out.state = model.snapshots[out.snapshot].rows;
        for (size_t i = 0; i < view.manifest_count; i++) {
            out.refused[index_of(&view.manifests[i])] = plan.refused[i];
        }
        replay_begin(&replay, &manifests[out.snapshot], &plan.target);
        for (size_t i = 0; i < plan.step_count; i++) {
            struct plan_step step = plan.steps[i];
            step.slot += (size_t)(view.slots - slots);
            if (!replay_one(&replay, &step, &out)) {
                break;
            }
        }
        out.lsn = replay.last_lsn;
        cr_assert(out.lsn <= plan.last_lsn);
        cr_assert(plan.lost_lsn == 0 || plan.lost_lsn > plan.last_lsn);
        plan_free(&plan);
        bool is_off = out.has_gap || (target->kind == TARGET_LSN && out.lsn != target->lsn);
        if (is_off && from_seq > 0) {
            from_seq = 0; /* inside a slot it is otherwise than its header let expect */
        } else if (replay_is_consistent(&replay)) {
            return out;
        } else {
            spoiled[out.snapshot] = true;
        }
    }
}

/* ---- What should come out ---- */

static bool is_left(size_t seq)
{
    return !model.slots[seq].is_lost && !model.slots[seq].is_damaged;
}

/* Is the event the archive's first word about something later than the time? A fence that stands
 * directly before an earlier change of its process is not, as long as that can be seen. */
static bool is_later(size_t i, int64_t time_ms)
{
    const struct model_event *event = &model.events[i];
    if (event->time_ms <= time_ms || !event->is_fence) {
        return event->time_ms > time_ms;
    }
    for (size_t seq = 1; seq < model.slot_count; seq++) {
        const struct slot_header *header = &model.slots[seq].header;
        const struct slot_header *fence = &model.slots[seq - 1].header;
        if (header->epoch == event->owner && fence->epoch == event->owner && slot_is_fence(fence)) {
            return !is_left(seq) || header->from_ms > time_ms;
        }
    }
    return true;
}

/* Does the archive have something of that process both before and behind this event? */
static bool is_within(size_t i)
{
    bool is_before = false;
    bool is_behind = false;
    for (size_t other = 0; other < model.event_count; other++) {
        if (model.events[other].owner == model.events[i].owner && !model.events[other].is_dropped) {
            is_before = is_before || other < i;
            is_behind = is_behind || other > i;
        }
    }
    return is_before && is_behind;
}

/* The newest change at a time. What a process never shipped is seen by what it shipped before and
 * behind it; what it had before its first word, or behind its last, only a snapshot can show. */
static uint64_t lsn_at(int64_t time_ms, bool with_unseen)
{
    uint64_t lsn = 0;
    for (size_t i = 0; i < model.event_count && !is_later(i, time_ms); i++) {
        if (with_unseen || !model.events[i].is_dropped || is_within(i)) {
            lsn = model.events[i].lsn;
        }
    }
    return lsn;
}

static char label[200]; /* what is being tried */

/* The process that the archive says was there at a time. */
static uint64_t owner_at(int64_t time_ms)
{
    uint64_t owner = 0;
    for (size_t i = 0; i < model.event_count && !is_later(i, time_ms); i++) {
        owner = model.events[i].is_fence ? model.events[i].owner : owner;
    }
    return owner;
}

/* The newest change at the end of what is left; the caller knows that the end is good. */
static uint64_t lsn_at_end(const struct outcome *out)
{
    size_t seq = model.slot_count;
    while (seq > 0 && model.slots[seq - 1].is_lost) {
        seq--;
    }
    const struct manifest *snapshot = &model.snapshots[out->snapshot].manifest;
    for (size_t i = 0; i < model.snapshot_count; i++) {
        cr_assert(model.snapshots[i].manifest.next_seq <= seq ||
                      model.snapshots[i].manifest.next_seq <= snapshot->next_seq,
                  "%s: slots up to snapshot %zu are missing", label, i);
    }
    const struct slot_header *last = seq != 0 ? &model.slots[seq - 1].header : NULL;
    /* A snapshot of the last process may have what was never shipped, and one of a process of which
     * no slot is left is all there is of it. */
    if (last == NULL || last->epoch < snapshot->id.epoch ||
        (last->epoch == snapshot->id.epoch && last->last_lsn < snapshot->through_lsn)) {
        return snapshot->through_lsn;
    }
    return last->last_lsn;
}

/* The model's opinion about a snapshot that was refused: could it have given this state? */
static bool is_usable(const struct model_snapshot *snapshot, uint64_t lsn,
                      const struct target *target)
{
    const struct manifest *manifest = &snapshot->manifest;
    if ((target->kind == TARGET_LSN && manifest->through_lsn > target->lsn) ||
        (target->kind == TARGET_TIME && manifest->time_ms > target->time_ms) ||
        !model_is_ancestor(&model, manifest->through_lsn, lsn)) {
        return false;
    }
    for (; lsn > manifest->id.from_lsn; lsn = model_change(&model, lsn)->parent_lsn) {
        bool is_there = false;
        for (size_t seq = manifest->next_seq; seq < model.slot_count && !is_there; seq++) {
            const struct slot_header *header = &model.slots[seq].header;
            is_there = header->batches != 0 && header->first_lsn <= lsn && lsn <= header->last_lsn;
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

/* Has a later process shipped changes that the snapshot may hold, because those before had not, or
 * had been abandoned? By headers it cannot be told from one that does not have them. */
static bool is_shipped_later(const struct model_snapshot *snapshot)
{
    for (size_t seq = 0; seq < model.slot_count; seq++) {
        const struct slot_header *header = &model.slots[seq].header;
        if (header->epoch > snapshot->owner && header->batches != 0 &&
            header->first_lsn <= snapshot->manifest.through_lsn) {
            return true;
        }
    }
    return false;
}

static bool is_in_archive(uint64_t lsn)
{
    for (size_t seq = 0; seq < model.slot_count; seq++) {
        for (size_t i = 0; is_left(seq) && i < model.slots[seq].header.batches; i++) {
            const struct slot_batch *batch = &model.slots[seq].batches[i];
            if (batch->first_lsn <= lsn && lsn <= slot_batch_last_lsn(batch)) {
                return true;
            }
        }
    }
    return false;
}

/* Is every change in the archive once? Only then is it clear which is the last before one that is
 * not. */
static bool is_in_order(void)
{
    uint64_t high_lsn = 0;
    for (size_t seq = 0; seq < model.slot_count; seq++) {
        const struct slot_header *header = &model.slots[seq].header;
        if (header->batches != 0 && header->first_lsn <= high_lsn) {
            return false;
        }
        high_lsn = header->batches != 0 ? header->last_lsn : high_lsn;
    }
    return true;
}

static uint64_t archive_high_lsn(void)
{
    uint64_t high_lsn = 0;
    for (size_t seq = 0; seq < model.slot_count; seq++) {
        const struct slot_header *header = &model.slots[seq].header;
        high_lsn = header->batches != 0 && header->last_lsn > high_lsn ? header->last_lsn
                                                                       : high_lsn;
    }
    return high_lsn;
}

static void expect_good(const struct outcome *out, const struct target *target)
{
    struct model_state state = model_state(&model, out->lsn);
    const struct manifest *chosen = &model.snapshots[out->snapshot].manifest;
    for (size_t i = 0; i < model.snapshot_count; i++) {
        bool is_newer = model.snapshots[i].manifest.next_seq > chosen->next_seq;
        cr_assert(out->refused[i] != NULL || !is_newer, "%s: snapshot %zu", label, i);
    }
    cr_assert(memcmp(&state, &out->state, sizeof state) == 0, "%s: not the state at %" PRIu64,
              label, out->lsn);
    bool is_reached = !out->has_gap && out->end == PLAN_END_TARGET;
    if (target->kind == TARGET_LSN) {
        cr_assert(out->lsn <= target->lsn, "%s: %" PRIu64, label, out->lsn);
        cr_assert(out->lsn == target->lsn || !is_reached || !is_in_archive(target->lsn),
                  "%s: %" PRIu64, label, out->lsn);
    }
    if (target->kind == TARGET_TIME && is_reached) {
        uint64_t seen = lsn_at(target->time_ms, false);
        uint64_t all = lsn_at(target->time_ms, true);
        /* A snapshot of the process of that time may have what was never shipped. */
        bool is_shown = out->lsn == chosen->through_lsn &&
                        chosen->id.epoch == owner_at(target->time_ms) &&
                        model_is_ancestor(&model, seen, out->lsn);
        cr_assert(out->lsn == seen || out->lsn == all || is_shown,
                  "%s: %" PRIu64 " instead of %" PRIu64 " or %" PRIu64, label, out->lsn, seen, all);
    }
    if (!out->has_gap && out->end == PLAN_END_ARCHIVE) {
        cr_assert(out->lsn == lsn_at_end(out), "%s: %" PRIu64 " instead of %" PRIu64, label,
                  out->lsn, lsn_at_end(out));
    }
}

/* No newer snapshot would have done, except where nobody could know. */
static void expect_newest(const struct outcome *out, const struct target *target)
{
    bool is_clear = out->end != PLAN_END_ABSENT || is_in_order();
    for (size_t i = 0; i < model.snapshot_count && is_clear; i++) {
        cr_assert(out->refused[i] == NULL || !is_usable(&model.snapshots[i], out->lsn, target) ||
                      is_shipped_later(&model.snapshots[i]),
                  "%s: snapshot %zu was refused: %s", label, i, out->refused[i]);
    }
}

/* When nothing was lost, everything is found, and from the newest snapshot that it can be found
 * from. */
static void expect_all(const struct outcome *out, const struct target *target)
{
    cr_assert(out->is_found && !out->has_gap, "%s: no way", label);
    cr_assert(out->end == PLAN_END_TARGET || out->end == PLAN_END_ARCHIVE ||
                  out->end == PLAN_END_ABSENT,
              "%s: %s", label, plan_end_text(out->end));
    /* An lsn that does not exist stands for the last one before it that does. */
    bool is_between = out->end == PLAN_END_ABSENT && target->lsn < archive_high_lsn();
    for (uint64_t lsn = target->lsn; is_between && is_in_order() && lsn > out->lsn; lsn--) {
        cr_assert(is_in_archive(lsn) == false, "%s: %" PRIu64 " but not %" PRIu64, label, out->lsn,
                  lsn);
    }
    expect_newest(out, target);
}

/* From the newest snapshot back, as far as it takes: what comes out is as good, and the same unless
 * older snapshots mislead into what is missing. */
static void expect_same(const struct outcome *all, const struct target *target)
{
    struct outcome out = restore(target, look_further(UINT64_MAX));
    cr_assert(out.is_found || !all->is_found, "%s: nothing instead of %" PRIu64, label, all->lsn);
    if (out.is_found) {
        expect_good(&out, target);
    }
    bool is_same = out.is_found == all->is_found && out.has_gap == all->has_gap &&
                   out.end == all->end && out.lsn == all->lsn &&
                   memcmp(&out.state, &all->state, sizeof out.state) == 0;
    bool is_whole = !all->has_gap && all->end != PLAN_END_MISSING && all->end != PLAN_END_DAMAGED &&
                    all->end != PLAN_END_GAP && all->end != PLAN_END_FORK;
    cr_assert(is_same || !all->is_found || (!is_whole && !out.has_gap),
              "%s: %d from snapshot %zu to %" PRIu64 " (%s), not %d from %zu to %" PRIu64 " (%s)",
              label, out.is_found, out.snapshot, out.lsn, plan_end_text(out.end), all->is_found,
              all->snapshot, all->lsn, plan_end_text(all->end));
}

static struct target random_target(void)
{
    switch (model_random(&model, 5)) {
    case 0:
        return (struct target){.kind = TARGET_LATEST};
    case 1:
    case 2:
        return (struct target){.kind = TARGET_LSN,
                               .lsn = model_random(&model, model.high_lsn + 10)};
    default:
        return (struct target){
            .kind = TARGET_TIME,
            .time_ms = (int64_t)model_random(&model, (uint64_t)model.now_ms - 990) + 995};
    }
}

/* How often each of these came out: the test means little if something never does. */
static unsigned ends[PLAN_END_FORK + 1], gaps, nothing;

enum fate { WHOLE, PRUNED, LOSSES };

static void run(uint64_t seed, bool with_drops, enum fate fate)
{
    model_run(&model, seed, 20 + (unsigned)(seed % EVENTS_MAX), with_drops);
    if (fate == LOSSES) {
        model_lose(&model);
    } else if (fate == PRUNED) {
        model_prune(&model);
    }
    look_at_archive();
    for (unsigned i = 0; i < TARGETS; i++) {
        struct target target = random_target();
        (void)snprintf(label, sizeof label,
                       "seed %" PRIu64 ", drops %d, fate %d, target %d lsn %" PRIu64
                       " time %" PRId64,
                       seed, with_drops, (int)fate, (int)target.kind, target.lsn, target.time_ms);
        struct outcome out = restore(&target, 0);
        expect_same(&out, &target);
        nothing += !out.is_found;
        if (out.is_found) {
            ends[out.end]++;
            gaps += out.has_gap;
            expect_good(&out, &target);
        }
        bool is_before_all = target.kind == TARGET_TIME && target.time_ms < 1000;
        if (!model.has_drops && !model.has_losses && !is_before_all) {
            expect_all(&out, &target);
        }
        if (out.is_found && fate == PRUNED && !model.has_drops) {
            expect_newest(&out, &target);
        }
    }
}

Test(plan_random, what_comes_out_is_a_state_that_was_and_the_target_when_it_says_so, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run(seed, false, WHOLE);
        run(seed, true, WHOLE);
        run(seed, seed % 2 == 0, PRUNED);
        run(seed, seed % 2 == 0, LOSSES);
    }
    cr_assert(ends[PLAN_END_TARGET] > 1000 && ends[PLAN_END_ARCHIVE] > 1000);
    cr_assert(ends[PLAN_END_ABSENT] > 1000 && ends[PLAN_END_MISSING] > 100);
    cr_assert(ends[PLAN_END_DAMAGED] > 100 && gaps > 100 && nothing > 100);
    cr_assert(looks > 10000);
}
