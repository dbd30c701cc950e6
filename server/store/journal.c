/* Group commit: chunks that fill, a thread that writes and syncs them, segments that rotate. */
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/thread.h"
#include "store/chunk.h"
#include "store/segment_writer.h"

#define METRIC_OWNER struct journal_metrics
METRIC_TABLE(journal_metrics, JOURNAL_METRICS)

enum {
    FLUSH_BYTES_MAX = 4 * 1024 * 1024, /* what one fdatasync may cover */
    SPACE_POLL_NS = 200000000,         /* how often a full disk is tried again */
    IDLE_NS = 100000000,               /* after it a frame says what is durable */
    PACE_NS = 10000000,                /* how long what nobody waits for collects … */
    PACE_BYTES = 1024 * 1024,          /* … unless it is so much */
    CROWD_LEAST = 4,                   /* with fewer nobody is waited for */
    COLLECT_NS_MAX = 4000000,          /* how long at most what somebody waits for collects */
};

/* What the journal's thread does: it waits for records, or for more of them. */
enum journal_thread {
    FLUSHING,
    IDLE,
    PACING,     /* nobody waits for what there is */
    COLLECTING, /* somebody does, and others are about to */
};

struct journal {
    struct journal_options options; /* immutable; dir is owned */
    pthread_t thread;

    pthread_mutex_t lock;      /* guards the members up to `durable_lsn` */
    pthread_cond_t work;       /* the journal thread waits for records */
    pthread_cond_t done;       /* others wait for durable_lsn */
    enum journal_thread doing; /* unless FLUSHING it waits at `work` */
    bool awaited;              /* somebody waits for what is queued */
    bool stopping;
    bool failed;
    uint64_t next_lsn;
    struct chunk *first; /* owned: chunks to be written, oldest first */
    struct chunk *open;  /* the last of them, which records go into; NULL when the list is empty */
    struct chunk_pool pool;
    uint64_t crowd;        /* records the last flush let go, and those that waited then */
    int64_t last_flush_ns; /* how long it took */
    bool noted;            /* a frame in the segment says that everything in it is durable */

    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t undurable_bytes;
    _Atomic uint64_t total_bytes;
    _Atomic int64_t busy_since_ns; /* monotonic: when the running flush began; 0: none runs */

    _Atomic bool no_space; /* the storage is full: nothing new is taken until it has room again */

    struct segment_writer segments; /* journal thread; dropping covered ones: any */
};

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
    /* Relaxed: only counted with; written under the lock here, by the journal thread as well. */
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

static bool is_much(const struct journal *self)
{
    return atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed) >= PACE_BYTES;
}

/* As many wait as there were when the last flush ended: whoever it let go is here again. */
static bool is_crowd(const struct journal *self)
{
    uint64_t durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    return self->next_lsn - 1 - durable_lsn >= self->crowd;
}

/* Whether the journal thread has to be told that there are records. */
static bool is_news(const struct journal *self, bool awaited)
{
    switch (self->doing) {
    case FLUSHING:
        return false; /* it will look */
    case IDLE:
        return true;
    case PACING:
        return awaited || is_much(self);
    case COLLECTING:
        return is_crowd(self) || is_much(self);
    }
    return true;
}

void journal_flush(struct journal *self, bool awaited)
{
    /* Relaxed: the caller's own records are in it, others see to theirs. */
    if (atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed) == 0) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    bool wake = self->first != NULL && is_news(self, awaited);
    self->awaited = self->awaited || awaited;
    (void)pthread_mutex_unlock(&self->lock);
    if (wake) {
        (void)pthread_cond_signal(&self->work);
    }
}

/* ---- The journal thread --------------------------------------------------------------------- */

static struct frame frame_of(const struct journal *self, const struct chunk *chunk)
{
    return (struct frame){
        .first_lsn = chunk->first_lsn,
        .durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed),
        .time_ms = chunk->time_ms,
        .count = chunk->count,
        .records = chunk_records(chunk),
    };
}

/* Writes and syncs. What is on the storage counts only if this process was still the owner when
 * the sync came back: otherwise the next one may have read the journal without it. */
static enum status flush_once(struct journal *self, struct chunk *chunks)
{
    for (struct chunk *chunk = chunks; chunk != NULL; chunk = chunk->next) {
        chunk->time_ms = (uint64_t)clock_wall_ms(self->options.clock);
        struct frame frame = frame_of(self, chunk);
        enum status status = segment_writer_append(&self->segments, chunk->bytes, &frame);
        if (status != STATUS_OK) {
            return status;
        }
        metric_add(&self->options.metrics->records, chunk->count);
        metric_add(&self->options.metrics->bytes, chunk->len);
    }
    enum status status = segment_writer_sync(&self->segments);
    if (status == STATUS_OK && !ownership_holds(self->options.owner)) {
        errno = ESTALE;
        return STATUS_IO;
    }
    return status;
}

/* Waits a little; false when the journal is to be closed. */
static bool pause_for_space(struct journal *self)
{
    const struct timespec until = clock_moment_in(SPACE_POLL_NS);
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping &&
           pthread_cond_timedwait(&self->work, &self->lock, &until) != ETIMEDOUT) {
    }
    bool stopping = self->stopping;
    (void)pthread_mutex_unlock(&self->lock);
    return !stopping;
}

/*
 * One flush. On a full disk the records stay here, nothing new is taken, and when there is space
 * again everything that is not durable goes into a new segment (invariant 8): whatever part of it
 * the old one holds is the same records with the same numbers, which recovery skips.
 */
static enum status flush(struct journal *self, struct chunk *chunks)
{
    int64_t start_ns = clock_mono_ns(self->options.clock);
    uint64_t durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    /* Relaxed: looked at by who wonders how long this takes. */
    atomic_store_explicit(&self->busy_since_ns, start_ns, memory_order_relaxed);
    enum status status = flush_once(self, chunks);
    if (status == STATUS_NO_SPACE) {
        log_warn("no space for the journal", "dir=%s", self->options.dir);
        (void)pthread_mutex_lock(&self->lock);
        atomic_store_explicit(&self->no_space, true, memory_order_relaxed);
        (void)pthread_cond_broadcast(&self->done); /* who waits for it has to do without */
        (void)pthread_mutex_unlock(&self->lock);
    }
    while (status == STATUS_NO_SPACE) {
        /* Waiting for space is not hanging. */
        atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
        if (!pause_for_space(self)) {
            break;
        }
        start_ns = clock_mono_ns(self->options.clock);
        atomic_store_explicit(&self->busy_since_ns, start_ns, memory_order_relaxed);
        status = segment_writer_restart(&self->segments, durable_lsn);
        if (status == STATUS_OK) {
            status = flush_once(self, chunks);
        }
        if (status == STATUS_OK) {
            log_info("space for the journal again", "dir=%s", self->options.dir);
            atomic_store_explicit(&self->no_space, false, memory_order_relaxed);
        }
    }
    atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
    metric_observe_ns(&self->options.metrics->flush_seconds,
                      clock_mono_ns(self->options.clock) - start_ns);
    return status;
}

/* Called and returns with the lock held; nobody else writes the segment. */
static enum status note_durable(struct journal *self)
{
    uint64_t durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    (void)pthread_mutex_unlock(&self->lock);
    enum status status = segment_writer_note_durable(&self->segments, durable_lsn);
    (void)pthread_mutex_lock(&self->lock);
    self->noted = true;
    return status;
}

/* Waits for records; on a full disk nothing comes here, so what is idle is durable. */
static enum status wait_for_records(struct journal *self)
{
    enum status status = STATUS_OK;
    const struct timespec until = clock_moment_in(IDLE_NS);
    self->doing = IDLE;
    while (self->first == NULL && !self->stopping && status == STATUS_OK) {
        if (self->noted) {
            (void)pthread_cond_wait(&self->work, &self->lock);
        } else if (pthread_cond_timedwait(&self->work, &self->lock, &until) == ETIMEDOUT) {
            status = note_durable(self);
        }
    }
    return status;
}

/*
 * How long a flush that somebody waits for is delayed, so that others can join it. Who comes a
 * moment too late waits for almost two flushes, and after a flush many come back at once: those
 * whom it has let go. So it waits until they are here too, for half a flush at most;
 * and not at all where there are few, or one alone.
 */
static int64_t collect_ns(const struct journal *self)
{
    int64_t most_ns = self->last_flush_ns / 2;
    return self->crowd < CROWD_LEAST ? 0 : most_ns < COLLECT_NS_MAX ? most_ns : COLLECT_NS_MAX;
}

/* Lets records collect. */
static void wait_for_more(struct journal *self)
{
    const struct timespec paced = clock_moment_in(PACE_NS);
    const struct timespec collected = clock_moment_in(collect_ns(self));
    int rc = 0;
    while (rc != ETIMEDOUT && !self->stopping && !is_much(self) &&
           !(self->awaited && is_crowd(self))) {
        self->doing = self->awaited ? COLLECTING : PACING;
        rc = pthread_cond_timedwait(&self->work, &self->lock, self->awaited ? &collected : &paced);
    }
    self->doing = FLUSHING;
}

/* Takes up to FLUSH_BYTES_MAX of what is waiting; NULL when there is nothing. */
static struct chunk *take_chunks(struct journal *self)
{
    struct chunk *taken = self->first;
    size_t bytes = 0;
    for (struct chunk **at = &self->first; *at != NULL;) {
        bytes += (*at)->len;
        at = &(*at)->next;
        if (bytes >= FLUSH_BYTES_MAX || *at == NULL) {
            struct chunk *rest = *at;
            *at = NULL;
            self->first = rest;
            break;
        }
    }
    if (self->first == NULL) {
        self->open = NULL;
        self->awaited = false;
    }
    return taken;
}

/* Everything in `chunks` is durable. Called with the lock held. */
static void count_durable(struct journal *self, const struct chunk *chunks)
{
    uint64_t durable_lsn = 0;
    size_t bytes = 0;
    for (; chunks != NULL; chunks = chunks->next) {
        durable_lsn = chunks->first_lsn + chunks->count - 1;
        bytes += chunk_records(chunks).len;
    }
    self->noted = false;
    self->crowd = self->next_lsn - 1 -
                  atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    /* Release: whoever sees the number sees that the flush has happened. */
    atomic_store_explicit(&self->durable_lsn, durable_lsn, memory_order_release);
    atomic_fetch_sub_explicit(&self->undurable_bytes, bytes, memory_order_relaxed);
    (void)pthread_cond_broadcast(&self->done);
}

/* Who waits hears of it first, then those who want to see what was written. */
static void tell(struct journal *self, const struct chunk *chunks)
{
    self->options.flushed(self->options.arg);
    for (; chunks != NULL; chunks = chunks->next) {
        const struct frame frame = frame_of(self, chunks);
        self->options.written(self->options.arg, &frame);
    }
}

/* The end of everything. Called with the lock held, returns without. */
static void fail(struct journal *self, enum status status)
{
    char why[256];
    (void)snprintf(why, sizeof why, "cannot write the journal in %s: %s: %s", self->options.dir,
                   status_text(status),
                   ownership_holds(self->options.owner) ? strerror(errno) : "the lease is lost");
    self->failed = true;
    (void)pthread_cond_broadcast(&self->done);
    (void)pthread_mutex_unlock(&self->lock);
    self->options.failed(self->options.arg, why);
}

static void *journal_run(void *arg)
{
    struct journal *self = arg;
    thread_be_prompt();
    (void)pthread_mutex_lock(&self->lock);
    for (;;) {
        errno = 0;
        enum status status = wait_for_records(self);
        if (status == STATUS_OK) {
            wait_for_more(self);
        }
        struct chunk *chunks = status == STATUS_OK ? take_chunks(self) : NULL;
        if (status == STATUS_OK && chunks == NULL) {
            break;
        }
        if (status == STATUS_OK) {
            (void)pthread_mutex_unlock(&self->lock);
            uint64_t segments = self->segments.started;
            int64_t start_ns = clock_mono_ns(self->options.clock);
            status = flush(self, chunks);
            self->last_flush_ns = clock_mono_ns(self->options.clock) - start_ns;
            metric_add(&self->options.metrics->segments, self->segments.started - segments);
            (void)pthread_mutex_lock(&self->lock);
        }
        if (status != STATUS_OK) {
            chunks_free(chunks);
            fail(self, status);
            return NULL;
        }
        count_durable(self, chunks);
        (void)pthread_mutex_unlock(&self->lock);
        tell(self, chunks);
        (void)pthread_mutex_lock(&self->lock);
        chunks_recycle(&self->pool, chunks);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- Life and questions --------------------------------------------------------------------- */

static void journal_free(struct journal *self)
{
    chunks_free(self->first);
    chunks_free(self->pool.spares);
    free((void *)(uintptr_t)self->options.dir);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_cond_destroy(&self->done);
    free(self);
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
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_cond_init(&self->done, NULL);
    struct segment_writer_options segments = {.dir = dir,
                                              .epoch = options->epoch,
                                              .segment_bytes = options->segment_bytes,
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
    if (thread_start(&self->thread, "journal", journal_run, self) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the journal thread");
        (void)segment_writer_close(&self->segments);
        journal_free(self);
        return STATUS_NO_MEMORY;
    }
    metric_add(&options->metrics->segments, 1);
    *out = self;
    return STATUS_OK;
}

enum status journal_close(struct journal *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_signal(&self->work);
    (void)pthread_mutex_unlock(&self->lock);
    (void)pthread_join(self->thread, NULL);
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
            self->awaited = true;
            (void)pthread_cond_signal(&self->work);
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
