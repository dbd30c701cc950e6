/* The feed; what it promises stands in feed.h. */
#include "backup/feed.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"

enum {
    CHUNK_BYTES = 1024 * 1024, /* also what wakes the shipper */
    SPARES_MAX = 4,            /* chunks kept for later while all is well */
};

static const size_t bytes_max_standard = (size_t)64 * 1024 * 1024;

#define METRIC_OWNER struct feed_metrics
METRIC_TABLE(feed_metrics, FEED_METRICS)

/* Batches one after the other, each a struct batch_head and its records. */
struct feed_chunk {
    struct feed_chunk *next; /* owned by the list that this is in */
    size_t len;
    size_t cap;
    size_t last;      /* where the last batch begins */
    uint64_t changes; /* in all batches */
    uint8_t bytes[];
};

struct batch_head {
    uint64_t follows_lsn;
    uint64_t first_lsn;
    uint64_t time_ms;
    uint32_t count;
    uint32_t bytes;
};

struct feed {
    size_t bytes_max;             /* immutable */
    struct feed_metrics *metrics; /* immutable; values guarded by the lock */

    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    pthread_cond_t wake;
    struct feed_chunk *first; /* owned; NULL: nothing is held */
    struct feed_chunk *last;  /* the open one */
    struct feed_chunk *spare; /* owned; each of CHUNK_BYTES */
    size_t spares;
    size_t bytes;       /* held */
    uint64_t oldest_ms; /* of what was not taken; 0: nothing was given since the last take */
    struct feed_gap gap;
    bool is_woken;
};

/* ---- Chunks --------------------------------------------------------------------------------- */

static void free_list(struct feed_chunk *chunk)
{
    while (chunk != NULL) {
        struct feed_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

/* An empty chunk that has room for `bytes`; NULL: out of memory. With the lock held. */
static struct feed_chunk *get_chunk(struct feed *self, size_t bytes)
{
    struct feed_chunk *chunk = self->spare;
    if (chunk != NULL && bytes <= CHUNK_BYTES) {
        self->spare = chunk->next;
        self->spares--;
    } else {
        size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + cap);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->cap = cap;
    }
    chunk->next = NULL;
    chunk->len = 0;
    chunk->last = 0;
    chunk->changes = 0;
    return chunk;
}

/* Keeps chunks of the usual size and hands the others, up to `spares_max` kept, back for freeing.
 * With the lock held. */
static struct feed_chunk *keep_spares(struct feed *self, struct feed_chunk *chunks,
                                      size_t spares_max)
{
    struct feed_chunk *surplus = NULL;
    while (chunks != NULL) {
        struct feed_chunk *next = chunks->next;
        bool is_kept = chunks->cap == CHUNK_BYTES && self->spares < spares_max;
        struct feed_chunk **list = is_kept ? &self->spare : &surplus;
        self->spares += is_kept ? 1 : 0;
        chunks->next = *list;
        *list = chunks;
        chunks = next;
    }
    return surplus;
}

/* ---- Giving --------------------------------------------------------------------------------- */

/* The head of the batch that begins there, in a chunk that is not empty. */
static struct batch_head head_at(const struct feed_chunk *chunk, size_t at)
{
    struct batch_head head;
    memcpy(&head, chunk->bytes + at, sizeof head);
    return head;
}

static uint64_t last_lsn(const struct batch_head *head)
{
    return head->first_lsn + head->count - 1;
}

static void note_gap(struct feed *self, uint64_t first_lsn, uint64_t last, uint64_t changes)
{
    if (self->gap.changes == 0) {
        self->gap.first_lsn = first_lsn;
        metric_add(&self->metrics->overflows, 1);
    }
    self->gap.last_lsn = last;
    self->gap.changes += changes;
    metric_add(&self->metrics->dropped, changes);
}

/* With the lock held. The chunk is kept, since the next changes are on their way: freeing it here
 * would cost this thread the time to give back all its pages. */
static void drop_first(struct feed *self)
{
    struct feed_chunk *chunk = self->first;
    const struct batch_head first = head_at(chunk, 0);
    const struct batch_head last = head_at(chunk, chunk->last);
    note_gap(self, first.first_lsn, last_lsn(&last), chunk->changes);
    self->first = chunk->next;
    self->last = self->first != NULL ? self->last : NULL;
    self->bytes -= chunk->len;
    chunk->next = NULL;
    free_list(keep_spares(self, chunk, SIZE_MAX));
}

/* Does the batch go on where the last one ends, at the same time? Then one head does for both,
 * which matters when a fast disk makes ten thousand small ones a second. */
static bool goes_on(const struct feed_chunk *chunk, const struct store_changes *batch)
{
    if (chunk == NULL || batch->records.len > chunk->cap - chunk->len) {
        return false;
    }
    const struct batch_head head = head_at(chunk, chunk->last);
    return head.time_ms == batch->time_ms && last_lsn(&head) == batch->follows_lsn &&
           last_lsn(&head) + 1 == batch->first_lsn;
}

static void join(struct feed *self, const struct store_changes *batch)
{
    struct feed_chunk *chunk = self->last;
    struct batch_head head = head_at(chunk, chunk->last);
    head.count += batch->count;
    head.bytes += (uint32_t)batch->records.len;
    memcpy(chunk->bytes + chunk->last, &head, sizeof head);
    (void)put_view(chunk->bytes + chunk->len, batch->records);
    chunk->len += batch->records.len;
    self->bytes += batch->records.len;
}

/* False: out of memory. With the lock held. */
static bool append(struct feed *self, const struct store_changes *batch)
{
    const struct batch_head head = {.follows_lsn = batch->follows_lsn,
                                    .first_lsn = batch->first_lsn,
                                    .time_ms = batch->time_ms,
                                    .count = batch->count,
                                    .bytes = (uint32_t)batch->records.len};
    const size_t bytes = sizeof head + batch->records.len;
    if (self->last == NULL || bytes > self->last->cap - self->last->len) {
        struct feed_chunk *chunk = get_chunk(self, bytes);
        if (chunk == NULL) {
            return false;
        }
        *(self->last != NULL ? &self->last->next : &self->first) = chunk;
        self->last = chunk;
    }
    struct feed_chunk *chunk = self->last;
    chunk->last = chunk->len;
    memcpy(chunk->bytes + chunk->len, &head, sizeof head);
    (void)put_view(chunk->bytes + chunk->len + sizeof head, batch->records);
    chunk->len += bytes;
    self->bytes += bytes;
    return true;
}

void feed_changes(struct feed *self, const struct store_changes *batch)
{
    const size_t bytes = sizeof(struct batch_head) + batch->records.len;
    assert(batch->count > 0 && batch->records.len <= UINT32_MAX);
    (void)pthread_mutex_lock(&self->lock);
    if (self->oldest_ms == 0) {
        self->oldest_ms = batch->time_ms;
    }
    /* What is larger than the limit alone still gets through when nothing else is held. */
    while (self->first != NULL && self->bytes + bytes > self->bytes_max) {
        drop_first(self);
    }
    const size_t bytes_before = self->bytes;
    bool is_held = true;
    if (goes_on(self->last, batch)) {
        join(self, batch);
    } else {
        is_held = append(self, batch);
    }
    if (!is_held) {
        while (self->first != NULL) { /* a gap follows, and this way memory for what comes */
            drop_first(self);
        }
        note_gap(self, batch->first_lsn, batch->first_lsn + batch->count - 1, batch->count);
    } else {
        self->last->changes += batch->count;
    }
    metric_set(&self->metrics->bytes, (int64_t)self->bytes);
    if (self->bytes >= CHUNK_BYTES && bytes_before < CHUNK_BYTES) {
        (void)pthread_cond_signal(&self->wake);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

/* ---- Taking --------------------------------------------------------------------------------- */

void feed_take(struct feed *self, size_t bytes_max, struct feed_taken *out)
{
    struct feed_chunk *last = NULL;
    *out = (struct feed_taken){0};
    (void)pthread_mutex_lock(&self->lock);
    struct feed_chunk *rest = self->first;
    while (rest != NULL && (last == NULL || out->bytes + rest->len <= bytes_max)) {
        out->bytes += rest->len;
        last = rest;
        rest = rest->next;
    }
    if (last != NULL) {
        last->next = NULL;
        out->chunks = self->first;
        out->gap = self->gap;
        out->oldest_ms = self->oldest_ms;
        self->gap = (struct feed_gap){0};
        self->oldest_ms = rest != NULL ? head_at(rest, 0).time_ms : 0;
        self->first = rest;
        self->last = rest != NULL ? self->last : NULL;
        self->bytes -= out->bytes;
        metric_set(&self->metrics->bytes, (int64_t)self->bytes);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

bool feed_next(const struct feed_taken *taken, struct feed_cursor *cursor,
               struct store_changes *out)
{
    struct batch_head head;
    if (!cursor->has_begun) {
        *cursor = (struct feed_cursor){.chunk = taken->chunks, .has_begun = true};
    }
    while (cursor->chunk != NULL && cursor->at == cursor->chunk->len) {
        *cursor = (struct feed_cursor){.chunk = cursor->chunk->next, .has_begun = true};
    }
    if (cursor->chunk == NULL) {
        return false;
    }
    const uint8_t *bytes = cursor->chunk->bytes + cursor->at;
    memcpy(&head, bytes, sizeof head);
    *out = (struct store_changes){.follows_lsn = head.follows_lsn,
                                  .first_lsn = head.first_lsn,
                                  .time_ms = head.time_ms,
                                  .count = head.count,
                                  .records = view_of(bytes + sizeof head, head.bytes)};
    cursor->at += sizeof head + head.bytes;
    return true;
}

void feed_return(struct feed *self, struct feed_taken *taken)
{
    (void)pthread_mutex_lock(&self->lock);
    struct feed_chunk *surplus = keep_spares(self, taken->chunks, SPARES_MAX);
    while (self->spares > SPARES_MAX) { /* there are more after everything was dropped */
        struct feed_chunk *chunk = self->spare;
        self->spare = chunk->next;
        self->spares--;
        chunk->next = surplus;
        surplus = chunk;
    }
    (void)pthread_mutex_unlock(&self->lock);
    free_list(surplus);
    *taken = (struct feed_taken){0};
}

/* ---- Waiting -------------------------------------------------------------------------------- */

static void wait_for_bytes(struct feed *self, size_t bytes_min, uint64_t ms)
{
    const struct timespec until = clock_moment_in((int64_t)ms * 1000000);
    (void)pthread_mutex_lock(&self->lock);
    int error = 0;
    while (!self->is_woken && self->bytes < bytes_min && error == 0) {
        error = pthread_cond_timedwait(&self->wake, &self->lock, &until);
    }
    self->is_woken = false;
    (void)pthread_mutex_unlock(&self->lock);
}

void feed_wait(struct feed *self, uint64_t ms)
{
    wait_for_bytes(self, CHUNK_BYTES, ms);
}

void feed_pause(struct feed *self, uint64_t ms)
{
    wait_for_bytes(self, SIZE_MAX, ms);
}

void feed_wake(struct feed *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->is_woken = true;
    (void)pthread_cond_signal(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
}

uint64_t feed_oldest_ms(struct feed *self)
{
    (void)pthread_mutex_lock(&self->lock);
    uint64_t oldest_ms = self->oldest_ms;
    (void)pthread_mutex_unlock(&self->lock);
    return oldest_ms;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

enum status feed_open(const struct feed_options *options, struct feed **out)
{
    struct feed *self = calloc(1, sizeof *self);
    pthread_condattr_t monotonic;
    *out = self;
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->bytes_max = options->bytes_max != 0 ? options->bytes_max : bytes_max_standard;
    self->metrics = options->metrics;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return STATUS_OK;
}

void feed_close(struct feed *self)
{
    if (self == NULL) {
        return;
    }
    free_list(self->first);
    free_list(self->spare);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}
