/* Restoring before the store opens. */
#include "restorer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/restore.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/import.h"

struct restorer {
    const struct settings *settings; /* borrowed */
    void (*done)(void *arg);
    void *arg;
    struct place place;
    struct stop stop;
    struct gather gather;
    struct s3 *hold_client; /* owned */
    pthread_t thread;
    int64_t start_ns;
    int64_t shown_ns;
    enum status status; /* the thread's until it was joined, as the next one */
    struct restore_report report;
    pthread_mutex_t lock; /* guards what follows */
    enum restore_stage stage;
    uint64_t stage_done;
    uint64_t stage_total;
};

static const char *const stage_texts[] = {
    [RESTORE_LOOKING] = "looking at the backup",
    [RESTORE_ROWS] = "restoring sessions",
    [RESTORE_CHANGES] = "restoring changes",
};

bool restorer_is_needed(const struct settings *settings)
{
    char errmsg[300];
    return settings->restore.when == RESTORE_AUTO && settings->backup.place.url != NULL &&
           store_import_check(settings->store.data_dir, errmsg, sizeof errmsg) == STATUS_OK;
}

static void on_progress(void *arg, enum restore_stage stage, uint64_t done, uint64_t total)
{
    struct restorer *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->stage = stage;
    self->stage_done = done;
    self->stage_total = total;
    (void)pthread_mutex_unlock(&self->lock);
    int64_t now_ns = clock_mono_ns(&clock_system);
    if (now_ns - self->shown_ns > INT64_C(1000000000)) {
        self->shown_ns = now_ns;
        log_info("restoring", "stage=\"%s\" done=%" PRIu64 " of=%" PRIu64, stage_texts[stage], done,
                 total);
    }
}

static void on_planned(void *arg, const struct restore_report *report)
{
    char quoted[2 * RESTORE_TEXT_BYTES];
    (void)arg;
    if (report->is_unheld) {
        log_warn("backup: what is restored could not be protected from retention", "why=%s",
                 log_quoted(quoted, sizeof quoted, report->hold_text));
    }
    log_info("restore planned",
             "sessions=%" PRIu64 " bytes=%" PRIu64 " slots=%" PRIu64 " slot_bytes=%" PRIu64
             " plan=%s",
             report->snapshot.sessions, report->snapshot.stored_bytes, report->slots,
             report->slot_bytes, log_quoted(quoted, sizeof quoted, report->text));
}

static void log_outcome(const struct restorer *self)
{
    const struct restore_report *report = &self->report;
    char quoted[2 * RESTORE_TEXT_BYTES];
    double seconds = (double)(clock_mono_ns(&clock_system) - self->start_ns) / 1e9;
    if (report->passed_over != 0) {
        log_warn("newer snapshots are damaged", "count=%u why=%s", report->passed_over,
                 log_quoted(quoted, sizeof quoted, report->passed_text));
    }
    if (self->status == STATUS_OK) {
        log_info("restored",
                 "sessions=%" PRIu64 " changes=%" PRIu64 " last_lsn=%" PRIu64
                 " age_s=%.3f lost_lsn=%" PRIu64 " seconds=%.3f end=%s",
                 report->snapshot.sessions, report->changes, report->last_lsn,
                 (double)(clock_wall_ms(&clock_system) - report->last_time_ms) / 1e3,
                 report->lost_lsn, seconds, log_quoted(quoted, sizeof quoted, report->text));
    } else if (self->status == STATUS_NOT_FOUND) {
        log_info("nothing to restore: a new store begins", "why=%s",
                 log_quoted(quoted, sizeof quoted, report->text));
    }
}

static void *restorer_run(void *arg)
{
    struct restorer *self = arg;
    const struct restore_job job = {.gather = &self->gather,
                                    .hold_client = self->hold_client,
                                    .data_dir = self->settings->store.data_dir,
                                    .run_dir = self->settings->store.run_dir,
                                    .map_bytes = self->settings->store.map_bytes,
                                    .file = &file_ops_system,
                                    .progress = on_progress,
                                    .planned = on_planned,
                                    .arg = self};
    self->status = restore_run(&job, &self->report);
    log_outcome(self);
    self->done(self->arg);
    return NULL;
}

static void restorer_free(struct restorer *self)
{
    s3_close(self->hold_client);
    gather_close(&self->gather);
    stop_close(&self->stop);
    place_close(&self->place);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

enum status restorer_start(const struct settings *settings, void (*done)(void *arg), void *arg,
                           struct restorer **out, char *errmsg, size_t errmsg_bytes)
{
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    struct restorer *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->settings = settings;
    self->done = done;
    self->arg = arg;
    self->start_ns = clock_mono_ns(&clock_system);
    char why[300] = "out of memory";
    enum status status = place_open(&self->place, &settings->backup.place, why, sizeof why);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--backup: %s", why);
        free(self);
        return status;
    }
    stop_init(&self->stop);
    (void)pthread_mutex_init(&self->lock, NULL);
    status = gather_open(&self->gather, &self->place, &self->stop, 0, 0, why, sizeof why);
    if (status == STATUS_OK) {
        status = place_client(&self->place, &self->stop, &self->hold_client, why, sizeof why);
    }
    if (status == STATUS_OK) {
        (void)snprintf(why, sizeof why, "cannot start a thread");
        status = thread_start(&self->thread, "restore", restorer_run, self);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "--restore: %s", why);
        restorer_free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

enum status restorer_finish(struct restorer *self, char *errmsg, size_t errmsg_bytes)
{
    (void)pthread_join(self->thread, NULL);
    /* An empty archive is that of a store that is about to begin. */
    enum status status = self->status == STATUS_NOT_FOUND ? STATUS_OK : self->status;
    (void)snprintf(errmsg, errmsg_bytes, "cannot restore: %s", self->report.text);
    restorer_free(self);
    return status;
}

void restorer_cancel(struct restorer *self)
{
    if (self != NULL) {
        stop_request(&self->stop);
    }
}

void restorer_describe(struct restorer *self, char *out, size_t out_bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    (void)snprintf(out, out_bytes, "%s: %" PRIu64 " of %" PRIu64, stage_texts[self->stage],
                   self->stage_done, self->stage_total);
    (void)pthread_mutex_unlock(&self->lock);
}
