/* Following the log from a snapshot. */
#include "tools/backup/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/replay.h"

/* ---- Taking slots --------------------------------------------------------------------------- */

static enum status make_room_for_slot(struct history *self)
{
    if (self->slot_count < self->slot_cap) {
        return STATUS_OK;
    }
    size_t cap = self->slot_cap == 0 ? 256 : self->slot_cap * 2;
    struct plan_slot *slots = reallocarray(self->slots, cap, sizeof *slots);
    self->slots = slots != NULL ? slots : self->slots;
    struct history_slot *contents = reallocarray(self->contents, cap, sizeof *contents);
    self->contents = contents != NULL ? contents : self->contents;
    if (slots == NULL || contents == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->slot_cap = cap;
    return STATUS_OK;
}

static bool continues(const struct history_batch *last, const struct slot_batch *batch)
{
    uint64_t end_lsn = last->first_lsn + last->count - 1;
    return batch->follows_lsn == end_lsn && batch->first_lsn == end_lsn + 1 &&
           batch->count <= UINT32_MAX - last->count;
}

static enum status add_batch(struct history *self, struct history_slot *content,
                             const struct slot_batch *batch)
{
    struct history_batch *last = content->batch_count != 0 ? &self->batches[self->batch_count - 1]
                                                           : NULL;
    if (last != NULL && continues(last, batch)) {
        last->count += batch->count;
        last->time_ms = batch->time_ms;
        return STATUS_OK;
    }
    if (self->batches == NULL || self->batch_count == self->batch_cap) {
        size_t cap = self->batch_cap == 0 ? 256 : self->batch_cap * 2;
        struct history_batch *grown = reallocarray(self->batches, cap, sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        self->batches = grown;
        self->batch_cap = cap;
    }
    self->batches[self->batch_count++] = (struct history_batch){
        batch->follows_lsn, batch->first_lsn, batch->time_ms, batch->count};
    content->batch_count++;
    return STATUS_OK;
}

static enum status add_batches(struct history *self, struct history_slot *content)
{
    struct view rest = slot_batches(&self->slot);
    struct slot_batch batch;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && slot_next_batch(&rest, &batch) == STATUS_OK) {
        status = add_batch(self, content, &batch);
    }
    return status;
}

static void complain(struct history *self, const char *why)
{
    (void)snprintf(self->problem, sizeof self->problem, "%s", why);
}

/* Does the slot stand behind the one that it was written behind? What a fork is, the plan finds. */
static void check_place(struct history *self, uint64_t seq)
{
    const struct slot_header *header = &self->slot.header;
    if (header->seq != seq) {
        complain(self, "it is the slot of another number");
    } else if (self->slot_count != 0) {
        const struct plan_slot *before = &self->slots[self->slot_count - 1];
        if (!before->is_damaged && before->seq + 1 == seq &&
            memcmp(self->contents[self->slot_count - 1].hash, header->prev, HASH128_BYTES) != 0) {
            complain(self, "it was written behind another slot than the one before it");
        }
    }
}

enum status history_add(struct history *self, uint64_t seq, struct view bytes, const char *why)
{
    self->problem[0] = '\0';
    enum status status = make_room_for_slot(self);
    if (status == STATUS_OK && why == NULL) {
        status = slot_open(&self->slot, bytes);
    }
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    struct plan_slot *slot = &self->slots[self->slot_count];
    struct history_slot *content = &self->contents[self->slot_count];
    *slot = (struct plan_slot){.seq = seq};
    *content = (struct history_slot){.batch_begin = self->batch_count};
    if (why != NULL || status != STATUS_OK) {
        complain(self, why != NULL ? why : self->slot.errmsg);
        slot->is_damaged = true;
    } else {
        check_place(self, seq);
        slot->is_damaged = self->slot.header.seq != seq;
        slot->header = self->slot.header;
        slot_hash(bytes, content->hash);
        status = add_batches(self, content);
        if (status != STATUS_OK) {
            return status;
        }
    }
    self->slot_count++;
    return STATUS_OK;
}

/* ---- Following ------------------------------------------------------------------------------ */

static size_t find_slot(const struct history *self, uint64_t seq)
{
    size_t low = 0;
    size_t high = self->slot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->slots[middle].seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Replays a slot of the plan; false: the way ends in it or before it. */
static bool replay_one(const struct history *self, size_t index, struct replay *replay,
                       const struct plan_step *step, struct history_way *way)
{
    const struct history_slot *content = &self->contents[index];
    if (replay_slot(replay, &self->slots[index].header, content->hash, step) != STATUS_OK) {
        return false;
    }
    for (uint32_t i = 0; i < content->batch_count; i++) {
        const struct history_batch *from = &self->batches[content->batch_begin + i];
        const struct slot_batch batch = {.follows_lsn = from->follows_lsn,
                                         .first_lsn = from->first_lsn,
                                         .time_ms = from->time_ms,
                                         .count = from->count};
        uint32_t count = 0;
        switch (replay_batch(replay, &batch, &count)) {
        case REPLAY_APPLY:
            way->last_ms = batch.time_ms;
            break;
        case REPLAY_SKIP:
            break;
        case REPLAY_GAP:
        case REPLAY_DONE:
            return false;
        }
    }
    return true;
}

static void replay_plan(const struct history *self, size_t begin, const struct manifest *manifest,
                        const struct plan *plan, struct history_way *way)
{
    struct replay replay;
    size_t done = 0;
    replay_begin(&replay, manifest, &plan->target);
    while (done < plan->step_count &&
           replay_one(self, begin + plan->steps[done].slot, &replay, &plan->steps[done], way)) {
        done++;
    }
    bool is_through = done == plan->step_count;
    way->is_whole = replay_is_consistent(&replay);
    way->has_gap = replay.has_gap || plan->end == PLAN_END_GAP;
    way->last_lsn = replay.last_lsn;
    way->end_seq = is_through ? plan->end_seq : self->slots[begin + plan->steps[done].slot].seq;
    way->is_latest = way->is_whole && is_through && !replay.has_gap &&
                     plan->target.kind == TARGET_LATEST && plan->end == PLAN_END_ARCHIVE;
    (void)snprintf(way->text, sizeof way->text, "%s",
                   replay.errmsg[0] != '\0' ? replay.errmsg : plan_end_text(plan->end));
}

static enum status make_plan(const struct history *self, size_t begin,
                             const struct manifest *manifest, struct target target,
                             struct plan *out)
{
    const struct plan_input input = {.manifests = manifest,
                                     .manifest_count = 1,
                                     .slots = self->slots + begin,
                                     .slot_count = self->slot_count - begin,
                                     .target = target};
    return plan_make(&input, out);
}

enum status history_follow(const struct history *self, const struct manifest *manifest,
                           struct history_way *out)
{
    size_t begin = find_slot(self, manifest->next_seq);
    struct plan plan;
    *out = (struct history_way){.last_ms = manifest->time_ms, .end_seq = manifest->next_seq};
    enum status status = make_plan(self, begin, manifest, (struct target){.kind = TARGET_LATEST},
                                   &plan);
    if (status == STATUS_OK && !plan.is_found) {
        /* Its history was abandoned, perhaps; then its own end is as far as it is of use. */
        plan_free(&plan);
        status = make_plan(self, begin, manifest,
                           (struct target){.kind = TARGET_LSN, .lsn = manifest->through_lsn},
                           &plan);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (plan.is_found) {
        replay_plan(self, begin, manifest, &plan, out);
    } else {
        (void)snprintf(out->text, sizeof out->text, "%s", plan.refused[0]);
    }
    plan_free(&plan);
    return STATUS_OK;
}

void history_clear(struct history *self)
{
    self->slot_count = 0;
    self->batch_count = 0;
}

void history_free(struct history *self)
{
    free(self->slots);
    free(self->contents);
    free(self->batches);
    slot_close(&self->slot);
    *self = (struct history){0};
}
