/* Deciding what goes, and in which order; prune.h has the picture. */
#include "backup/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/hold.h"
#include "backup/prune_private.h"

/* ---- Failing -------------------------------------------------------------------------------- */

enum status prune_say(struct prune *self, enum status status, const char *text)
{
    (void)snprintf(self->report->text, sizeof self->report->text, "%s", text);
    return status;
}

static enum status no_memory(struct prune *self)
{
    return prune_say(self, STATUS_NO_MEMORY, "out of memory");
}

enum status prune_storage_failed(struct prune *self, const char *doing)
{
    return gather_failed(self->s3, doing, self->report->text, sizeof self->report->text);
}

void prune_show(const struct prune *self, enum prune_stage stage, uint64_t done, uint64_t total)
{
    if (self->job->progress != NULL) {
        self->job->progress(self->job->arg, stage, done, total);
    }
}

/* ---- What there is -------------------------------------------------------------------------- */

static enum retention_kind kind_of(enum survey_state state)
{
    switch (state) {
    case SURVEY_GOOD:
        return RETENTION_GOOD;
    case SURVEY_NEWER:
        return RETENTION_UNKNOWN;
    case SURVEY_DAMAGED:
    case SURVEY_NO_ROWS:
    case SURVEY_WRONG_SIZE:
        return RETENTION_DAMAGED;
    case SURVEY_UNFINISHED:
    case SURVEY_GONE: /* somebody else prunes */
        break;
    }
    return RETENTION_ORPHAN;
}

static enum status take_snapshots(struct prune *self)
{
    const struct survey *survey = &self->look.survey;
    const struct manifest *first = NULL;
    self->snapshots = calloc(survey->snapshot_count + 1, sizeof *self->snapshots);
    if (self->snapshots == NULL) {
        return no_memory(self);
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *from = &survey->snapshots[i];
        struct retention_snapshot *to = &self->snapshots[i];
        bool is_read = survey_has_manifest(from);
        *to = (struct retention_snapshot){.kind = kind_of(from->state),
                                          .next_seq = is_read ? from->manifest.next_seq
                                                              : UINT64_MAX,
                                          .through_lsn = from->manifest.through_lsn,
                                          .stored_ms = from->rows_modified_ms};
        if (from->manifest_modified_ms > to->stored_ms) {
            to->stored_ms = from->manifest_modified_ms;
        }
        if (is_read && first == NULL) {
            first = &from->manifest;
        }
        self->input.has_many_stores = self->input.has_many_stores ||
                                      (is_read && memcmp(first->uuid, from->manifest.uuid,
                                                         sizeof first->uuid) != 0);
    }
    self->input.snapshots = self->snapshots;
    self->input.snapshot_count = survey->snapshot_count;
    return STATUS_OK;
}

/* Finds with which snapshot a restore of the latest state would begin. */
static enum status find_latest(struct prune *self)
{
    static const struct target latest = {.kind = TARGET_LATEST};
    struct look *look = &self->look;
    struct plan plan = {0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !plan.is_settled) {
        status = look_back(look, &latest);
        if (status == STATUS_OK) {
            plan_free(&plan);
            status = look_plan(look, &latest, &plan);
        }
    }
    self->input.latest = SIZE_MAX;
    for (size_t i = 0; i < look->survey.snapshot_count && plan.is_found; i++) {
        const struct snapshot_id *id = &look->manifests[plan.manifest].id;
        if (memcmp(&look->survey.snapshots[i].id, id, sizeof *id) == 0) {
            self->input.latest = i;
        }
    }
    plan_free(&plan);
    return status == STATUS_OK || status == STATUS_END ? STATUS_OK
                                                       : prune_say(self, status, look->text);
}

static bool note_hold(void *arg, const struct hold_found *found)
{
    uint64_t *hold_seq = arg;
    if (!found->is_void && found->first_seq < *hold_seq) {
        *hold_seq = found->first_seq;
    }
    return true;
}

enum status prune_find_holds(struct prune *self, uint64_t *hold_seq)
{
    *hold_seq = UINT64_MAX;
    return hold_list(self->s3, note_hold, hold_seq) == S3_OK
               ? STATUS_OK
               : prune_storage_failed(self, "look for restores that are running");
}

/* ---- The log: no more of it than may go ----------------------------------------------------- */

static enum status make_room(struct prune *self)
{
    if (self->input.slot_count < self->slot_cap) {
        return STATUS_OK;
    }
    size_t cap = self->slot_cap == 0 ? 4096 : self->slot_cap * 2;
    struct retention_slot *slots = reallocarray(self->slots, cap, sizeof *slots);
    self->slots = slots != NULL ? slots : self->slots;
    uint64_t *bytes = reallocarray(self->slot_bytes, cap, sizeof *bytes);
    self->slot_bytes = bytes != NULL ? bytes : self->slot_bytes;
    if (slots == NULL || bytes == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->slot_cap = cap;
    return STATUS_OK;
}

struct listing {
    struct prune *prune;
    enum status status;
};

static bool note_slot(void *arg, const char *key, const struct s3_object *object)
{
    struct listing *listing = arg;
    struct prune *self = listing->prune;
    uint64_t seq = 0;
    if (!slot_parse_name(key, &seq)) {
        return true; /* none of ours */
    }
    listing->status = make_room(self);
    if (listing->status != STATUS_OK) {
        return false;
    }
    self->slot_bytes[self->input.slot_count] = object->bytes;
    self->slots[self->input.slot_count++] = (struct retention_slot){seq, object->modified_ms};
    return seq < self->decided.keep_seq; /* the next one tells that these are not the last */
}

static enum status list_log(struct prune *self)
{
    struct listing listing = {.prune = self};
    const struct s3_list_options options = {.prefix = "log/"};
    enum s3_status listed = s3_list(self->s3, &options, note_slot, &listing);
    if (listing.status != STATUS_OK) {
        return no_memory(self);
    }
    self->input.slots = self->slots;
    return listed == S3_OK ? STATUS_OK : prune_storage_failed(self, "list the log");
}

/* ---- Deciding ------------------------------------------------------------------------------- */

static enum status decide_once(struct prune *self)
{
    retention_free(&self->decided);
    return retention_decide(&self->input, &self->decided) == STATUS_OK ? STATUS_OK
                                                                       : no_memory(self);
}

/* First what becomes of the snapshots, which tells how far the log has to be listed. */
static enum status decide(struct prune *self)
{
    self->input.policy = self->job->policy;
    self->input.now_ms = s3_storage_ms(self->s3);
    enum status status = decide_once(self);
    if (status == STATUS_OK && self->decided.nothing == NULL) {
        status = list_log(self);
        if (status == STATUS_OK) {
            status = decide_once(self);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct prune_report *report = self->report;
    report->keep_seq = self->decided.keep_seq;
    report->is_useless = self->input.latest == SIZE_MAX;
    if (self->decided.nothing != NULL && report->nothing[0] == '\0') {
        (void)snprintf(report->nothing, sizeof report->nothing, "%s", self->decided.nothing);
    }
    for (size_t i = 0; i < self->input.snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &self->look.survey.snapshots[i];
        const char *reason = self->decided.reasons[i];
        if (reason != NULL) {
            report->snapshots_kept += snapshot->has_manifest;
            report->bytes_kept += snapshot->manifest_bytes + snapshot->rows_bytes;
        }
        if (self->job->snapshot != NULL) {
            self->job->snapshot(self->job->arg, snapshot, reason);
        }
    }
    return STATUS_OK;
}

static void doom(struct prune *self, enum doomed_kind kind, uint64_t number, uint64_t bytes)
{
    self->doomed[self->doomed_count++] = (struct doomed){kind, number, bytes};
}

/* Writes down what goes, in order. */
static enum status doom_all(struct prune *self)
{
    const struct survey *survey = &self->look.survey;
    const char *const *reasons = self->decided.reasons;
    self->doomed = calloc(2 * survey->snapshot_count + self->decided.slots_gone + 1,
                          sizeof *self->doomed);
    if (self->doomed == NULL) {
        return no_memory(self);
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        if (reasons[i] == NULL && survey->snapshots[i].has_manifest) {
            doom(self, DOOMED_MANIFEST, i, survey->snapshots[i].manifest_bytes);
        }
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        if (reasons[i] == NULL && survey->snapshots[i].has_rows) {
            doom(self, DOOMED_ROWS, i, survey->snapshots[i].rows_bytes);
        }
    }
    for (size_t i = 0; i < self->decided.slots_gone; i++) {
        doom(self, DOOMED_SLOT, self->slots[i].seq, self->slot_bytes[i]);
    }
    return STATUS_OK;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum status survey_archive(struct prune *self)
{
    prune_show(self, PRUNE_LOOKING, 0, 0);
    enum status status = look_begin(&self->look, &self->gather);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
        (void)snprintf(self->report->nothing, sizeof self->report->nothing, "%s", self->look.text);
    } else if (status != STATUS_OK) {
        return prune_say(self, status, self->look.text);
    }
    status = status == STATUS_OK ? find_latest(self) : STATUS_OK;
    return status == STATUS_OK ? take_snapshots(self) : status;
}

static enum status run(struct prune *self)
{
    enum status status = survey_archive(self);
    if (status == STATUS_OK) {
        status = prune_find_holds(self, &self->input.hold_seq);
    }
    if (status == STATUS_OK) {
        status = decide(self);
    }
    if (status != STATUS_OK || self->decided.nothing != NULL) {
        return status;
    }
    status = doom_all(self);
    if (status == STATUS_OK) {
        status = prune_delete(self);
    }
    if (status == STATUS_OK) {
        status = prune_sweep(self);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

enum status prune_run(const struct prune_job *job, struct prune_report *out)
{
    struct prune self = {.job = job, .report = out, .s3 = job->archive->s3};
    *out = (struct prune_report){0};
    self.input.hold_seq = UINT64_MAX;
    self.input.latest = SIZE_MAX;
    enum status status = STATUS_OK;
    if (job->place == NULL) {
        gather_init(&self.gather, &self.s3, 1, 0);
    } else {
        status = gather_open(&self.gather, job->place, job->stop, 0, 0, out->text,
                             sizeof out->text);
    }
    if (status == STATUS_OK) {
        status = run(&self);
    }
    look_close(&self.look);
    gather_close(&self.gather);
    retention_free(&self.decided);
    free(self.snapshots);
    free(self.slots);
    free(self.slot_bytes);
    free(self.doomed);
    return status;
}
