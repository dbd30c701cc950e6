/* The thread that takes snapshots. */
#include "backup/snapshotter.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backup/archive.h"
#include "base/log.h"
#include "base/thread.h"

enum {
    RETRY_MS_STANDARD = 60000,
    POLL_MS = 1000, /* how often the log's position is asked for that is not known yet */
    NICENESS = 10,  /* compressing has to leave the cores to requests */
};

#define METRIC_OWNER struct snapshotter_metrics
METRIC_TABLE(snapshotter_metrics, SNAPSHOTTER_METRICS)

struct snapshotter {
    struct snapshotter_options options;
    struct snapshotter_deps deps;
    struct snapshotter_metrics metrics;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stopping;
    bool is_wanted;
    struct snapshotter_status status;
};

/* ---- When ----------------------------------------------------------------------------------- */

/* In how many milliseconds one is due; 0: now; -1: never by itself. With the lock held. */
static int64_t due_in_ms(const struct snapshotter *self, int64_t now_ms)
{
    if (self->is_wanted || (self->options.interval_ms != 0 && self->status.newest_ms == 0)) {
        return 0;
    }
    if (self->options.interval_ms == 0) {
        return -1;
    }
    int64_t due_ms = self->status.newest_ms + (int64_t)self->options.interval_ms;
    return due_ms > now_ms ? due_ms - now_ms : 0;
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
        int64_t now_ms = clock_wall_ms(self->deps.clock);
        int64_t in_ms = due_in_ms(self, now_ms);
        if (in_ms == 0 && now_ms < not_before_ms) {
            in_ms = not_before_ms - now_ms;
        }
        if (in_ms == 0 && !shipper_position(self->deps.shipper, position)) {
            in_ms = POLL_MS;
        }
        is_due = in_ms == 0;
        if (!is_due) {
            wait_ms(self, in_ms);
        }
    }
    self->is_wanted = self->is_wanted && !is_due;
    self->status.is_running = is_due;
    (void)pthread_mutex_unlock(&self->lock);
    return is_due;
}

/* ---- Taking --------------------------------------------------------------------------------- */

static void note(struct snapshotter *self, enum status status, const struct manifest *manifest,
                 const char *errmsg)
{
    bool is_first = false;
    (void)pthread_mutex_lock(&self->lock);
    self->status.is_running = false;
    if (status == STATUS_OK) {
        self->status.newest_ms = manifest->time_ms;
        self->status.is_failing = false;
        self->status.taken++;
    } else if (status != STATUS_AGAIN) {
        is_first = !self->status.is_failing;
        self->status.is_failing = true;
        self->status.failed++;
        self->is_wanted = true;
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
                                     .next_seq = position->next_seq};
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
        self->status.newest_ms = newest.time_ms;
        (void)pthread_mutex_unlock(&self->lock);
    }
}

static void *snapshotter_run(void *arg)
{
    struct snapshotter *self = arg;
    struct shipper_position position;
    int64_t not_before_ms = 0;
    /* Linux gives every thread a niceness of its own; if it does not, compressing competes. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    look_at_archive(self);
    while (wait_until_due(self, not_before_ms, &position)) {
        enum status status = take(self, &position);
        not_before_ms = status == STATUS_OK
                            ? 0
                            : clock_wall_ms(self->deps.clock) + (int64_t)self->options.retry_ms;
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
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&self->lock, NULL);
    if (thread_start(&self->thread, "snapshot", snapshotter_run, self) != STATUS_OK) {
        (void)pthread_cond_destroy(&self->wake);
        (void)pthread_mutex_destroy(&self->lock);
        free(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

void snapshotter_want(struct snapshotter *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_wanted = true;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
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
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

void snapshotter_status(struct snapshotter *self, struct snapshotter_status *out)
{
    (void)pthread_mutex_lock(&self->lock);
    *out = self->status;
    (void)pthread_mutex_unlock(&self->lock);
}

static void refresh(void *arg)
{
    struct snapshotter *self = arg;
    struct snapshotter_status status;
    snapshotter_status(self, &status);
    metric_set(&self->metrics.age_seconds,
               status.newest_ms == 0 ? -1
                                     : (clock_wall_ms(self->deps.clock) - status.newest_ms) / 1000);
}

enum status snapshotter_register_metrics(struct snapshotter *self, struct metric_registry *registry)
{
    return metric_register(registry, (struct metric_set){.table = &snapshotter_metrics_table,
                                                         .values = &self->metrics,
                                                         .refresh = refresh,
                                                         .refresh_arg = self});
}
