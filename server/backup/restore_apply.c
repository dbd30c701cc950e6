/* From the objects of a plan into an import. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "backup/replay.h"
#include "backup/restore_private.h"
#include "backup/rows_fetch.h"
#include "store/import.h"

struct applying {
    const struct apply_job *job;
    struct applied *out;
    struct restore_report *report;
    struct slot slot; /* owned */
    struct replay replay;
};

/* Ends the attempt with a line. */
static enum status say(struct applying *self, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status say(struct applying *self, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->report->text, RESTORE_TEXT_BYTES, format, arguments);
    va_end(arguments);
    return status;
}

static void show(const struct applying *self, enum restore_stage stage, uint64_t done,
                 uint64_t total)
{
    const struct restore_job *job = self->job->job;
    if (job->progress != NULL) {
        job->progress(job->arg, stage, done, total);
    }
}

/* What a gather that did not end well came to; the takers have said why already. */
static enum status gathered(struct applying *self, enum status status)
{
    const struct gather *gather = self->job->job->gather;
    return gather->errmsg[0] == '\0' ? status : say(self, status, "%s", gather->errmsg);
}

/* ---- The snapshot --------------------------------------------------------------------------- */

static enum status take_row(void *arg, struct view image)
{
    const struct applying *self = arg;
    return store_import_session(self->job->import, image);
}

static void show_rows(void *arg, uint64_t stored_bytes)
{
    const struct applying *self = arg;
    show(self, RESTORE_ROWS, stored_bytes, self->report->snapshot.stored_bytes);
}

static enum status read_rows(struct applying *self)
{
    const struct manifest *manifest = &self->report->snapshot;
    const struct rows_fetch_job job = {.gather = self->job->job->gather,
                                       .manifest = manifest,
                                       .row = take_row,
                                       .progress = show_rows,
                                       .arg = self};
    char key[SNAPSHOT_NAME_BYTES];
    char why[ROWS_FETCH_TEXT_BYTES];
    snapshot_name(key, &manifest->id, SNAPSHOT_ROWS);
    show_rows(self, 0);
    enum status status = rows_fetch(&job, why);
    if (status == STATUS_OK || job.gather->errmsg[0] != '\0') {
        return status == STATUS_OK ? STATUS_OK : gathered(self, status);
    }
    self->out->is_gone = status == STATUS_NOT_FOUND;
    /* An image that cannot be taken is damage of the snapshot, too. */
    bool is_damage = status == STATUS_CORRUPT || status == STATUS_NOT_FOUND ||
                     status == STATUS_INVALID || status == STATUS_UNSUPPORTED;
    const char *refused = store_import_error(self->job->import);
    return say(self, is_damage ? STATUS_CORRUPT : status, "%s: %s", key,
               why[0] != '\0'       ? why
               : refused[0] != '\0' ? refused
                                    : status_text(status));
}

/* ---- Slots ---------------------------------------------------------------------------------- */

/* Adds the first `count` changes of a batch, less those up to `have_lsn`. */
static enum status add(struct applying *self, const struct slot_batch *batch, uint32_t count,
                       uint64_t have_lsn)
{
    uint32_t skipped = 0;
    uint32_t kept = 0;
    size_t begin = slot_batch_cut(batch, have_lsn, &skipped);
    size_t end = slot_batch_cut(batch, batch->first_lsn + count - 1, &kept);
    const struct store_changes changes = {
        .follows_lsn = skipped != 0 ? have_lsn : batch->follows_lsn,
        .first_lsn = batch->first_lsn + skipped,
        .time_ms = (uint64_t)batch->time_ms,
        .count = kept - skipped,
        .records = view_of(batch->records.ptr + begin, end - begin)};
    self->report->changes += changes.count;
    self->report->last_time_ms = batch->time_ms;
    enum status status = store_import_changes(self->job->import, &changes);
    return status == STATUS_OK
               ? STATUS_OK
               : say(self, status, "changes: %s", store_import_error(self->job->import));
}

/* Replays an open slot. END: the state ends in it. */
static enum status replay_open_slot(struct applying *self)
{
    struct view rest = slot_batches(&self->slot);
    struct slot_batch batch;
    enum status status;
    while ((status = slot_next_batch(&rest, &batch)) == STATUS_OK) {
        uint32_t count = 0;
        uint64_t have_lsn = self->replay.last_lsn;
        enum replay_verdict verdict = replay_batch(&self->replay, &batch, &count);
        if (verdict == REPLAY_GAP || verdict == REPLAY_DONE) {
            return STATUS_END;
        }
        status = verdict == REPLAY_APPLY ? add(self, &batch, count, have_lsn) : STATUS_OK;
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static const struct survey_slot *slot_of_step(const struct applying *self, size_t step)
{
    const struct look *look = self->job->look;
    return &look->survey.slots[look->first_slot + self->job->plan->steps[step].slot];
}

static void want_slot(void *arg, size_t index, struct gather_want *want)
{
    const struct applying *self = arg;
    const struct survey_slot *slot = slot_of_step(self, index);
    slot_name(want->key, slot->seq);
    want->bytes_max = slot->bytes < SLOT_BYTES_MAX ? slot->bytes : SLOT_BYTES_MAX;
}

/* The state ends before a slot that is damaged, or not there any more. */
static enum status end_before(struct applying *self, const char *name, const char *why)
{
    self->out->is_off = true;
    return say(self, STATUS_END, "%s: %s", name, why);
}

static enum status take_slot(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct applying *self = arg;
    const struct plan_step *step = &self->job->plan->steps[index];
    char name[SLOT_NAME_BYTES];
    slot_name(name, slot_of_step(self, index)->seq);
    show(self, RESTORE_CHANGES, index, self->job->plan->step_count);
    if (got != S3_OK) {
        self->out->is_gone = got == S3_NOT_FOUND;
        return end_before(self, name, s3_status_text(got));
    }
    enum status status = slot_open(&self->slot, bytes);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) {
        return end_before(self, name, self->slot.errmsg);
    }
    if (status != STATUS_OK) {
        return say(self, status, "%s: %s", name, self->slot.errmsg);
    }
    uint8_t hash[HASH128_BYTES];
    slot_hash(bytes, hash);
    status = replay_slot(&self->replay, &self->slot.header, hash, step);
    if (status == STATUS_CORRUPT) {
        return end_before(self, name, self->replay.errmsg);
    }
    self->report->slots++;
    self->report->slot_bytes += bytes.len;
    return status == STATUS_OK ? replay_open_slot(self) : status;
}

/* Notes with what the replay has ended. */
static void tell_end(struct applying *self)
{
    const struct plan *plan = self->job->plan;
    struct restore_report *report = self->report;
    const struct replay *replay = &self->replay;
    uint64_t lost_lsn = replay->lost_lsn > plan->lost_lsn ? replay->lost_lsn : plan->lost_lsn;
    if (report->text[0] != '\0' && plan->target.kind != TARGET_TIME && plan->last_lsn > lost_lsn) {
        lost_lsn = plan->last_lsn; /* the headers of the slots that are not reached tell of it */
    }
    report->last_lsn = replay->last_lsn;
    report->lost_lsn = lost_lsn > report->last_lsn ? lost_lsn : 0;
    bool is_absent = plan->target.kind == TARGET_LSN && report->last_lsn != plan->target.lsn;
    self->out->is_off = self->out->is_off || replay->has_gap || is_absent;
    bool is_reached = plan->end == PLAN_END_TARGET || plan->end == PLAN_END_ARCHIVE;
    report->is_whole = !self->out->is_off && is_reached && report->lost_lsn == 0;
    if (report->text[0] != '\0') {
        return; /* a slot has ended it */
    }
    if (replay->has_gap) {
        (void)say(self, STATUS_OK, "%s", replay->errmsg);
    } else if (is_absent && is_reached) {
        (void)say(self, STATUS_OK, "%s", plan_end_text(PLAN_END_ABSENT));
    } else {
        (void)say(self, STATUS_OK, "%s (slot %" PRIu64 ")", plan_end_text(plan->end),
                  plan->end_seq);
    }
}

static enum status replay_slots(struct applying *self)
{
    const struct plan *plan = self->job->plan;
    const struct gather_job job = {
        .count = plan->step_count, .want = want_slot, .take = take_slot, .arg = self};
    replay_begin(&self->replay, &self->report->snapshot, &plan->target);
    enum status status = gather_run(self->job->job->gather, &job);
    if (status != STATUS_OK && status != STATUS_END) {
        return gathered(self, status);
    }
    tell_end(self);
    if (replay_is_consistent(&self->replay)) {
        return STATUS_OK;
    }
    char why[RESTORE_TEXT_BYTES / 2];
    char name[SNAPSHOT_NAME_BYTES];
    (void)snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, self->report->text);
    snapshot_name(name, &self->report->snapshot.id, SNAPSHOT_ROWS);
    return say(self, STATUS_CORRUPT, "%s: the log behind it ends too early: %s", name, why);
}

/* ---- Both ----------------------------------------------------------------------------------- */

enum status apply_plan(const struct apply_job *job, struct applied *out)
{
    struct applying self = {.job = job, .out = out, .report = job->report};
    *out = (struct applied){0};
    job->report->slots = 0;
    job->report->slot_bytes = 0;
    job->report->changes = 0;
    job->report->last_time_ms = job->report->snapshot.time_ms;
    job->report->text[0] = '\0';
    enum status status = read_rows(&self);
    if (status == STATUS_OK) {
        status = replay_slots(&self);
    }
    slot_close(&self.slot);
    return status;
}
