/* The thread that takes snapshots. */
#include "backup/snapshotter.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backup/archive.h"
#include "base/log.h"
#include "base/thread.h"

enum {
    RETRY_MS_STANDARD = 60000,
    POLL_MS = 1000, /* how often the log's position is asked for that is not known yet */
    SKIP_AGE_MS_MAX = 24 * 3600 * 1000, /* of the newest snapshot */
};

#define METRIC_OWNER struct snapshotter_metrics
METRIC_TABLE(snapshotter_metrics, SNAPSHOTTER_METRICS)

struct snapshotter {
    struct snapshotter_options options;
    struct snapshotter_deps deps;
    struct snapshotter_metrics metrics;
    struct pruner pruner;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t wake;
    atomic_bool hurries;
    bool stopping;
    bool is_wanted; /* somebody has asked */
    bool is_owed;   /* by the log, or because the last one failed */
    struct snapshotter_status status;
};

enum due { DUE_LATER, DUE_BY_CLOCK, DUE };

/* ---- When ----------------------------------------------------------------------------------- */

/* Is one due, and if not, in how many milliseconds should be looked again (-1: when something
 * happens)? With the lock held. */
static enum due look(const struct snapshotter *self, int64_t now_ms, int64_t not_before_ms,
                     int64_t *in_ms)
{
    const struct snapshotter_status *status = &self->status;
    const uint64_t interval_ms = self->options.interval_ms;
    const bool is_first = interval_ms != 0 && status->newest_ms == 0;
    int64_t due_ms = now_ms;
    *in_ms = -1;
    if (self->is_wanted) {
        return DUE;
    }
    if (!self->is_owed && !is_first) {
        if (interval_ms == 0) {
            return DUE_LATER;
        }
        due_ms = status->confirmed_ms + (int64_t)interval_ms;
    }
    due_ms = due_ms > not_before_ms ? due_ms : not_before_ms;
    if (due_ms > now_ms) {
        *in_ms = due_ms - now_ms;
        return DUE_LATER;
    }
    return self->is_owed || is_first ? DUE : DUE_BY_CLOCK;
}

/* Has the newest snapshot every change that there is? Any thread, with the lock held: the shipper
 * holds its own only for moments, and calls nobody under it. */
static bool is_current(const struct snapshotter *self)
{
    struct shipper_status shipping;
    shipper_status(self->deps.shipper, &shipping);
    return self->status.newest_ms != 0 && shipping.is_shipped && !shipping.owes_snapshot &&
           shipping.position.shipped_lsn <= self->status.through_lsn;
}

/* If nothing has changed the clock begins anew. With the lock held. */
static bool skip(struct snapshotter *self, int64_t now_ms)
{
    if (!is_current(self) || now_ms - self->status.newest_ms >= SKIP_AGE_MS_MAX) {
        return false;
    }
    self->status.confirmed_ms = now_ms;
    self->status.skipped++;
    metric_add(&self->metrics.skipped, 1);
    return true;
}

/* Waits at most `ms` (-1: for ever) for something to happen. With the lock held. */
static void wait_ms(struct snapshotter *self, int64_t ms)
{
    if (ms < 0) {
        (void)pthread_cond_wait(&self->wake, &self->lock);
        return;
    }
    const struct timespec until = clock_moment_in(ms * 1000000);
    (void)pthread_cond_timedwait(&self->wake, &self->lock, &until);
}

/* Waits until one is due and possible; false when the thread has to end. */
static bool wait_until_due(struct snapshotter *self, int64_t not_before_ms,
                           struct shipper_position *position)
{
    bool is_due = false;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping && !is_due) {
        int64_t in_ms = 0;
        const int64_t now_ms = clock_wall_ms(self->deps.clock);
        const enum due due = look(self, now_ms, not_before_ms, &in_ms);
        if (due == DUE_LATER) {
            wait_ms(self, in_ms);
        } else if (!shipper_position(self->deps.shipper, position)) {
            wait_ms(self, POLL_MS);
        } else if (due == DUE || !skip(self, now_ms)) {
            is_due = true;
            self->is_wanted = false;
            self->is_owed = false;
            self->status.number++;
            self->status.progress = (struct snapshot_progress){0};
        }
    }
    self->status.is_running = is_due;
    (void)pthread_mutex_unlock(&self->lock);
    return is_due;
}

/* ---- Taking --------------------------------------------------------------------------------- */

/* With the lock held. */
static void note_newest(struct snapshotter *self, const struct manifest *manifest)
{
    self->status.newest_ms = manifest->time_ms;
    self->status.confirmed_ms = manifest->time_ms;
    self->status.through_lsn = manifest->through_lsn;
    self->status.sessions = manifest->sessions;
    self->status.stored_bytes = manifest->stored_bytes;
}

static void on_progress(void *arg, const struct snapshot_progress *progress)
{
    struct snapshotter *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->status.progress = *progress;
    (void)pthread_mutex_unlock(&self->lock);
}

static void note(struct snapshotter *self, enum status status, const struct manifest *manifest,
                 const char *errmsg)
{
    bool is_first = false;
    (void)pthread_mutex_lock(&self->lock);
    self->status.is_running = false;
    if (status == STATUS_OK) {
        note_newest(self, manifest);
        self->status.stored_number = self->status.number;
        self->status.is_failing = false;
        self->status.taken++;
    } else if (status != STATUS_AGAIN) {
        is_first = !self->status.is_failing;
        self->status.is_failing = true;
        self->status.failed_number = self->status.number;
        self->status.failed++;
        self->is_owed = true;
        (void)snprintf(self->status.error, sizeof self->status.error, "%s", errmsg);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (status == STATUS_OK) {
        metric_add(&self->metrics.taken, 1);
        metric_set(&self->metrics.stored_bytes, (int64_t)manifest->stored_bytes);
        log_info("backup: a snapshot is stored",
                 "sessions=%" PRIu64 " bytes=%" PRIu64 " from_lsn=%" PRIu64 " next_seq=%" PRIu64,
                 manifest->sessions, manifest->stored_bytes, manifest->id.from_lsn,
                 manifest->next_seq);
    } else if (status != STATUS_AGAIN) {
        metric_add(&self->metrics.failed, 1);
        char quoted[2 * SNAPSHOT_ERRMSG_BYTES];
        if (is_first) {
            log_warn("backup: no snapshot could be taken", "why=%s",
                     log_quoted(quoted, sizeof quoted, errmsg));
        }
    }
}

static enum status take(struct snapshotter *self, const struct shipper_position *position)
{
    struct manifest manifest;
    char errmsg[SNAPSHOT_ERRMSG_BYTES] = "";
    const struct snapshot_job job = {.s3 = self->deps.s3,
                                     .store = self->deps.store,
                                     .clock = self->deps.clock,
                                     .from_lsn = position->shipped_lsn,
                                     .next_seq = position->next_seq,
                                     .progress = on_progress,
                                     .arg = self};
    metric_set(&self->metrics.running, 1);
    enum status status = snapshot_take(&job, &manifest, errmsg);
    metric_set(&self->metrics.running, 0);
    if (status == STATUS_OK) {
        shipper_note_snapshot(self->deps.shipper, position->next_seq);
    }
    note(self, status, &manifest, errmsg);
    return status;
}

/* How old the newest snapshot is that the archive has, of whatever process. */
static void look_at_archive(struct snapshotter *self)
{
    struct archive archive = {.s3 = self->deps.s3};
    struct manifest newest;
    bool is_found = false;
    if (archive_find_newest(&archive, &newest, &is_found) == S3_OK && is_found) {
        (void)pthread_mutex_lock(&self->lock);
        note_newest(self, &newest);
        (void)pthread_mutex_unlock(&self->lock);
    }
}

/* Lets go what is too old. Never when another process has taken the archive over: it is that one's
 * policy that counts. */
static void prune(struct snapshotter *self)
{
    struct shipper_status shipping;
    struct archive archive = {.s3 = self->deps.s3};
    shipper_status(self->deps.shipper, &shipping);
    if (shipping.state != SHIPPER_FENCED && shipping.state != SHIPPER_REFUSED) {
        pruner_run(&self->pruner, (struct prune_job){.archive = &archive,
                                                     .place = self->deps.place,
                                                     .stop = self->deps.stop});
    }
}

static void *snapshotter_run(void *arg)
{
    struct snapshotter *self = arg;
    struct shipper_position position;
    int64_t not_before_ms = 0;
    thread_stand_back(&self->hurries);
    look_at_archive(self);
    while (wait_until_due(self, not_before_ms, &position)) {
        enum status status = take(self, &position);
        not_before_ms = status == STATUS_OK
                            ? 0
                            : clock_wall_ms(self->deps.clock) + (int64_t)self->options.retry_ms;
        if (status == STATUS_OK) {
            prune(self);
        }
    }
    return NULL;
}

/* ---- Life ----------------------------------------------------------------------------------- */

enum status snapshotter_open(const struct snapshotter_options *options,
                             const struct snapshotter_deps *deps, struct snapshotter **out)
{
    struct snapshotter *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->options.retry_ms = options->retry_ms == 0 ? RETRY_MS_STANDARD : options->retry_ms;
    self->deps = *deps;
    pruner_init(&self->pruner, &options->pruner, deps->clock);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&self->lock, NULL);
    if (thread_start(&self->thread, "snapshot", snapshotter_run, self) != STATUS_OK) {
        snapshotter_close(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

uint64_t snapshotter_want(struct snapshotter *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_wanted = true;
    uint64_t number = self->status.number + 1;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
    return number;
}

void snapshotter_hurry(struct snapshotter *self)
{
    atomic_store_explicit(&self->hurries, true, memory_order_relaxed);
}

void snapshotter_owe(struct snapshotter *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_owed = true;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
}

bool snapshotter_is_current(struct snapshotter *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool current = is_current(self);
    (void)pthread_mutex_unlock(&self->lock);
    return current;
}

void snapshotter_stop(struct snapshotter *self)
{
    if (self == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
    (void)pthread_join(self->thread, NULL);
}

void snapshotter_close(struct snapshotter *self)
{
    if (self == NULL) {
        return;
    }
    pruner_close(&self->pruner);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

void snapshotter_status(struct snapshotter *self, struct snapshotter_status *out)
{
    (void)pthread_mutex_lock(&self->lock);
    *out = self->status;
    (void)pthread_mutex_unlock(&self->lock);
    pruner_status(&self->pruner, &out->pruning);
}

/* In whole seconds; -1 when there is nothing to count from. */
static int64_t seconds_since(const struct snapshotter *self, int64_t from_ms)
{
    return from_ms == 0 ? -1 : (clock_wall_ms(self->deps.clock) - from_ms) / 1000;
}

static void refresh(void *arg)
{
    struct snapshotter *self = arg;
    struct snapshotter_status status;
    snapshotter_status(self, &status);
    metric_set(&self->metrics.age_seconds, seconds_since(self, status.newest_ms));
    metric_set(&self->metrics.confirmed_seconds, seconds_since(self, status.confirmed_ms));
}

enum status snapshotter_register_metrics(struct snapshotter *self, struct metric_registry *registry)
{
    enum status status = pruner_register_metrics(&self->pruner, registry);
    return status != STATUS_OK
               ? status
               : metric_register(registry, (struct metric_set){.table = &snapshotter_metrics_table,
                                                               .values = &self->metrics,
                                                               .refresh = refresh,
                                                               .refresh_arg = self});
}
