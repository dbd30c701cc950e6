/* Restoring; restore.h has the picture. */
#include <stdio.h>
#include <string.h>

#include "backup/hold.h"
#include "backup/restore_private.h"
#include "store/import.h"
#include "store/replace.h"

enum { LOOKS_MAX = 5 }; /* at an archive in which things are deleted meanwhile */

struct restore {
    const struct restore_job *job;
    struct restore_report *report;
    struct look look;
    struct plan plan;          /* owned */
    struct replacing *replace; /* owned; NULL: there is nothing to be replaced */
    const char *import_dir;    /* where the store is made */
    bool is_gone;              /* something that was listed is not there any more */
};

static enum status say(struct restore *self, enum status status, const char *what, const char *why)
{
    (void)snprintf(self->report->text, RESTORE_TEXT_BYTES, "%s%s%s", what,
                   what[0] != '\0' ? ": " : "", why);
    return status;
}

static enum status of_look(struct restore *self, enum status status)
{
    self->is_gone = self->is_gone || self->look.survey.is_gone;
    return status == STATUS_OK || status == STATUS_END ? status
                                                       : say(self, status, "", self->look.text);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

/* Plans with as little of the archive as it takes. */
static enum status choose(struct restore *self)
{
    const struct target *target = &self->job->target;
    enum status status = STATUS_OK;
    for (;;) {
        if (self->look.in_view != 0) {
            plan_free(&self->plan);
            status = of_look(self, look_plan(&self->look, target, &self->plan));
            if (status != STATUS_OK || self->plan.is_settled) {
                return status;
            }
        }
        status = of_look(self, look_back(&self->look, target));
        if (status != STATUS_OK) {
            return status == STATUS_END ? STATUS_OK : status; /* with what there is */
        }
    }
}

/* The good manifest that does not serve, and why; for when none does. */
static enum status find_no_way(struct restore *self)
{
    const struct restore_report *report = self->report;
    if (report->passed_over != 0 && self->look.in_view != 0) {
        return say(self, STATUS_CORRUPT, "no snapshot is left", report->passed_text);
    }
    return self->look.in_view == 0
               ? say(self, STATUS_CORRUPT, "no snapshot is usable",
                     "every one that is good is later than the target")
               : say(self, STATUS_CORRUPT, "no snapshot is usable", self->plan.text);
}

/* Says of snapshots that are damaged, and newer than the one that is taken, that they are passed
 * over. */
static void count_damaged(struct restore *self, const struct manifest *taken)
{
    struct restore_report *report = self->report;
    const struct survey *survey = &self->look.survey;
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &survey->snapshots[i];
        bool is_damaged = snapshot->state == SURVEY_DAMAGED || snapshot->state == SURVEY_NEWER ||
                          snapshot->state == SURVEY_NO_ROWS || snapshot->state == SURVEY_WRONG_SIZE;
        bool is_newer = survey_has_manifest(snapshot)
                            ? snapshot->manifest.next_seq > taken->next_seq
                            : snapshot->id.from_lsn > taken->through_lsn;
        if (is_damaged && is_newer) {
            char name[SNAPSHOT_NAME_BYTES];
            snapshot_name(name, &snapshot->id, SNAPSHOT_MANIFEST);
            (void)snprintf(report->passed_text, RESTORE_TEXT_BYTES, "%s: %s", name, snapshot->why);
            report->passed_over++;
        }
    }
}

/* What the plan says, before anything is read. */
static void report_plan(struct restore *self)
{
    struct restore_report *report = self->report;
    const struct look *look = &self->look;
    const struct plan *plan = &self->plan;
    report->snapshot = look->manifests[plan->manifest];
    report->slots = plan->step_count;
    report->slot_bytes = 0;
    report->last_time_ms = report->snapshot.time_ms;
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct slot_header *header = &look->slots[plan->steps[i].slot].header;
        bool is_kept = header->batches != 0 && !plan->steps[i].is_void;
        report->slot_bytes += look->survey.slots[look->first_slot + plan->steps[i].slot].bytes;
        report->last_time_ms = is_kept ? header->to_ms : report->last_time_ms;
    }
    if (plan->target.kind == TARGET_TIME && report->last_time_ms > plan->target.time_ms) {
        report->last_time_ms = plan->target.time_ms;
    }
    report->last_lsn = plan->last_lsn;
    report->lost_lsn = plan->lost_lsn;
    report->is_whole = (plan->end == PLAN_END_TARGET || plan->end == PLAN_END_ARCHIVE) &&
                       plan->lost_lsn == 0;
    report->epoch = look->epoch_max + 1;
    (void)snprintf(report->text, RESTORE_TEXT_BYTES, "%s", plan->text);
    if (self->job->planned != NULL) {
        self->job->planned(self->job->arg, report);
    }
}

/* What the restored store must be above of. */
static enum status find_highest(struct restore *self)
{
    struct look *look = &self->look;
    enum status status = survey_highest(&look->survey, &look->epoch_max, &look->lsn_max);
    return status == STATUS_OK ? STATUS_OK : say(self, status, "", look->survey.errmsg);
}

/* ---- One attempt ---------------------------------------------------------------------------- */

static enum status begin_import(struct restore *self, struct store_import **out)
{
    const struct restore_job *job = self->job;
    const struct manifest *manifest = &self->report->snapshot;
    struct store_import_options options = {
        .data_dir = self->import_dir,
        .run_dir = job->run_dir,
        .map_bytes = job->map_bytes,
        .hash_seed = manifest->hash_seed,
        .epoch = self->look.epoch_max + 1,
        .applied_lsn = manifest->id.from_lsn,
        .last_lsn = self->look.lsn_max,
        .file = job->file,
    };
    memcpy(options.uuid, manifest->uuid, sizeof options.uuid);
    char errmsg[RESTORE_TEXT_BYTES];
    enum status status = store_import_begin(&options, out, errmsg, sizeof errmsg);
    return status == STATUS_OK ? STATUS_OK : say(self, status, "cannot begin", errmsg);
}

static enum status finish(struct restore *self, struct store_import *import)
{
    char text[RESTORE_TEXT_BYTES];
    char errmsg[RESTORE_TEXT_BYTES];
    memcpy(text, self->report->text, sizeof text);
    enum status status = store_import_finish(import, errmsg, sizeof errmsg);
    if (status == STATUS_OK && self->replace != NULL) {
        status = replace_finish(self->replace, errmsg, sizeof errmsg);
    }
    return status == STATUS_OK ? STATUS_OK : say(self, status, "cannot finish", errmsg);
}

static bool must_look_again(const struct restore *self)
{
    return self->is_gone && self->report->looks < LOOKS_MAX;
}

/* The replay came to another end than the plan. Older snapshots may lead further: is the plan the
 * same when all are in view? END: it is not. */
static enum status think_again(struct restore *self)
{
    enum status status = of_look(self, look_at_all(&self->look));
    if (status != STATUS_OK) { /* END: all were */
        return status == STATUS_END ? STATUS_OK : status;
    }
    struct plan before = self->plan;
    status = of_look(self, look_plan(&self->look, &self->job->target, &self->plan));
    bool is_same = status == STATUS_OK && self->plan.is_found &&
                   self->plan.manifest == before.manifest && self->plan.end == before.end &&
                   self->plan.step_count == before.step_count &&
                   self->plan.last_lsn == before.last_lsn;
    plan_free(&before);
    return status != STATUS_OK || is_same ? status : STATUS_END;
}

/* Restores by the plan. CORRUPT: its snapshot is of no use; END: there is a better plan now. */
static enum status attempt(struct restore *self)
{
    struct store_import *import = NULL;
    struct applied applied = {0};
    enum status status = begin_import(self, &import);
    if (status != STATUS_OK) {
        return status;
    }
    const struct apply_job job = {.job = self->job,
                                  .look = &self->look,
                                  .plan = &self->plan,
                                  .import = import,
                                  .report = self->report};
    status = apply_plan(&job, &applied);
    self->is_gone = applied.is_gone;
    if (status == STATUS_OK && applied.is_off && !must_look_again(self)) {
        status = think_again(self);
    }
    if (status == STATUS_OK && !must_look_again(self)) {
        self->is_gone = false;
        return finish(self, import);
    }
    store_import_abort(import);
    return status;
}

/* Plans and tries, until a snapshot serves. */
static enum status try_all(struct restore *self)
{
    struct restore_report *report = self->report;
    for (;;) {
        enum status status = choose(self);
        if (status == STATUS_OK && self->plan.is_found) {
            status = find_highest(self);
        }
        if (status != STATUS_OK || must_look_again(self)) {
            return status;
        }
        if (!self->plan.is_found) {
            return find_no_way(self);
        }
        report_plan(self);
        status = self->job->is_dry_run ? STATUS_OK : attempt(self);
        if (must_look_again(self) || (status != STATUS_CORRUPT && status != STATUS_END)) {
            return status;
        }
        if (status == STATUS_CORRUPT) {
            (void)snprintf(report->passed_text, RESTORE_TEXT_BYTES, "%s", report->text);
            report->passed_over++;
            self->look.spoiled[self->plan.manifest] = true;
        }
    }
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum status look_and_try(struct restore *self)
{
    struct restore_report *report = self->report;
    enum status status;
    do {
        self->is_gone = false;
        report->looks++;
        report->passed_over = 0;
        report->passed_text[0] = '\0';
        if (self->job->progress != NULL) {
            self->job->progress(self->job->arg, RESTORE_LOOKING, 0, 0);
        }
        status = of_look(self, look_begin(&self->look, self->job->gather));
        if (status == STATUS_OK) {
            status = try_all(self);
        }
        if (status == STATUS_OK) {
            count_damaged(self, &report->snapshot);
        }
        plan_free(&self->plan);
        look_close(&self->look);
    } while (must_look_again(self) &&
             (status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_NOT_FOUND));
    return status;
}

/* Nothing is downloaded for a directory that cannot take it. */
static enum status prepare_dir(struct restore *self)
{
    const struct restore_job *job = self->job;
    char errmsg[RESTORE_TEXT_BYTES / 2];
    self->import_dir = job->data_dir;
    enum status status = store_import_check(job->data_dir, errmsg, sizeof errmsg);
    if (status == STATUS_EXISTS && job->is_forced) {
        const struct replace_options options = {
            .data_dir = job->data_dir, .file = job->file, .is_trial = job->is_dry_run};
        status = replace_begin(&options, &self->replace, errmsg, sizeof errmsg);
        self->import_dir = status == STATUS_OK ? replace_dir(self->replace) : NULL;
    }
    return status == STATUS_OK ? STATUS_OK : say(self, status, "", errmsg);
}

/* Without a hold a restore works as well, unless something is deleted while it does. */
static enum status begin_hold(struct restore *self, struct hold **out)
{
    struct restore_report *report = self->report;
    const struct hold_options options = {.s3 = self->job->hold_client,
                                         .first = gather_client(self->job->gather)};
    *out = NULL;
    if (options.s3 == NULL) {
        return STATUS_OK;
    }
    enum status status = hold_begin(&options, out, report->hold_text, RESTORE_TEXT_BYTES);
    report->is_unheld = status != STATUS_OK;
    if (status == STATUS_AGAIN || status == STATUS_NO_MEMORY) {
        return say(self, status, "the hold", report->hold_text);
    }
    if (status == STATUS_OK) {
        report->hold_text[0] = '\0';
    }
    return STATUS_OK;
}

enum status restore_run(const struct restore_job *job, struct restore_report *out)
{
    *out = (struct restore_report){0};
    struct restore self = {.job = job, .report = out};
    struct hold *hold = NULL;
    enum status status = prepare_dir(&self);
    if (status == STATUS_OK) {
        status = begin_hold(&self, &hold);
    }
    if (status == STATUS_OK) {
        status = look_and_try(&self);
    }
    hold_end(hold);
    replace_close(self.replace);
    return status;
}
