/* Restoring; restore.h has the picture. */
#include "backup/restore.h"

#include <stdio.h>
#include <stdlib.h>

#include "backup/compress.h"
#include "backup/replay.h"
#include "backup/restore_find.h"
#include "backup/rows_stream.h"
#include "backup/slot.h"
#include "store/import.h"

struct restore {
    const struct restore_job *job;
    struct restore_report *report;
    struct findings found;       /* what the archive has */
    struct plan plan;            /* owned */
    struct store_import *import; /* owned; NULL: not begun */
    struct rows_stream_reader rows;
    struct decompressor *decompressor; /* owned */
    struct slot slot;
    struct buf bytes;
    struct replay replay;
};

/* Ends an attempt with a line. */
static enum status say(struct restore *self, enum status status, const char *what, const char *why)
{
    (void)snprintf(self->report->text, RESTORE_TEXT_BYTES, "%s: %s", what, why);
    return status;
}

static enum status storage_failed(struct restore *self, const char *what)
{
    char why[RESTORE_TEXT_BYTES / 2];
    s3_describe_error(self->job->archive->s3, why, sizeof why);
    switch (s3_last_error(self->job->archive->s3)->status) {
    case S3_CANCELLED:
        return say(self, STATUS_AGAIN, what, why);
    case S3_NO_MEMORY:
        return say(self, STATUS_NO_MEMORY, what, why);
    case S3_NOT_FOUND:
    case S3_CHANGED:
        return say(self, STATUS_CORRUPT, what, why); /* it was listed a moment ago */
    default:
        return say(self, STATUS_IO, what, why);
    }
}

static void show(const struct restore *self, enum restore_stage stage, uint64_t done,
                 uint64_t total)
{
    if (self->job->progress != NULL) {
        self->job->progress(self->job->arg, stage, done, total);
    }
}

/* ---- The snapshot --------------------------------------------------------------------------- */

static enum status take_row(void *arg, struct view image, const struct session *session)
{
    struct restore *self = arg;
    (void)session;
    return store_import_session(self->import, image);
}

static enum status take_raw(void *arg, struct view raw)
{
    struct restore *self = arg;
    return rows_stream_read(&self->rows, raw, take_row, self);
}

static enum status take_stored(void *arg, struct view stored)
{
    struct restore *self = arg;
    enum status status = decompressor_read(self->decompressor, stored, take_raw, self);
    show(self, RESTORE_ROWS, self->rows.rows, self->report->snapshot.sessions);
    return status;
}

/* The rows have all come: are they what the manifest says? */
static enum status check_rows(struct restore *self, const char *key)
{
    const struct manifest *manifest = &self->report->snapshot;
    enum status status = decompressor_finish(self->decompressor);
    if (status != STATUS_OK) {
        return say(self, status, key, decompressor_error(self->decompressor));
    }
    status = rows_stream_finish(&self->rows);
    if (status != STATUS_OK) {
        return say(self, status, key, self->rows.errmsg);
    }
    uint8_t hash[HASH128_BYTES];
    decompressor_hash(self->decompressor, hash);
    if (memcmp(hash, manifest->hash, sizeof hash) != 0 ||
        decompressor_stored_bytes(self->decompressor) != manifest->stored_bytes ||
        self->rows.rows != manifest->sessions ||
        memcmp(self->rows.uuid, manifest->uuid, sizeof manifest->uuid) != 0) {
        return say(self, STATUS_CORRUPT, key, "it is not what its manifest says");
    }
    return STATUS_OK;
}

static enum status read_rows(struct restore *self)
{
    const struct manifest *manifest = &self->report->snapshot;
    char key[SNAPSHOT_NAME_BYTES];
    snapshot_name(key, &manifest->id, SNAPSHOT_ROWS);
    decompressor_free(self->decompressor);
    self->decompressor = decompressor_new(manifest->raw_bytes);
    rows_stream_close(&self->rows);
    if (self->decompressor == NULL) {
        return say(self, STATUS_NO_MEMORY, key, status_text(STATUS_NO_MEMORY));
    }
    enum s3_status got = s3_get(self->job->archive->s3, key, NULL, take_stored, self, NULL);
    if (got == S3_STOPPED) { /* by us: say why */
        enum status status = decompressor_read(self->decompressor, (struct view){0}, take_raw,
                                               self);
        const char *why = store_import_error(self->import)[0] != '\0'
                              ? store_import_error(self->import)
                          : self->rows.errmsg[0] != '\0' ? self->rows.errmsg
                                                         : decompressor_error(self->decompressor);
        return say(self, status, key, why);
    }
    return got == S3_OK ? check_rows(self, key) : storage_failed(self, key);
}

/* ---- Slots ---------------------------------------------------------------------------------- */

static enum status apply(struct restore *self, const struct slot_batch *batch, uint32_t count)
{
    uint32_t kept = 0;
    size_t len = slot_batch_cut(batch, batch->first_lsn + count - 1, &kept);
    const struct store_changes changes = {.follows_lsn = batch->follows_lsn,
                                          .first_lsn = batch->first_lsn,
                                          .time_ms = (uint64_t)batch->time_ms,
                                          .count = kept,
                                          .records = view_of(batch->records.ptr, len)};
    self->report->changes += kept;
    self->report->last_time_ms = batch->time_ms;
    enum status status = store_import_changes(self->import, &changes);
    return status == STATUS_OK ? STATUS_OK
                               : say(self, status, "changes", store_import_error(self->import));
}

/* Replays an open slot. END: the state ends in it. */
static enum status replay_open_slot(struct restore *self)
{
    struct view rest = slot_batches(&self->slot);
    struct slot_batch batch;
    enum status status;
    while ((status = slot_next_batch(&rest, &batch)) == STATUS_OK) {
        uint32_t count = 0;
        enum replay_verdict verdict = replay_batch(&self->replay, &batch, &count);
        if (verdict == REPLAY_GAP || verdict == REPLAY_DONE) {
            return STATUS_END;
        }
        status = verdict == REPLAY_APPLY ? apply(self, &batch, count) : STATUS_OK;
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}

/* Reads and replays the slot of a step. END: the state ends in it, or before it when it is damaged.
 */
static enum status replay_step(struct restore *self, const struct plan_step *step)
{
    uint64_t seq = self->found.slots[step->slot].seq;
    char name[SLOT_NAME_BYTES];
    slot_name(name, seq);
    enum s3_status got = archive_get_slot(self->job->archive, seq, &self->bytes);
    if (got != S3_OK) {
        enum status status = storage_failed(self, name);
        return status == STATUS_CORRUPT ? STATUS_END : status;
    }
    enum status status = slot_open(&self->slot, buf_view(&self->bytes));
    if (status == STATUS_CORRUPT) {
        (void)say(self, status, name, self->slot.errmsg);
        return STATUS_END;
    }
    uint8_t hash[HASH128_BYTES];
    slot_hash(buf_view(&self->bytes), hash);
    if (status == STATUS_OK &&
        replay_slot(&self->replay, &self->slot.header, hash, step->keep_lsn) != STATUS_OK) {
        (void)say(self, STATUS_CORRUPT, name, self->replay.errmsg);
        return STATUS_END;
    }
    self->report->slots++;
    return status == STATUS_OK ? replay_open_slot(self)
                               : say(self, status, name, self->slot.errmsg);
}

static enum status replay_slots(struct restore *self)
{
    replay_begin(&self->replay, &self->report->snapshot, &self->plan.target);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->plan.step_count && status == STATUS_OK; i++) {
        show(self, RESTORE_CHANGES, i, self->plan.step_count);
        status = replay_step(self, &self->plan.steps[i]);
    }
    if (status != STATUS_OK && status != STATUS_END) {
        return status;
    }
    self->report->last_lsn = self->replay.last_lsn;
    uint64_t lost_lsn = self->replay.lost_lsn > self->plan.lost_lsn ? self->replay.lost_lsn
                                                                    : self->plan.lost_lsn;
    self->report->lost_lsn = lost_lsn > self->report->last_lsn ? lost_lsn : 0;
    if (!replay_is_consistent(&self->replay)) {
        if (self->report->text[0] == '\0') {
            (void)say(self, STATUS_CORRUPT, "the log behind the snapshot ends too early",
                      self->replay.errmsg[0] != '\0' ? self->replay.errmsg : self->plan.text);
        }
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* ---- Attempts ------------------------------------------------------------------------------- */

static enum status begin_import(struct restore *self)
{
    const struct restore_job *job = self->job;
    const struct manifest *manifest = &self->report->snapshot;
    struct store_import_options options = {
        .data_dir = job->data_dir,
        .run_dir = job->run_dir,
        .map_bytes = job->map_bytes,
        .hash_seed = manifest->hash_seed,
        .epoch = self->found.epoch_max + 1,
        .applied_lsn = manifest->id.from_lsn,
        .last_lsn = self->found.lsn_max,
        .file = job->file,
    };
    memcpy(options.uuid, manifest->uuid, sizeof options.uuid);
    char errmsg[RESTORE_TEXT_BYTES];
    enum status status = store_import_begin(&options, &self->import, errmsg, sizeof errmsg);
    return status == STATUS_OK ? STATUS_OK : say(self, status, "cannot begin", errmsg);
}

/* Restores by the plan. CORRUPT: its snapshot is of no use. */
static enum status attempt(struct restore *self)
{
    struct restore_report *report = self->report;
    report->snapshot = self->found.manifests[self->plan.manifest];
    report->slots = 0;
    report->changes = 0;
    report->last_time_ms = report->snapshot.time_ms;
    report->text[0] = '\0';
    enum status status = begin_import(self);
    if (status == STATUS_OK) {
        status = read_rows(self);
    }
    if (status == STATUS_OK) {
        status = replay_slots(self);
    }
    if (status == STATUS_OK) {
        struct store_import *import = self->import;
        char errmsg[RESTORE_TEXT_BYTES];
        self->import = NULL;
        status = store_import_finish(import, errmsg, sizeof errmsg);
        status = status == STATUS_OK ? STATUS_OK : say(self, status, "cannot finish", errmsg);
    }
    store_import_abort(self->import);
    self->import = NULL;
    if (status == STATUS_OK && report->text[0] == '\0') {
        (void)snprintf(report->text, RESTORE_TEXT_BYTES, "%s",
                       self->replay.errmsg[0] != '\0' ? self->replay.errmsg : self->plan.text);
    }
    return status;
}

/* Plans and tries, until a snapshot serves. */
static enum status try_all(struct restore *self)
{
    struct restore_report *report = self->report;
    struct plan_input input = {.manifests = self->found.manifests,
                               .manifest_count = self->found.manifest_count,
                               .slots = self->found.slots,
                               .slot_count = self->found.slot_count,
                               .target = self->job->target};
    for (;;) {
        plan_free(&self->plan);
        enum status status = plan_make(&input, &self->plan);
        if (status != STATUS_OK) {
            return say(self, status, "planning", status_text(status));
        }
        if (!self->plan.is_found) {
            return report->passed_over != 0
                       ? say(self, STATUS_CORRUPT, "no snapshot is left", report->passed_text)
                       : say(self, STATUS_CORRUPT, "no snapshot is usable", self->plan.text);
        }
        status = attempt(self);
        if (status != STATUS_CORRUPT) {
            return status;
        }
        (void)snprintf(report->passed_text, RESTORE_TEXT_BYTES, "%s", report->text);
        report->passed_over++;
        input.skip++;
    }
}

enum status restore_run(const struct restore_job *job, struct restore_report *out)
{
    *out = (struct restore_report){0};
    struct restore self = {.job = job, .report = out};
    show(&self, RESTORE_LOOKING, 0, 0);
    enum status status = findings_collect(&self.found, job->archive, &job->target, out->text,
                                          RESTORE_TEXT_BYTES);
    if (status == STATUS_OK) {
        status = try_all(&self);
    }
    plan_free(&self.plan);
    findings_free(&self.found);
    rows_stream_close(&self.rows);
    decompressor_free(self.decompressor);
    slot_close(&self.slot);
    buf_free(&self.bytes);
    return status;
}
