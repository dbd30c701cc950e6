/* Starting, killing, stopping and pausing satcheld. */
#include "histories/lives.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/pattern.h"

#define LEASE "1500ms"

enum {
    LEASE_MS = 1500,
    DIE_WAIT_MS = 10000,
    START_KILL_US_MOST = 15000,
};

/* What processes differ in, in turn. */
static const struct plan {
    const char *options[8]; /* NULL ends them */
    const char *sync_us;    /* how long a sync takes at most */
    unsigned fast_in_64;
    unsigned padding_most;
} plans[] = {
    {{"--workers", "4"}, "1500", 8, 0},
    {{"--workers", "4", "--checkpoint-interval", "20ms"}, "600", 4, 0},
    {{"--workers", "2", "--memory", "1m", "--segment-bytes", "1m"}, "3000", 16, 3000},
    {{"--workers", "4"}, "0", 32, 0},
};

static unsigned between(struct lives *self, unsigned least, unsigned most)
{
    return least + (unsigned)(pattern_random(&self->random) % (most - least + 1));
}

static void pause_us(unsigned us)
{
    (void)nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000L},
                    NULL);
}

/* ---- Directories ---------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_all(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void lives_init(struct lives *self)
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
    if (self->disk != NULL) {
        (void)setenv("LD_PRELOAD", self->disk, 1); /* for the servers; this process has its own */
    }
}

void lives_close(struct lives *self, bool keep)
{
    server_kill(&self->servers[0]);
    server_kill(&self->servers[1]);
    if (keep) {
        (void)printf("its files are in %s\n", self->directory);
    } else {
        remove_all(self->directory);
    }
}

/* ---- Starting ------------------------------------------------------------------------------- */

/* What the next process does differently. */
static const struct plan *next_plan(struct lives *self)
{
    const struct plan *plan = &plans[self->started++ % (sizeof plans / sizeof plans[0])];
    if (self->disk != NULL) {
        (void)setenv("VOLATILE_DISK_SYNC_US", plan->sync_us, 1);
    }
    self->fast_in_64 = plan->fast_in_64;
    self->padding_most = plan->padding_most;
    return plan;
}

static enum ending pick_ending(struct lives *self)
{
    unsigned choice = between(self, 0, 99);
    return choice < 60   ? END_KILL
           : choice < 75 ? END_KILL_STARTS
           : choice < 92 ? END_TAKE_OVER
           : choice < 99 ? END_STOP
                         : END_PAUSE;
}

/* How a process will end is known when it starts: only for one that will be paused the lease has to
 * be short. */
static void launch(struct lives *self, unsigned which, const struct plan *plan, bool waits)
{
    struct server *server = &self->servers[which];
    memset(server->options, 0, sizeof server->options);
    unsigned count = 0;
    for (; plan->options[count] != NULL; count++) {
        server->options[count] = plan->options[count];
    }
    self->endings[which] = pick_ending(self);
    if (self->endings[which] == END_PAUSE) {
        server->options[count++] = "--lease";
        server->options[count++] = LEASE;
    }
    if (waits) {
        server->options[count++] = "--wait";
    }
    server_launch(server);
}

static bool wait_serving(struct lives *self)
{
    if (!server_wait_serving(&self->servers[self->serving])) {
        self->broke = true;
        self->gone++;
    }
    return !self->broke;
}

/* Kills the first `kills` starts after a moment. */
static bool start(struct lives *self, unsigned kills)
{
    const struct plan *plan = next_plan(self);
    for (; kills > 0; kills--) {
        launch(self, self->serving, plan, false);
        pause_us(between(self, 0, START_KILL_US_MOST));
        server_kill(&self->servers[self->serving]);
    }
    launch(self, self->serving, plan, false);
    return wait_serving(self);
}

bool lives_begin(struct lives *self)
{
    server_kill(&self->servers[self->serving]);
    remove_all(self->data);
    return start(self, 0);
}

const struct server *lives_server(const struct lives *self)
{
    return &self->servers[self->serving];
}

/* ---- Ending --------------------------------------------------------------------------------- */

static bool has_standby(const struct lives *self)
{
    enum ending ending = self->endings[self->serving];
    return ending == END_TAKE_OVER || ending == END_PAUSE;
}

bool lives_is_to_be_killed(const struct lives *self)
{
    return self->endings[self->serving] < END_STOP;
}

void lives_prepare(struct lives *self)
{
    if (has_standby(self)) {
        launch(self, 1 - self->serving, next_plan(self), true);
    }
}

static bool is_dead(const struct server *server)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)server->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == server->pid;
}

static void complain(struct lives *self, const char *what)
{
    (void)fprintf(stderr, "satcheld %s\n", what);
    server_print_log(&self->servers[self->serving]);
    self->broke = true;
}

/* A process that was paused for longer than its lease, and goes on, has to end itself. */
static void wait_for_its_end(struct lives *self, struct server *server)
{
    for (unsigned waited_ms = 0; !is_dead(server); waited_ms++) {
        if (waited_ms > DIE_WAIT_MS) {
            complain(self, "goes on after its lease has run out");
            server_kill(server);
            return;
        }
        pause_us(1000);
    }
    int how = 0;
    (void)waitpid(server->pid, &how, 0);
    server->pid = 0;
    if (!WIFEXITED(how) || WEXITSTATUS(how) != 3) {
        complain(self, "did not end with exit code 3 after its lease had run out");
    }
}

bool lives_end(struct lives *self, bool was_killed)
{
    struct server *server = &self->servers[self->serving];
    enum ending ending = self->endings[self->serving];
    if (!was_killed && is_dead(server)) {
        complain(self, "has ended by itself");
    } else if (lives_is_to_be_killed(self)) {
        server_kill(server);
    } else if (ending == END_STOP) {
        if (server_stop(server) != 0) {
            complain(self, "did not end with exit code 0 when it was stopped");
        }
    } else {
        (void)kill(server->pid, SIGSTOP);
        pause_us((LEASE_MS + between(self, 50, 200)) * 1000);
        (void)kill(server->pid, SIGCONT);
        wait_for_its_end(self, server);
    }
    self->ended[ending]++;
    return !self->broke;
}

bool lives_follow(struct lives *self)
{
    if (has_standby(self)) {
        self->serving = 1 - self->serving;
        return wait_serving(self);
    }
    return start(self, self->endings[self->serving] == END_KILL_STARTS ? between(self, 1, 3) : 0);
}
