/*
 * store_updates DIRECTORY SESSIONS UPDATES BATCH VALUE_BYTES: the store alone, without a network.
 *
 * Writes SESSIONS sessions, closes the store and opens it again; then makes UPDATES updates, BATCH
 * of them at a time and the next ones when those are durable, each of another session as far as
 * there are enough; then closes it, which writes one checkpoint of what was updated. After each
 * step it prints a line and waits for one on its input, so that somebody can read the counters of
 * count_io.c:
 *
 *     loaded                 (the store is open again, nothing is dirty)
 *     updated SECONDS
 *     closed SECONDS
 *
 * Exit code 1: the store failed, 2: usage.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "store/store.h"

enum { ID_BYTES = 17, POLL_NS = 20000, ONE_HOUR_MS = 3600 * 1000 };

struct updates {
    struct store *store; /* owned; NULL while it is closed */
    const char *directory;
    uint64_t sessions;
    uint64_t count;
    uint64_t batch;
    uint64_t value_bytes;
    uint8_t *value; /* owned */
    struct session_scratch scratch;
    uint64_t last_lsn; /* of the change made last */
};

static double now_s(void)
{
    return (double)clock_mono_ns(&clock_system) / 1e9;
}

_Noreturn static void fail(const char *why)
{
    (void)fprintf(stderr, "store_updates: %s\n", why);
    exit(EXIT_FAILURE);
}

static void pause_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = POLL_NS};
    (void)nanosleep(&moment, NULL);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_failed(void *arg, const char *why)
{
    (void)arg;
    fail(why);
}

static void on_loaded(void *arg, void *waiter)
{
    (void)arg;
    (void)waiter;
}

static void open_store(struct updates *self)
{
    const struct store_options options = {
        .data_dir = self->directory,
        .memory_bytes = UINT64_C(16) << 30, /* all values stay in memory */
        .checkpoint_ms = ONE_HOUR_MS,       /* only the one at the end */
        .checkpoint_bytes = UINT64_C(1) << 40,
        .segment_bytes = 64 << 20,
        .undurable_pause_bytes = 512 << 20,
        .undurable_busy_bytes = 512 << 20,
        .map_bytes = UINT64_C(256) << 30,
    };
    const struct store_deps deps = {
        .clock = &clock_system,
        .file = &file_ops_system,
        .released_epoch = UINT64_MAX,
        .events = {.durable = on_nothing,
                   .ready = on_nothing,
                   .failed = on_failed,
                   .loaded = on_loaded},
    };
    char errmsg[256] = "";
    if (store_open(&options, &deps, &self->store, errmsg, sizeof errmsg) != STATUS_OK) {
        fail(errmsg);
    }
    while (store_state(self->store) == STORE_LOADING) {
        pause_a_moment();
    }
}

static void close_store(struct updates *self)
{
    if (store_close(self->store) != STATUS_OK) {
        fail("the store does not close");
    }
    self->store = NULL;
}

static void take_reply(void *arg, const struct store_reply *reply)
{
    struct updates *self = arg;
    if (reply->status != SATCHEL_OK) {
        fail("a session was not written");
    }
    self->last_lsn = reply->session.version;
}

static void set(struct updates *self, uint64_t session, uint64_t generation)
{
    char id[ID_BYTES];
    (void)snprintf(id, sizeof id, "session-%08" PRIu64, session);
    memcpy(self->value, &generation,
           self->value_bytes < sizeof generation ? self->value_bytes : sizeof generation);
    const struct command cmd = {.op = SATCHEL_OP_SET,
                                .kind = SATCHEL_BLOB,
                                .id = view_str(id),
                                .content = view_of(self->value, self->value_bytes)};
    if (store_execute(self->store, &cmd, store_hash(self->store, cmd.id),
                      clock_wall_ms(&clock_system), &self->scratch, NULL, take_reply,
                      self) != STATUS_OK) {
        fail("a session is not in memory");
    }
}

static void wait_durable(const struct updates *self)
{
    store_flush(self->store, true);
    while (store_durable_lsn(self->store) < self->last_lsn) {
        pause_a_moment();
    }
}

/* Says where we are and waits until somebody has looked. */
static void tell(const char *step, double seconds)
{
    printf("%s %.6f\n", step, seconds);
    (void)fflush(stdout);
    for (int c = getchar(); c != '\n'; c = getchar()) {
        if (c == EOF) {
            fail("the input ended");
        }
    }
}

static void load(struct updates *self)
{
    open_store(self);
    for (uint64_t i = 0; i < self->sessions; i++) {
        set(self, i, 0);
        if (i % 4096 == 4095) {
            wait_durable(self);
        }
    }
    wait_durable(self);
    close_store(self);
    open_store(self);
}

static void update(struct updates *self)
{
    /* A stride that shares no factor with the number of sessions visits each once, in an order that
     * is nothing like that in which they were written. */
    uint64_t stride = 7368787;
    for (uint64_t i = 0; i < self->count; i++) {
        set(self, i * stride % self->sessions, 1 + i / self->sessions);
        if ((i + 1) % self->batch == 0) {
            wait_durable(self);
        }
    }
    wait_durable(self);
}

static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end = NULL;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out >= 1 && *out <= most;
}

int main(int argc, char *argv[])
{
    struct updates self = {.directory = argc == 6 ? argv[1] : NULL};
    if (argc != 6 || !parse_number(argv[2], 7000000, &self.sessions) ||
        !parse_number(argv[3], UINT64_C(1) << 32, &self.count) ||
        !parse_number(argv[4], 1 << 16, &self.batch) ||
        !parse_number(argv[5], 1 << 20, &self.value_bytes)) {
        (void)fprintf(stderr, "usage: store_updates DIRECTORY SESSIONS UPDATES BATCH VALUE_BYTES\n"
                              "(sessions: up to 7000000)\n");
        return 2;
    }
    log_configure(LOG_ERROR, LOG_TEXT);
    self.value = calloc(1, self.value_bytes);
    if (self.value == NULL) {
        fail("no memory");
    }
    double begin_s = now_s();
    load(&self);
    tell("loaded", now_s() - begin_s);
    begin_s = now_s();
    update(&self);
    tell("updated", now_s() - begin_s);
    begin_s = now_s();
    close_store(&self);
    tell("closed", now_s() - begin_s);
    session_scratch_free(&self.scratch);
    free(self.value);
    return EXIT_SUCCESS;
}
