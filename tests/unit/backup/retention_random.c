/*
 * Retention against the model: thousands of small random histories with some losses, each pruned by
 * a random policy. Whatever was restored from a snapshot that stays is restored from it as before,
 * along the same slots; and so is the latest state, always.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "backup/retention.h"
#include "unit/backup/archive_model.h"

enum { HISTORIES = 20000, EVENTS_MAX = 160, HOUR_MS = 3600 * 1000 };

static struct model model;

/* An archive, as far as a plan sees it. */
struct archive_view {
    struct manifest manifests[MODEL_SNAPSHOTS_MAX];
    size_t manifest_count;
    struct plan_slot slots[MODEL_SLOTS_MAX];
    size_t slot_count;
};

static struct archive_view before;
static struct archive_view after;

static void look(void)
{
    before.manifest_count = 0;
    before.slot_count = 0;
    for (size_t i = 0; i < model.snapshot_count; i++) {
        before.manifests[before.manifest_count++] = model.snapshots[i].manifest;
    }
    for (size_t i = 0; i < model.slot_count; i++) {
        if (!model.slots[i].is_lost) {
            before.slots[before.slot_count++] = (struct plan_slot){
                .seq = i, .is_damaged = model.slots[i].is_damaged, .header = model.slots[i].header};
        }
    }
}

static struct plan plan_for(const struct archive_view *view, const struct target *target)
{
    struct plan plan;
    const struct plan_input input = {.manifests = view->manifests,
                                     .manifest_count = view->manifest_count,
                                     .slots = view->slots,
                                     .slot_count = view->slot_count,
                                     .target = *target};
    cr_assert(eq(int, plan_make(&input, &plan), STATUS_OK));
    return plan;
}

/* Prunes by chance: the model's milliseconds count as so many minutes of the storage. */
static void prune(size_t latest)
{
    static struct retention_snapshot snapshots[MODEL_SNAPSHOTS_MAX];
    static struct retention_slot slots[MODEL_SLOTS_MAX];
    struct retention decided;
    for (size_t i = 0; i < before.manifest_count; i++) {
        const struct manifest *manifest = &before.manifests[i];
        snapshots[i] = (struct retention_snapshot){.kind = RETENTION_GOOD,
                                                   .next_seq = manifest->next_seq,
                                                   .through_lsn = manifest->through_lsn,
                                                   .stored_ms = manifest->time_ms * 60000};
    }
    for (size_t i = 0; i < before.slot_count; i++) {
        slots[i] = (struct retention_slot){.seq = before.slots[i].seq, .stored_ms = 1};
    }
    const struct retention_input input = {
        .policy = {.count = model_random(&model, 4),
                   .age_ms = model_random(&model, 3) == 0
                                 ? model_random(&model, (uint64_t)model.now_ms * 60000)
                                 : 0},
        .snapshots = snapshots,
        .snapshot_count = before.manifest_count,
        .slots = slots,
        .slot_count = before.slot_count,
        .latest = latest,
        .hold_seq = model_random(&model, 5) == 0 ? model_random(&model, model.slot_count + 1)
                                                 : UINT64_MAX,
        .now_ms = model.now_ms * 60000 + 2 * HOUR_MS};
    cr_assert(eq(int, retention_decide(&input, &decided), STATUS_OK));
    after.manifest_count = 0;
    for (size_t i = 0; i < before.manifest_count; i++) {
        if (decided.reasons[i] != NULL) {
            after.manifests[after.manifest_count++] = before.manifests[i];
        }
    }
    after.slot_count = before.slot_count - decided.slots_gone;
    memcpy(after.slots, before.slots + decided.slots_gone, after.slot_count * sizeof *after.slots);
    retention_free(&decided);
}

static bool is_kept(const struct manifest *manifest)
{
    for (size_t i = 0; i < after.manifest_count; i++) {
        if (model_is_same(&after.manifests[i], manifest)) {
            return true;
        }
    }
    return false;
}

/* Does a slot that is left name the change? Where none does, nothing tells that a snapshot which
 * lies beside it does so, and the plan says ABSENT rather than going there. */
static bool is_named(uint64_t lsn)
{
    for (size_t i = 0; i < after.slot_count; i++) {
        const struct plan_slot *slot = &after.slots[i];
        if (!slot->is_damaged && slot->header.batches != 0 && slot->header.first_lsn <= lsn &&
            lsn <= slot->header.last_lsn) {
            return true;
        }
    }
    return false;
}

static bool is_same(const struct plan *old, const struct plan *new)
{
    return new->is_found &&model_is_same(&before.manifests[old->manifest],
                                         &after.manifests[new->manifest]);
}

/* The newest change of a slot that is not void; 0: all are. */
static uint64_t newest_kept(const struct slot_header *header, uint64_t keep_lsn)
{
    uint64_t lsn = header->last_lsn < keep_lsn ? header->last_lsn : keep_lsn;
    return header->batches != 0 && header->first_lsn <= lsn ? lsn : 0;
}

static unsigned compared;

static void compare(const struct target *target)
{
    struct plan old = plan_for(&before, target);
    bool is_absent = target->kind == TARGET_LSN && !is_named(target->lsn);
    if (old.is_found && (is_absent || old.end == PLAN_END_ABSENT)) {
        /* Then another state is not taken for it. */
        struct plan new = plan_for(&after, target);
        bool is_taken = new.is_found &&new.end == PLAN_END_TARGET && !is_same(&old, &new);
        cr_assert(not(is_taken), "%s; now %s", old.text, new.text);
        plan_free(&new);
    } else if (old.is_found && is_kept(&before.manifests[old.manifest])) {
        struct plan new = plan_for(&after, target);
        cr_assert(is_same(&old, &new), "%s; now %s", old.text, new.text);
        cr_assert(eq(sz, new.step_count, old.step_count));
        for (size_t i = 0; i < old.step_count; i++) {
            cr_assert(
                eq(u64, after.slots[new.steps[i].slot].seq, before.slots[old.steps[i].slot].seq));
            const struct slot_header *header = &after.slots[new.steps[i].slot].header;
            cr_assert(eq(u64, newest_kept(header, new.steps[i].keep_lsn),
                         newest_kept(header, old.steps[i].keep_lsn)));
        }
        cr_assert(eq(int, new.end, old.end));
        cr_assert(eq(u64, new.last_lsn, old.last_lsn));
        cr_assert(eq(u64, new.lost_lsn, old.lost_lsn));
        plan_free(&new);
        compared++;
    } else {
        cr_assert(not(target->kind == TARGET_LATEST && old.is_found), "the latest state is gone");
    }
    plan_free(&old);
}

Test(retention_random, what_stays_restores_as_before, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        const struct target latest = {.kind = TARGET_LATEST};
        model_run(&model, seed, (unsigned)(20 + seed % EVENTS_MAX), seed % 3 == 0);
        if (seed % 4 == 0) {
            model_lose(&model);
        }
        look();
        struct plan plan = plan_for(&before, &latest);
        size_t chosen = plan.is_found ? plan.manifest : SIZE_MAX;
        plan_free(&plan);
        prune(chosen);
        compare(&latest);
        for (unsigned i = 0; i < 12; i++) {
            compare(&(struct target){.kind = TARGET_LSN,
                                     .lsn = model_random(&model, model.high_lsn + 2)});
            compare(&(struct target){
                .kind = TARGET_TIME,
                .time_ms = (int64_t)model_random(&model, (uint64_t)model.now_ms + 5)});
        }
    }
    cr_assert(lt(uint, HISTORIES * 4, compared));
}
