/* What of an archive a restore looks at: as little as it takes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/look.h"

enum { AHEAD_SLOTS = 1024 }; /* headers that are read at a time where the target may be near */

static enum status say(struct look *self, enum status status, const char *text)
{
    (void)snprintf(self->text, sizeof self->text, "%s", text);
    return status;
}

static enum status no_memory(struct look *self)
{
    return say(self, STATUS_NO_MEMORY, "out of memory");
}

static enum status of_survey(struct look *self, enum status status)
{
    return status == STATUS_OK ? STATUS_OK : say(self, status, self->survey.errmsg);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

/* By their place in the log, which all writers share. */
static int newest_first(const void *left, const void *right)
{
    const struct manifest *a = left;
    const struct manifest *b = right;
    return a->next_seq < b->next_seq ? 1 : a->next_seq > b->next_seq ? -1 : 0;
}

static enum status keep_good_ones(struct look *self)
{
    const struct survey *survey = &self->survey;
    self->manifests = calloc(survey->snapshot_count + 1, sizeof *self->manifests);
    self->spoiled = calloc(survey->snapshot_count + 1, sizeof *self->spoiled);
    if (self->manifests == NULL || self->spoiled == NULL) {
        return no_memory(self);
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        if (survey->snapshots[i].state == SURVEY_GOOD) {
            self->manifests[self->manifest_count++] = survey->snapshots[i].manifest;
        }
    }
    qsort(self->manifests, self->manifest_count, sizeof *self->manifests, newest_first);
    return STATUS_OK;
}

static bool note_any(void *arg, const char *key, const struct s3_object *object)
{
    bool *any = arg;
    (void)key;
    (void)object;
    *any = true;
    return false;
}

/* There is no snapshot that is good. Only an archive that has nothing at all says that there never
 * was a store; everything else is damage. */
static enum status find_nothing(struct look *self)
{
    struct s3 *client = gather_client(self->survey.gather);
    bool has_log = false;
    size_t count = self->survey.snapshot_count;
    if (count != 0) {
        const struct survey_snapshot *last = &self->survey.snapshots[count - 1];
        char name[SNAPSHOT_NAME_BYTES];
        snapshot_name(name, &last->id, SNAPSHOT_MANIFEST);
        (void)snprintf(self->text, sizeof self->text,
                       "none of %zu snapshots is good; the last, %s: %s", count, name, last->why);
        return STATUS_CORRUPT;
    }
    const struct s3_list_options options = {.prefix = "log/", .page_keys = 1};
    if (s3_list(client, &options, note_any, &has_log) != S3_OK) {
        return gather_failed(client, "list the log", self->text, sizeof self->text);
    }
    return has_log ? say(self, STATUS_CORRUPT, "there is a log but no snapshot")
                   : say(self, STATUS_NOT_FOUND, "the archive is empty");
}

enum status look_begin(struct look *self, struct gather *gather)
{
    *self = (struct look){0};
    survey_init(&self->survey, gather);
    enum status status = of_survey(self, survey_snapshots(&self->survey));
    if (status == STATUS_OK) {
        status = keep_good_ones(self);
    }
    if (status == STATUS_OK && self->manifest_count == 0) {
        status = find_nothing(self);
    }
    return status;
}

void look_close(struct look *self)
{
    survey_close(&self->survey);
    free(self->manifests);
    free(self->spoiled);
    free(self->slots);
    *self = (struct look){0};
}

/* ---- Slots ---------------------------------------------------------------------------------- */

static enum status note_header(void *arg, const struct survey_header *found)
{
    struct look *self = arg;
    const struct survey *survey = &self->survey;
    self->slots[found->index - self->first_slot] = (struct plan_slot){
        .seq = survey->slots[found->index].seq,
        .is_damaged = found->is_damaged || found->is_gone,
        .header = found->header};
    return STATUS_OK;
}

static enum status make_room(struct look *self, size_t count)
{
    if (count > self->slot_cap) {
        size_t cap = count > self->slot_cap * 2 ? count : self->slot_cap * 2;
        struct plan_slot *grown = reallocarray(self->slots, cap, sizeof *grown);
        if (grown == NULL) {
            return no_memory(self);
        }
        self->slots = grown;
        self->slot_cap = cap;
    }
    return STATUS_OK;
}

/* Reads the headers of up to `more` slots behind those that are known. */
static enum status read_on(struct look *self, size_t more)
{
    size_t begin = self->first_slot + self->slot_count;
    size_t left = self->survey.slot_count - begin;
    size_t count = more < left ? more : left;
    enum status status = make_room(self, self->slot_count + count);
    if (status == STATUS_OK) {
        status = of_survey(self,
                           survey_headers(&self->survey, begin, begin + count, note_header, self));
    }
    self->slot_count += status == STATUS_OK ? count : 0;
    return status;
}

/* Lists the log from `from_seq` on, and reads what is new of it before what is known. */
static enum status read_before(struct look *self, uint64_t from_seq)
{
    size_t known = self->survey.slot_count;
    bool is_first = known == 0 && self->slot_count == 0;
    enum status status = of_survey(self, survey_log(&self->survey, from_seq));
    /* Those that are known have moved behind what was listed now. */
    self->first_slot += status == STATUS_OK ? self->survey.slot_count - known : 0;
    if (status != STATUS_OK || is_first) {
        self->first_slot = is_first ? 0 : self->first_slot;
        return status;
    }
    size_t begin = survey_find_slot(&self->survey, from_seq);
    size_t count = self->first_slot - begin;
    status = make_room(self, self->slot_count + count);
    if (status == STATUS_OK && count != 0) {
        memmove(self->slots + count, self->slots, self->slot_count * sizeof *self->slots);
        self->first_slot = begin;
        self->slot_count += count;
        status = of_survey(self,
                           survey_headers(&self->survey, begin, begin + count, note_header, self));
    }
    return status;
}

static bool is_too_late(const struct manifest *manifest, const struct target *target)
{
    return (target->kind == TARGET_LSN && manifest->through_lsn > target->lsn) ||
           (target->kind == TARGET_TIME && manifest->time_ms > target->time_ms);
}

enum status look_back(struct look *self, const struct target *target)
{
    size_t next = self->in_view;
    while (next < self->manifest_count && is_too_late(&self->manifests[next], target)) {
        next++;
    }
    if (next == self->manifest_count) {
        return STATUS_END;
    }
    uint64_t from_seq = self->manifests[next].next_seq;
    while (next < self->manifest_count && self->manifests[next].next_seq == from_seq) {
        next++;
    }
    enum status status = read_before(self, from_seq);
    self->in_view = status == STATUS_OK ? next : self->in_view;
    return status;
}

enum status look_at_all(struct look *self)
{
    size_t known = self->first_slot + self->slot_count;
    if (self->in_view == self->manifest_count && known == self->survey.slot_count) {
        return STATUS_END;
    }
    enum status status = STATUS_OK;
    if (self->in_view < self->manifest_count) {
        status = read_before(self, self->manifests[self->manifest_count - 1].next_seq);
    }
    self->in_view = status == STATUS_OK ? self->manifest_count : self->in_view;
    return status == STATUS_OK ? read_on(self, SIZE_MAX) : status;
}

/* ---- Planning ------------------------------------------------------------------------------- */

static enum status plan_of_view(const struct look *self, const struct target *target,
                                struct plan *out)
{
    const struct plan_input input = {.manifests = self->manifests,
                                     .manifest_count = self->in_view,
                                     .slots = self->slots,
                                     .slot_count = self->slot_count,
                                     .target = *target,
                                     .spoiled = self->spoiled};
    return plan_make(&input, out);
}

/* What lies behind the target decides nothing, but that a fence and the slot behind it are looked
 * at together. */
static bool has_passed_target(const struct look *self, const struct plan *plan)
{
    return plan->is_settled && plan->end == PLAN_END_TARGET && self->slot_count > 2 &&
           plan->end_seq < self->slots[self->slot_count - 2].seq;
}

enum status look_plan(struct look *self, const struct target *target, struct plan *out)
{
    size_t more = target->kind == TARGET_LATEST ? SIZE_MAX : AHEAD_SLOTS;
    for (;;) {
        bool is_all = self->first_slot + self->slot_count == self->survey.slot_count;
        if (is_all || self->slot_count != 0) {
            enum status status = plan_of_view(self, target, out);
            if (status != STATUS_OK) {
                return no_memory(self);
            }
            if (is_all || has_passed_target(self, out)) {
                return STATUS_OK;
            }
            plan_free(out);
        }
        enum status status = read_on(self, more);
        if (status != STATUS_OK) {
            *out = (struct plan){0};
            return status;
        }
    }
}
