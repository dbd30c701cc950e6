/*
 * A library to preload (LD_PRELOAD) into satcheld that turns SIGKILL into a power failure: what is
 * written to a journal segment stays in the process until it is synced, so when the process is
 * killed it is gone. A sync takes a random time up to VOLATILE_DISK_SYNC_US microseconds; now and
 * then the beginning of a write gets through without one, as pages do, which leaves torn frames.
 *
 * Without this a killed process loses nothing that it wrote, and a reply that leaves before its
 * fdatasync would never be found out. LMDB's file is not touched.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "support/random.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
#define EXPORTED __attribute__((visibility("default")))

enum { FDS_MAX = 4096, TORN_ONE_IN = 8 };

struct held_write {
    struct held_write *next;
    off_t offset;
    size_t len;
    uint8_t bytes[];
};

struct held_file {
    struct held_write *first;
    struct held_write **end; /* NULL while first is */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct held_file files[FDS_MAX];
static struct random luck;

static uint64_t below(uint64_t bound)
{
    (void)pthread_mutex_lock(&lock);
    if (luck.state == 0) {
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        luck.state = (uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid();
    }
    uint64_t number = random_below(&luck, bound);
    (void)pthread_mutex_unlock(&lock);
    return number;
}

static bool is_segment(int fd)
{
    static const char ending[] = ".jnl";
    char fd_path[64];
    char target[4096] = "";
    (void)snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(fd_path, target, sizeof target - 1);
    size_t ending_len = sizeof ending - 1;
    return fd >= 0 && fd < FDS_MAX && len > (ssize_t)ending_len &&
           strcmp(target + len - ending_len, ending) == 0;
}

static ssize_t write_now(int fd, const void *bytes, size_t len, off_t offset)
{
    return (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, offset);
}

/* Writes what was held back. 0, or -1 when the file does not take it. */
static int release(int fd)
{
    int rc = 0;
    (void)pthread_mutex_lock(&lock);
    struct held_write *write = files[fd].first;
    files[fd] = (struct held_file){0};
    (void)pthread_mutex_unlock(&lock);
    while (write != NULL) {
        struct held_write *next = write->next;
        if (write_now(fd, write->bytes, write->len, write->offset) != (ssize_t)write->len) {
            rc = -1;
        }
        free(write);
        write = next;
    }
    return rc;
}

EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    if (!is_segment(fd)) {
        return write_now(fd, bytes, len, offset);
    }
    if (below(TORN_ONE_IN) == 0) {
        (void)write_now(fd, bytes, (size_t)below(len + 1), offset);
    }
    struct held_write *held = malloc(sizeof *held + len);
    if (held == NULL) {
        errno = EIO;
        return -1;
    }
    held->next = NULL;
    held->offset = offset;
    held->len = len;
    memcpy(held->bytes, bytes, len);
    (void)pthread_mutex_lock(&lock);
    struct held_file *file = &files[fd];
    if (file->end == NULL) {
        file->first = held;
    } else {
        *file->end = held;
    }
    file->end = &held->next;
    (void)pthread_mutex_unlock(&lock);
    return (ssize_t)len;
}

EXPORTED ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite(fd, bytes, len, offset);
}

EXPORTED int fdatasync(int fd)
{
    if (!is_segment(fd)) {
        return (int)syscall(SYS_fdatasync, fd);
    }
    const char *most = getenv("VOLATILE_DISK_SYNC_US");
    uint64_t sync_us = most == NULL ? 0 : strtoul(most, NULL, 10);
    if (sync_us != 0) {
        (void)usleep((useconds_t)below(sync_us + 1));
    }
    return release(fd); /* for the next process it is there now; the machine does not fail */
}

EXPORTED int fsync(int fd)
{
    return is_segment(fd) ? fdatasync(fd) : (int)syscall(SYS_fsync, fd);
}

EXPORTED int close(int fd)
{
    if (is_segment(fd)) {
        (void)release(fd);
    }
    return (int)syscall(SYS_close, fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
