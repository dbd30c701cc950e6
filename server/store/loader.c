/* Threads that read rows and put the values into the table. */
#include "store/loader.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/thread.h"
#include "store/store_private.h"

struct load {
    uint64_t hash;
    uint64_t rowid;
    void *waiter; /* borrowed: the store's user knows what it is */
};

struct loader {
    struct store *store; /* borrowed */
    pthread_t threads[LOADER_THREADS];
    unsigned thread_count;
    pthread_mutex_t lock; /* guards what follows; comes after a shard's lock */
    pthread_cond_t wake;
    pthread_cond_t moved; /* a thread has begun to use `rows`, or could not */
    bool stopping;
    struct rows *rows;       /* borrowed: where to read */
    unsigned users;          /* threads that have a reader on `rows` */
    enum status user_status; /* of the last attempt to get one */
    uint32_t head;           /* of the ring: next to take */
    uint32_t count;          /* in the ring */
    struct load ring[LOADER_QUEUE_MAX];
};

enum status loader_request(struct loader *self, uint64_t hash, uint64_t rowid, void *waiter)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->lock);
    if (self->count == LOADER_QUEUE_MAX) {
        status = STATUS_TOO_LARGE;
    } else {
        self->ring[(self->head + self->count) % LOADER_QUEUE_MAX] = (struct load){
            .hash = hash, .rowid = rowid, .waiter = waiter};
        self->count++;
        (void)pthread_cond_signal(&self->wake);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

/* Puts what was read into the table if it is still what the table lacks. */
static void install(struct store *store, uint64_t hash, uint64_t rowid,
                    const struct session *session)
{
    struct shard *shard = table_shard(&store->table, hash);
    shard_lock(shard);
    struct slot *slot = shard_find(shard, hash, session->id);
    if (slot != NULL && slot->entry->rowid == rowid && !slot->entry->resident &&
        !slot->entry->tombstone && slot->entry->version == session->version) {
        /* Without memory it stays away, and the command asks again. */
        if (shard_restore(shard, slot, session->content) == STATUS_OK) {
            metric_add_shared(&store->metrics.loaded, 1);
        }
    }
    shard_unlock(shard);
}

static void load_one(struct loader *self, struct rows_reader *reader, struct load load,
                     struct buf *scratch)
{
    struct session session;
    enum status status = rows_read(reader, load.rowid, scratch, &session);
    if (status == STATUS_OK) {
        install(self->store, load.hash, load.rowid, &session);
    } else if (status != STATUS_NOT_FOUND) {
        /* NOT_FOUND: deleted since. Anything else: the table says the row is there and good, and it
         * cannot be had; to answer "not found" would be a lie (invariant 7). */
        char why[128];
        (void)snprintf(why, sizeof why, "cannot read row %" PRIu64 " of the data file: %s",
                       load.rowid, status_text(status));
        store_fail(self->store, why);
    }
    self->store->deps.events.loaded(self->store->deps.events.arg, load.waiter);
}

/* Gets a reader on the rows of now. Called and returns with the lock held. */
static struct rows_reader *take_reader(struct loader *self, struct rows *rows)
{
    (void)pthread_mutex_unlock(&self->lock);
    struct rows_reader *reader = NULL;
    enum status status = rows_reader_new(rows, &reader);
    if (status != STATUS_OK) {
        store_fail(self->store, "cannot open a read transaction");
    }
    (void)pthread_mutex_lock(&self->lock);
    self->user_status = status == STATUS_OK ? self->user_status : status;
    /* They may have changed meanwhile: then this was no step to where loader_use() waits for us. */
    self->users += rows == self->rows;
    (void)pthread_cond_signal(&self->moved);
    return reader;
}

static void *loader_run(void *arg)
{
    struct loader *self = arg;
    struct rows_reader *reader = NULL;
    const struct rows *used = NULL;
    struct buf scratch = {0};
    (void)pthread_mutex_lock(&self->lock);
    for (;;) {
        if (used != self->rows) {
            if (reader != NULL) {
                rows_reader_free(reader);
            }
            used = self->rows;
            reader = take_reader(self, self->rows);
            if (reader == NULL) {
                break;
            }
            continue; /* they may have changed again */
        }
        if (self->stopping) {
            break;
        }
        if (self->count == 0) {
            (void)pthread_cond_wait(&self->wake, &self->lock);
            continue;
        }
        struct load load = self->ring[self->head];
        self->head = (self->head + 1) % LOADER_QUEUE_MAX;
        self->count--;
        (void)pthread_mutex_unlock(&self->lock);
        load_one(self, reader, load, &scratch);
        (void)pthread_mutex_lock(&self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (reader != NULL) {
        rows_reader_free(reader);
    }
    buf_free(&scratch);
    return NULL;
}

enum status loader_use(struct loader *self, struct rows *rows)
{
    (void)pthread_mutex_lock(&self->lock);
    self->rows = rows;
    self->users = 0;
    (void)pthread_cond_broadcast(&self->wake);
    while (self->users < self->thread_count && self->user_status == STATUS_OK) {
        (void)pthread_cond_wait(&self->moved, &self->lock);
    }
    enum status status = self->user_status;
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

enum status loader_start(struct store *store, struct loader **out)
{
    struct loader *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->store = store;
    self->rows = store->rows;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->wake, NULL);
    (void)pthread_cond_init(&self->moved, NULL);
    for (unsigned i = 0; i < LOADER_THREADS; i++) {
        if (thread_start(&self->threads[i], "reader", loader_run, self) != STATUS_OK) {
            loader_stop(self);
            return STATUS_NO_MEMORY;
        }
        self->thread_count++;
    }
    *out = self;
    return STATUS_OK;
}

void loader_stop(struct loader *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->thread_count; i++) {
        (void)pthread_join(self->threads[i], NULL);
    }
    for (; self->count > 0; self->count--) {
        self->store->deps.events.loaded(self->store->deps.events.arg,
                                        self->ring[self->head].waiter);
        self->head = (self->head + 1) % LOADER_QUEUE_MAX;
    }
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_cond_destroy(&self->moved);
    free(self);
}
