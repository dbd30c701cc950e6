/* Taking the lease, beating, losing it; the picture is in lease.h. */
#include "lifecycle/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"

enum {
    LEASE_MS_STANDARD = 60000, /* where no server says how long it keeps locks */
    BEATS_PER_LEASE = 8,
    BEAT_MS_MAX = 5000,
    POLL_MS = 200,   /* how often a lock is tried: a server without callbacks wakes nobody */
    GRACE_MS = 2000, /* for an owner that is just ending */
    TASK_BYTES_MAX = LEASE_NAME_BYTES - 32, /* of its id, beside the process's */
};

#define LEASE_METRICS(X)                                                                           \
    X(gauge, left, "satchel_lease_left_seconds", "",                                               \
      "Time until this owner stops serving unless it reaches the storage.")                        \
    X(gauge, epoch, "satchel_epoch", "", "Number of this ownership of the directory.")             \
    X(counter, heartbeats, "satchel_lease_heartbeats_total", "", "Heartbeats written.")
METRIC_STRUCT(lease_metrics, LEASE_METRICS)
METRIC_TABLE_DECLARE(lease_metrics)
#define METRIC_OWNER struct lease_metrics
METRIC_TABLE(lease_metrics, LEASE_METRICS)

enum phase { PHASE_STANDBY, PHASE_OWNED, PHASE_LOST };

struct lease {
    struct lease_deps deps;  /* immutable; dir is owned, address is not used after opening */
    char *path;              /* owned, immutable */
    int fd;                  /* of DIR/lease; its lock is ours while the lease is owned */
    int64_t lease_ns;        /* immutable */
    uint64_t released_epoch; /* written before the phase becomes OWNED */
    pthread_t thread;
    bool has_thread;

    struct lease_record record; /* what is in the file; lease thread */
    struct lease_metrics metrics;

    _Atomic int64_t valid_until_ns; /* on the monotonic clock; INT64_MIN: not owned */
    pthread_mutex_t lock;           /* guards what follows */
    pthread_cond_t wake;            /* the lease thread waits */
    pthread_cond_t done;            /* lease_confirm() waits */
    enum phase phase;
    bool stopping;
    uint64_t epoch;                 /* to be written; 0: not known yet */
    char address[LEASE_NAME_BYTES]; /* likewise; empty: what deps said */
    char task[LEASE_NAME_BYTES];    /* likewise; empty: the host is named instead */
    uint64_t wanted;                /* confirmations asked for */
    uint64_t confirmed;             /* … and had */
    struct lease_record other;      /* the owner as a standby knows it */
};

const struct option_desc lease_option_descs[] = {
    {.name = "wait",
     .type = OPTION_FLAG,
     .standard = "no",
     .unit = "",
     .help =
         "When another store owns the directory, wait as standby and take over when it is gone; "
         "without, say who owns it and end.",
     .offset = offsetof(struct lease_options, wait)},
    {.name = "lease",
     .type = OPTION_TIME_MS,
     .standard = "",
     .unit = "TIME",
     .help = "An owner that has not reached the storage for so long serves nothing more and ends; "
             "default: 7/8 of the NFS server's lease time, 60s where there is none.",
     .least = 500,
     .most = 3600000,
     .offset = offsetof(struct lease_options, lease_ms)},
};

const size_t lease_option_count = sizeof lease_option_descs / sizeof lease_option_descs[0];

/* ---- The record ----------------------------------------------------------------------------- */

static enum status write_record(struct lease *self)
{
    const struct file_ops *file = self->deps.file;
    char bytes[LEASE_RECORD_BYTES];
    self->record.heartbeats++;
    self->record.at_ms = clock_wall_ms(self->deps.clock);
    lease_record_encode(bytes, &self->record);
    enum status status = file_pwrite_all(file, self->fd,
                                         view_of((const uint8_t *)bytes, sizeof bytes), 0);
    if (status == STATUS_OK && file->fdatasync(file->arg, self->fd) != 0) {
        status = status_of_errno(errno);
    }
    return status;
}

/* What the file says; all zero when it says nothing. */
static enum status read_record(const struct lease *self, struct lease_record *out)
{
    char bytes[LEASE_RECORD_BYTES] = {0};
    size_t got = 0;
    enum status status = file_pread_all(self->deps.file, self->fd, bytes, sizeof bytes, 0, &got);
    if (status == STATUS_OK && lease_record_decode(bytes, out) != STATUS_OK) {
        *out = (struct lease_record){0};
    }
    return status;
}

/* ---- Becoming the owner --------------------------------------------------------------------- */

/* With the lock just taken at `began_ns`: notes how the last owner ended, and says durably that
 * there is a new one, before any other file is touched. */
static enum status become_owner(struct lease *self, int64_t began_ns)
{
    struct lease_record last;
    enum status status = read_record(self, &last);
    if (status != STATUS_OK) {
        return status;
    }
    self->released_epoch = last.is_released ? last.epoch : 0;
    self->record.epoch = last.epoch; /* until our own is known */
    status = write_record(self);
    if (status == STATUS_OK) {
        status = file_sync_dir(self->deps.file, self->deps.dir);
    }
    if (status == STATUS_OK) {
        atomic_store_explicit(&self->valid_until_ns, began_ns + self->lease_ns,
                              memory_order_release);
        (void)pthread_mutex_lock(&self->lock);
        self->phase = PHASE_OWNED;
        (void)pthread_mutex_unlock(&self->lock);
    }
    return status;
}

/* One try for the lock; AGAIN: somebody has it, whom `other` then names. */
static enum status try_lock(struct lease *self)
{
    if (self->deps.file->lock(self->deps.file->arg, self->fd) == 0) {
        return STATUS_OK;
    }
    if (errno != EAGAIN && errno != EACCES) {
        return STATUS_IO;
    }
    struct lease_record other;
    if (read_record(self, &other) == STATUS_OK) {
        (void)pthread_mutex_lock(&self->lock);
        self->other = other;
        (void)pthread_mutex_unlock(&self->lock);
    }
    return STATUS_AGAIN;
}

static enum status try_to_own(struct lease *self)
{
    int64_t began_ns = clock_mono_ns(self->deps.clock);
    enum status status = try_lock(self);
    return status == STATUS_OK ? become_owner(self, began_ns) : status;
}

void lease_describe_owner(struct lease *self, char *out, size_t out_bytes)
{
    (void)pthread_mutex_lock(&self->lock);
    struct lease_record other = self->other;
    (void)pthread_mutex_unlock(&self->lock);
    if (other.owner[0] == '\0') {
        (void)snprintf(out, out_bytes, "a store that has not said who it is");
        return;
    }
    int64_t age_ms = clock_wall_ms(self->deps.clock) - other.at_ms;
    (void)snprintf(out, out_bytes, "%s at %s, epoch %" PRIu64 ", last heartbeat %" PRId64 " s ago",
                   other.owner, other.address[0] == '\0' ? "an unknown address" : other.address,
                   other.epoch, age_ms < 0 ? 0 : age_ms / 1000);
}

/* ---- Beating -------------------------------------------------------------------------------- */

static void lose(struct lease *self, const char *why)
{
    atomic_store_explicit(&self->valid_until_ns, INT64_MIN, memory_order_release);
    (void)pthread_mutex_lock(&self->lock);
    self->phase = PHASE_LOST;
    (void)pthread_cond_broadcast(&self->done);
    (void)pthread_mutex_unlock(&self->lock);
    self->deps.events.lost(self->deps.events.arg, why);
}

/* Waits for `pause_ns`, for lease_confirm() or for the end; true when it is the end. */
static bool wait_for_work(struct lease *self, int64_t pause_ns)
{
    const struct timespec until = clock_moment_in(pause_ns);
    (void)pthread_mutex_lock(&self->lock);
    while (!self->stopping && self->wanted == self->confirmed &&
           pthread_cond_timedwait(&self->wake, &self->lock, &until) != ETIMEDOUT) {
    }
    bool stopping = self->stopping;
    (void)pthread_mutex_unlock(&self->lock);
    return stopping;
}

/* Somebody has deleted, moved or replaced the file that our lock is on: whoever looks for an owner
 * finds none, and what we write next may be in no directory. Says only what is certain. */
static bool is_gone(const struct lease *self)
{
    struct stat ours;
    struct stat found;
    if (fstat(self->fd, &ours) != 0) {
        return false;
    }
    if (stat(self->path, &found) != 0) {
        return errno == ENOENT;
    }
    return ours.st_ino != found.st_ino || ours.st_dev != found.st_dev;
}

/* Writes one heartbeat. False when the lease is lost. */
static bool beat(struct lease *self)
{
    char why[256];
    (void)pthread_mutex_lock(&self->lock);
    uint64_t wanted = self->wanted;
    self->record.epoch = self->epoch != 0 ? self->epoch : self->record.epoch;
    if (self->address[0] != '\0') {
        memcpy(self->record.address, self->address, sizeof self->address);
    }
    if (self->task[0] != '\0') {
        (void)snprintf(self->record.owner, sizeof self->record.owner, "task %.*s pid %ld",
                       TASK_BYTES_MAX, self->task, (long)getpid());
    }
    (void)pthread_mutex_unlock(&self->lock);
    int64_t began_ns = clock_mono_ns(self->deps.clock);
    int64_t until_ns = atomic_load_explicit(&self->valid_until_ns, memory_order_relaxed);
    /* An expired lease is never taken up again: somebody else may own the directory. */
    enum status status = began_ns < until_ns ? write_record(self) : STATUS_OK;
    /* NO_SPACE is an answer as well: the storage has looked at our lock before it looked for room,
     * and the record is rewritten in place, so hardly any storage says it. */
    if (status != STATUS_OK && status != STATUS_NO_SPACE) {
        (void)snprintf(why, sizeof why, "cannot write the heartbeat in %s: %s", self->path,
                       strerror(errno));
        lose(self, why);
        return false;
    }
    if (clock_mono_ns(self->deps.clock) >= until_ns) {
        (void)snprintf(why, sizeof why,
                       "the lease ran out: the storage was not reached for %" PRId64 " ms",
                       self->lease_ns / 1000000);
        lose(self, why);
        return false;
    }
    if (is_gone(self)) {
        (void)snprintf(why, sizeof why, "the lease %s is not there any more", self->path);
        lose(self, why);
        return false;
    }
    /* Release: who sees the new time sees that the beat has happened. */
    atomic_store_explicit(&self->valid_until_ns, began_ns + self->lease_ns, memory_order_release);
    metric_add(&self->metrics.heartbeats, 1);
    (void)pthread_mutex_lock(&self->lock);
    self->confirmed = wanted;
    (void)pthread_cond_broadcast(&self->done);
    (void)pthread_mutex_unlock(&self->lock);
    return true;
}

static void *lease_run(void *arg)
{
    struct lease *self = arg;
    enum status status = self->phase == PHASE_OWNED ? STATUS_OK : STATUS_AGAIN;
    bool was_standby = status == STATUS_AGAIN;
    while (status == STATUS_AGAIN) {
        if (wait_for_work(self, INT64_C(1000000) * POLL_MS)) {
            return NULL;
        }
        status = try_to_own(self);
    }
    if (status != STATUS_OK) {
        char why[256];
        (void)snprintf(why, sizeof why, "cannot take the lease %s: %s: %s", self->path,
                       status_text(status), strerror(errno));
        lose(self, why);
        return NULL;
    }
    if (was_standby) {
        self->deps.events.acquired(self->deps.events.arg);
    }
    int64_t pause_ns = self->lease_ns / BEATS_PER_LEASE;
    pause_ns = pause_ns < INT64_C(1000000) * BEAT_MS_MAX ? pause_ns
                                                         : INT64_C(1000000) * BEAT_MS_MAX;
    while (!wait_for_work(self, pause_ns) && beat(self)) {
    }
    return NULL;
}

/* ---- Questions ------------------------------------------------------------------------------ */

static bool holds(void *arg)
{
    const struct lease *self = arg;
    return clock_mono_ns(self->deps.clock) <
           atomic_load_explicit(&self->valid_until_ns, memory_order_acquire);
}

static enum status confirm(void *arg, uint64_t epoch)
{
    struct lease *self = arg;
    (void)pthread_mutex_lock(&self->lock);
    self->epoch = epoch;
    uint64_t mine = ++self->wanted;
    (void)pthread_cond_signal(&self->wake);
    while (self->confirmed < mine && self->phase == PHASE_OWNED && !self->stopping) {
        (void)pthread_cond_wait(&self->done, &self->lock);
    }
    enum status status = self->confirmed >= mine ? STATUS_OK : STATUS_IO;
    (void)pthread_mutex_unlock(&self->lock);
    if (status != STATUS_OK) {
        errno = EIO;
    }
    return status;
}

struct ownership lease_ownership(struct lease *self)
{
    return (struct ownership){.holds = holds, .confirm = confirm, .arg = self};
}

void lease_set_address(struct lease *self, const char *address)
{
    (void)pthread_mutex_lock(&self->lock);
    (void)snprintf(self->address, sizeof self->address, "%s", address);
    (void)pthread_mutex_unlock(&self->lock);
}

void lease_set_task(struct lease *self, const char *task)
{
    (void)pthread_mutex_lock(&self->lock);
    (void)snprintf(self->task, sizeof self->task, "%s", task);
    (void)pthread_mutex_unlock(&self->lock);
}

uint64_t lease_released_epoch(const struct lease *self)
{
    return self->released_epoch;
}

uint64_t lease_left_ms(const struct lease *self)
{
    int64_t until_ns = atomic_load_explicit(&self->valid_until_ns, memory_order_relaxed);
    int64_t now_ns = clock_mono_ns(self->deps.clock);
    return until_ns > now_ns ? (uint64_t)(until_ns - now_ns) / 1000000 : 0;
}

static void refresh(void *arg)
{
    struct lease *self = arg;
    metric_set(&self->metrics.left, (int64_t)(lease_left_ms(self) / 1000));
    (void)pthread_mutex_lock(&self->lock);
    metric_set(&self->metrics.epoch, (int64_t)self->epoch);
    (void)pthread_mutex_unlock(&self->lock);
}

enum status lease_register_metrics(struct lease *self, struct metric_registry *registry)
{
    return metric_register(registry, (struct metric_set){.table = &lease_metrics_table,
                                                         .values = &self->metrics,
                                                         .refresh = refresh,
                                                         .refresh_arg = self});
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static enum status check_mount(struct lease *self, const struct lease_options *options,
                               char *errmsg, size_t errmsg_bytes)
{
    struct mount mount;
    mount_look(self->deps.mounts, self->deps.dir, &mount);
    enum status status = mount_judge(&mount, self->deps.dir, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    /* An eighth less than the server's own: our clocks need not run alike. */
    uint64_t server_ms = mount.lease_ms - mount.lease_ms / 8;
    uint64_t lease_ms = options->lease_ms != 0 ? options->lease_ms
                        : server_ms != 0       ? server_ms
                                               : LEASE_MS_STANDARD;
    if (server_ms != 0 && lease_ms > server_ms) {
        log_warn("lease shortened to what the server allows", "server_ms=%" PRIu64, server_ms);
        lease_ms = server_ms;
    }
    self->lease_ns = (int64_t)lease_ms * 1000000;
    if (mount.is_nfs && mount.is_soft) {
        char quoted[300];
        log_warn("soft mount: a slow server fails calls that a hard mount would wait for, and each "
                 "ends this process",
                 "dir=%s", log_quoted(quoted, sizeof quoted, self->deps.dir));
    }
    return STATUS_OK;
}

static void name_ourselves(struct lease *self, const char *address)
{
    char host[LEASE_NAME_BYTES / 2] = "";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(self->record.owner, sizeof self->record.owner, "%s pid %ld", host,
                   (long)getpid());
    (void)snprintf(self->record.address, sizeof self->record.address, "%s",
                   address == NULL ? "" : address);
}

/* Tries for the lock as long as an owner may need that is just ending. */
static enum status own_soon(struct lease *self)
{
    for (int waited_ms = 0;; waited_ms += POLL_MS / 10) {
        enum status status = try_to_own(self);
        if (status != STATUS_AGAIN || waited_ms >= GRACE_MS) {
            return status;
        }
        const struct timespec pause = {.tv_nsec = POLL_MS / 10 * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
}

static enum status start(struct lease *self, const struct lease_options *options, char *errmsg,
                         size_t errmsg_bytes)
{
    enum status status = check_mount(self, options, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    const struct file_ops *file = self->deps.file;
    self->fd = file->open(file->arg, self->path, O_RDWR | O_CREAT, 0600);
    status = self->fd < 0    ? status_of_errno(errno)
             : options->wait ? try_to_own(self)
                             : own_soon(self);
    if (status == STATUS_AGAIN && !options->wait) {
        char owner[400];
        lease_describe_owner(self, owner, sizeof owner);
        (void)snprintf(errmsg, errmsg_bytes,
                       "%s is in use by another running store: %s; stop it first, wait for it with "
                       "--wait, or use another data directory",
                       self->deps.dir, owner);
        return STATUS_LOCKED;
    }
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot take the lease %s: %s: %s", self->path,
                       status_text(status), strerror(errno));
        return status;
    }
    if (thread_start(&self->thread, "lease", lease_run, self) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot start the lease thread");
        return STATUS_NO_MEMORY;
    }
    self->has_thread = true;
    return status;
}

enum status lease_open(const struct lease_options *options, const struct lease_deps *deps,
                       struct lease **out, char *errmsg, size_t errmsg_bytes)
{
    struct lease *self = calloc(1, sizeof *self);
    char *dir = strdup(deps->dir);
    char *path = NULL;
    if (self == NULL || dir == NULL || asprintf(&path, "%s/lease", deps->dir) < 0) {
        free(self);
        free(dir);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->deps = *deps;
    self->deps.dir = dir;
    self->path = path;
    self->fd = -1;
    atomic_init(&self->valid_until_ns, INT64_MIN);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->done, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    name_ourselves(self, deps->address);
    enum status status = start(self, options, errmsg, errmsg_bytes);
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        (void)lease_close(self, false);
        return status;
    }
    *out = self;
    return status;
}

enum status lease_close(struct lease *self, bool released)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    if (self->has_thread) {
        (void)pthread_mutex_lock(&self->lock);
        self->stopping = true;
        (void)pthread_cond_signal(&self->wake);
        (void)pthread_cond_broadcast(&self->done);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
    }
    enum status status = STATUS_OK;
    if (released && self->phase == PHASE_OWNED && !holds(self)) {
        status = STATUS_LOCKED; /* the record may be somebody else's by now */
    } else if (released && self->phase == PHASE_OWNED) {
        self->record.is_released = true;
        self->record.epoch = self->epoch != 0 ? self->epoch : self->record.epoch;
        status = write_record(self);
    }
    const struct file_ops *file = self->deps.file;
    if (self->fd >= 0 && file->close(file->arg, self->fd) != 0 && status == STATUS_OK) {
        status = status_of_errno(errno);
    }
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_cond_destroy(&self->done);
    free((void *)(uintptr_t)self->deps.dir);
    free(self->path);
    free(self);
    return status;
}
