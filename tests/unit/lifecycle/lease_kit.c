/* Leases for tests, here and in another process. */
#include "lease_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "support/require.h"

static int64_t kit_wall_ms(void *arg)
{
    const struct lease_kit *self = arg;
    return atomic_load(&self->wall_ms);
}

static int64_t kit_mono_ns(void *arg)
{
    const struct lease_kit *self = arg;
    return atomic_load(&self->mono_ns);
}

static void on_acquired(void *arg)
{
    struct lease_kit *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->acquired++;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

static void on_lost(void *arg, const char *why)
{
    struct lease_kit *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->lost++;
    (void)snprintf(self->why, sizeof self->why, "%s", why);
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

void kit_init(struct lease_kit *self)
{
    *self = (struct lease_kit){
        .disk = fake_disk_new(),
        .mono_ns = INT64_C(1000000000000),
        .wall_ms = INT64_C(1795000000000),
        .clock = {.wall_ms = kit_wall_ms, .mono_ns = kit_mono_ns, .arg = self},
        .mounts = {.mountinfo = "/nowhere/mountinfo",
                   .mountstats = "/nowhere/mountstats",
                   .recover_lost_locks = "/nowhere/recover"},
        .options = {.lease_ms = KIT_LEASE_MS},
    };
    log_configure(LOG_ERROR, LOG_TEXT);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    temp_dir_make(self->dir);
}

void kit_end(struct lease_kit *self)
{
    (void)lease_close(self->lease, false);
    fake_disk_free(self->disk);
    temp_dir_remove(self->dir);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->changed);
}

enum status kit_open(struct lease_kit *self)
{
    const struct lease_deps deps = {
        .dir = self->dir,
        .address = "10.0.1.5:7401",
        .clock = &self->clock,
        .file = fake_disk_ops(self->disk),
        .mounts = &self->mounts,
        .events = {.acquired = on_acquired, .lost = on_lost, .arg = self},
    };
    enum status status = lease_open(&self->options, &deps, &self->lease, self->errmsg,
                                    sizeof self->errmsg);
    if (status == STATUS_OK || status == STATUS_AGAIN) {
        self->owner = lease_ownership(self->lease);
    }
    return status;
}

enum status kit_close(struct lease_kit *self, bool released)
{
    enum status status = lease_close(self->lease, released);
    self->lease = NULL;
    return status;
}

/* ---- Time and waiting ----------------------------------------------------------------------- */

void kit_advance_ms(struct lease_kit *self, int64_t ms)
{
    atomic_fetch_add(&self->mono_ns, ms * 1000000);
}

void kit_pause(int64_t began_ns)
{
    REQUIRE(clock_mono_ns(&clock_system) - began_ns < INT64_C(30000000000));
    const struct timespec moment = {.tv_nsec = 200000};
    (void)nanosleep(&moment, NULL);
}

static void wait_for(struct lease_kit *self, const unsigned *count)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    (void)pthread_mutex_lock(&self->lock);
    while (*count == 0) {
        REQUIRE(pthread_cond_timedwait(&self->changed, &self->lock, &until) == 0);
    }
    REQUIRE(*count == 1); /* it is told once */
    (void)pthread_mutex_unlock(&self->lock);
}

void kit_wait_acquired(struct lease_kit *self)
{
    wait_for(self, &self->acquired);
}

void kit_wait_lost(struct lease_kit *self)
{
    wait_for(self, &self->lost);
}

void kit_wait_beats(struct lease_kit *self, unsigned count)
{
    int64_t began_ns = clock_mono_ns(&clock_system);
    unsigned from = fake_disk_count(self->disk, FAKE_FDATASYNC);
    /* One may be under way now, and the last one is over when another has come as far. */
    while (fake_disk_count(self->disk, FAKE_FDATASYNC) < from + count + 2) {
        kit_pause(began_ns);
    }
}

struct lease_record kit_record(const struct lease_kit *self)
{
    char path[TEMP_DIR_BYTES + 16];
    struct buf bytes = {0};
    struct lease_record record;
    (void)snprintf(path, sizeof path, "%s/lease", self->dir);
    /* While it is rewritten in place a reader may see a part of each. */
    int64_t began_ns = clock_mono_ns(&clock_system);
    for (;;) {
        bytes.len = 0;
        temp_file_read(&bytes, path);
        REQUIRE(bytes.len == LEASE_RECORD_BYTES);
        if (lease_record_decode((const char *)bytes.ptr, &record) == STATUS_OK) {
            break;
        }
        kit_pause(began_ns);
    }
    buf_free(&bytes);
    return record;
}

/* ---- Another process ------------------------------------------------------------------------ */

struct order {
    enum other_end how;
    int delay_ms;
};

_Noreturn static void be_owner(const struct lease_kit *kit, int orders, int ready)
{
    static struct lease_kit self;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    kit_init(&self);
    temp_dir_remove(self.dir);
    memcpy(self.dir, kit->dir, sizeof self.dir);
    REQUIRE(kit_open(&self) == STATUS_OK);
    REQUIRE(ownership_confirm(&self.owner, OTHER_EPOCH) == STATUS_OK);
    REQUIRE(write(ready, "r", 1) == 1);
    struct order order;
    REQUIRE(read(orders, &order, sizeof order) == sizeof order);
    const struct timespec delay = {.tv_nsec = order.delay_ms * 1000000L};
    (void)nanosleep(&delay, NULL);
    if (order.how == END_KILLED) {
        (void)raise(SIGKILL);
    }
    REQUIRE(kit_close(&self, order.how == END_RELEASED) == STATUS_OK);
    _exit(0);
}

struct other_owner other_start(const struct lease_kit *kit)
{
    int orders[2];
    int ready[2];
    char byte = 0;
    REQUIRE(pipe(orders) == 0 && pipe(ready) == 0);
    struct other_owner self = {.pid = fork(), .orders = orders[1]};
    REQUIRE(self.pid >= 0);
    if (self.pid == 0) {
        be_owner(kit, orders[0], ready[1]);
    }
    (void)close(orders[0]);
    (void)close(ready[1]);
    REQUIRE(read(ready[0], &byte, 1) == 1); /* it closes that by ending, too */
    (void)close(ready[0]);
    return self;
}

void other_end(const struct other_owner *self, enum other_end how, int delay_ms)
{
    const struct order order = {.how = how, .delay_ms = delay_ms};
    REQUIRE(write(self->orders, &order, sizeof order) == sizeof order);
}

void other_wait(const struct other_owner *self)
{
    int status = 0;
    REQUIRE(waitpid(self->pid, &status, 0) == self->pid);
    REQUIRE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    (void)close(self->orders);
}
