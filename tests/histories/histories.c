/*
 * histories --satcheld PATH [--disk LIBRARY] [--seed N] [--seconds N | --minutes N | --rounds N]
 *           [--expect-violation]
 *
 * Clients work on few sessions at the same time while the store is killed, stopped, paused, and
 * followed by a standby; then each session's history is checked (support/linearizable.h). A round
 * is one generation of sessions: some runs, then every session is looked at, then the check.
 *
 * --expect-violation is for builds that are broken on purpose: success is a history that does not
 * fit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "histories/client.h"
#include "histories/lives.h"
#include "support/linearizable.h"
#include "support/pattern.h"

enum {
    CLIENTS = 8,
    RUNS = 8,            /* a round */
    ROUNDS_A_STORE = 25, /* then a new one begins: recovery of a large one takes its time */
    OPS_A_SESSION = 30,
    ANSWERS_LEAST = 50,
    ANSWERS_MOST = 1000,
    DUE_WAIT_MS = 2000,
    STORIES_MAX = 3,
};

struct totals {
    uint64_t histories;
    uint64_t ops;
    uint64_t unknown;
    uint64_t refused;
    uint64_t bad;       /* histories that do not fit */
    uint64_t undecided; /* … that the checker could not decide */
    uint64_t wrong;     /* single answers that fit nothing */
};

struct test {
    uint64_t seed;
    uint64_t random;
    unsigned rounds;
    unsigned seconds; /* 0: not limited */
    bool expects_violation;
    struct lives lives;
    struct stage stage;
    struct client clients[CLIENTS];
    int64_t over_ms[RUNS + 2]; /* when each run was over */
    struct totals totals;
};

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static double elapsed_s(void)
{
    static struct timespec start;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (start.tv_sec == 0) {
        start = now;
    }
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static void begin_run(struct test *self, bool closing)
{
    const struct lives *lives = &self->lives;
    unsigned answers = ANSWERS_LEAST + (unsigned)(pattern_random(&self->random) %
                                                  (ANSWERS_MOST - ANSWERS_LEAST + 1));
    bool is_to_be_killed = !closing && lives_is_to_be_killed(lives);
    struct stage_run run = {
        .closing = closing, .fast_in_64 = lives->fast_in_64, .padding_most = lives->padding_most};
    (void)snprintf(run.address, sizeof run.address, "%s", lives_server(lives)->address);
    stage_begin_run(&self->stage, &run, answers, is_to_be_killed ? lives_server(lives)->pid : 0);
}

static void end_run(struct test *self)
{
    uint16_t ended = stage_end_run(&self->stage);
    self->over_ms[ended] = wall_ms();
}

/* One process serves until it ends, and another one follows. */
static bool run_once(struct test *self)
{
    begin_run(self, false);
    lives_prepare(&self->lives);
    bool was_killed = stage_wait_due(&self->stage, DUE_WAIT_MS);
    bool ended = lives_end(&self->lives, was_killed);
    end_run(self);
    return ended && lives_follow(&self->lives);
}

/* ---- Checking ------------------------------------------------------------------------------- */

static void check_session(struct test *self, const struct history_op *ops, size_t count)
{
    struct totals *totals = &self->totals;
    enum linearizable_verdict verdict = linearizable_check(ops, count, NULL);
    totals->histories++;
    if (verdict == LINEARIZABLE_UNDECIDED) {
        totals->undecided++;
        (void)fprintf(stderr, "session %" PRIu32 ": %zu operations are too many at a time\n",
                      ops[0].session, count);
    } else if (verdict == NOT_LINEARIZABLE) {
        totals->bad++;
        if (totals->bad <= STORIES_MAX) {
            linearizable_story(ops, count, stderr);
        }
    }
}

static struct history collect(struct test *self)
{
    struct history all = {0};
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *client = &self->clients[i];
        for (size_t k = 0; k < client->history.count; k++) {
            struct history_op *op = &client->history.ops[k];
            if (op->outcome == HISTORY_UNKNOWN) {
                op->return_ns = HISTORY_NEVER;
                op->return_ms = self->over_ms[op->run];
            }
            self->totals.unknown += op->outcome == HISTORY_UNKNOWN;
            self->totals.refused += op->outcome == HISTORY_REFUSED;
            history_add(&all, op);
        }
        self->totals.wrong += client->wrong;
    }
    self->totals.ops += all.count;
    history_sort(&all);
    return all;
}

static void check(struct test *self)
{
    struct history all = collect(self);
    const struct history_op *one = NULL;
    const struct history_op *other = NULL;
    if (!history_versions_are_unique(&all, &one, &other)) {
        self->totals.wrong++;
        (void)fprintf(stderr,
                      "sessions %" PRIu32 " and %" PRIu32 " both have version %" PRIu64 "\n",
                      one->session, other->session, one->version);
    }
    for (size_t from = 0, to = 0; from < all.count; from = to) {
        while (to < all.count && all.ops[to].session == all.ops[from].session) {
            to++;
        }
        check_session(self, all.ops + from, to - from);
    }
    history_free(&all);
}

/* ---- Rounds --------------------------------------------------------------------------------- */

static void start_clients(struct test *self, unsigned round)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        self->clients[i] = (struct client){.stage = &self->stage,
                                           .number = (uint16_t)i,
                                           .random = self->seed ^
                                                     ((uint64_t)round << 32 | (i + 1))};
        client_start(&self->clients[i]);
    }
}

/* False: it cannot go on. What was seen until then is checked all the same. */
static bool run_round(struct test *self, unsigned round)
{
    stage_init(&self->stage, round, CLIENTS, OPS_A_SESSION);
    start_clients(self, round);
    bool whole = true;
    for (unsigned i = 0; i < RUNS && whole; i++) {
        whole = run_once(self);
    }
    if (whole) {
        begin_run(self, true);
    } else {
        stage_give_up(&self->stage);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_join(&self->clients[i]);
    }
    if (whole) {
        end_run(self);
    }
    check(self);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_free(&self->clients[i]);
    }
    stage_close(&self->stage);
    return whole;
}

static bool has_violation(const struct test *self)
{
    return self->totals.bad + self->totals.wrong + self->totals.undecided != 0;
}

static unsigned run_rounds(struct test *self)
{
    unsigned round = 0;
    while (round < self->rounds && !has_violation(self) &&
           (self->seconds == 0 || elapsed_s() < self->seconds)) {
        if (round % ROUNDS_A_STORE == 0 && !lives_begin(&self->lives)) {
            break;
        }
        if (!run_round(self, round)) {
            break;
        }
        round++;
        if (round % 50 == 0) {
            (void)printf("%u rounds, %" PRIu64 " histories, %.0f s\n", round,
                         self->totals.histories, elapsed_s());
            (void)fflush(stdout);
        }
    }
    return round;
}

static void report(const struct test *self, unsigned rounds)
{
    const struct totals *totals = &self->totals;
    (void)printf("checked %" PRIu64 " histories of %" PRIu64 " operations (%" PRIu64
                 " without an answer, %" PRIu64 " refused) in %u rounds, %.1f s: %" PRIu64
                 " do not fit, %" PRIu64 " undecided, %" PRIu64 " wrong answers, %" PRIu64
                 " stores gone\n",
                 totals->histories, totals->ops, totals->unknown, totals->refused, rounds,
                 elapsed_s(), totals->bad, totals->undecided, totals->wrong, self->lives.gone);
    static const char *const texts[ENDINGS] = {
#define X(name, text) text,
        LIVES_ENDINGS(X)
#undef X
    };
    for (unsigned i = 0; i < ENDINGS; i++) {
        (void)printf("  %" PRIu64 " runs %s\n", self->lives.ended[i], texts[i]);
    }
}

static int verdict(const struct test *self)
{
    const struct totals *totals = &self->totals;
    if (self->expects_violation) {
        bool found = totals->bad + totals->wrong + self->lives.gone != 0;
        (void)printf("the violation was %s\n", found ? "found" : "not found");
        return found ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return !self->lives.broke && !has_violation(self) && totals->histories > 0 ? EXIT_SUCCESS
                                                                               : EXIT_FAILURE;
}

/* ---- Starting ------------------------------------------------------------------------------- */

static void usage(void)
{
    (void)fprintf(stderr, "usage: histories --satcheld PATH [--disk LIBRARY] [--seed N] "
                          "[--seconds N | --minutes N | --rounds N] [--expect-violation]\n");
    exit(2);
}

static struct test parse(int argc, char **argv)
{
    struct test test = {.rounds = UINT32_MAX, .seed = (uint64_t)wall_ms()};
    bool limited = false;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--expect-violation") == 0) {
            test.expects_violation = true;
            continue;
        }
        if (++i == argc) {
            usage();
        }
        unsigned long number = strtoul(argv[i], NULL, 10);
        if (strcmp(name, "--satcheld") == 0) {
            test.lives.binary = argv[i];
        } else if (strcmp(name, "--disk") == 0) {
            test.lives.disk = argv[i];
        } else if (strcmp(name, "--seed") == 0) {
            test.seed = number;
        } else if (strcmp(name, "--seconds") == 0 || strcmp(name, "--minutes") == 0) {
            test.seconds = (unsigned)number * (name[2] == 'm' ? 60 : 1);
            limited = true;
        } else if (strcmp(name, "--rounds") == 0) {
            test.rounds = (unsigned)number;
            limited = true;
        } else {
            usage();
        }
    }
    if (test.lives.binary == NULL) {
        usage();
    }
    test.seconds = limited ? test.seconds : 15;
    test.random = test.seed;
    test.lives.random = test.seed + 1;
    return test;
}

int main(int argc, char **argv)
{
    static struct test test; /* too large for a stack */
    test = parse(argc, argv);
    (void)elapsed_s();
    (void)printf("seed %" PRIu64 "\n", test.seed);
    (void)fflush(stdout);
    lives_init(&test.lives);
    unsigned rounds = run_rounds(&test);
    report(&test, rounds);
    int code = verdict(&test);
    lives_close(&test.lives, code != EXIT_SUCCESS);
    return code;
}
