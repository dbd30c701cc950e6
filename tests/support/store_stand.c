/* Opening, killing and commanding a store for tests. */
#include "support/store_stand.h"

#include <time.h>

#include "base/log.h"
#include "store/store_private.h"
#include "support/require.h"

void stand_pause(int64_t began_ns)
{
    REQUIRE(clock_mono_ns(&clock_system) - began_ns < INT64_C(30000000000));
    const struct timespec moment = {.tv_nsec = 200000};
    (void)nanosleep(&moment, NULL);
}

/* ---- Events --------------------------------------------------------------------------------- */

static void on_durable(void *arg)
{
    (void)arg;
}

static void on_ready(void *arg)
{
    struct stand *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->is_ready = true;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

static void on_changes(void *arg, const struct store_changes *changes)
{
    struct stand *self = arg;
    self->changes(self->changes_arg, changes);
}

static void on_failed(void *arg, const char *why)
{
    struct stand *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    REQUIRE(!self->has_failed); /* it is told once */
    self->has_failed = true;
    (void)snprintf(self->why, sizeof self->why, "%s", why);
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

static void on_loaded(void *arg, void *waiter)
{
    (void)arg;
    atomic_store((_Atomic bool *)waiter, true);
}

/* ---- Life ----------------------------------------------------------------------------------- */

void stand_init(struct stand *self)
{
    *self = (struct stand){
        .options =
            {
                .memory_bytes = 64 << 20,
                .checkpoint_ms = 3600 * 1000,
                .checkpoint_bytes = UINT64_C(1) << 40,
                .segment_bytes = 1 << 20,
                .undurable_pause_bytes = 64 << 20,
                .undurable_busy_bytes = 128 << 20,
                .map_bytes = UINT64_C(1) << 32,
            },
        .file = &file_ops_system,
        .released_epoch = UINT64_MAX,
        .now_ms = INT64_C(1800000000000),
    };
    log_configure(LOG_ERROR, LOG_TEXT);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    temp_dir_make(self->dir);
    temp_dir_make(self->run_dir);
}

void stand_end(struct stand *self)
{
    if (self->store != NULL) {
        (void)store_close(self->store);
    }
    session_scratch_free(&self->scratch);
    temp_dir_remove(self->dir);
    temp_dir_remove(self->run_dir);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->changed);
}

enum status stand_try_open(struct stand *self, char *errmsg, size_t errmsg_bytes)
{
    self->is_ready = false;
    self->has_failed = false;
    self->options.data_dir = self->dir;
    self->options.run_dir = self->run_dir;
    const struct store_deps deps = {
        .clock = &clock_system,
        .file = self->file,
        .owner = self->owner,
        .released_epoch = self->released_epoch,
        .events = {.durable = on_durable,
                   .ready = on_ready,
                   .failed = on_failed,
                   .loaded = on_loaded,
                   .changes = self->changes == NULL ? NULL : on_changes,
                   .arg = self},
    };
    return store_open(&self->options, &deps, &self->store, errmsg, errmsg_bytes);
}

void stand_open(struct stand *self)
{
    char errmsg[256] = "";
    if (stand_try_open(self, errmsg, sizeof errmsg) != STATUS_OK || !stand_wait_ready(self)) {
        (void)fprintf(stderr, "the store does not open: %s%s\n", errmsg, self->why);
        abort();
    }
}

bool stand_wait_ready(struct stand *self)
{
    (void)pthread_mutex_lock(&self->lock);
    while (!self->is_ready && !self->has_failed) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    bool is_ready = self->is_ready;
    (void)pthread_mutex_unlock(&self->lock);
    return is_ready;
}

void stand_wait_failed(struct stand *self)
{
    (void)pthread_mutex_lock(&self->lock);
    while (!self->has_failed) {
        (void)pthread_cond_wait(&self->changed, &self->lock);
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void stand_close(struct stand *self)
{
    REQUIRE(store_close(self->store) == STATUS_OK);
    self->store = NULL;
}

void stand_kill(struct stand *self)
{
    char copy[TEMP_DIR_BYTES];
    char from[TEMP_DIR_BYTES + 16];
    char to[TEMP_DIR_BYTES + 16];
    temp_dir_make(copy);
    /* The journal first: what a flush adds to it meanwhile is not lost knowledge, a data file older
     * than the journal's beginning would be. */
    (void)snprintf(from, sizeof from, "%s/journal", self->dir);
    (void)snprintf(to, sizeof to, "%s/journal", copy);
    temp_dir_copy(from, to);
    temp_dir_copy(self->dir, copy);
    (void)store_close(self->store);
    self->store = NULL;
    temp_dir_remove(self->dir);
    memcpy(self->dir, copy, sizeof copy);
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* Appends a copy and returns where it begins; views are made when all of them are in. */
static size_t keep(struct buf *bytes, struct view view)
{
    size_t at = bytes->len;
    REQUIRE(buf_append(bytes, view) == STATUS_OK);
    return at;
}

static void take_answer(void *arg, const struct store_reply *reply)
{
    struct answer *self = arg;
    const struct session *session = &reply->session;
    struct buf *bytes = &self->bytes;
    bytes->len = 0;
    size_t id = keep(bytes, session->id);
    size_t owner = keep(bytes, session->owner);
    size_t content = keep(bytes, session->content);
    size_t returned = keep(bytes, reply->returned);
    self->status = reply->status;
    self->gate_lsn = reply->gate_lsn;
    self->session = *session;
    if (bytes->ptr == NULL) {
        REQUIRE(buf_reserve(bytes, 1) == STATUS_OK); /* so that there is an address to count from */
    }
    self->session.id.ptr = bytes->ptr + id;
    self->session.owner.ptr = bytes->ptr + owner;
    self->session.content.ptr = bytes->ptr + content;
    self->returned = view_of(bytes->ptr + returned, reply->returned.len);
}

void stand_run(struct stand *self, const struct command *cmd, struct session_scratch *scratch,
               struct answer *out)
{
    uint64_t hash = store_hash(self->store, cmd->id);
    int64_t began_ns = clock_mono_ns(&clock_system);
    for (;;) {
        _Atomic bool loaded = false;
        if (store_execute(self->store, cmd, hash, self->now_ms, scratch, &loaded, take_answer,
                          out) == STATUS_OK) {
            store_flush(self->store, true);
            return;
        }
        while (!atomic_load(&loaded)) {
            stand_pause(began_ns);
        }
    }
}

void answer_free(struct answer *self)
{
    buf_free(&self->bytes);
}

static enum satchel_status run_and_forget(struct stand *self, const struct command *cmd,
                                          uint64_t *version)
{
    struct answer answer = {0};
    stand_run(self, cmd, &self->scratch, &answer);
    *version = answer.session.version;
    answer_free(&answer);
    return answer.status;
}

enum satchel_status stand_set(struct stand *self, const char *id, struct view content)
{
    uint64_t version = 0;
    const struct command cmd = {
        .op = SATCHEL_OP_SET, .kind = SATCHEL_BLOB, .id = view_str(id), .content = content};
    return run_and_forget(self, &cmd, &version);
}

uint64_t stand_set_lsn(struct stand *self, const char *id, struct view content)
{
    uint64_t version = 0;
    const struct command cmd = {
        .op = SATCHEL_OP_SET, .kind = SATCHEL_BLOB, .id = view_str(id), .content = content};
    REQUIRE(run_and_forget(self, &cmd, &version) == SATCHEL_OK);
    REQUIRE(version != 0);
    return version;
}

enum satchel_status stand_delete(struct stand *self, const char *id)
{
    uint64_t version = 0;
    const struct command cmd = {.op = SATCHEL_OP_DELETE, .id = view_str(id)};
    return run_and_forget(self, &cmd, &version);
}

enum satchel_status stand_get(struct stand *self, const char *id, struct answer *out)
{
    const struct command cmd = {.op = SATCHEL_OP_GET, .id = view_str(id)};
    stand_run(self, &cmd, &self->scratch, out);
    return out->status;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

void stand_wait_durable(struct stand *self, uint64_t lsn)
{
    for (int64_t began_ns = clock_mono_ns(&clock_system); store_durable_lsn(self->store) < lsn;) {
        stand_pause(began_ns);
    }
}

void stand_settle(struct stand *self)
{
    stand_wait_durable(self, journal_last_lsn(self->store->journal));
}

void stand_checkpoint(struct stand *self)
{
    int64_t began_ns = clock_mono_ns(&clock_system);
    /* The second request is taken when the checkpoint of the first one is over. */
    for (unsigned request = 0; request < 2; request++) {
        store_want_checkpoint(self->store);
        for (bool taken = false; !taken;) {
            (void)pthread_mutex_lock(&self->store->keeper_lock);
            taken = !self->store->checkpoint_due;
            (void)pthread_mutex_unlock(&self->store->keeper_lock);
            if (!taken) {
                stand_pause(began_ns);
            }
        }
    }
}

void stand_sweep(struct stand *self)
{
    for (unsigned i = 0; i < 8; i++) {
        store_sweep(self->store, self->now_ms);
    }
}
