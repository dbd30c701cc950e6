/*
 * Reading many objects at a time; gather.h has the picture.
 *
 * Object i is read into cell i % GATHER_CELLS. A thread claims the next object when its cell is
 * free and the window has room, reads it without the lock, and says that it is there; the caller
 * waits for the next in order and takes it. A failure waits in its cell for its turn as well, so
 * that the same one is told however the threads ran.
 */
#include "backup/gather.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

enum {
    GATHER_CELLS = 64,
    CLIENTS_STANDARD = 8,
    KEPT_BYTES_MAX = 1024 * 1024, /* a buffer that is larger is not kept for the next object */
};
#define WINDOW_BYTES_STANDARD ((size_t)64 * 1024 * 1024)

struct cell {
    bool is_there;
    enum s3_status got;
    enum status failed; /* OK: `got` is the object's own matter */
    size_t reserved;    /* of the window */
    struct buf bytes;   /* owned */
    char errmsg[GATHER_ERRMSG_BYTES];
};

struct run {
    const struct gather *gather;
    const struct gather_job *job;
    atomic_bool is_over; /* nothing more is wanted */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something below; guarded by the lock */
    size_t next_read;
    size_t next_take;
    size_t reserved;
    struct cell cells[GATHER_CELLS]; /* of a claimed object: its thread's until is_there */
};

/* What one thread reads with. */
struct reader {
    struct run *run;
    struct s3 *client;
    pthread_t thread;
};

/* ---- Reading: on the threads ---------------------------------------------------------------- */

struct receiving {
    const struct run *run;
    struct buf *out;
    size_t bytes_max;
    bool is_too_large;
    bool is_full; /* out of memory */
};

static enum status receive(void *arg, struct view bytes)
{
    struct receiving *self = arg;
    if (atomic_load_explicit(&self->run->is_over, memory_order_relaxed)) {
        return STATUS_END;
    }
    if (bytes.len > self->bytes_max - self->out->len) {
        self->is_too_large = true;
        return STATUS_TOO_LARGE;
    }
    self->is_full = buf_append(self->out, bytes) != STATUS_OK;
    return self->is_full ? STATUS_NO_MEMORY : STATUS_OK;
}

static bool is_own_matter(enum s3_status got)
{
    return got == S3_OK || got == S3_NOT_FOUND || got == S3_TOO_LARGE || got == S3_CHANGED ||
           got == S3_REFUSED;
}

static void read_object(const struct reader *self, const struct gather_want *want,
                        struct cell *cell)
{
    struct receiving receiving = {
        .run = self->run, .out = &cell->bytes, .bytes_max = want->bytes_max};
    bool is_whole = want->range.offset == 0 && want->range.bytes == 0;
    cell->bytes.len = 0;
    cell->failed = STATUS_OK;
    cell->got = s3_get(self->client, want->key, is_whole ? NULL : &want->range, receive, &receiving,
                       NULL);
    if (cell->got == S3_STOPPED && receiving.is_too_large) {
        cell->got = S3_TOO_LARGE;
    }
    if (receiving.is_full) {
        cell->failed = STATUS_NO_MEMORY;
        (void)snprintf(cell->errmsg, sizeof cell->errmsg, "no memory for %s", want->key);
    } else if (!is_own_matter(cell->got)) {
        char doing[GATHER_KEY_BYTES + 8];
        (void)snprintf(doing, sizeof doing, "read %s", want->key);
        cell->failed = gather_failed(self->client, doing, cell->errmsg, sizeof cell->errmsg);
    }
    if (cell->got != S3_OK) {
        cell->bytes.len = 0;
    }
}

/* Waits until the next object may be read, and claims it. NULL: there is none. With the lock. */
static struct cell *claim(struct run *run, struct gather_want *want)
{
    const struct gather_job *job = run->job;
    while (!run->is_over && run->next_read < job->count) {
        if (run->next_read - run->next_take < GATHER_CELLS) {
            *want = (struct gather_want){0};
            job->want(job->arg, run->next_read, want);
            /* One larger than the window is read as well, when it is alone. */
            if (run->reserved == 0 ||
                (run->reserved <= run->gather->window_bytes &&
                 want->bytes_max <= run->gather->window_bytes - run->reserved)) {
                struct cell *cell = &run->cells[run->next_read++ % GATHER_CELLS];
                cell->reserved = want->bytes_max;
                run->reserved += cell->reserved;
                return cell;
            }
        }
        (void)pthread_cond_wait(&run->changed, &run->lock);
    }
    return NULL;
}

static void *read_objects(void *arg)
{
    const struct reader *self = arg;
    struct run *run = self->run;
    struct gather_want want;
    (void)pthread_mutex_lock(&run->lock);
    for (struct cell *cell; (cell = claim(run, &want)) != NULL;) {
        (void)pthread_mutex_unlock(&run->lock);
        read_object(self, &want, cell);
        (void)pthread_mutex_lock(&run->lock);
        cell->is_there = true;
        (void)pthread_cond_broadcast(&run->changed);
    }
    (void)pthread_mutex_unlock(&run->lock);
    return NULL;
}

/* ---- Taking: on the caller's thread --------------------------------------------------------- */

static enum status take_one(struct gather *self, struct run *run, size_t index)
{
    struct cell *cell = &run->cells[index % GATHER_CELLS];
    (void)pthread_mutex_lock(&run->lock);
    while (!cell->is_there) {
        (void)pthread_cond_wait(&run->changed, &run->lock);
    }
    (void)pthread_mutex_unlock(&run->lock);
    enum status status = cell->failed;
    if (status == STATUS_OK) {
        status = run->job->take(run->job->arg, index, cell->got, buf_view(&cell->bytes));
    } else {
        memcpy(self->errmsg, cell->errmsg, sizeof self->errmsg);
    }
    if (cell->bytes.cap > KEPT_BYTES_MAX) {
        buf_free(&cell->bytes);
    }
    (void)pthread_mutex_lock(&run->lock);
    cell->is_there = false;
    run->reserved -= cell->reserved;
    run->next_take++;
    (void)pthread_cond_broadcast(&run->changed);
    (void)pthread_mutex_unlock(&run->lock);
    return status;
}

static void end_run(struct run *run)
{
    (void)pthread_mutex_lock(&run->lock);
    atomic_store(&run->is_over, true);
    (void)pthread_cond_broadcast(&run->changed);
    (void)pthread_mutex_unlock(&run->lock);
}

static enum status run_with(struct gather *self, struct run *run)
{
    struct reader readers[GATHER_CLIENTS_MAX];
    unsigned started = 0;
    while (started < self->client_count && started < run->job->count) {
        readers[started] = (struct reader){.run = run, .client = self->clients[started]};
        if (thread_start(&readers[started].thread, "gather", read_objects, &readers[started]) !=
            STATUS_OK) {
            break; /* fewer do as well, as long as there is one */
        }
        started++;
    }
    enum status status = STATUS_OK;
    if (started == 0) {
        (void)snprintf(self->errmsg, sizeof self->errmsg, "cannot start a thread");
        status = STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < run->job->count && status == STATUS_OK; i++) {
        status = take_one(self, run, i);
    }
    end_run(run);
    while (started > 0) {
        (void)pthread_join(readers[--started].thread, NULL);
    }
    return status;
}

enum status gather_run(struct gather *self, const struct gather_job *job)
{
    self->errmsg[0] = '\0';
    if (job->count == 0) {
        return STATUS_OK;
    }
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        (void)snprintf(self->errmsg, sizeof self->errmsg, "out of memory");
        return STATUS_NO_MEMORY;
    }
    run->gather = self;
    run->job = job;
    (void)pthread_mutex_init(&run->lock, NULL);
    (void)pthread_cond_init(&run->changed, NULL);
    enum status status = run_with(self, run);
    for (size_t i = 0; i < GATHER_CELLS; i++) {
        buf_free(&run->cells[i].bytes);
    }
    (void)pthread_cond_destroy(&run->changed);
    (void)pthread_mutex_destroy(&run->lock);
    free(run);
    return status;
}

/* ---- Clients -------------------------------------------------------------------------------- */

void gather_init(struct gather *self, struct s3 *const *clients, unsigned count,
                 size_t window_bytes)
{
    *self = (struct gather){.client_count = count < GATHER_CLIENTS_MAX ? count : GATHER_CLIENTS_MAX,
                            .window_bytes = window_bytes != 0 ? window_bytes
                                                              : WINDOW_BYTES_STANDARD};
    memcpy(self->clients, clients, self->client_count * sizeof(struct s3 *));
}

enum status gather_open(struct gather *self, struct place *place, struct stop *stop, unsigned count,
                        size_t window_bytes, char *errmsg, size_t errmsg_bytes)
{
    unsigned wanted = count != 0 ? count : CLIENTS_STANDARD;
    enum status status = STATUS_OK;
    *self = (struct gather){
        .is_owner = true, .window_bytes = window_bytes != 0 ? window_bytes : WINDOW_BYTES_STANDARD};
    while (status == STATUS_OK && self->client_count < wanted &&
           self->client_count < GATHER_CLIENTS_MAX) {
        status = place_client(place, stop, &self->clients[self->client_count], errmsg,
                              errmsg_bytes);
        self->client_count += status == STATUS_OK ? 1 : 0;
    }
    if (status != STATUS_OK) {
        gather_close(self);
    }
    return status;
}

void gather_close(struct gather *self)
{
    while (self->is_owner && self->client_count > 0) {
        s3_close(self->clients[--self->client_count]);
    }
    *self = (struct gather){0};
}

enum status gather_failed(const struct s3 *client, const char *doing, char *errmsg,
                          size_t errmsg_bytes)
{
    char why[GATHER_ERRMSG_BYTES / 2];
    s3_describe_error(client, why, sizeof why);
    (void)snprintf(errmsg, errmsg_bytes, "cannot %s: %s", doing, why);
    switch (s3_last_error(client)->status) {
    case S3_CANCELLED:
        return STATUS_AGAIN;
    case S3_NO_MEMORY:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO;
    }
}
