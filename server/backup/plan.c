/* Which snapshot, and what is said about it; the way to the target is in plan_walk.c. */
#include "backup/plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/plan_private.h"

const char *plan_end_text(enum plan_end end)
{
    static const char *const texts[] = {
#define X(name, text) [PLAN_END_##name] = text,
        PLAN_ENDS(X)
#undef X
    };
    return texts[end];
}

/* What is needed while a plan is made, all owned but the input. */
struct making {
    const struct plan_input *input;
    const struct manifest **order; /* the newest snapshot first */
    uint64_t *high_lsns;
    struct plan_mark *marks;
};

static void making_free(struct making *self)
{
    free(self->order);
    free(self->high_lsns);
    free(self->marks);
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* By their place in the log, which all writers share; lsns and clocks only decide between equals.
 */
static int newest_first(const void *left, const void *right)
{
    const struct manifest *a = *(const struct manifest *const *)left;
    const struct manifest *b = *(const struct manifest *const *)right;
    int order = compare(b->next_seq, a->next_seq);
    order = order != 0 ? order : compare(b->through_lsn, a->through_lsn);
    order = order != 0 ? order : compare((uint64_t)b->time_ms, (uint64_t)a->time_ms);
    order = order != 0 ? order : compare(b->id.epoch, a->id.epoch);
    return order != 0 ? order : compare(b->id.nonce, a->id.nonce);
}

static enum status prepare(struct making *self)
{
    const struct plan_input *input = self->input;
    self->order = calloc(input->manifest_count + 1, sizeof(struct manifest *));
    self->high_lsns = calloc(input->slot_count + 1, sizeof *self->high_lsns);
    self->marks = calloc(input->slot_count + 1, sizeof *self->marks);
    if (self->order == NULL || self->high_lsns == NULL || self->marks == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < input->manifest_count; i++) {
        self->order[i] = &input->manifests[i];
    }
    qsort(self->order, input->manifest_count, sizeof(struct manifest *), newest_first);
    for (size_t i = 0; i < input->slot_count; i++) {
        const struct plan_slot *slot = &input->slots[i];
        assert(i == 0 || slot->seq > input->slots[i - 1].seq);
        uint64_t high_lsn = self->high_lsns[i];
        if (!slot->is_damaged && slot->header.batches != 0 && slot->header.last_lsn > high_lsn) {
            high_lsn = slot->header.last_lsn;
        }
        self->high_lsns[i + 1] = high_lsn;
    }
    return STATUS_OK;
}

/* Behind the last slot that is there, or that a snapshot says has been. */
static uint64_t archive_end_seq(const struct plan_input *input)
{
    uint64_t seq = input->slot_count != 0 ? input->slots[input->slot_count - 1].seq + 1 : 0;
    for (size_t i = 0; i < input->manifest_count; i++) {
        seq = input->manifests[i].next_seq > seq ? input->manifests[i].next_seq : seq;
    }
    return seq;
}

static struct target effective_target(const struct making *self)
{
    const struct plan_input *input = self->input;
    uint64_t high_lsn = self->high_lsns[input->slot_count];
    for (size_t i = 0; i < input->manifest_count; i++) {
        uint64_t through_lsn = input->manifests[i].through_lsn;
        high_lsn = through_lsn > high_lsn ? through_lsn : high_lsn;
    }
    return input->target.kind == TARGET_LSN && input->target.lsn > high_lsn
               ? (struct target){.kind = TARGET_LATEST}
               : input->target;
}

static enum plan_end name_end(const struct plan_input *input, const struct plan_walk *walk)
{
    bool is_good = walk->ended == PLAN_END_TARGET || walk->ended == PLAN_END_ARCHIVE;
    if (!is_good || input->target.kind != TARGET_LSN) {
        return walk->ended;
    }
    return walk->last_lsn == input->target.lsn ? PLAN_END_TARGET : PLAN_END_ABSENT;
}

static void describe(struct plan *plan, const struct manifest *snapshot)
{
    char name[SNAPSHOT_NAME_BYTES];
    char lost[96] = "";
    snapshot_name(name, &snapshot->id, SNAPSHOT_ROWS);
    if (plan->lost_lsn != 0) {
        (void)snprintf(lost, sizeof lost, "; what is known to be lost goes up to change %" PRIu64,
                       plan->lost_lsn);
    }
    (void)snprintf(plan->text, sizeof plan->text,
                   "%s and %zu slots from %" PRIu64 " on, to change %" PRIu64 ": %s (slot %" PRIu64
                   ")%s",
                   name, plan->step_count, snapshot->next_seq, plan->last_lsn,
                   plan_end_text(plan->end), plan->end_seq, lost);
}

static bool is_settled(const struct plan *plan, const struct plan_walk *walk)
{
    switch (plan->end) {
    case PLAN_END_TARGET:
    case PLAN_END_ARCHIVE:
        return true;
    case PLAN_END_MISSING:
    case PLAN_END_DAMAGED:
    case PLAN_END_FORK:
        return !walk->is_doubtful;
    case PLAN_END_ABSENT:
    case PLAN_END_GAP:
        return false;
    }
    return false;
}

static enum status take(struct plan *plan, const struct plan_input *input,
                        const struct plan_walk *walk)
{
    plan->steps = calloc(walk->step_count + 1, sizeof *plan->steps);
    if (plan->steps == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < walk->step_count; i++) {
        size_t slot = walk->begin + i;
        const struct plan_mark *mark = &walk->marks[slot];
        plan->steps[i] = (struct plan_step){slot, mark->keep_lsn, mark->is_void};
    }
    plan->is_found = true;
    plan->manifest = (size_t)(walk->snapshot - input->manifests);
    plan->step_count = walk->step_count;
    plan->target = walk->target;
    plan->end = name_end(input, walk);
    plan->end_seq = walk->ended_seq;
    plan->is_settled = is_settled(plan, walk);
    plan->last_lsn = walk->last_lsn;
    plan->lost_lsn = walk->lost_lsn;
    describe(plan, walk->snapshot);
    return STATUS_OK;
}

static enum status choose(const struct making *making, struct plan *plan)
{
    const struct plan_input *input = making->input;
    struct plan_walk walk = {
        .input = input,
        .target = effective_target(making),
        .high_lsns = making->high_lsns,
        .marks = making->marks,
        .archive_end_seq = archive_end_seq(input),
    };
    for (size_t i = 0; i < input->manifest_count; i++) {
        size_t index = (size_t)(making->order[i] - input->manifests);
        const char *problem = input->spoiled != NULL && input->spoiled[index]
                                  ? "it turned out to be unusable"
                                  : plan_walk(&walk, making->order[i]);
        if (problem == NULL) {
            return take(plan, input, &walk);
        }
        plan->refused[index] = problem;
    }
    (void)snprintf(plan->text, sizeof plan->text, "none of %zu snapshots is usable for the target",
                   input->manifest_count);
    return STATUS_OK;
}

enum status plan_make(const struct plan_input *input, struct plan *out)
{
    struct making making = {.input = input};
    *out = (struct plan){0};
    out->refused = calloc(input->manifest_count + 1, sizeof *out->refused);
    enum status status = out->refused != NULL ? prepare(&making) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        status = choose(&making, out);
    }
    making_free(&making);
    if (status != STATUS_OK) {
        plan_free(out);
    }
    return status;
}

void plan_free(struct plan *self)
{
    free(self->steps);
    free(self->refused);
    *self = (struct plan){0};
}
