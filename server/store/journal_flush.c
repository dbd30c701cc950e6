/* Group commit: threads that write and sync what is queued; the picture is in journal_private.h. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/thread.h"
#include "store/journal_private.h"

enum {
    SPACE_POLL_NS = 200000000,  /* how often a full disk is tried again */
    IDLE_NS = 100000000,        /* after it a frame says what is durable */
    PACE_NS = 10000000,         /* how long what nobody waits for collects */
    CROWD_LEAST = 4,            /* with fewer nobody is waited for */
    COLLECT_NS_MAX = 4000000,   /* how long at most what somebody waits for collects */
    SLOW_FLUSH_NS = 1000000,    /* storage that takes so long gets several flushes at a time */
    CHARGED_BYTES_LEAST = 4096, /* EFS charges no write as less */
};

/* ---- When a flush is due -------------------------------------------------------------------- */

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

/* Whether the storage takes long enough for another flush to begin during one. */
static bool is_slow(const struct journal *self)
{
    return self->last_flush_ns >= SLOW_FLUSH_NS;
}

/* A flush that hung for a while is no measure. */
static int64_t part_of_flush(const struct journal *self, int64_t part)
{
    int64_t ns = self->last_flush_ns / part;
    return ns < COLLECT_NS_MAX ? ns : COLLECT_NS_MAX;
}

static uint64_t flying(const struct journal *self)
{
    return self->begun - self->landed;
}

/* The lane for the next flight; SEGMENT_LANES: all are taken. */
static unsigned free_lane(const struct journal *self)
{
    unsigned lane = 0;
    while (lane < SEGMENT_LANES && self->flights[lane] != NULL) {
        lane++;
    }
    return lane;
}

/* What the next flight takes along; its last chunk is `*last`. */
static uint64_t queued_bytes(const struct journal *self, struct chunk **last)
{
    uint64_t bytes = 0;
    for (struct chunk *chunk = self->first; chunk != NULL; chunk = chunk->next) {
        bytes += chunk->len;
        *last = chunk;
        if (bytes >= FLUSH_BYTES_MAX) {
            break;
        }
    }
    return bytes;
}

/* Whether EFS would charge the next flight as more than it is. */
static bool is_charged_as_more(const struct journal *self)
{
    struct chunk *last = NULL;
    return queued_bytes(self, &last) < CHARGED_BYTES_LEAST;
}

/*
 * How long a flush that somebody waits for is delayed, so that others can join it. Who comes a
 * moment too late waits for almost two flushes, and after a flush many come back at once: those
 * whom it has let go. So it waits until they are here too, for half a flush at most; and not at all
 * where there are few, or one alone. On slow storage who is late goes with the next flight, which
 * follows soon: if all went together, all would wait together, and the other lanes stay empty. Only
 * what EFS would charge as more than it is waits there, for as long as a flush takes.
 */
static int64_t collect_ns(const struct journal *self)
{
    if (self->crowd < CROWD_LEAST) {
        return 0;
    }
    if (!is_slow(self)) {
        return part_of_flush(self, 2);
    }
    return is_charged_as_more(self) ? part_of_flush(self, 1) : part_of_flush(self, 8);
}

/* Whether the next flight may have company in the air. Not when it starts another segment. */
static bool may_overlap(const struct journal *self)
{
    struct chunk *last = NULL;
    return is_slow(self) && segment_writer_has_room(&self->segments, queued_bytes(self, &last));
}

/* Beside flights in the air. What EFS would charge as more than it is waits until they have landed.
 */
static int64_t due_beside_ns(const struct journal *self)
{
    bool is_wanted = self->awaited && !is_charged_as_more(self);
    if ((!is_wanted && !is_much(self)) || free_lane(self) == SEGMENT_LANES || !may_overlap(self)) {
        return INT64_MAX;
    }
    int64_t apart_ns = self->last_start_ns + part_of_flush(self, SEGMENT_LANES);
    int64_t collected_ns = self->since_ns + collect_ns(self);
    return apart_ns > collected_ns ? apart_ns : collected_ns;
}

int64_t journal_due_ns(const struct journal *self)
{
    if (flying(self) != 0) {
        return due_beside_ns(self);
    }
    if (is_much(self) || self->stopping || (self->awaited && is_crowd(self))) {
        return 0;
    }
    return self->since_ns + (self->awaited ? collect_ns(self) : PACE_NS);
}

/* ---- Waiting for it ------------------------------------------------------------------------- */

/* Nobody else writes the segment: nothing is in the air, and this thread leads. */
static enum status note_durable(struct journal *self)
{
    uint64_t durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    (void)pthread_mutex_unlock(&self->lock);
    enum status status = segment_writer_note_durable(&self->segments, durable_lsn);
    (void)pthread_mutex_lock(&self->lock);
    self->noted = true;
    return status;
}

/* While the storage is full a flight is in the air that sees to everything. */
static bool has_work(const struct journal *self)
{
    return self->first != NULL && !atomic_load_explicit(&self->no_space, memory_order_relaxed);
}

/* Nothing is queued and nothing comes any more. */
static bool is_over(const struct journal *self)
{
    return self->failed || (self->stopping && self->first == NULL);
}

static enum status wait_for_records(struct journal *self)
{
    enum status status = STATUS_OK;
    self->since_ns = 0;
    self->due_ns = INT64_MAX;
    while (!has_work(self) && !is_over(self) && status == STATUS_OK) {
        const struct timespec until = clock_moment_in(IDLE_NS);
        if (self->noted || flying(self) != 0) {
            (void)pthread_cond_wait(&self->work, &self->lock);
        } else if (pthread_cond_timedwait(&self->work, &self->lock, &until) == ETIMEDOUT) {
            status = note_durable(self);
        }
    }
    return status;
}

/* Lets records collect. */
static void wait_until_due(struct journal *self)
{
    self->since_ns = clock_mono_ns(self->options.clock);
    while (!self->failed && has_work(self)) {
        self->due_ns = journal_due_ns(self);
        int64_t left_ns = self->due_ns - clock_mono_ns(self->options.clock);
        if (left_ns <= 0) {
            break;
        }
        const struct timespec until = clock_moment_in(left_ns);
        if (self->due_ns == INT64_MAX) {
            (void)pthread_cond_wait(&self->work, &self->lock);
        } else if (pthread_cond_timedwait(&self->work, &self->lock, &until) == ETIMEDOUT &&
                   journal_due_ns(self) <= self->due_ns) {
            break;
        }
    }
}

/* ---- A flight ------------------------------------------------------------------------------- */

/* Takes up to FLUSH_BYTES_MAX of what is queued, which is something. */
static struct chunk *take_chunks(struct journal *self)
{
    struct chunk *taken = self->first;
    struct chunk *last = NULL;
    (void)queued_bytes(self, &last);
    assert(last != NULL);
    self->first = last->next;
    last->next = NULL;
    if (self->first == NULL) {
        self->open = NULL;
        self->awaited = false;
    }
    return taken;
}

/* Called with the lock held by who leads, as long as there are records. */
static void take_off(struct journal *self, struct flight *flight)
{
    unsigned lane = free_lane(self);
    bool is_alone = !may_overlap(self);
    assert(lane < SEGMENT_LANES && (!is_alone || flying(self) == 0));
    *flight = (struct flight){.chunks = take_chunks(self),
                              .number = self->begun++,
                              .lane = lane,
                              .is_alone = is_alone,
                              .start_ns = clock_mono_ns(self->options.clock)};
    self->flights[lane] = flight;
    self->writing++;
    self->last_start_ns = flight->start_ns;
    if (flying(self) == 1) {
        /* Relaxed: looked at by who wonders how long this takes. */
        atomic_store_explicit(&self->busy_since_ns, flight->start_ns, memory_order_relaxed);
    }
    if (!is_alone) {
        self->is_led = false;
        (void)pthread_cond_signal(&self->lead);
    }
}

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

static enum status append(struct journal *self, unsigned lane, bool is_alone, struct chunk *chunks)
{
    enum status status = STATUS_OK;
    for (struct chunk *chunk = chunks; chunk != NULL && status == STATUS_OK; chunk = chunk->next) {
        if (is_alone) {
            status = segment_writer_make_room(&self->segments, chunk->len);
        }
        if (status != STATUS_OK) {
            break;
        }
        chunk->time_ms = (uint64_t)clock_wall_ms(self->options.clock);
        struct frame frame = frame_of(self, chunk);
        status = segment_writer_append(&self->segments, lane, chunk->bytes, &frame);
    }
    return status;
}

/* What is on the storage counts only if this process was still the owner when the sync came back:
 * otherwise the next one may have read the journal without it. */
static enum status sync_lane(struct journal *self, unsigned lane)
{
    enum status status = segment_writer_sync(&self->segments, lane);
    if (status == STATUS_OK && !ownership_holds(self->options.owner)) {
        errno = ESTALE;
        return STATUS_IO;
    }
    return status;
}

/* Writes and syncs, without the lock. */
static void fly(struct journal *self, struct flight *flight)
{
    errno = 0;
    flight->status = append(self, flight->lane, flight->is_alone, flight->chunks);
    if (flight->status == STATUS_OK) {
        flight->status = sync_lane(self, flight->lane);
    }
    flight->error = errno;
    flight->sync_ns = clock_mono_ns(self->options.clock) - flight->start_ns;
}

/* ---- A full storage ------------------------------------------------------------------------- */

/* Waits a little; false when the journal is to be closed. Called with the lock held. */
static bool pause_for_space(struct journal *self)
{
    const struct timespec until = clock_moment_in(SPACE_POLL_NS);
    while (!self->stopping &&
           pthread_cond_timedwait(&self->turn, &self->lock, &until) != ETIMEDOUT) {
    }
    return !self->stopping;
}

static struct flight *flight_of(const struct journal *self, uint64_t number)
{
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        struct flight *flight = self->flights[lane];
        if (flight != NULL && flight->number == number) {
            return flight;
        }
    }
    return NULL;
}

/* Everything in the air into a new segment, without the lock: all other flights wait. */
static enum status write_again(struct journal *self)
{
    uint64_t durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed);
    enum status status = segment_writer_restart(&self->segments, durable_lsn);
    for (uint64_t i = self->landed; i < self->begun && status == STATUS_OK; i++) {
        status = append(self, 0, true, flight_of(self, i)->chunks);
    }
    return status == STATUS_OK ? sync_lane(self, 0) : status;
}

/*
 * On a full storage the records stay here, nothing new is taken, and when there is space again
 * everything that is not durable goes into a new segment (invariant 8), also what younger flights
 * have written: whatever part of it the old one holds is the same records with the same numbers,
 * which recovery skips. Called with the lock held by the oldest flight, once it has found no space.
 */
static void save_all(struct journal *self, struct flight *oldest)
{
    while (self->writing != 0 && !self->failed) {
        (void)pthread_cond_wait(&self->turn, &self->lock);
    }
    while (oldest->status == STATUS_NO_SPACE && !self->failed) {
        /* Waiting for space is not hanging. */
        atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
        if (!pause_for_space(self)) {
            return;
        }
        oldest->start_ns = clock_mono_ns(self->options.clock);
        atomic_store_explicit(&self->busy_since_ns, oldest->start_ns, memory_order_relaxed);
        (void)pthread_mutex_unlock(&self->lock);
        errno = 0;
        oldest->status = write_again(self);
        oldest->error = errno;
        oldest->sync_ns = clock_mono_ns(self->options.clock) - oldest->start_ns;
        (void)pthread_mutex_lock(&self->lock);
    }
    if (oldest->status == STATUS_OK) {
        for (uint64_t i = self->landed; i < self->begun; i++) {
            struct flight *flight = flight_of(self, i);
            flight->saved = true;
            flight->start_ns = oldest->start_ns;
        }
        log_info("space for the journal again", "dir=%s", self->options.dir);
        atomic_store_explicit(&self->no_space, false, memory_order_relaxed);
    }
}

static void notice_no_space(struct journal *self)
{
    if (!atomic_load_explicit(&self->no_space, memory_order_relaxed)) {
        log_warn("no space for the journal", "dir=%s", self->options.dir);
    }
    atomic_store_explicit(&self->no_space, true, memory_order_relaxed);
    (void)pthread_cond_broadcast(&self->done); /* who waits for it has to do without */
}

/* ---- Landing -------------------------------------------------------------------------------- */

/* The end of everything. Called with the lock held, and returns with it. */
static void fail(struct journal *self, enum status status, int error)
{
    char why[256];
    (void)snprintf(why, sizeof why, "cannot write the journal in %s: %s: %s", self->options.dir,
                   status_text(status),
                   ownership_holds(self->options.owner) ? strerror(error) : "the lease is lost");
    bool is_first = !self->failed;
    self->failed = true;
    (void)pthread_cond_broadcast(&self->done);
    (void)pthread_cond_broadcast(&self->work);
    (void)pthread_cond_broadcast(&self->lead);
    (void)pthread_cond_broadcast(&self->turn);
    if (is_first) {
        (void)pthread_mutex_unlock(&self->lock);
        self->options.failed(self->options.arg, why);
        (void)pthread_mutex_lock(&self->lock);
    }
}

/* Everything in the flight is durable. */
static void count_durable(struct journal *self, const struct flight *flight)
{
    struct journal_metrics *metrics = self->options.metrics;
    uint64_t durable_lsn = 0;
    size_t bytes = 0;
    for (const struct chunk *chunk = flight->chunks; chunk != NULL; chunk = chunk->next) {
        durable_lsn = chunk->first_lsn + chunk->count - 1;
        bytes += chunk_records(chunk).len;
        metric_add(&metrics->records, chunk->count);
        metric_add(&metrics->bytes, chunk->len);
    }
    metric_observe_ns(&metrics->flush_seconds, flight->sync_ns);
    metric_add(&metrics->segments, self->segments.started - self->segments_told);
    self->segments_told = self->segments.started;
    self->last_flush_ns = flight->sync_ns;
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

/* Out of the air, and the next one's turn. */
static void leave(struct journal *self, struct flight *flight)
{
    self->flights[flight->lane] = NULL;
    self->landed++;
    const struct flight *oldest = flight_of(self, self->landed);
    atomic_store_explicit(&self->busy_since_ns, oldest == NULL ? 0 : oldest->start_ns,
                          memory_order_relaxed);
    (void)pthread_cond_broadcast(&self->turn);
    (void)pthread_cond_signal(&self->work);
}

/* Called with the lock held when the flight has been written and synced, or could not be. False
 * when the journal has failed. */
static bool land(struct journal *self, struct flight *flight)
{
    self->writing--;
    if (flight->status == STATUS_NO_SPACE) {
        notice_no_space(self);
    } else if (flight->status != STATUS_OK) {
        fail(self, flight->status, flight->error);
    }
    (void)pthread_cond_broadcast(&self->turn);
    while (self->landed != flight->number && !self->failed) {
        (void)pthread_cond_wait(&self->turn, &self->lock);
    }
    if (flight->status == STATUS_NO_SPACE && !flight->saved && !self->failed) {
        save_all(self, flight);
        if (flight->status != STATUS_OK) {
            fail(self, flight->status, flight->error);
        }
    }
    if (self->failed) {
        self->flights[flight->lane] = NULL;
        chunks_free(flight->chunks);
        return false;
    }
    count_durable(self, flight);
    (void)pthread_mutex_unlock(&self->lock);
    tell(self, flight->chunks);
    (void)pthread_mutex_lock(&self->lock);
    leave(self, flight);
    chunks_recycle(&self->pool, flight->chunks);
    return true;
}

/* ---- The threads ---------------------------------------------------------------------------- */

/* Waits until this thread leads and a flush is due. False when the journal is closed or failed. */
static bool lead(struct journal *self)
{
    while (self->is_led && !self->failed) {
        (void)pthread_cond_wait(&self->lead, &self->lock);
    }
    self->is_led = true;
    for (;;) {
        errno = 0;
        enum status status = wait_for_records(self);
        if (status != STATUS_OK) {
            fail(self, status, errno);
        }
        if (is_over(self)) {
            self->is_led = false;
            (void)pthread_cond_signal(&self->lead);
            return false;
        }
        wait_until_due(self);
        if (!self->failed && has_work(self)) {
            self->due_ns = 0;
            return true;
        }
    }
}

void *journal_run(void *arg)
{
    struct journal *self = arg;
    struct flight flight;
    bool goes_on = true;
    thread_be_prompt();
    (void)pthread_mutex_lock(&self->lock);
    while (goes_on && lead(self)) {
        take_off(self, &flight);
        (void)pthread_mutex_unlock(&self->lock);
        fly(self, &flight);
        (void)pthread_mutex_lock(&self->lock);
        goes_on = land(self, &flight);
        if (flight.is_alone) { /* it has kept the lead, and nobody is woken for it now */
            self->is_led = false;
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}
