/* Group commit: chunks that fill, a thread that writes and syncs them, segments that rotate. */
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define METRIC_OWNER struct journal_metrics
METRIC_TABLE(journal_metrics, JOURNAL_METRICS)

enum {
    CHUNK_BYTES = 1024 * 1024,         /* a frame; a larger record gets a chunk of its own */
    FLUSH_BYTES_MAX = 4 * 1024 * 1024, /* what one fdatasync may cover */
    SPARE_CHUNKS_MAX = 8,
    SPARE_SEGMENTS_MAX = 2,
    SEGMENT_PATH_BYTES = 4096,
};

struct chunk {
    struct chunk *next; /* owned by the list it is in */
    size_t cap;         /* of bytes */
    size_t len;         /* used, frame header included */
    uint64_t first_lsn;
    uint32_t count;
    uint8_t bytes[]; /* frame header, records */
};

/* A segment that is not written any more. */
struct closed_segment {
    uint64_t number;
    uint64_t last_lsn;
    bool spare; /* covered: its file may become the next segment */
};

struct journal {
    struct journal_options options; /* immutable; dir is owned */
    pthread_t thread;

    pthread_mutex_t lock; /* guards the members up to `durable_lsn` */
    pthread_cond_t work;  /* the journal thread waits for records */
    pthread_cond_t done;  /* others wait for durable_lsn */
    bool idle;            /* the journal thread waits at `work` */
    bool stopping;
    bool failed;
    uint64_t next_lsn;
    struct chunk *first;  /* owned: chunks to be written, oldest first */
    struct chunk *open;   /* the last of them, which records go into; NULL when the list is empty */
    struct chunk *spares; /* owned: empty chunks of CHUNK_BYTES */
    unsigned spare_count;

    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t undurable_bytes;
    _Atomic uint64_t total_bytes;

    /* Journal thread only. */
    int fd;
    uint64_t number;
    uint64_t seed;
    uint64_t offset; /* where the next frame goes */

    pthread_mutex_t segments_lock; /* guards the closed segments */
    struct closed_segment *closed; /* owned */
    size_t closed_count;
    size_t closed_cap;
};

/* ---- Chunks --------------------------------------------------------------------------------- */

static struct chunk *chunk_new(struct journal *self, size_t record_bytes)
{
    size_t cap = FRAME_HEADER_BYTES + record_bytes;
    if (cap <= CHUNK_BYTES && self->spares != NULL) {
        struct chunk *spare = self->spares;
        self->spares = spare->next;
        self->spare_count--;
        spare->next = NULL;
        return spare;
    }
    cap = cap < CHUNK_BYTES ? CHUNK_BYTES : cap;
    struct chunk *chunk = malloc(sizeof *chunk + cap);
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->cap = cap;
    }
    return chunk;
}

static void chunk_recycle(struct journal *self, struct chunk *chunk)
{
    if (chunk->cap == CHUNK_BYTES && self->spare_count < SPARE_CHUNKS_MAX) {
        chunk->next = self->spares;
        self->spares = chunk;
        self->spare_count++;
    } else {
        free(chunk);
    }
}

static void chunks_free(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

uint8_t *journal_begin(struct journal *self, size_t bytes, uint64_t *lsn)
{
    (void)pthread_mutex_lock(&self->lock);
    uint64_t undurable = atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed);
    struct chunk *chunk = self->open;
    /* Over the limit by the last record at most, so the largest one passes the smallest limit. */
    if (self->failed || undurable > self->options.undurable_bytes_max) {
        goto refuse;
    }
    if (chunk == NULL || chunk->cap - chunk->len < bytes) {
        chunk = chunk_new(self, bytes);
        if (chunk == NULL) {
            goto refuse;
        }
        chunk->len = FRAME_HEADER_BYTES;
        chunk->count = 0;
        chunk->first_lsn = self->next_lsn;
        if (self->open == NULL) {
            self->first = chunk;
        } else {
            self->open->next = chunk;
        }
        self->open = chunk;
    }
    uint8_t *record = chunk->bytes + chunk->len;
    chunk->len += bytes;
    chunk->count++;
    *lsn = self->next_lsn++;
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
    bool wake = self->idle;
    self->idle = false;
    (void)pthread_mutex_unlock(&self->lock);
    if (wake) {
        (void)pthread_cond_signal(&self->work);
    }
}

/* ---- Segments ------------------------------------------------------------------------------- */

static void segment_path(const struct journal *self, uint64_t number, char out[SEGMENT_PATH_BYTES])
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(name, self->options.epoch, number);
    (void)snprintf(out, SEGMENT_PATH_BYTES, "%s/%s", self->options.dir, name);
}

/* Takes a covered segment's number for its file; false when there is none. */
static bool take_spare(struct journal *self, uint64_t *number)
{
    bool found = false;
    (void)pthread_mutex_lock(&self->segments_lock);
    for (size_t i = 0; i < self->closed_count && !found; i++) {
        if (self->closed[i].spare) {
            *number = self->closed[i].number;
            self->closed[i] = self->closed[--self->closed_count];
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&self->segments_lock);
    return found;
}

static enum status remember_closed(struct journal *self, uint64_t number, uint64_t last_lsn)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->segments_lock);
    if (self->closed_count == self->closed_cap) {
        size_t cap = self->closed_cap == 0 ? 16 : self->closed_cap * 2;
        struct closed_segment *grown = realloc(self->closed, cap * sizeof *grown);
        if (grown == NULL) {
            status = STATUS_NO_MEMORY;
        } else {
            self->closed = grown;
            self->closed_cap = cap;
        }
    }
    if (status == STATUS_OK) {
        self->closed[self->closed_count++] = (struct closed_segment){.number = number,
                                                                     .last_lsn = last_lsn};
    }
    (void)pthread_mutex_unlock(&self->segments_lock);
    return status;
}

/*
 * Starts segment `number` at `first_lsn`: header written and synced, name durable, locked. The file
 * of a covered segment is used again when there is one: its blocks are allocated, so a sync
 * has no file size to write. Its header changes before its name does: a file whose header is
 * another segment's is one that was caught in between, and holds nothing that is needed.
 */
static enum status segment_start(struct journal *self, uint64_t number, uint64_t follows_lsn,
                                 uint64_t first_lsn)
{
    const struct file_ops *file = self->options.file;
    struct segment_header header = {.epoch = self->options.epoch,
                                    .number = number,
                                    .follows_lsn = follows_lsn,
                                    .first_lsn = first_lsn};
    memcpy(header.uuid, self->options.uuid, STORE_UUID_BYTES);
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_encode_header(bytes, &header);

    char path[SEGMENT_PATH_BYTES];
    char spare_path[SEGMENT_PATH_BYTES];
    uint64_t spare = 0;
    bool recycled = take_spare(self, &spare);
    segment_path(self, number, path);
    segment_path(self, spare, spare_path);
    int fd = recycled ? file->open(file->arg, spare_path, O_RDWR, 0)
                      : file->open(file->arg, path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return status_of_errno(errno);
    }
    enum status status = STATUS_OK;
    if (file->lock(file->arg, fd) != 0) {
        status = errno == EAGAIN || errno == EACCES ? STATUS_LOCKED : STATUS_IO;
    }
    if (status == STATUS_OK) {
        status = file_pwrite_all(file, fd, view_of(bytes, sizeof bytes), 0);
    }
    if (status == STATUS_OK && file->fdatasync(file->arg, fd) != 0) {
        status = status_of_errno(errno);
    }
    if (status == STATUS_OK && recycled && file->rename(file->arg, spare_path, path) != 0) {
        status = status_of_errno(errno);
    }
    if (status == STATUS_OK) {
        status = file_sync_dir(file, self->options.dir);
    }
    if (status != STATUS_OK) {
        int error = errno;
        (void)file->close(file->arg, fd);
        errno = error;
        return status;
    }
    self->fd = fd;
    self->number = number;
    self->seed = segment_seed(&header);
    self->offset = SEGMENT_HEADER_BYTES;
    metric_add(&self->options.metrics->segments, 1);
    return STATUS_OK;
}

static enum status segment_rotate(struct journal *self, uint64_t first_lsn)
{
    const struct file_ops *file = self->options.file;
    /* Everything in it is durable; closing it gives its lock up, and nobody writes it any more. */
    int fd = self->fd;
    self->fd = -1; /* closed also when that fails */
    if (file->close(file->arg, fd) != 0) {
        return status_of_errno(errno);
    }
    enum status status = remember_closed(self, self->number, first_lsn - 1);
    return status == STATUS_OK ? segment_start(self, self->number + 1, first_lsn - 1, first_lsn)
                               : status;
}

enum status journal_drop_covered(struct journal *self, uint64_t lsn)
{
    const struct file_ops *file = self->options.file;
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->segments_lock);
    unsigned spares = 0;
    for (size_t i = 0; i < self->closed_count; i++) {
        spares += self->closed[i].spare;
    }
    for (size_t i = 0; i < self->closed_count && status == STATUS_OK;) {
        struct closed_segment *segment = &self->closed[i];
        if (segment->spare || segment->last_lsn > lsn) {
            i++;
        } else if (spares < SPARE_SEGMENTS_MAX) {
            segment->spare = true;
            spares++;
            i++;
        } else {
            char path[SEGMENT_PATH_BYTES];
            segment_path(self, segment->number, path);
            if (file->unlink(file->arg, path) != 0 && errno != ENOENT) {
                status = status_of_errno(errno);
            } else {
                self->closed[i] = self->closed[--self->closed_count];
            }
        }
    }
    (void)pthread_mutex_unlock(&self->segments_lock);
    return status;
}

/* ---- The journal thread --------------------------------------------------------------------- */

static enum status write_chunk(struct journal *self, struct chunk *chunk)
{
    if (self->offset + chunk->len > self->options.segment_bytes &&
        self->offset > SEGMENT_HEADER_BYTES) {
        /* What was written to the old segment in this flush has to be durable before a new one
         * begins: recovery takes a segment's successor as the proof that it is whole. */
        if (self->options.file->fdatasync(self->options.file->arg, self->fd) != 0) {
            return status_of_errno(errno);
        }
        enum status status = segment_rotate(self, chunk->first_lsn);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct frame frame = {
        .first_lsn = chunk->first_lsn,
        .durable_lsn = atomic_load_explicit(&self->durable_lsn, memory_order_relaxed),
        .count = chunk->count,
        .records = view_of(chunk->bytes + FRAME_HEADER_BYTES, chunk->len - FRAME_HEADER_BYTES),
    };
    frame_seal(chunk->bytes, &frame, self->seed);
    enum status status = file_pwrite_all(self->options.file, self->fd,
                                         view_of(chunk->bytes, chunk->len), (off_t)self->offset);
    self->offset += chunk->len;
    return status;
}

static enum status flush(struct journal *self, struct chunk *chunks)
{
    int64_t start_ns = clock_mono_ns(self->options.clock);
    for (struct chunk *chunk = chunks; chunk != NULL; chunk = chunk->next) {
        enum status status = write_chunk(self, chunk);
        if (status != STATUS_OK) {
            return status;
        }
        metric_add(&self->options.metrics->records, chunk->count);
        metric_add(&self->options.metrics->bytes, chunk->len);
    }
    if (self->options.file->fdatasync(self->options.file->arg, self->fd) != 0) {
        return status_of_errno(errno);
    }
    metric_observe_ns(&self->options.metrics->flush_seconds,
                      clock_mono_ns(self->options.clock) - start_ns);
    return STATUS_OK;
}

/* Waits for records and takes up to FLUSH_BYTES_MAX of them; NULL when there will be no more. */
static struct chunk *take_chunks(struct journal *self)
{
    while (self->first == NULL && !self->stopping) {
        self->idle = true;
        (void)pthread_cond_wait(&self->work, &self->lock);
    }
    self->idle = false;
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
    }
    return taken;
}

static void *journal_run(void *arg)
{
    struct journal *self = arg;
    (void)pthread_setname_np(pthread_self(), "journal");
    (void)pthread_mutex_lock(&self->lock);
    for (struct chunk *chunks = NULL; (chunks = take_chunks(self)) != NULL;) {
        (void)pthread_mutex_unlock(&self->lock);
        errno = 0;
        enum status status = flush(self, chunks);
        if (status != STATUS_OK) {
            char why[256];
            (void)snprintf(why, sizeof why, "cannot write the journal in %s: %s: %s",
                           self->options.dir, status_text(status), strerror(errno));
            (void)pthread_mutex_lock(&self->lock);
            self->failed = true;
            (void)pthread_cond_broadcast(&self->done);
            (void)pthread_mutex_unlock(&self->lock);
            chunks_free(chunks);
            self->options.failed(self->options.arg, why);
            return NULL;
        }
        (void)pthread_mutex_lock(&self->lock);
        uint64_t durable_lsn = 0;
        size_t bytes = 0;
        while (chunks != NULL) {
            struct chunk *next = chunks->next;
            durable_lsn = chunks->first_lsn + chunks->count - 1;
            bytes += chunks->len - FRAME_HEADER_BYTES;
            chunk_recycle(self, chunks);
            chunks = next;
        }
        /* Release: whoever sees the number sees that the flush has happened. */
        atomic_store_explicit(&self->durable_lsn, durable_lsn, memory_order_release);
        atomic_fetch_sub_explicit(&self->undurable_bytes, bytes, memory_order_relaxed);
        (void)pthread_cond_broadcast(&self->done);
        (void)pthread_mutex_unlock(&self->lock);
        self->options.flushed(self->options.arg);
        (void)pthread_mutex_lock(&self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- Life and questions --------------------------------------------------------------------- */

static void journal_free(struct journal *self)
{
    chunks_free(self->first);
    chunks_free(self->spares);
    free(self->closed);
    free((void *)(uintptr_t)self->options.dir);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_mutex_destroy(&self->segments_lock);
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
    self->fd = -1;
    atomic_init(&self->durable_lsn, options->next_lsn - 1);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_mutex_init(&self->segments_lock, NULL);
    (void)pthread_cond_init(&self->work, NULL);
    (void)pthread_cond_init(&self->done, NULL);
    errno = 0;
    enum status status = segment_start(self, 1, options->follows_lsn, options->next_lsn);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start a journal segment in %s: %s: %s", dir,
                       status_text(status), strerror(errno));
        journal_free(self);
        return status;
    }
    if (pthread_create(&self->thread, NULL, journal_run, self) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the journal thread");
        (void)options->file->close(options->file->arg, self->fd);
        journal_free(self);
        return STATUS_NO_MEMORY;
    }
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
    enum status status = self->failed ? STATUS_IO : STATUS_OK;
    if (self->fd >= 0 && self->options.file->close(self->options.file->arg, self->fd) != 0 &&
        status == STATUS_OK) {
        status = status_of_errno(errno);
    }
    journal_free(self);
    return status;
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
    while (!self->failed && atomic_load_explicit(&self->durable_lsn, memory_order_relaxed) < lsn) {
        (void)pthread_cond_wait(&self->done, &self->lock);
    }
    bool failed = self->failed;
    (void)pthread_mutex_unlock(&self->lock);
    return failed ? STATUS_IO : STATUS_OK;
}

uint64_t journal_undurable_bytes(const struct journal *self)
{
    return atomic_load_explicit(&self->undurable_bytes, memory_order_relaxed);
}

uint64_t journal_total_bytes(const struct journal *self)
{
    return atomic_load_explicit(&self->total_bytes, memory_order_relaxed);
}
