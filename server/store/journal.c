/* Records, the journal's life, and questions to it; its threads are in journal_flush.c. */
#include "store/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "store/journal_private.h"

#define METRIC_OWNER struct journal_metrics
METRIC_TABLE(journal_metrics, JOURNAL_METRICS)

/* ---- Records ----------------------------------------------------------------------------- */

uint8_t *journal_begin(struct journal *self, size_t bytes, uint32_t count, uint64_t *first_lsn)
{
    (void)pthread_mutex_lock(&self->lock);
    uint64_t undurable = atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed);
    struct chunk *chunk = self->open;
    /* Over the limit by the last record at most, so the largest one passes the smallest limit. */
    if (self->failed || atomic_load_explicit(&self->no_space, memory_order_relaxed) ||
        undurable > self->options.undurable_bytes_max) {
        goto refuse;
    }
    if (chunk == NULL || chunk->cap - chunk->len < bytes) {
        chunk = chunk_take(&self->pool, bytes, self->next_lsn);
        if (chunk == NULL) {
            goto refuse;
        }
        if (self->open == NULL) {
            self->first = chunk;
        } else {
            self->open->next = chunk;
        }
        self->open = chunk;
    }
    uint8_t *record = chunk->bytes + chunk->len;
    chunk->len += bytes;
    chunk->count += count;
    *first_lsn = self->next_lsn;
    self->next_lsn += count;
    /* Relaxed: only counted with; written under the lock, here and where it becomes durable. */
    atomic_fetch_add_explicit(&self->undurable_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&self->total_bytes, bytes, memory_order_relaxed);
    return record;

refuse:
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

void journal_end(struct journal *self)
{
    (void)pthread_mutex_unlock(&self->lock);
}

/* Whether a flush is due earlier than who leads, and waits, knows. Called with the lock held. */
static bool is_news(const struct journal *self)
{
    return self->due_ns != 0 && self->first != NULL && journal_due_ns(self) < self->due_ns;
}

void journal_flush(struct journal *self, bool awaited)
{
    /* Relaxed: the caller's own records are in it, others see to theirs. */
    if (atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed) == 0) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->awaited = self->awaited || (awaited && self->first != NULL);
    bool wake = is_news(self);
    (void)pthread_mutex_unlock(&self->lock);
    if (wake) {
        (void)pthread_cond_signal(&self->work);
    }
}

/* ---- Life and questions --------------------------------------------------------------------- */

static void journal_free(struct journal *self)
{
    chunks_free(self->first);
    chunks_free(self->pool.spares);
    free((void *)(uintptr_t)self->options.dir);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_cond_destroy(&self->lead);
    (void)pthread_cond_destroy(&self->turn);
    (void)pthread_cond_destroy(&self->done);
    free(self);
}

/* Lets the threads flush what is there, and end. */
static void stop_threads(struct journal *self, unsigned count)
{
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->work);
    (void)pthread_cond_broadcast(&self->lead);
    (void)pthread_cond_broadcast(&self->turn);
    (void)pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < count; i++) {
        (void)pthread_join(self->threads[i], NULL);
    }
}

static enum status start_threads(struct journal *self)
{
    static const char *const names[SEGMENT_LANES] = {"journal", "journal-2", "journal-3",
                                                     "journal-4"};
    for (unsigned i = 0; i < SEGMENT_LANES; i++) {
        enum status status = thread_start(&self->threads[i], names[i], journal_run, self);
        if (status != STATUS_OK) {
            stop_threads(self, i);
            return status;
        }
    }
    return STATUS_OK;
}

static void init_conditions(struct journal *self)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->work, &monotonic);
    (void)pthread_cond_init(&self->turn, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_cond_init(&self->lead, NULL);
    (void)pthread_cond_init(&self->done, NULL);
}

enum status journal_open(const struct journal_options *options, struct journal **out, char *errmsg,
                         size_t errmsg_bytes)
{
    struct journal *self = calloc(1, sizeof *self);
    char *dir = strdup(options->dir);
    if (self == NULL || dir == NULL) {
        free(self);
        free(dir);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    self->options.dir = dir;
    self->next_lsn = options->next_lsn;
    self->noted = true; /* there is nothing in it yet */
    atomic_init(&self->durable_lsn, options->next_lsn - 1);
    (void)pthread_mutex_init(&self->lock, NULL);
    init_conditions(self);
    struct segment_writer_options segments = {.dir = dir,
                                              .epoch = options->epoch,
                                              .segment_bytes = options->segment_bytes,
                                              .spare_bytes = options->spare_bytes,
                                              .file = options->file,
                                              .owner = options->owner};
    memcpy(segments.uuid, options->uuid, STORE_UUID_BYTES);
    errno = 0;
    enum status status = segment_writer_open(&self->segments, &segments, options->follows_lsn,
                                             options->next_lsn);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start a journal segment in %s: %s: %s", dir,
                       status_text(status), strerror(errno));
        journal_free(self);
        return status;
    }
    self->segments_told = self->segments.started;
    metric_add(&options->metrics->segments, self->segments.started);
    if (start_threads(self) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the journal's threads");
        (void)segment_writer_close(&self->segments);
        journal_free(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

enum status journal_close(struct journal *self)
{
    stop_threads(self, SEGMENT_LANES);
    enum status flushed = self->failed ? STATUS_IO : STATUS_OK;
    enum status closed = segment_writer_close(&self->segments);
    journal_free(self);
    if (closed == STATUS_NO_SPACE) { /* everything was synced before: nothing needs that space */
        closed = STATUS_OK;
    }
    return flushed == STATUS_OK ? closed : flushed;
}

uint64_t journal_durable_lsn(const struct journal *self)
{
    return atomic_load_explicit(&self->durable_lsn, memory_order_acquire);
}

uint64_t journal_last_lsn(struct journal *self)
{
    (void)pthread_mutex_lock(&self->lock);
    uint64_t last = self->next_lsn - 1;
    (void)pthread_mutex_unlock(&self->lock);
    return last;
}

enum status journal_wait_durable(struct journal *self, uint64_t lsn)
{
    (void)pthread_mutex_lock(&self->lock);
    enum status status = STATUS_OK;
    while (status == STATUS_OK &&
           atomic_load_explicit(&self->durable_lsn, memory_order_relaxed) < lsn) {
        status = self->failed ? STATUS_IO : journal_has_space(self) ? STATUS_OK : STATUS_NO_SPACE;
        if (status == STATUS_OK) {
            self->awaited = self->awaited || self->first != NULL;
            if (is_news(self)) {
                (void)pthread_cond_signal(&self->work);
            }
            (void)pthread_cond_wait(&self->done, &self->lock);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

enum status journal_drop_covered(struct journal *self, uint64_t lsn)
{
    return segment_writer_drop_covered(&self->segments, lsn);
}

bool journal_has_space(const struct journal *self)
{
    return !atomic_load_explicit(&self->no_space, memory_order_relaxed);
}

int64_t journal_busy_since_ns(const struct journal *self)
{
    return atomic_load_explicit(&self->busy_since_ns, memory_order_relaxed);
}

uint64_t journal_undurable_bytes(const struct journal *self)
{
    return atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed);
}

uint64_t journal_total_bytes(const struct journal *self)
{
    return atomic_load_explicit(&self->total_bytes, memory_order_relaxed);
}
