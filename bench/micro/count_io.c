/*
 * A library to preload (LD_PRELOAD): counts what a program writes below one directory.
 *
 *     COUNT_IO_BELOW=DIRECTORY COUNT_IO_FILE=FILE LD_PRELOAD=libcount_io.so program …
 *
 * FILE (6 numbers of 8 bytes, the machine's byte order, mapped; it can be read at any time) holds
 * calls that write, bytes and syncs, first of data files (*.mdb), then of all others (journals,
 * append-only files). What a call costs on a network file system is about one request; syncing a
 * directory counts as a sync. Programs that map files for writing or use io_uring escape it; none
 * of those measured does.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
#define EXPORTED __attribute__((visibility("default")))

enum { FDS_MAX = 1 << 16 };

/* Whose file a descriptor is; found out at its first use and forgotten when it is closed. */
enum owner { UNKNOWN, FOREIGN, DATA, OTHER };

struct counts {
    _Atomic uint64_t writes;
    _Atomic uint64_t bytes;
    _Atomic uint64_t syncs;
};

static _Atomic unsigned char owners[FDS_MAX];
static struct counts *counts; /* [0] data files, [1] others; NULL: nothing is counted */
static char below[PATH_MAX];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("COUNT_IO_FILE");
    const char *directory = getenv("COUNT_IO_BELOW");
    if (path == NULL || directory == NULL || realpath(directory, below) == NULL) {
        return;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 2 * sizeof *counts) != 0) {
        (void)fprintf(stderr, "count_io: cannot use %s\n", path);
        abort();
    }
    void *map = mmap(NULL, 2 * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)syscall(SYS_close, fd);
    counts = map == MAP_FAILED ? NULL : map;
}

static enum owner find_owner(int fd)
{
    char entry[32];
    char target[PATH_MAX];
    (void)snprintf(entry, sizeof entry, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(entry, target, sizeof target - 1);
    size_t below_len = strlen(below);
    target[len > 0 ? len : 0] = '\0';
    if (strncmp(target, below, below_len) != 0) {
        return FOREIGN;
    }
    if (target[below_len] != '/' && target[below_len] != '\0') {
        return FOREIGN;
    }
    /* LMDB writes its meta pages, and syncs, through a second descriptor of the same file. */
    return strstr(target + below_len, ".mdb") != NULL ? DATA : OTHER;
}

static struct counts *counts_of(int fd)
{
    if (counts == NULL || fd < 0 || fd >= FDS_MAX) {
        return NULL;
    }
    enum owner owner = atomic_load_explicit(&owners[fd], memory_order_relaxed);
    if (owner == UNKNOWN) {
        owner = find_owner(fd);
        atomic_store_explicit(&owners[fd], (unsigned char)owner, memory_order_relaxed);
    }
    return owner == FOREIGN ? NULL : &counts[owner == DATA ? 0 : 1];
}

static ssize_t wrote(int fd, ssize_t bytes)
{
    struct counts *mine = bytes > 0 ? counts_of(fd) : NULL;
    if (mine != NULL) {
        (void)atomic_fetch_add(&mine->writes, 1);
        (void)atomic_fetch_add(&mine->bytes, (uint64_t)bytes);
    }
    return bytes;
}

static int synced(int fd, long rc)
{
    struct counts *mine = counts_of(fd);
    if (mine != NULL) {
        (void)atomic_fetch_add(&mine->syncs, 1);
    }
    return (int)rc;
}

EXPORTED ssize_t write(int fd, const void *from, size_t len)
{
    return wrote(fd, syscall(SYS_write, fd, from, len));
}

EXPORTED ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    return wrote(fd, syscall(SYS_pwrite64, fd, from, len, offset));
}

EXPORTED ssize_t pwrite64(int fd, const void *from, size_t len, off64_t offset)
{
    return wrote(fd, syscall(SYS_pwrite64, fd, from, len, offset));
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return wrote(fd, syscall(SYS_writev, fd, parts, count));
}

/* The kernel takes the offset in two halves; the low one is all of it on 64-bit machines. */
EXPORTED ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return wrote(fd, syscall(SYS_pwritev, fd, parts, count, offset, 0L));
}

EXPORTED ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return wrote(fd, syscall(SYS_pwritev, fd, parts, count, offset, 0L));
}

EXPORTED int fsync(int fd)
{
    return synced(fd, syscall(SYS_fsync, fd));
}

EXPORTED int fdatasync(int fd)
{
    return synced(fd, syscall(SYS_fdatasync, fd));
}

EXPORTED int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        atomic_store_explicit(&owners[fd], UNKNOWN, memory_order_relaxed);
    }
    return (int)syscall(SYS_close, fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
