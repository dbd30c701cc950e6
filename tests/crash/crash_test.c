/*
 * crash_test --satcheld PATH [--seed N] [--rounds N] [--data DIR] [--pace N]: the store is killed
 * and has to remember. On a slow machine a pace of N makes what happens between kills N times
 * longer.
 *
 * A round: writers change sessions, satcheld is killed at a random moment (SIGKILL), it is started
 * again on the same directory (in some rounds killed a few times while it starts), and every
 * session is held against its model. The next round goes on from what came back.
 */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crash/writer.h"
#include "support/pattern.h"
#include "support/server.h"

enum {
    WRITERS = 4,
    SESSIONS_A_WRITER = 96,
    SESSIONS = WRITERS * SESSIONS_A_WRITER,
    VERIFY_WINDOW = 32,
    VERIFY_WAIT_MS = 30000,
    KILL_MS_LEAST = 40,
    KILL_MS_MOST = 1100,
    START_KILL_MS_MOST = 40,
};

struct test {
    uint64_t seed;
    unsigned rounds;
    unsigned rounds_done;
    unsigned pace; /* how many times longer everything lasts before a kill */
    uint64_t random;
    struct server server;
    struct model models[SESSIONS];
    struct counter counters[COUNTERS];
    struct writer writers[WRITERS];
    uint64_t version_floor; /* no version above it was ever seen */
    uint64_t checked;       /* durable acknowledgements whose effect was verified */
    uint64_t lost;          /* sessions and increments that are not what was acknowledged */
    uint64_t violations;    /* wrong answers while the server lived */
};

/* What the rounds differ in, in turn. */
static const struct plan {
    const char *name;
    bool kill_starts; /* kills the first starts after the crash as well */
    const char *options[8];
} plans[] = {
    {"as it comes", false, {NULL}},
    {"checkpoints all the time", false, {"--checkpoint-interval", "20ms", NULL}},
    {"killed while starting", true, {"--checkpoint-interval", "20ms", NULL}},
    {"little memory, small segments", false, {"--segment-bytes", "1m", "--memory", "1m", NULL}},
    {"all of that",
     true,
     {"--segment-bytes", "1m", "--memory", "1m", "--checkpoint-interval", "20ms", NULL}},
};

static const struct plan *plan_of(unsigned round)
{
    return &plans[round % (sizeof plans / sizeof plans[0])];
}

static unsigned between(struct test *self, unsigned least, unsigned most)
{
    return least + (unsigned)(pattern_random(&self->random) % (most - least + 1));
}

static void pause_ms(unsigned ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L},
                    NULL);
}

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Starting ------------------------------------------------------------------------------- */

static bool start(struct test *self, const struct plan *plan)
{
    memset(self->server.options, 0, sizeof self->server.options);
    for (unsigned i = 0; plan->options[i] != NULL; i++) {
        self->server.options[i] = plan->options[i];
    }
    for (unsigned left = plan->kill_starts ? between(self, 1, 3) : 0; left > 0; left--) {
        server_launch(&self->server);
        pause_ms(self->pace * between(self, 0, START_KILL_MS_MOST));
        server_kill(&self->server);
    }
    server_launch(&self->server);
    return server_wait_serving(&self->server);
}

/* ---- Verifying ------------------------------------------------------------------------------ */

static void verify_session(struct test *self, struct model *model, const struct native_reply *reply,
                           int64_t sent_ms)
{
    char why[512];
    if (!model_verify(model, reply, sent_ms, wall_ms(), why, sizeof why)) {
        self->lost++;
        (void)fprintf(stderr, "LOST: %s\n", why);
    }
    if (model->version_max > self->version_floor) {
        self->version_floor = model->version_max;
    }
}

static void verify_counter(struct test *self, struct counter *counter,
                           const struct native_reply *reply)
{
    int64_t base = counter->base;
    int64_t acknowledged = atomic_load_explicit(&counter->acknowledged, memory_order_relaxed);
    int64_t what = 0;
    int64_t verdict = counter_verify(counter, reply, &what);
    if (verdict != 0) {
        self->lost += (uint64_t)(verdict > 0 ? verdict : -verdict);
        (void)fprintf(stderr,
                      "LOST: c%u is %" PRId64 ": %" PRId64 " before, %" PRId64
                      " increments acknowledged\n",
                      counter->number, what, base, acknowledged);
    }
}

/* Reads all sessions and counters, some at a time. */
static bool verify(struct test *self)
{
    struct wire wire;
    if (!wire_open(&wire, self->server.address)) {
        (void)fprintf(stderr, "cannot connect to verify\n");
        return false;
    }
    bool ok = true;
    for (unsigned from = 0; ok && from < SESSIONS + COUNTERS; from += VERIFY_WINDOW) {
        unsigned to = from + VERIFY_WINDOW;
        to = to < SESSIONS + COUNTERS ? to : SESSIONS + COUNTERS;
        int64_t sent_ms = wall_ms();
        for (unsigned i = from; i < to; i++) {
            char id[16];
            struct command get = {.op = SATCHEL_OP_GET,
                                  .id = i < SESSIONS
                                            ? model_id(&self->models[i], id)
                                            : counter_id(&self->counters[i - SESSIONS], id)};
            wire_put(&wire, i, 0, &get);
        }
        ok = wire_flush(&wire);
        for (unsigned i = from; ok && i < to; i++) {
            struct native_reply reply;
            ok = wire_take(&wire, VERIFY_WAIT_MS, &reply) == STATUS_OK &&
                 reply.request_id >= from && reply.request_id < to;
            if (ok && reply.request_id < SESSIONS) {
                verify_session(self, &self->models[reply.request_id], &reply, sent_ms);
            } else if (ok) {
                verify_counter(self, &self->counters[reply.request_id - SESSIONS], &reply);
            }
        }
    }
    if (!ok) {
        (void)fprintf(stderr, "no answers to verify with\n");
    }
    wire_close(&wire);
    return ok;
}

/* ---- Rounds --------------------------------------------------------------------------------- */

/* Returns how many durable acknowledgements there are to be verified. */
static uint64_t write_until_killed(struct test *self, unsigned round)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *writer = &self->writers[i];
        *writer = (struct writer){
            .address = self->server.address,
            .models = self->models + (size_t)i * SESSIONS_A_WRITER,
            .model_count = SESSIONS_A_WRITER,
            .counters = self->counters,
            .version_floor = self->version_floor,
            .random = self->seed ^ ((uint64_t)round << 32 | (i + 1)),
        };
        if (pthread_create(&writer->thread, NULL, writer_run, writer) != 0) {
            abort();
        }
    }
    unsigned after_ms = self->pace * between(self, KILL_MS_LEAST, KILL_MS_MOST);
    pause_ms(after_ms); /* the random moment */
    server_kill(&self->server);
    uint64_t acknowledged = 0;
    uint64_t fast = 0;
    uint64_t busy = 0;
    uint64_t unanswered = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *writer = &self->writers[i];
        (void)pthread_join(writer->thread, NULL);
        acknowledged += writer->acknowledged;
        fast += writer->fast;
        busy += writer->busy;
        unanswered += writer->unanswered;
        self->violations += writer->violations;
        if (writer->version_max > self->version_floor) {
            self->version_floor = writer->version_max;
        }
    }
    (void)printf("round %2u: killed after %4u ms, %6" PRIu64 " acknowledged, %5" PRIu64
                 " fast, %5" PRIu64 " busy, %3" PRIu64 " unanswered (%s)\n",
                 round + 1, after_ms, acknowledged, fast, busy, unanswered, plan_of(round)->name);
    (void)fflush(stdout);
    return acknowledged;
}

static bool run_rounds(struct test *self)
{
    if (!start(self, plan_of(0))) {
        return false;
    }
    for (unsigned round = 0; round < self->rounds; round++) {
        uint64_t acknowledged = write_until_killed(self, round);
        /* Recovered with the next round's options: they must not matter to what is there. */
        if (!start(self, plan_of(round + 1)) || !verify(self)) {
            (void)printf("round %u: %" PRIu64 " acknowledgements cannot be checked\n", round + 1,
                         acknowledged);
            return false;
        }
        self->rounds_done++;
        self->checked += acknowledged;
        if (self->lost + self->violations != 0) {
            return false;
        }
    }
    int code = server_stop(&self->server);
    if (code != 0) {
        (void)fprintf(stderr, "satcheld ended with %d\n", code);
    }
    return code == 0;
}

static int run(struct test *self)
{
    self->random = self->seed;
    for (unsigned i = 0; i < SESSIONS; i++) {
        model_init(&self->models[i], i);
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        counter_init(&self->counters[i], i);
    }
    (void)printf("seed %" PRIu64 "\n", self->seed);
    bool ok = run_rounds(self);
    server_kill(&self->server);
    for (unsigned i = 0; i < COUNTERS; i++) {
        counter_free(&self->counters[i]);
    }
    (void)printf("checked %" PRIu64 " acknowledgements in %u rounds, %" PRIu64 " lost, %" PRIu64
                 " wrong answers\n",
                 self->checked, self->rounds_done, self->lost, self->violations);
    return ok && self->checked > 0 && self->lost + self->violations == 0 ? EXIT_SUCCESS
                                                                         : EXIT_FAILURE;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

int main(int argc, char *argv[])
{
    static struct test test = {.seed = 20250101, .rounds = 50, .pace = 1}; /* static: large */
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--satcheld") == 0) {
            test.server.binary = argv[i + 1];
        } else if (strcmp(argv[i], "--seed") == 0) {
            test.seed = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            test.rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--pace") == 0) {
            test.pace = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--data") == 0) {
            test.server.data = argv[i + 1]; /* of this test alone, and left as it is */
        }
    }
    char directory[] = "/tmp/satchel-crash-XXXXXX";
    if (test.server.binary == NULL || argc % 2 == 0 || mkdtemp(directory) == NULL) {
        (void)fprintf(stderr, "usage: crash_test --satcheld PATH [--seed N] [--rounds N] "
                              "[--data DIR] [--pace N]\n");
        return 2;
    }
    test.server.directory = directory;
    int code = run(&test);
    if (code != EXIT_SUCCESS) {
        (void)printf("the directory is kept: %s\n", directory);
    } else if (nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) {
        (void)fprintf(stderr, "cannot remove %s\n", directory);
    }
    return code;
}
