/*
 * every_call --satcheld PROGRAM --store-tool PROGRAM --library FILE
 *            [--runs N | --all] [--seed N] [--only START:CALL:CHOICE]
 *
 * One run: satcheld starts on a copy of a directory and lives a short life (life.h), and one of its
 * calls on files there fails. It may go on, or end as docs/durability.md says. Then satchel-store
 * finds nothing damaged, and satcheld starts again and knows everything that it acknowledged.
 *
 * --all: for n = 1, 2, 3 … the n-th call fails in each of the ways that this call can, until a
 * run passes without reaching it. Otherwise N runs are drawn from those.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults/fault_plan.h"
#include "faults/life.h"
#include "support/pattern.h"
#include "support/require.h"
#include "support/server.h"
#include "support/temp_dir.h"

enum {
    RUNS = 160,
    PATH_BYTES = 256,
    END_MS_MAX = 25000,
    LOG_BYTES_MAX = 64 * 1024,
    FAILURES_MAX = 20,
    EXIT_STOPPED = 0,
    EXIT_START = 1,
    EXIT_STORAGE = 3,
};

/* What satcheld starts on. */
enum start { EMPTY, STOPPED, KILLED, STARTS };
static const char *const start_texts[STARTS] = {"empty", "stopped", "killed"};
static const char *const kind_texts[FAULT_KIND_COUNT] = {
#define X(name, text) text,
    FAULT_KINDS(X)
#undef X
};

struct test {
    const char *satcheld;
    const char *store_tool;
    const char *library;
    char dir[PATH_BYTES];  /* data, run, log, plan; start-N: what is copied to data */
    char data[PATH_BYTES]; /* absolute: LMDB's link names it so */
    struct life begun[STARTS];
    struct fault_plan *plan;
    uint32_t calls[STARTS];                 /* of a run without fault … */
    uint8_t kinds[STARTS][FAULT_CALLS_MAX]; /* … and what they were */
    uint64_t random;

    /* What came of it. */
    unsigned runs, reached, failures;
    unsigned went_on, refused, died;
    unsigned faults_by_kind[FAULT_KIND_COUNT];
    unsigned errors_by_kind[FAULT_KIND_COUNT][256]; /* by errno, + 128 for FAULT_A_WHILE */
    uint64_t acknowledged;
};

/* ---- Files ---------------------------------------------------------------------------------- */

static void path_of(const struct test *self, const char *name, char out[PATH_BYTES])
{
    REQUIRE(snprintf(out, PATH_BYTES, "%s/%s", self->dir, name) < PATH_BYTES);
}

/* In memory, where there is such a place: nothing is proven by a slow disk here. */
static void make_dir(struct test *self)
{
    (void)snprintf(self->dir, sizeof self->dir, "/dev/shm/satchel-test-XXXXXX");
    if (mkdtemp(self->dir) == NULL) {
        (void)snprintf(self->dir, sizeof self->dir, "/tmp/satchel-test-XXXXXX");
        REQUIRE(mkdtemp(self->dir) != NULL);
    }
    path_of(self, "data", self->data);
    char path[PATH_BYTES];
    path_of(self, "plan", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, sizeof *self->plan) == 0);
    void *map = mmap(NULL, sizeof *self->plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    REQUIRE(map != MAP_FAILED);
    self->plan = map;
    (void)close(fd);
}

static void copy_data(const char *from, const char *to)
{
    char below_from[PATH_BYTES + 16];
    char below_to[PATH_BYTES + 16];
    (void)snprintf(below_from, sizeof below_from, "%s/journal", from);
    (void)snprintf(below_to, sizeof below_to, "%s/journal", to);
    temp_dir_copy(from, to);
    temp_dir_copy(below_from, below_to);
}

static void start_path(const struct test *self, enum start start, char out[PATH_BYTES])
{
    char name[32];
    (void)snprintf(name, sizeof name, "start-%s", start_texts[start]);
    path_of(self, name, out);
}

static void prepare_data(const struct test *self, enum start start)
{
    char from[PATH_BYTES];
    char log[PATH_BYTES];
    char report[PATH_BYTES];
    start_path(self, start, from);
    if (access(self->data, F_OK) == 0) {
        temp_dir_remove(self->data);
    }
    path_of(self, "log", log);
    path_of(self, "report", report);
    (void)unlink(log);
    (void)unlink(report);
    if (start != EMPTY) {
        copy_data(from, self->data);
    }
}

/* ---- Programs ------------------------------------------------------------------------------- */

static struct server server_of(const struct test *self, const char *checkpoint_interval)
{
    return (struct server){.binary = self->satcheld,
                           .directory = self->dir,
                           .options = {"--checkpoint-interval", checkpoint_interval,
                                       "--segment-bytes", "1m", "--memory", "1m", "--workers", "1",
                                       NULL}};
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for its end; false: it does not end, and was killed. */
static bool wait_end(struct server *server, int *code)
{
    int64_t until_ms = now_ms() + END_MS_MAX;
    int how = 0;
    while (waitpid(server->pid, &how, WNOHANG) != server->pid) {
        if (now_ms() > until_ms) {
            server_kill(server);
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    server->pid = 0;
    *code = WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
    return true;
}

/* The exit code of `satchel-store verify`. */
static int verify(const struct test *self)
{
    char out[PATH_BYTES];
    path_of(self, "report", out);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
        (void)execl(self->store_tool, self->store_tool, "verify", self->data, (char *)NULL);
        _exit(127);
    }
    int how = 0;
    REQUIRE(waitpid(pid, &how, 0) == pid);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

/* Lines of the log that contain `word`. */
static unsigned log_lines(const struct test *self, const char *word)
{
    static char text[LOG_BYTES_MAX];
    char path[PATH_BYTES];
    unsigned count = 0;
    path_of(self, "log", path);
    FILE *log = fopen(path, "r");
    while (log != NULL && fgets(text, sizeof text, log) != NULL) {
        count += strstr(text, word) != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return count;
}

/* ---- What it starts on ---------------------------------------------------------------------- */

static bool live(struct test *self, enum start start, const char *interval, bool tail, bool stop)
{
    struct server server = server_of(self, interval);
    server_launch(&server);
    bool ok = server_wait_serving(&server) &&
              (tail ? life_leave_tail(&self->begun[start], server.address)
                    : life_run(&self->begun[start], server.address, self->data, NULL, NULL));
    if (stop) {
        ok = server_stop(&server) == EXIT_STOPPED && ok;
    }
    if (!ok) {
        (void)fprintf(stderr, "without a fault: %s\n", self->begun[start].why);
        server_print_log(&server);
    }
    server_kill(&server);
    return ok;
}

/* Rows from checkpoints, and for KILLED two segments of journal behind them. */
static void make_starts(struct test *self)
{
    char to[PATH_BYTES];
    prepare_data(self, EMPTY);
    REQUIRE(live(self, STOPPED, "10ms", false, true));
    start_path(self, STOPPED, to);
    copy_data(self->data, to);
    self->begun[KILLED] = self->begun[STOPPED];
    REQUIRE(live(self, KILLED, "1h", true, false));
    REQUIRE(live(self, KILLED, "1h", true, false));
    start_path(self, KILLED, to);
    copy_data(self->data, to);
}

/* ---- One run -------------------------------------------------------------------------------- */

struct run {
    enum start start;
    uint32_t at;
    uint32_t choice;
};

static const char *fault_text(const struct fault_plan *plan, char out[128])
{
    if (plan->how == FAULT_SHORT) {
        (void)snprintf(out, 128, "half of it done");
    } else {
        (void)snprintf(out, 128, "%s%s", strerrorname_np(plan->error),
                       plan->how == FAULT_A_WHILE ? " for a while" : "");
    }
    return out;
}

static void print_file(const struct test *self, const char *name)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    path_of(self, name, path);
    if (access(path, F_OK) == 0) {
        temp_file_read(&text, path);
        (void)fprintf(stderr, "---- %s ----\n%.*s", name, (int)text.len, (const char *)text.ptr);
    }
    buf_free(&text);
}

static bool fail(struct test *self, const struct run *run, const char *what, const char *why)
{
    char text[128];
    const struct fault_plan *plan = self->plan;
    self->failures++;
    (void)fflush(stdout);
    (void)fprintf(stderr, "FAILED: %s: %s\n  --only %s:%u:%u: %s of %s: %s\n", what, why,
                  start_texts[run->start], run->at, run->choice,
                  plan->happened ? kind_texts[plan->kind] : "nothing", plan->path,
                  plan->happened ? fault_text(plan, text) : "not reached");
    print_file(self, "log");
    print_file(self, "report");
    return false;
}

static bool is_full(const struct fault_plan *plan)
{
    return plan->happened &&
           (plan->error == ENOSPC || plan->error == EDQUOT || plan->error == EFBIG);
}

/* Whether satcheld may end with `code`, after it served or before. */
static bool judge_end(struct test *self, const struct run *run, int code, bool served)
{
    char text[64];
    unsigned failed = log_lines(self, "storage failed");
    unsigned refused = log_lines(self, "satcheld: ");
    (void)snprintf(text, sizeof text, "%d, %u lines that say why", code, failed + refused);
    self->went_on += code == EXIT_STOPPED;
    self->refused += code == EXIT_START;
    self->died += code == EXIT_STORAGE;
    if (code == EXIT_STOPPED) {
        return (served && failed + refused == 0) || fail(self, run, "ended with", text);
    }
    /* Between recovery and the line that says so it serves already. */
    bool fits = served ? code == EXIT_STORAGE
                       : code == EXIT_START ||
                             (code == EXIT_STORAGE && log_lines(self, "recovered") != 0);
    if (!self->plan->happened || !fits || failed + refused != 1) {
        return fail(self, run, "ended with", text);
    }
    return !served || !is_full(self->plan) || fail(self, run, "a want of space ended it", text);
}

/* Whether a life ends by SIGKILL as soon as the fault has happened and a change was acknowledged:
 * then the journal has to know it, before a checkpoint hides what the fault left there. */
static bool is_killed(const void *arg)
{
    const struct fault_plan *plan = arg;
    return plan->happened && (plan->how == FAULT_SHORT || plan->choice % 2 == 1);
}

/* Lives with the fault; false: it failed. */
static bool live_with_fault(struct test *self, const struct run *run, struct life *life)
{
    char plan_path[PATH_BYTES];
    struct server server = server_of(self, "10ms");
    int code = 0;
    path_of(self, "plan", plan_path);
    *self->plan = (struct fault_plan){.at = run->at, .choice = run->choice};
    (void)snprintf(self->plan->below, sizeof self->plan->below, "%s", self->data);
    (void)setenv("FAULT_PLAN", plan_path, 1);
    (void)setenv("LD_PRELOAD", self->library, 1);
    server_launch(&server);
    (void)unsetenv("LD_PRELOAD");
    bool served = server_wait_start(&server, &code);
    bool ok = !served || life_run(life, server.address, self->data, is_killed, self->plan) ||
              fail(self, run, "while it lived", life->why);
    if (server.pid != 0 && is_killed(self->plan)) {
        server_kill(&server);
        self->went_on++;
        return ok;
    }
    if (server.pid != 0) {
        (void)kill(server.pid, SIGTERM);
        if (!wait_end(&server, &code)) {
            return fail(self, run, "it does not end", "");
        }
    }
    return judge_end(self, run, code, served) && ok;
}

static bool live_afterwards(struct test *self, const struct run *run, struct life *life)
{
    char text[32];
    int verdict = verify(self);
    bool is_new = run->start == EMPTY && life->acknowledged == 0;
    if (verdict != 0 && !(is_new && verdict == EXIT_STORAGE)) { /* 3: nothing there */
        (void)snprintf(text, sizeof text, "%d", verdict);
        return fail(self, run, "satchel-store verify says", text);
    }
    struct server server = server_of(self, "10ms");
    server_launch(&server);
    bool ok = (server_wait_serving(&server) || fail(self, run, "afterwards", "no start")) &&
              (life_verify(life, server.address) || fail(self, run, "afterwards", life->why));
    int how = 0;
    if (server.pid != 0 && waitpid(server.pid, &how, WNOHANG) == server.pid) {
        server.pid = 0;
        (void)snprintf(text, sizeof text, "%s %d", WIFSIGNALED(how) ? "signal" : "exit code",
                       WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        return fail(self, run, "afterwards it died", text);
    }
    server_kill(&server);
    return ok;
}

static bool run_once(struct test *self, const struct run *run)
{
    struct life life = self->begun[run->start];
    life.acknowledged = 0;
    prepare_data(self, run->start);
    bool ok = live_with_fault(self, run, &life);
    const struct fault_plan *plan = self->plan;
    self->runs++;
    self->acknowledged += life.acknowledged;
    if (plan->happened) {
        self->reached++;
        self->faults_by_kind[plan->kind]++;
        self->errors_by_kind[plan->kind]
                            [(plan->error & 127) + (plan->how == FAULT_A_WHILE) * 128]++;
    }
    return ok && live_afterwards(self, run, &life);
}

/* ---- All of them, or some ------------------------------------------------------------------- */

static bool go_on(const struct test *self)
{
    return self->failures < FAILURES_MAX;
}

static void run_all(struct test *self)
{
    for (enum start start = EMPTY; start < STARTS; start++) {
        struct run run = {.start = start, .at = 1};
        for (bool reached = true; reached && go_on(self); run.at++) {
            uint32_t choices = 1;
            for (run.choice = 0; run.choice < choices && go_on(self); run.choice++) {
                (void)run_once(self, &run);
                choices = run.choice == 0 ? self->plan->choices : choices;
                reached = reached && (run.choice != 0 || self->plan->happened);
            }
        }
        (void)printf("%s: every call up to number %u\n", start_texts[start], run.at - 1);
        (void)fflush(stdout);
    }
}

/* Draws a call of that kind; false: the life from that start has none. */
static bool draw(struct test *self, enum start start, enum fault_kind kind, uint32_t *at)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->calls[start]; i++) {
        if (self->kinds[start][i] == kind &&
            pattern_random(&self->random) % ++count == 0) { /* each with the same chance */
            *at = i + 1;
        }
    }
    return count != 0;
}

/* All kinds in turn: there are hundreds of reads, and a handful of locks. */
static void run_some(struct test *self, unsigned runs)
{
    for (unsigned i = 0; self->runs < runs && go_on(self); i++) {
        struct run run = {.start = (enum start)(i / FAULT_KIND_COUNT % STARTS)};
        run.choice = (uint32_t)(pattern_random(&self->random) % 27720); /* fair to all lengths */
        if (draw(self, run.start, (enum fault_kind)(i % FAULT_KIND_COUNT), &run.at)) {
            (void)run_once(self, &run);
        }
    }
}

/* A life without faults passes, and makes calls of every kind: else they went past the library. */
static void run_without_fault(struct test *self)
{
    bool seen[FAULT_KIND_COUNT] = {false};
    for (enum start start = EMPTY; start < STARTS; start++) {
        struct run run = {.start = start};
        (void)run_once(self, &run);
        self->calls[start] = self->plan->calls;
        REQUIRE(self->calls[start] <= FAULT_CALLS_MAX);
        for (uint32_t i = 0; i < self->calls[start]; i++) {
            self->kinds[start][i] = self->plan->kinds[i];
            seen[self->kinds[start][i]] = true;
        }
        (void)printf("%s: %u calls\n", start_texts[start], self->calls[start]);
    }
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        /* Nothing is cut at present. */
        if (!seen[kind] && kind != FAULT_TRUNCATE) {
            (void)fprintf(stderr, "FAILED: no call of the kind %s was seen\n", kind_texts[kind]);
            self->failures++;
        }
    }
    (void)fflush(stdout);
}

static void print_table(const struct test *self)
{
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        (void)printf("  %-12s %5u:", kind_texts[kind], self->faults_by_kind[kind]);
        for (int i = 0; i < 256; i++) {
            if (self->errors_by_kind[kind][i] != 0) {
                (void)printf(" %s%s %u", i % 128 == 0 ? "half" : strerrorname_np(i % 128),
                             i < 128 ? "" : "*", self->errors_by_kind[kind][i]);
            }
        }
        (void)printf("\n");
    }
}

/* ---- Command line --------------------------------------------------------------------------- */

static void usage(void)
{
    (void)fprintf(stderr, "usage: every_call --satcheld PROGRAM --store-tool PROGRAM --library FILE"
                          " [--runs N | --all] [--seed N] [--only START:CALL:CHOICE]\n");
    exit(2);
}

static struct run parse_only(const char *text)
{
    struct run run = {0};
    char name[16] = "";
    if (sscanf(text, "%15[a-z]:%" SCNu32 ":%" SCNu32, name, &run.at, &run.choice) != 3) {
        usage();
    }
    while (run.start < STARTS && strcmp(start_texts[run.start], name) != 0) {
        run.start++;
    }
    if (run.start == STARTS) {
        usage();
    }
    return run;
}

int main(int argc, char *argv[])
{
    enum { SATCHELD, STORE_TOOL, LIBRARY, RUN_COUNT, ALL, SEED, ONLY };
    const struct option options[] = {
        {"satcheld", required_argument, NULL, SATCHELD},
        {"store-tool", required_argument, NULL, STORE_TOOL},
        {"library", required_argument, NULL, LIBRARY},
        {"runs", required_argument, NULL, RUN_COUNT},
        {"all", no_argument, NULL, ALL},
        {"seed", required_argument, NULL, SEED},
        {"only", required_argument, NULL, ONLY},
        {0},
    };
    static struct test self;
    const char *only = NULL;
    bool all = false;
    unsigned runs = RUNS;
    uint64_t seed = (uint64_t)time(NULL);
    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case SATCHELD:
            self.satcheld = optarg;
            break;
        case STORE_TOOL:
            self.store_tool = optarg;
            break;
        case LIBRARY:
            self.library = optarg;
            break;
        case RUN_COUNT:
            runs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case ALL:
            all = true;
            break;
        case SEED:
            seed = strtoull(optarg, NULL, 10);
            break;
        case ONLY:
            only = optarg;
            break;
        default:
            usage();
        }
    }
    if (self.satcheld == NULL || self.store_tool == NULL || self.library == NULL) {
        usage();
    }
    self.random = seed;
    int64_t begin_ms = now_ms();
    make_dir(&self);
    make_starts(&self);
    if (only != NULL) {
        struct run run = parse_only(only);
        (void)run_once(&self, &run);
    } else {
        run_without_fault(&self);
        if (all) {
            run_all(&self);
        } else {
            (void)printf("seed %" PRIu64 "\n", seed);
            run_some(&self, runs);
        }
    }
    print_table(&self);
    (void)printf("checked %u runs, %u faults in %" PRId64 " s: went on %u, refused to start %u, "
                 "ended %u; %" PRIu64 " acknowledgements; %u failed\n",
                 self.runs, self.reached, (now_ms() - begin_ms) / 1000, self.went_on, self.refused,
                 self.died, self.acknowledged, self.failures);
    temp_dir_remove(self.dir);
    return self.failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
