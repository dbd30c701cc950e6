/*
 * The way from one snapshot to the target, in three passes over the slots' headers: how far the
 * target is, backwards what is void on the way there, and forwards as far as the slots reach.
 */
#include <string.h>

#include "backup/plan_private.h"

static const struct slot_header *header_at(const struct plan_walk *self, size_t i)
{
    return &self->input->slots[i].header;
}

static bool is_damaged(const struct plan_walk *self, size_t i)
{
    return self->input->slots[i].is_damaged;
}

static uint64_t min_lsn(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_same_process(const struct slot_header *a, const struct slot_header *b)
{
    return memcmp(a->nonce, b->nonce, SLOT_NONCE_BYTES) == 0;
}

/* ---- How far the target is ---- */

/* An lsn that no slot has lies between two: the state before it ends with the last change before
 * it, and what only a later process tells, its fences, is not met. Slots that may have held the lsn
 * stay. */
static void end_before(struct plan_walk *self, size_t later)
{
    size_t end = later;
    while (end > self->begin && !is_damaged(self, end - 1) &&
           header_at(self, end - 1)->batches == 0 &&
           self->input->slots[end - 1].seq + 1 == self->input->slots[end].seq) {
        end--;
    }
    self->end = end;
    self->end_seq = self->input->slots[end].seq;
    self->has_target = true;
}

static void end_with(struct plan_walk *self, size_t last)
{
    self->end = last + 1;
    self->end_seq = self->input->slots[last].seq + 1;
    self->has_target = true;
}

static void find_lsn(struct plan_walk *self)
{
    for (size_t i = self->begin; i < self->end; i++) {
        const struct slot_header *header = header_at(self, i);
        if (is_damaged(self, i) || header->batches == 0 || header->last_lsn < self->target.lsn) {
            continue;
        }
        if (header->first_lsn > self->target.lsn) {
            end_before(self, i);
        } else {
            self->has_lsn = true;
            end_with(self, i);
        }
        return;
    }
}

/* A fence is written when the storage can be reached, and batches of its process may be earlier. */
static bool is_later(const struct plan_walk *self, size_t i)
{
    const struct slot_header *header = header_at(self, i);
    if (header->from_ms <= self->target.time_ms) {
        return false;
    }
    if (!slot_is_fence(header) || header->batches != 0 || i + 1 == self->input->slot_count ||
        is_damaged(self, i + 1)) {
        return true;
    }
    const struct slot_header *next = header_at(self, i + 1);
    return !is_same_process(header, next) || next->from_ms > self->target.time_ms;
}

static void find_time(struct plan_walk *self)
{
    for (size_t i = self->begin; i < self->end; i++) {
        const struct slot_header *header = header_at(self, i);
        if (is_damaged(self, i)) {
            continue;
        }
        if (is_later(self, i)) {
            if (slot_is_fence(header)) {
                self->beyond = i;
                self->end = i;
                self->end_seq = self->input->slots[i].seq;
                self->has_target = true;
            } else {
                self->peek = i;
                end_with(self, i);
            }
        } else if (header->batches != 0 && header->to_ms > self->target.time_ms) {
            end_with(self, i);
        }
    }
}

static void find_target(struct plan_walk *self)
{
    const struct plan_input *input = self->input;
    self->begin = 0;
    while (self->begin < input->slot_count &&
           input->slots[self->begin].seq < self->snapshot->next_seq) {
        self->begin++;
    }
    self->end = input->slot_count;
    self->end_seq = self->archive_end_seq;
    self->has_target = false;
    self->has_lsn = false;
    self->peek = SIZE_MAX;
    self->beyond = SIZE_MAX;
    if (self->target.kind == TARGET_LSN) {
        find_lsn(self);
    } else if (self->target.kind == TARGET_TIME) {
        find_time(self);
    }
}

/* ---- Backwards: what is void ---- */

/* The first of the slots before `end` that are of one process with the last of them. */
static size_t process_begin(const struct plan_walk *self, size_t end)
{
    size_t begin = end;
    size_t last = SIZE_MAX;
    for (size_t i = end; i > self->begin; i--) {
        if (is_damaged(self, i - 1)) {
            continue;
        }
        if (last != SIZE_MAX && !is_same_process(header_at(self, last), header_at(self, i - 1))) {
            break;
        }
        last = i - 1;
        begin = i - 1;
    }
    return begin;
}

/*
 * From the target back, process by process. `limit_lsn` is the newest change that the processes
 * behind took over. If it is newer than anything before a process, it is that process' own, and so
 * that one's base lsn is the next limit; otherwise it is older, and the process was abandoned as a
 * whole.
 */
static void mark_void(struct plan_walk *self)
{
    uint64_t limit_lsn = UINT64_MAX;
    self->limit_lsn = UINT64_MAX;
    for (size_t end = self->end, begin; end > self->begin; end = begin) {
        begin = process_begin(self, end);
        if (begin == end) { /* only damaged ones are left */
            break;
        }
        const struct slot_header *first = header_at(self, begin);
        uint64_t high_lsn = self->high_lsns[begin];
        if (first->epoch > self->snapshot->id.epoch && self->snapshot->through_lsn > high_lsn) {
            high_lsn = self->snapshot->through_lsn;
        }
        bool is_void = limit_lsn <= high_lsn;
        for (size_t i = begin; i < end; i++) {
            self->marks[i] = (struct plan_mark){limit_lsn, is_void};
        }
        if (!is_void) {
            limit_lsn = min_lsn(limit_lsn, first->base_lsn);
            if (first->epoch > self->snapshot->id.epoch) {
                self->limit_lsn = limit_lsn;
            }
        }
    }
}

static bool has_changes(const struct plan_walk *self)
{
    for (size_t i = self->begin; i < self->end; i++) {
        if (!is_damaged(self, i) && header_at(self, i)->batches != 0) {
            return true;
        }
    }
    return false;
}

/*
 * Rule 3 of plan.h: do slots before the snapshot's have changes that it lacks and the target has?
 * Those up to what later processes took over, if that lies so early, or up to an lsn that does. A
 * process can ship once more what was abandoned before it; the first time counts.
 */
static bool is_beside_target(const struct plan_walk *self)
{
    const struct target *target = &self->target;
    uint64_t through_lsn = self->snapshot->through_lsn;
    uint64_t until_lsn = self->limit_lsn <= self->high_lsns[self->begin] ? self->limit_lsn : 0;
    if (target->kind == TARGET_LSN && !self->has_lsn && !has_changes(self)) {
        until_lsn = target->lsn;
    }
    for (size_t i = 0; i < self->begin; i++) {
        const struct slot_header *header = header_at(self, i);
        if (is_damaged(self, i) || header->batches == 0 || header->last_lsn <= through_lsn) {
            continue;
        }
        bool has_target = target->kind == TARGET_LSN && target->lsn > through_lsn &&
                          header->first_lsn <= target->lsn && target->lsn <= header->last_lsn;
        if (has_target || (header->first_lsn <= until_lsn && through_lsn < until_lsn)) {
            return true;
        }
    }
    return false;
}

/* ---- Forwards: as far as the slots reach ---- */

/* Do two slots that stand behind each other belong behind each other? */
static bool is_fork(const struct plan_walk *self, size_t i)
{
    const struct slot_header *header = header_at(self, i);
    if (memcmp(header->uuid, self->snapshot->uuid, SLOT_UUID_BYTES) != 0) {
        return true;
    }
    if (i == self->begin) {
        return false;
    }
    const struct slot_header *before = header_at(self, i - 1);
    if (slot_is_fence(header)) {
        return is_same_process(before, header) || header->epoch <= before->epoch;
    }
    return !is_same_process(before, header) || header->epoch != before->epoch ||
           header->base_lsn != before->base_lsn ||
           (before->batches != 0 && header->first_lsn <= before->last_lsn);
}

/* Why the walk does not pass slot `i`; TARGET: it does. */
static enum plan_end obstacle(const struct plan_walk *self, size_t i, uint64_t seq)
{
    if (self->input->slots[i].seq != seq) {
        return PLAN_END_MISSING;
    }
    if (is_damaged(self, i)) {
        return PLAN_END_DAMAGED;
    }
    if (is_fork(self, i)) {
        return PLAN_END_FORK;
    }
    const struct slot_header *header = header_at(self, i);
    if (slot_is_fence(header) && !self->marks[i].is_void && header->base_lsn > self->last_lsn) {
        return PLAN_END_GAP;
    }
    return PLAN_END_TARGET;
}

/* The newest change of a slot that belongs to the state; 0: none does. */
static uint64_t newest_kept(const struct plan_walk *self, size_t i)
{
    const struct slot_header *header = header_at(self, i);
    uint64_t lsn = min_lsn(header->last_lsn, self->marks[i].keep_lsn);
    if (self->target.kind == TARGET_LSN) {
        lsn = min_lsn(lsn, self->target.lsn);
    }
    return header->batches != 0 && i != self->peek && header->first_lsn <= lsn ? lsn : 0;
}

/* What the slots from `i` on say that cannot be had. */
static void note_lost(struct plan_walk *self, size_t i)
{
    for (self->lost_lsn = 0; i < self->end; i++) {
        if (is_damaged(self, i) || self->marks[i].is_void) {
            continue;
        }
        uint64_t lsn = newest_kept(self, i);
        lsn = lsn != 0 || i == self->peek ? lsn : header_at(self, i)->base_lsn;
        if (lsn > self->last_lsn && lsn > self->lost_lsn) {
            self->lost_lsn = lsn;
        }
    }
}

/* A later process took something over that the snapshot cannot have and no slot behind it has: is
 * it in slots that are older than the input? */
static bool is_doubtful(const struct plan_walk *self)
{
    uint64_t limit_lsn = self->limit_lsn;
    bool is_doubtful = limit_lsn != UINT64_MAX && limit_lsn > self->snapshot->through_lsn;
    for (size_t i = self->begin; i < self->end && is_doubtful; i++) {
        const struct slot_header *header = header_at(self, i);
        is_doubtful = is_damaged(self, i) || header->batches == 0 ||
                      header->first_lsn > limit_lsn || header->last_lsn < limit_lsn;
    }
    return is_doubtful;
}

static void walk(struct plan_walk *self)
{
    uint64_t seq = self->snapshot->next_seq;
    size_t i = self->begin;
    self->last_lsn = self->snapshot->id.from_lsn;
    self->ended = PLAN_END_TARGET;
    for (; i < self->end; i++, seq++) {
        self->ended = obstacle(self, i, seq);
        if (self->ended != PLAN_END_TARGET) {
            break;
        }
        uint64_t lsn = newest_kept(self, i);
        self->last_lsn = lsn > self->last_lsn ? lsn : self->last_lsn;
    }
    self->step_count = i - self->begin;
    self->ended_seq = seq;
    if (self->ended == PLAN_END_TARGET && seq < self->end_seq) {
        self->ended = PLAN_END_MISSING;
    } else if (self->ended == PLAN_END_TARGET && !self->has_target) {
        self->ended = PLAN_END_ARCHIVE;
    } else if (self->ended == PLAN_END_TARGET && self->beyond != SIZE_MAX) {
        /* What its process took over was there before it, and so before the target. */
        const struct slot_header *beyond = header_at(self, self->beyond);
        if (beyond->base_lsn > self->high_lsns[self->beyond] &&
            beyond->base_lsn > self->snapshot->through_lsn) {
            self->ended = PLAN_END_GAP;
            self->lost_lsn = beyond->base_lsn;
            return;
        }
    }
    note_lost(self, i);
}

const char *plan_walk(struct plan_walk *self, const struct manifest *snapshot)
{
    self->snapshot = snapshot;
    if ((self->target.kind == TARGET_LSN && snapshot->through_lsn > self->target.lsn) ||
        (self->target.kind == TARGET_TIME && snapshot->time_ms > self->target.time_ms)) {
        return "it is later than the target";
    }
    find_target(self);
    mark_void(self);
    if (snapshot->through_lsn > self->limit_lsn) {
        return "it may hold changes that were abandoned before the target";
    }
    if (is_beside_target(self)) {
        return "it was taken where changes of the target had been abandoned";
    }
    walk(self);
    self->is_doubtful = is_doubtful(self);
    return self->last_lsn >= snapshot->through_lsn
               ? NULL
               : "the slots up to where it is whole cannot be had";
}
