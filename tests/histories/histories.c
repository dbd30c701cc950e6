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
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "histories/client.h"
#include "support/linearizable.h"
#include "support/pattern.h"
#include "support/server.h"

enum {
    CLIENTS = 8,
    RUNS = 8, /* a round */
    OPS_A_SESSION = 30,
    ANSWERS_LEAST = 50,
    ANSWERS_MOST = 1000,
    DUE_WAIT_MS = 2000,
    DIE_WAIT_MS = 10000,
    START_KILL_US_MOST = 15000,
    LEASE_MS = 500,
    PATH_BYTES = 160,
    STORIES_MAX = 3,
};

/* How a run ends. */
enum ending { END_KILL, END_KILL_STARTS, END_TAKE_OVER, END_STOP, END_PAUSE, ENDINGS };

static const char *const ending_names[ENDINGS] = {
    [END_KILL] = "killed",
    [END_KILL_STARTS] = "killed, and killed while starting",
    [END_TAKE_OVER] = "killed, and followed by a standby",
    [END_STOP] = "stopped in order",
    [END_PAUSE] = "paused beyond the lease, and followed by a standby",
};

/* What runs differ in, in turn. */
static const struct plan {
    const char *options[8]; /* NULL ends them */
    const char *sync_us;    /* how long a sync takes at most */
    unsigned fast_in_64;    /* changes acknowledged from memory */
    unsigned padding_most;
} plans[] = {
    {{"--workers", "4"}, "1500", 8, 0},
    {{"--workers", "4", "--checkpoint-interval", "20ms"}, "600", 4, 0},
    {{"--workers", "2", "--memory", "1m", "--segment-bytes", "1m"}, "3000", 16, 3000},
    {{"--workers", "4"}, "0", 32, 0},
};

struct totals {
    uint64_t histories;
    uint64_t ops;
    uint64_t unknown;
    uint64_t refused;
    uint64_t bad;       /* histories that do not fit */
    uint64_t undecided; /* … that the checker could not decide */
    uint64_t gone;      /* stores that do not serve again after a crash */
    uint64_t wrong;     /* single answers that fit nothing */
    uint64_t endings[ENDINGS];
};

struct test {
    const char *binary;
    const char *disk; /* NULL: the machine's own */
    uint64_t seed;
    uint64_t random;
    unsigned rounds;
    unsigned seconds; /* 0: not limited */
    bool expects_violation;
    char directory[64];
    char data[PATH_BYTES];
    char places[2][PATH_BYTES];
    struct server servers[2]; /* the one that serves, and its standby; they take turns */
    enum ending endings[2];   /* how each will end */
    unsigned serving;         /* which one serves */
    bool broke;               /* something that is no matter of histories: a server that does not
                                 start, or dies by itself */
    const struct plan *plan;  /* of the server started last */
    unsigned plan_number;
    struct stage stage;
    struct client clients[CLIENTS];
    int64_t over_ms[RUNS + 2]; /* when each run was over */
    struct totals totals;
};

static unsigned between(struct test *self, unsigned least, unsigned most)
{
    return least + (unsigned)(pattern_random(&self->random) % (most - least + 1));
}

static void pause_us(unsigned us)
{
    (void)nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000L},
                    NULL);
}

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

/* ---- Servers -------------------------------------------------------------------------------- */

/* The next run's; its number in the whole test counts. */
static void next_plan(struct test *self)
{
    self->plan = &plans[self->plan_number++ % (sizeof plans / sizeof plans[0])];
    if (self->disk != NULL) {
        (void)setenv("VOLATILE_DISK_SYNC_US", self->plan->sync_us, 1);
    }
}

static enum ending pick_ending(struct test *self)
{
    unsigned choice = between(self, 0, 99);
    return choice < 60   ? END_KILL
           : choice < 75 ? END_KILL_STARTS
           : choice < 92 ? END_TAKE_OVER
           : choice < 99 ? END_STOP
                         : END_PAUSE;
}

/* How a process will end is known when it starts: only for one that will be paused has the lease to
 * be short. */
static void launch(struct test *self, unsigned which, bool waits)
{
    struct server *server = &self->servers[which];
    memset(server->options, 0, sizeof server->options);
    const struct plan *plan = self->plan;
    unsigned count = 0;
    for (; plan->options[count] != NULL; count++) {
        server->options[count] = plan->options[count];
    }
    self->endings[which] = pick_ending(self);
    if (self->endings[which] == END_PAUSE) {
        server->options[count++] = "--lease";
        server->options[count++] = "500ms";
    }
    if (waits) {
        server->options[count++] = "--wait";
    }
    server_launch(server);
}

static bool is_dead(const struct server *server)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)server->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == server->pid;
}

/* A server that has ended although nobody wanted that. */
static void complain_of_death(struct test *self, struct server *server)
{
    self->broke = true;
    (void)fprintf(stderr, "satcheld has ended by itself\n");
    server_print_log(server);
}

/* Waits for a process that was paused for longer than its lease, and goes on, to end itself. */
static bool ends_with_code(struct test *self, struct server *server, int expected)
{
    for (unsigned waited_ms = 0; !is_dead(server); waited_ms++) {
        if (waited_ms > DIE_WAIT_MS) {
            (void)fprintf(stderr, "satcheld goes on after its lease has run out\n");
            self->broke = true;
            server_kill(server);
            return false;
        }
        pause_us(1000);
    }
    int how = 0;
    (void)waitpid(server->pid, &how, 0);
    server->pid = 0;
    if (!WIFEXITED(how) || WEXITSTATUS(how) != expected) {
        (void)fprintf(stderr, "satcheld ended with status %#x instead of exit code %d\n",
                      (unsigned)how, expected);
        server_print_log(server);
        self->broke = true;
    }
    return !self->broke;
}

static bool start(struct test *self, unsigned kills)
{
    next_plan(self);
    for (; kills > 0; kills--) {
        launch(self, self->serving, false);
        pause_us(between(self, 0, START_KILL_US_MOST));
        server_kill(&self->servers[self->serving]);
    }
    launch(self, self->serving, false);
    if (!server_wait_serving(&self->servers[self->serving])) {
        self->broke = true;
        self->totals.gone++;
    }
    return !self->broke;
}

static void swap_servers(struct test *self)
{
    self->serving = 1 - self->serving;
    if (!server_wait_serving(&self->servers[self->serving])) {
        self->broke = true;
        self->totals.gone++;
    }
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static void begin_run(struct test *self, unsigned answers, bool kills, bool closing)
{
    const struct server *server = &self->servers[self->serving];
    struct stage_run run = {.closing = closing,
                            .fast_in_64 = self->plan->fast_in_64,
                            .padding_most = self->plan->padding_most};
    (void)snprintf(run.address, sizeof run.address, "%s", server->address);
    stage_begin_run(&self->stage, &run, answers, kills ? server->pid : 0);
}

static void end_run(struct test *self)
{
    uint16_t ended = stage_end_run(&self->stage);
    self->over_ms[ended] = wall_ms();
}

/* Ends the run of the process that serves, and has another one serve. */
static bool end_and_follow(struct test *self, enum ending ending)
{
    struct server *server = &self->servers[self->serving];
    switch (ending) {
    case END_KILL:
    case END_KILL_STARTS:
    case END_TAKE_OVER:
        server_kill(server);
        break;
    case END_STOP: {
        int code = server_stop(server);
        if (code != 0) {
            (void)fprintf(stderr, "satcheld ended with %d when it was stopped\n", code);
            server_print_log(server);
            self->broke = true;
        }
        break;
    }
    case END_PAUSE:
        (void)kill(server->pid, SIGSTOP);
        pause_us((LEASE_MS + between(self, 50, 200)) * 1000);
        (void)kill(server->pid, SIGCONT);
        (void)ends_with_code(self, server, 3);
        break;
    case ENDINGS:
        break;
    }
    end_run(self);
    self->totals.endings[ending]++;
    if (self->broke) {
        return false;
    }
    if (ending == END_TAKE_OVER || ending == END_PAUSE) {
        swap_servers(self);
        return !self->broke;
    }
    return start(self, ending == END_KILL_STARTS ? between(self, 1, 3) : 0);
}

static void run_once(struct test *self)
{
    enum ending ending = self->endings[self->serving];
    bool waits = ending == END_TAKE_OVER || ending == END_PAUSE;
    begin_run(self, between(self, ANSWERS_LEAST, ANSWERS_MOST), ending < END_STOP, false);
    if (waits) {
        next_plan(self);
        launch(self, 1 - self->serving, true);
    }
    bool was_killed = stage_wait_due(&self->stage, DUE_WAIT_MS);
    struct server *server = &self->servers[self->serving];
    if (!was_killed && is_dead(server)) {
        complain_of_death(self, server);
        return;
    }
    (void)end_and_follow(self, ending);
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

/* False: it cannot go on. */
static bool run_round(struct test *self, unsigned round)
{
    stage_init(&self->stage, round, CLIENTS, OPS_A_SESSION);
    start_clients(self, round);
    for (unsigned i = 0; i < RUNS && !self->broke; i++) {
        run_once(self);
    }
    if (self->broke) { /* what was seen until then is checked all the same */
        end_run(self);
        stage_give_up(&self->stage);
        server_kill(&self->servers[0]);
        server_kill(&self->servers[1]);
    } else {
        begin_run(self, 0, false, true);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_join(&self->clients[i]);
    }
    if (!self->broke) {
        end_run(self);
    }
    check(self);
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_free(&self->clients[i]);
    }
    stage_close(&self->stage);
    return !self->broke;
}

static bool has_violation(const struct test *self)
{
    return self->totals.bad + self->totals.wrong + self->totals.undecided != 0;
}

static unsigned run_rounds(struct test *self)
{
    unsigned round = 0;
    if (!start(self, 0)) {
        return 0;
    }
    while (round < self->rounds && !has_violation(self) &&
           (self->seconds == 0 || elapsed_s() < self->seconds)) {
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
                 elapsed_s(), totals->bad, totals->undecided, totals->wrong, totals->gone);
    for (unsigned i = 0; i < ENDINGS; i++) {
        (void)printf("  %" PRIu64 " runs %s\n", totals->endings[i], ending_names[i]);
    }
}

static int verdict(const struct test *self)
{
    const struct totals *totals = &self->totals;
    if (self->expects_violation) {
        bool found = totals->bad + totals->wrong + totals->gone != 0;
        (void)printf("the violation was %s\n", found ? "found" : "not found");
        return found ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return !self->broke && !has_violation(self) && totals->histories > 0 ? EXIT_SUCCESS
                                                                         : EXIT_FAILURE;
}

/* ---- Starting ------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void make_directories(struct test *self)
{
    /* In memory when there is such a place: what is slow and forgetful is the library's matter. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    (void)snprintf(self->directory, sizeof self->directory, "%.30s/satchel-histories-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(self->directory) == NULL) {
        (void)fprintf(stderr, "no directory: %s\n", strerror(errno));
        exit(EXIT_FAILURE);
    }
    (void)snprintf(self->data, sizeof self->data, "%s/data", self->directory);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(self->places[i], sizeof self->places[i], "%s/%u", self->directory, i);
        (void)mkdir(self->places[i], 0700);
        self->servers[i] = (struct server){
            .binary = self->binary, .directory = self->places[i], .data = self->data};
    }
}

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
            test.binary = argv[i];
        } else if (strcmp(name, "--disk") == 0) {
            test.disk = argv[i];
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
    if (test.binary == NULL) {
        usage();
    }
    test.seconds = limited ? test.seconds : 15;
    test.random = test.seed;
    return test;
}

int main(int argc, char **argv)
{
    static struct test test; /* too large for a stack */
    test = parse(argc, argv);
    (void)elapsed_s();
    make_directories(&test);
    (void)printf("seed %" PRIu64 "\n", test.seed);
    (void)fflush(stdout);
    if (test.disk != NULL) {
        (void)setenv("LD_PRELOAD", test.disk, 1); /* for the servers; this process has its own */
    }
    unsigned rounds = run_rounds(&test);
    server_kill(&test.servers[0]);
    server_kill(&test.servers[1]);
    report(&test, rounds);
    int code = verdict(&test);
    if (code == EXIT_SUCCESS) {
        (void)nftw(test.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    } else {
        (void)printf("its files are in %s\n", test.directory);
    }
    return code;
}
