/* The calls: counting, faults, held syncs; what is durable is kept by fake_platter.c. */
#include "support/fake_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "support/fake_platter.h"
#include "support/require.h"

struct fake_disk {
    struct file_ops ops; /* immutable */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t released;
    unsigned counts[FAKE_CALLS];
    unsigned fail_at[FAKE_CALLS]; /* the count at which the call fails; 0: never */
    int fail_error[FAKE_CALLS];
    bool full[FAKE_CALLS];
    unsigned cut_at; /* count of pwrite; 0: never */
    bool held;
    long delay_ns; /* of a sync */
    unsigned waiting;
    unsigned changes;  /* calls that change something */
    unsigned crash_at; /* of those; 0: never */
    bool crashed;
    struct fake_platter platter;
};

/* Counts a call and decides: 0, or the errno it fails with. `changes` says that a crash may hit it;
 * it does so with the lock held, which the caller gives up with end(). */
static int begin(struct fake_disk *self, enum fake_call call, bool changes)
{
    (void)pthread_mutex_lock(&self->lock);
    unsigned count = ++self->counts[call];
    if (changes && !self->crashed && ++self->changes == self->crash_at) {
        self->crashed = true;
    }
    if (self->crashed && call != FAKE_CLOSE && call != FAKE_LOCK) {
        return EIO;
    }
    if (self->full[call]) {
        return ENOSPC;
    }
    return count == self->fail_at[call] ? self->fail_error[call] : 0;
}

static void end(struct fake_disk *self)
{
    (void)pthread_mutex_unlock(&self->lock);
}

/* Ends a call that was decided to fail. */
static int refuse(struct fake_disk *self, int error)
{
    end(self);
    errno = error;
    return -1;
}

static int fake_open(void *arg, const char *path, int flags, mode_t mode)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_OPEN, (flags & O_CREAT) != 0);
    if (error != 0) {
        return refuse(self, error);
    }
    int fd = file_ops_system.open(NULL, path, flags, mode);
    if (fd >= 0) {
        platter_opened(&self->platter, fd, path);
    }
    end(self);
    return fd;
}

static ssize_t fake_pread(void *arg, int fd, void *out, size_t len, off_t offset)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_PREAD, false);
    if (error != 0) {
        return refuse(self, error);
    }
    end(self);
    return file_ops_system.pread(NULL, fd, out, len, offset);
}

static ssize_t fake_pwrite(void *arg, int fd, const void *from, size_t len, off_t offset)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_PWRITE, true);
    if (error != 0) {
        /* The power fails while the bytes are on their way: some of them may arrive. */
        if (self->crashed && self->changes == self->crash_at) {
            platter_written(&self->platter, fd, view_of(from, len), offset);
        }
        return refuse(self, error);
    }
    if (self->counts[FAKE_PWRITE] == self->cut_at) {
        len /= 2;
    }
    ssize_t done = file_ops_system.pwrite(NULL, fd, from, len, offset);
    if (done > 0) {
        platter_written(&self->platter, fd, view_of(from, (size_t)done), offset);
    }
    end(self);
    return done;
}

static int fake_fdatasync(void *arg, int fd)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_FDATASYNC, true);
    if (error != 0) {
        return refuse(self, error);
    }
    self->waiting++;
    const struct timespec delay = {.tv_nsec = self->delay_ns};
    (void)pthread_mutex_unlock(&self->lock);
    (void)nanosleep(&delay, NULL);
    (void)pthread_mutex_lock(&self->lock);
    while (self->held) {
        (void)pthread_cond_wait(&self->released, &self->lock);
    }
    self->waiting--;
    if (self->crashed || self->full[FAKE_FDATASYNC]) { /* since it began */
        return refuse(self, self->crashed ? EIO : ENOSPC);
    }
    /* The system's own sync would only take time: the process that wrote is the one that reads. */
    platter_synced(&self->platter, fd);
    end(self);
    return 0;
}

static int fake_fsync(void *arg, int fd)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_FSYNC, true);
    if (error != 0) {
        return refuse(self, error);
    }
    platter_synced(&self->platter, fd);
    end(self);
    return 0;
}

static int fake_ftruncate(void *arg, int fd, off_t len)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_FTRUNCATE, true);
    if (error != 0) {
        return refuse(self, error);
    }
    REQUIRE(!platter_knows(&self->platter, fd)); /* what that does to a segment is not modelled */
    end(self);
    return file_ops_system.ftruncate(NULL, fd, len);
}

static int fake_rename(void *arg, const char *from, const char *to)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_RENAME, true);
    if (error != 0) {
        return refuse(self, error);
    }
    int rc = file_ops_system.rename(NULL, from, to);
    if (rc == 0) {
        platter_renamed(&self->platter, from, to);
    }
    end(self);
    return rc;
}

static int fake_unlink(void *arg, const char *path)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_UNLINK, true);
    if (error != 0) {
        return refuse(self, error);
    }
    int rc = file_ops_system.unlink(NULL, path);
    if (rc == 0) {
        platter_renamed(&self->platter, path, NULL);
    }
    end(self);
    return rc;
}

static int fake_lock(void *arg, int fd)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_LOCK, false);
    if (error != 0) {
        return refuse(self, error);
    }
    end(self);
    return file_ops_system.lock(NULL, fd);
}

static int fake_close(void *arg, int fd)
{
    struct fake_disk *self = arg;
    int error = begin(self, FAKE_CLOSE, false);
    platter_closed(&self->platter, fd);
    int rc = file_ops_system.close(NULL, fd); /* also when it fails, as Linux does */
    end(self);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return rc;
}

struct fake_disk *fake_disk_new(void)
{
    struct fake_disk *self = calloc(1, sizeof *self);
    REQUIRE(self != NULL);
    self->ops = (struct file_ops){
        .open = fake_open,
        .pread = fake_pread,
        .pwrite = fake_pwrite,
        .fdatasync = fake_fdatasync,
        .fsync = fake_fsync,
        .ftruncate = fake_ftruncate,
        .rename = fake_rename,
        .unlink = fake_unlink,
        .lock = fake_lock,
        .close = fake_close,
        .arg = self,
    };
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->released, NULL);
    return self;
}

void fake_disk_free(struct fake_disk *self)
{
    platter_free(&self->platter);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->released);
    free(self);
}

const struct file_ops *fake_disk_ops(struct fake_disk *self)
{
    return &self->ops;
}

void fake_disk_fail(struct fake_disk *self, enum fake_call call, unsigned nth, int error)
{
    (void)pthread_mutex_lock(&self->lock);
    self->fail_at[call] = self->counts[call] + nth;
    self->fail_error[call] = error;
    (void)pthread_mutex_unlock(&self->lock);
}

void fake_disk_adopt(struct fake_disk *self, const char *dir)
{
    DIR *listing = opendir(dir);
    REQUIRE(listing != NULL);
    for (const struct dirent *item = NULL; (item = readdir(listing)) != NULL;) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        platter_opened(&self->platter, fd, path);
        platter_closed(&self->platter, fd);
        REQUIRE(close(fd) == 0);
    }
    (void)closedir(listing);
}

void fake_disk_cut_write(struct fake_disk *self, unsigned nth)
{
    (void)pthread_mutex_lock(&self->lock);
    self->cut_at = self->counts[FAKE_PWRITE] + nth;
    (void)pthread_mutex_unlock(&self->lock);
}

unsigned fake_disk_count(struct fake_disk *self, enum fake_call call)
{
    (void)pthread_mutex_lock(&self->lock);
    unsigned count = self->counts[call];
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

void fake_disk_fill(struct fake_disk *self, enum fake_call call, bool full)
{
    (void)pthread_mutex_lock(&self->lock);
    self->full[call] = full;
    (void)pthread_mutex_unlock(&self->lock);
}

void fake_disk_hold_syncs(struct fake_disk *self, bool held)
{
    (void)pthread_mutex_lock(&self->lock);
    self->held = held;
    (void)pthread_cond_broadcast(&self->released);
    (void)pthread_mutex_unlock(&self->lock);
}

void fake_disk_delay_syncs(struct fake_disk *self, long ns)
{
    (void)pthread_mutex_lock(&self->lock);
    self->delay_ns = ns;
    (void)pthread_mutex_unlock(&self->lock);
}

unsigned fake_disk_waiting_syncs(struct fake_disk *self)
{
    (void)pthread_mutex_lock(&self->lock);
    unsigned waiting = self->waiting;
    (void)pthread_mutex_unlock(&self->lock);
    return waiting;
}

void fake_disk_crash_at(struct fake_disk *self, unsigned nth)
{
    (void)pthread_mutex_lock(&self->lock);
    self->crash_at = self->changes + nth;
    (void)pthread_mutex_unlock(&self->lock);
}

void fake_disk_crash(struct fake_disk *self)
{
    (void)pthread_mutex_lock(&self->lock);
    self->crashed = true;
    (void)pthread_mutex_unlock(&self->lock);
}

bool fake_disk_is_crashed(struct fake_disk *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool crashed = self->crashed;
    (void)pthread_mutex_unlock(&self->lock);
    return crashed;
}

void fake_disk_survivors(struct fake_disk *self, const char *into, uint64_t seed)
{
    (void)pthread_mutex_lock(&self->lock);
    REQUIRE(self->crashed); /* otherwise it would change while it is copied */
    platter_survivors(&self->platter, into, seed);
    (void)pthread_mutex_unlock(&self->lock);
}
