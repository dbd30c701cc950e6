/*
 * The store's life: opening, the keeper thread (recovery, then checkpoints), closing.
 *
 * Lock order: shards in ascending index, then the journal's buffer lock or the loader's queue lock;
 * the keeper's lock is taken alone. No lock is held during I/O.
 */
#include "store/store.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/dir.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/data_dir.h"
#include "store/store_private.h"

enum { SOON_MS = 2000 };

#define METRIC_OWNER struct store_metrics
METRIC_TABLE(store_metrics, STORE_METRICS)

/* ---- Events --------------------------------------------------------------------------------- */

void store_fail(struct store *self, const char *why)
{
    /* Release is not needed for the state itself; the exchange makes one caller the first. */
    if (atomic_exchange(&self->state, STORE_FAILED) != STORE_FAILED) {
        self->deps.events.failed(self->deps.events.arg, why);
    }
}

void store_tell(struct store *self, uint64_t first_lsn, uint64_t time_ms, uint32_t count,
                struct view records)
{
    const struct store_events *events = &self->deps.events;
    if (events->changes != NULL) {
        events->changes(events->arg, &(struct store_changes){.follows_lsn = self->told_lsn,
                                                             .first_lsn = first_lsn,
                                                             .time_ms = time_ms,
                                                             .count = count,
                                                             .records = records});
    }
    self->told_lsn = first_lsn + count - 1;
}

void store_on_written(void *arg, const struct frame *frame)
{
    store_tell(arg, frame->first_lsn, frame->time_ms, frame->count, frame->records);
}

void store_on_journal_failed(void *arg, const char *why)
{
    store_fail(arg, why);
}

void store_want_checkpoint(struct store *self)
{
    (void)pthread_mutex_lock(&self->keeper_lock);
    self->checkpoint_due = true;
    (void)pthread_cond_signal(&self->keeper_wake);
    (void)pthread_mutex_unlock(&self->keeper_lock);
}

uint64_t store_checkpoint_bytes(const struct store *self)
{
    /* What is dirty cannot leave memory. */
    uint64_t most = self->options.memory_bytes / 4;
    return most < self->options.checkpoint_bytes ? most : self->options.checkpoint_bytes;
}

void store_on_flushed(void *arg)
{
    struct store *self = arg;
    self->deps.events.durable(self->deps.events.arg);
    uint64_t since = journal_total_bytes(self->journal) -
                     atomic_load_explicit(&self->checkpointed_bytes, memory_order_relaxed);
    if (since >= store_checkpoint_bytes(self)) {
        store_want_checkpoint(self);
    }
}

/* ---- The keeper ----------------------------------------------------------------------------- */

/* Relaxed: looked at by who wonders how long the storage takes, nothing depends on it. */
void store_begin_io(struct store *self)
{
    atomic_store_explicit(&self->busy_since_ns, clock_mono_ns(self->deps.clock),
                          memory_order_relaxed);
}

static void store_end_io(struct store *self)
{
    atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
}

static bool has_changes(struct store *self)
{
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        uint32_t dirty = shard->dirty.count;
        shard_unlock(shard);
        if (dirty != 0) {
            return true;
        }
    }
    return false;
}

bool store_is_stopping(struct store *self)
{
    (void)pthread_mutex_lock(&self->keeper_lock);
    bool stopping = self->stopping;
    (void)pthread_mutex_unlock(&self->keeper_lock);
    return stopping;
}

/* How long until the next checkpoint: soon while an earlier epoch's journal is still needed, or the
 * disk was full. */
static uint64_t checkpoint_in_ms(const struct store *self)
{
    bool soon = self->old.count != 0 || self->must_renew || self->disk_full;
    uint64_t most_ms = self->options.checkpoint_ms;
    return soon && SOON_MS < most_ms ? SOON_MS : most_ms;
}

/* Waits until a checkpoint is due; false when the store closes. */
static bool wait_for_work(struct store *self)
{
    const struct timespec until = clock_moment_in((int64_t)checkpoint_in_ms(self) * 1000000);
    (void)pthread_mutex_lock(&self->keeper_lock);
    store_work_export(self);
    while (!self->stopping && !self->checkpoint_due && !store_export_is_due(self) &&
           pthread_cond_timedwait(&self->keeper_wake, &self->keeper_lock, &until) != ETIMEDOUT) {
        store_work_export(self);
    }
    self->checkpoint_due = false;
    store_freshen_export(self);
    bool stopping = self->stopping;
    (void)pthread_mutex_unlock(&self->keeper_lock);
    return !stopping;
}

static enum status checkpoint_if_changed(struct store *self, char *errmsg, size_t errmsg_bytes)
{
    if (store_state(self) != STORE_SERVING) {
        return STATUS_IO;
    }
    /* The first checkpoint also covers, and so removes, the journal of earlier epochs. */
    if (self->old.count == 0 && !self->must_renew && !has_changes(self)) {
        return STATUS_OK;
    }
    store_begin_io(self);
    enum status status = self->must_renew ? store_renew(self, errmsg, errmsg_bytes) : STATUS_OK;
    if (status == STATUS_OK) {
        status = store_checkpoint(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = journal_files_remove(&self->old);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes,
                           "cannot remove the journal of an earlier epoch: %s", strerror(errno));
        }
    }
    store_end_io(self);
    return status;
}

/* A full disk is no failure as long as the store runs: the next checkpoint tries again. */
static bool goes_on(struct store *self, enum status status, const char *why)
{
    bool full = status == STATUS_NO_SPACE;
    if (full && !self->disk_full) {
        log_warn("no space for a checkpoint", "why=\"%s\"", why);
    } else if (!full && self->disk_full) {
        log_info("space for checkpoints again", NULL);
    }
    self->disk_full = full;
    return status == STATUS_OK || full;
}

static void *keeper_run(void *arg)
{
    struct store *self = arg;
    char why[512] = "out of memory";
    enum status status = store_recover(self, why, sizeof why);
    /* Release: a worker that sees SERVING sees the table, the journal and the loader. A reader may
     * have failed already, and that is final. */
    int loading = STORE_LOADING;
    if (status == STATUS_OK &&
        atomic_compare_exchange_strong_explicit(&self->state, &loading, STORE_SERVING,
                                                memory_order_release, memory_order_relaxed)) {
        self->deps.events.ready(self->deps.events.arg);
    }
    bool serving = status == STATUS_OK;
    while (serving) {
        serving = wait_for_work(self);
        status = checkpoint_if_changed(self, why, sizeof why); /* also the final one */
        bool fine = goes_on(self, status, why);
        if (!serving && fine && !self->must_renew) {
            status = STATUS_OK; /* what the final one had no space for is in the journal */
        }
        serving = serving && fine;
    }
    if (status == STATUS_END) { /* closed before there was a data file to write to */
        status = STATUS_AGAIN;
    }
    self->last_status = status;
    (void)pthread_mutex_lock(&self->keeper_lock);
    self->keeper_gone = true;
    (void)pthread_cond_broadcast(&self->export_done);
    (void)pthread_mutex_unlock(&self->keeper_lock);
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        store_fail(self, why);
    }
    return NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static void store_free(struct store *self)
{
    if (self->rows != NULL) {
        rows_close(self->rows);
    }
    journal_files_free(&self->old);
    table_close(&self->table);
    (void)pthread_mutex_destroy(&self->keeper_lock);
    (void)pthread_cond_destroy(&self->keeper_wake);
    (void)pthread_cond_destroy(&self->export_done);
    free((void *)(uintptr_t)self->options.data_dir);
    free(self->journal_dir);
    free(self->run_dir);
    free(self);
}

/* Directories, data file, lock and environment: what can be refused before serving starts. */
static enum status open_files(struct store *self, const struct store_options *options, char *errmsg,
                              size_t errmsg_bytes)
{
    self->options.data_dir = strdup(options->data_dir);
    if (self->options.data_dir == NULL ||
        asprintf(&self->journal_dir, "%s/journal", options->data_dir) < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = dir_make(self->journal_dir, errmsg, errmsg_bytes);
    if (status == STATUS_OK && options->run_dir == NULL) {
        status = dir_make_private(&self->run_dir, errmsg, errmsg_bytes);
    } else if (status == STATUS_OK) {
        self->run_dir = strdup(options->run_dir);
        status = self->run_dir == NULL ? STATUS_NO_MEMORY
                                       : dir_make(self->run_dir, errmsg, errmsg_bytes);
    }
    char *path = NULL;
    if (status == STATUS_OK) {
        status = data_file_locate(options->data_dir, self->journal_dir, &path, errmsg,
                                  errmsg_bytes);
    }
    if (status == STATUS_NOT_FOUND) {
        status = store_begin_data_file(self, errmsg, errmsg_bytes);
    } else if (status == STATUS_OK) {
        struct rows_options rows = {.path = path,
                                    .run_dir = self->run_dir,
                                    .map_bytes = options->map_bytes,
                                    .lock_wait_ms = self->deps.lock_wait_ms,
                                    .file = self->deps.file};
        status = rows_open(&rows, &self->rows, errmsg, errmsg_bytes);
    }
    free(path);
    if (status == STATUS_OK) {
        status = store_read_meta(self);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes, "cannot read the data file in %s: %s: %s",
                           options->data_dir, status_text(status), rows_error(self->rows));
        }
    }
    /* Known before anybody can ask for a hash: one from before recovery is good after it. */
    self->table.seed = self->meta.hash_seed;
    return status;
}

enum status store_open(const struct store_options *options, const struct store_deps *deps,
                       struct store **out, char *errmsg, size_t errmsg_bytes)
{
    /* calloc() would not align the shards to cache lines. */
    struct store *self = aligned_alloc(alignof(struct store), sizeof *self);
    if (self != NULL) {
        memset(self, 0, sizeof *self);
    }
    if (self == NULL || table_init(&self->table, 0) != STATUS_OK) {
        free(self);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->options.data_dir = NULL; /* until it is ours */
    self->options.run_dir = NULL;  /* see run_dir */
    self->deps = *deps;
    atomic_init(&self->state, STORE_LOADING);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->keeper_wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_cond_init(&self->export_done, NULL);
    (void)pthread_mutex_init(&self->keeper_lock, NULL);
    metric_set(&self->metrics.memory_max, (int64_t)options->memory_bytes);

    enum status status = open_files(self, options, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = thread_start(&self->keeper, "checkpoint", keeper_run, self);
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the checkpoint thread");
    }
    if (status != STATUS_OK) {
        store_free(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

enum status store_close(struct store *self)
{
    (void)pthread_mutex_lock(&self->keeper_lock);
    self->stopping = true;
    (void)pthread_cond_signal(&self->keeper_wake);
    (void)pthread_mutex_unlock(&self->keeper_lock);
    (void)pthread_join(self->keeper, NULL);
    enum status status = self->last_status;
    if (self->loader != NULL) {
        loader_stop(self->loader);
    }
    if (self->journal != NULL) {
        enum status closed = journal_close(self->journal);
        if (closed != STATUS_OK) {
            store_fail(self, "cannot close the journal");
        }
        status = status == STATUS_OK ? closed : status;
    }
    store_free(self);
    return status;
}

uint64_t store_stalled_ms(const struct store *self)
{
    if (store_state(self) != STORE_SERVING) {
        return 0;
    }
    const int64_t since_ns[] = {
        journal_busy_since_ns(self->journal),
        atomic_load_explicit(&self->busy_since_ns, memory_order_relaxed),
    };
    int64_t now_ns = clock_mono_ns(self->deps.clock);
    int64_t longest_ns = 0;
    for (size_t i = 0; i < sizeof since_ns / sizeof since_ns[0]; i++) {
        if (since_ns[i] != 0 && now_ns - since_ns[i] > longest_ns) {
            longest_ns = now_ns - since_ns[i];
        }
    }
    return (uint64_t)longest_ns / 1000000;
}

enum store_state store_state(const struct store *self)
{
    /* Acquire: pairs with the keeper's release when recovery is done. */
    return (enum store_state)atomic_load_explicit(&self->state, memory_order_acquire);
}

/* ---- Metrics -------------------------------------------------------------------------------- */

uint64_t store_session_count(struct store *self)
{
    uint64_t live = 0;
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        live += shard->live;
        shard_unlock(shard);
    }
    return live;
}

/* -1: this process has completed none. */
static int64_t checkpoint_age_s(const struct store *self)
{
    int64_t then_ns = atomic_load_explicit(&self->checkpointed_ns, memory_order_relaxed);
    return then_ns == 0 ? -1 : (clock_mono_ns(self->deps.clock) - then_ns) / 1000000000;
}

static void refresh(void *arg)
{
    struct store *self = arg;
    int64_t live = 0;
    int64_t dirty = 0;
    uint64_t memory = 0;
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        struct shard *shard = &self->table.shards[i];
        shard_lock(shard);
        live += shard->live;
        dirty += shard->dirty.count + shard->taken.count;
        memory += shard_footprint(shard);
        shard_unlock(shard);
    }
    metric_set(&self->metrics.sessions, live);
    metric_set(&self->metrics.dirty, dirty);
    metric_set(&self->metrics.memory, (int64_t)memory);
    metric_set(&self->metrics.checkpoint_age, checkpoint_age_s(self));
    metric_set(&self->metrics.stalled, (int64_t)store_stalled_ms(self) / 1000);
    if (store_state(self) == STORE_SERVING) {
        metric_set(&self->metrics.undurable, (int64_t)journal_undurable_bytes(self->journal));
        metric_set(&self->metrics.durable_lsn, (int64_t)journal_durable_lsn(self->journal));
    }
}

enum status store_register_metrics(struct store *self, struct metric_registry *registry)
{
    enum status status = metric_register(registry, (struct metric_set){
                                                       .table = &store_metrics_table,
                                                       .values = &self->metrics,
                                                       .refresh = refresh,
                                                       .refresh_arg = self,
                                                   });
    if (status == STATUS_OK) {
        status = metric_register(registry, (struct metric_set){
                                               .table = &journal_metrics_table,
                                               .values = &self->journal_metrics,
                                           });
    }
    return status;
}
