/*
 * Threads on few sessions, so that they meet: increments, sets, deletes, touches and reads, while
 * checkpoints run every 10 ms, a sweep and scans go round, and memory is so small that values
 * leave and come back all the time, and the storage is slow now and then. At the end every
 * increment that was answered is counted, and again after the store was closed, and killed, and
 * opened.
 *
 *     stress_store [SECONDS]
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "session/fields.h"
#include "store/store_private.h"
#include "support/random.h"
#include "support/require.h"
#include "support/store_stand.h"

enum { WORKERS = 4, COUNTERS = 8, BLOBS = 300, SCRATCHES = 40, BLOB_BYTES = 3000 };

struct stress {
    struct stand stand;
    _Atomic bool stopping;
    _Atomic uint64_t counters[COUNTERS];    /* increments that were answered with OK */
    _Atomic uint64_t durable_lsn_seen;      /* highest */
    _Atomic uint64_t commands, busy, scans; /* for the report */
};

struct worker {
    struct stress *stress;
    struct session_scratch scratch;
    struct answer answer;
    struct random random;
};

static void raise_to(_Atomic uint64_t *at, uint64_t value)
{
    uint64_t now = atomic_load(at);
    while (now < value && !atomic_compare_exchange_weak(at, &now, value)) {
    }
}

/* Runs a command until it is not BUSY, and checks what holds for every answer. */
static enum satchel_status run(struct worker *self, const struct command *cmd)
{
    struct stress *stress = self->stress;
    for (int64_t began_ns = clock_mono_ns(&clock_system);;) {
        uint64_t hash = store_hash(stress->stand.store, cmd->id);
        store_prefetch_slot(stress->stand.store, hash); /* as the server does for a batch */
        store_prefetch_session(stress->stand.store, hash);
        stand_run(&stress->stand, cmd, &self->scratch, &self->answer);
        atomic_fetch_add(&stress->commands, 1);
        if (self->answer.status != SATCHEL_BUSY) {
            break;
        }
        atomic_fetch_add(&stress->busy, 1);
        stand_pause(began_ns);
    }
    const struct answer *answer = &self->answer;
    if (answer->status == SATCHEL_OK && cmd->op != SATCHEL_OP_DELETE) {
        REQUIRE(view_equal(answer->session.id, cmd->id));
        REQUIRE(answer->session.version != 0 && answer->gate_lsn >= answer->session.version);
    }
    return answer->status;
}

static struct view name_of(char out[32], const char *kind, uint64_t number)
{
    (void)snprintf(out, 32, "%s-%" PRIu64, kind, number);
    return view_str(out);
}

/* A blob says in each of its words who wrote it. */
static void check_blob(struct view content)
{
    REQUIRE(content.len % 8 == 0);
    for (size_t at = 8; at < content.len; at += 8) {
        REQUIRE(memcmp(content.ptr, content.ptr + at, 8) == 0);
    }
}

static void increment(struct worker *self)
{
    uint64_t number = random_below(&self->random, COUNTERS);
    char id[32];
    uint8_t one[8] = {1};
    uint8_t encoded[64];
    struct buf ops = {.ptr = encoded, .cap = sizeof encoded}; /* large enough: it never grows */
    REQUIRE(ops_append(&ops, SATCHEL_FIELD_INCREMENT, view_str("n"), view_of(one, 8)) == STATUS_OK);
    const struct command cmd = {
        .op = SATCHEL_OP_PATCH, .id = name_of(id, "counter", number), .ops = buf_view(&ops)};
    REQUIRE(run(self, &cmd) == SATCHEL_OK);
    atomic_fetch_add(&self->stress->counters[number], 1);
}

static void set_blob(struct worker *self)
{
    char id[32];
    uint64_t words[BLOB_BYTES / 8];
    size_t count = random_below(&self->random, BLOB_BYTES / 8);
    uint64_t word = random_next(&self->random);
    for (size_t i = 0; i < count; i++) {
        words[i] = word;
    }
    uint64_t chance = random_below(&self->random, 4);
    const struct command cmd = {.op = SATCHEL_OP_SET,
                                .ack = chance == 0 ? ACK_FAST : ACK_DURABLE,
                                .kind = SATCHEL_BLOB,
                                .id = name_of(id, "blob", random_below(&self->random, BLOBS)),
                                .idle_ttl_ms = chance == 1 ? 60000 : 0,
                                .content = view_of(words, count * 8)};
    stand_run(&self->stress->stand, &cmd, &self->scratch, &self->answer);
    REQUIRE(self->answer.status == SATCHEL_OK || self->answer.status == SATCHEL_BUSY);
}

static void read_blob(struct worker *self)
{
    char id[32];
    const struct command cmd = {.op = SATCHEL_OP_GET,
                                .touch = random_below(&self->random, 4) == 0,
                                .id = name_of(id, "blob", random_below(&self->random, BLOBS))};
    enum satchel_status status = run(self, &cmd);
    REQUIRE(status == SATCHEL_OK || status == SATCHEL_NOT_FOUND);
    check_blob(self->answer.session.content);
}

/* Sessions that come, expire and are deleted. */
static void churn(struct worker *self)
{
    char id[32];
    struct view name = name_of(id, "scratch", random_below(&self->random, SCRATCHES));
    struct command cmd = {.id = name};
    switch (random_below(&self->random, 3)) {
    case 0:
        cmd.op = SATCHEL_OP_DELETE;
        break;
    case 1: /* expires at once or lives on */
        cmd.op = SATCHEL_OP_SET;
        cmd.kind = SATCHEL_BLOB;
        cmd.content = name;
        cmd.ttl_ms = random_below(&self->random, 2);
        break;
    default:
        cmd.op = SATCHEL_OP_TOUCH;
        cmd.idle_ttl_ms = 1 + random_below(&self->random, 100000);
        break;
    }
    enum satchel_status status = run(self, &cmd);
    REQUIRE(status == SATCHEL_OK || status == SATCHEL_NOT_FOUND);
}

static void *work(void *arg)
{
    struct worker *self = arg;
    while (!atomic_load(&self->stress->stopping)) {
        switch (random_below(&self->random, 8)) {
        case 0:
        case 1:
            increment(self);
            break;
        case 2:
            set_blob(self);
            break;
        case 3:
            churn(self);
            break;
        default:
            read_blob(self);
            break;
        }
        raise_to(&self->stress->durable_lsn_seen, store_durable_lsn(self->stress->stand.store));
    }
    session_scratch_free(&self->scratch);
    answer_free(&self->answer);
    return NULL;
}

/* What the server's timer does, more often. Sessions of a millisecond expire between two of them.
 */
static void *sweep(void *arg)
{
    struct stress *stress = arg;
    while (!atomic_load(&stress->stopping)) {
        store_sweep(stress->stand.store, stress->stand.now_ms + 1);
        stand_pause(clock_mono_ns(&clock_system));
    }
    return NULL;
}

static void count_counter(void *arg, const struct store_scan_entry *entry)
{
    unsigned *counters = arg;
    REQUIRE(entry->id.len != 0 && entry->version != 0);
    *counters += entry->id.len > 7 && memcmp(entry->id.ptr, "counter", 7) == 0;
}

/* The counters are always there, so every scan finds all of them. */
static void *scan(void *arg)
{
    struct stress *stress = arg;
    while (!atomic_load(&stress->stopping)) {
        uint64_t cursor = 0;
        uint64_t gate_lsn = 0;
        unsigned counters = 0;
        do {
            cursor = store_scan(stress->stand.store, cursor, 10, (struct view){0},
                                stress->stand.now_ms, count_counter, &counters, &gate_lsn);
        } while (cursor != 0);
        REQUIRE(counters == COUNTERS);
        atomic_fetch_add(&stress->scans, 1);
        stand_pause(clock_mono_ns(&clock_system));
    }
    return NULL;
}

static void make_counters(struct stress *stress)
{
    struct worker maker = {.stress = stress};
    for (uint64_t number = 0; number < COUNTERS; number++) {
        char id[32];
        struct buf content = {0};
        REQUIRE(fields_append(&content, view_str("n"), view_str("0")) == STATUS_OK);
        const struct command cmd = {.op = SATCHEL_OP_SET,
                                    .kind = SATCHEL_FIELDS,
                                    .id = name_of(id, "counter", number),
                                    .content = buf_view(&content)};
        REQUIRE(run(&maker, &cmd) == SATCHEL_OK);
        buf_free(&content);
    }
    session_scratch_free(&maker.scratch);
    answer_free(&maker.answer);
}

static void check_counters(struct stress *stress)
{
    struct answer answer = {0};
    for (uint64_t number = 0; number < COUNTERS; number++) {
        char id[32];
        char expected[32];
        struct view found;
        (void)name_of(id, "counter", number);
        (void)snprintf(expected, sizeof expected, "%" PRIu64,
                       atomic_load(&stress->counters[number]));
        REQUIRE(stand_get(&stress->stand, id, &answer) == SATCHEL_OK);
        REQUIRE(fields_find(answer.session.content, view_str("n"), &found));
        REQUIRE(view_equal(found, view_str(expected)));
    }
    answer_free(&answer);
}

/* Every other hundred syncs are slow, so that flushes of the journal overlap. */
static int sync_slowly(void *arg, int fd)
{
    static _Atomic unsigned count;
    const struct timespec moment = {.tv_nsec = 2000000};
    if (atomic_fetch_add(&count, 1) / 100 % 2 == 1) {
        (void)nanosleep(&moment, NULL);
    }
    return file_ops_system.fdatasync(arg, fd);
}

/* Files of the journal that were begun because another one was being synced. */
static uint64_t second_files(const struct stress *stress)
{
    char journal[TEMP_DIR_BYTES + 16];
    (void)snprintf(journal, sizeof journal, "%s/journal", stress->stand.dir);
    return temp_dir_count(journal, "-1.jnl");
}

int main(int argc, char **argv)
{
    static struct stress stress;
    struct file_ops file = file_ops_system;
    file.fdatasync = sync_slowly;
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 5;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS + 2];
    stand_init(&stress.stand);
    stress.stand.options.checkpoint_ms = 10;
    stress.stand.options.memory_bytes = 600 * 1024; /* 330 KiB of it are the empty index */
    stress.stand.options.segment_bytes = 256 * 1024;
    stress.stand.file = &file;
    stand_open(&stress.stand);
    make_counters(&stress);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.stress = &stress, .random = {.state = i}};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    REQUIRE(pthread_create(&threads[WORKERS], NULL, sweep, &stress) == 0);
    REQUIRE(pthread_create(&threads[WORKERS + 1], NULL, scan, &stress) == 0);
    int64_t end_ns = clock_mono_ns(&clock_system) + seconds * INT64_C(1000000000);
    while (clock_mono_ns(&clock_system) < end_ns) {
        stand_pause(clock_mono_ns(&clock_system));
    }
    atomic_store(&stress.stopping, true);
    for (unsigned i = 0; i < WORKERS + 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    uint64_t loaded = metric_counter_get(&stress.stand.store->metrics.loaded);
    uint64_t evicted = metric_counter_get(&stress.stand.store->metrics.evicted);
    uint64_t checkpoints = metric_counter_get(&stress.stand.store->metrics.checkpoints);
    REQUIRE(loaded > 0 && evicted > 0 && checkpoints > 10 && second_files(&stress) > 0);
    check_counters(&stress);
    stand_close(&stress.stand);
    stress.stand.options.checkpoint_ms = 3600 * 1000;
    stand_open(&stress.stand);
    check_counters(&stress);
    REQUIRE(stand_set_lsn(&stress.stand, "last", (struct view){0}) >
            atomic_load(&stress.durable_lsn_seen));
    stand_settle(&stress.stand);
    stand_kill(&stress.stand);
    stand_open(&stress.stand);
    check_counters(&stress);
    stand_end(&stress.stand);
    (void)printf("%" PRIu64 " commands, %" PRIu64 " busy, %" PRIu64 " scans, %" PRIu64
                 " checkpoints, %" PRIu64 " values left, %" PRIu64 " came back\n",
                 atomic_load(&stress.commands), atomic_load(&stress.busy),
                 atomic_load(&stress.scans), checkpoints, evicted, loaded);
    return 0;
}
