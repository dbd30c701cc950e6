/*
 * A library to preload (LD_PRELOAD) into a server. While the file named by FAIL_IO_FLAG exists, the
 * call named by FAIL_IO_CALL is not what it should be:
 *
 *     pwrite, fdatasync    fails with EIO, for every file
 *     hang                 fdatasync of a journal segment, and fstat of the data file, wait until
 *                          the file named by FAIL_IO_FLAG is gone
 *     pread                of a journal segment waits until the file named by FAIL_IO_FLAG is gone
 *     read_row             LMDB's search for the row of a value that is not in memory waits until
 * the file named by FAIL_IO_FLAG is gone: as long as a page of a mapped file may take that is on
 * storage which does not answer
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
#define EXPORTED __attribute__((visibility("default")))

/* True while `call` is named and the flag is there; errno stays. */
static bool is_named(const char *call)
{
    const char *named = getenv("FAIL_IO_CALL");
    const char *flag = getenv("FAIL_IO_FLAG");
    int kept = errno;
    bool yes = named != NULL && flag != NULL && strcmp(named, call) == 0 && access(flag, F_OK) == 0;
    errno = kept;
    return yes;
}

static bool fails(const char *call)
{
    bool yes = is_named(call);
    errno = yes ? EIO : errno;
    return yes;
}

static bool has_ending(int fd, const char *ending)
{
    char fd_path[64];
    char target[4096] = "";
    (void)snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(fd_path, target, sizeof target - 1);
    size_t ending_len = strlen(ending);
    return len > (ssize_t)ending_len && strcmp(target + len - ending_len, ending) == 0;
}

static bool is_segment(int fd)
{
    return has_ending(fd, ".jnl");
}

EXPORTED ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    while (is_named("pread") && is_segment(fd)) {
        (void)usleep(1000);
    }
    return (ssize_t)syscall(SYS_pread64, fd, bytes, len, offset);
}

EXPORTED ssize_t pread64(int fd, void *bytes, size_t len, off_t offset)
{
    return pread(fd, bytes, len, offset);
}

EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return fails("pwrite") ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite(fd, bytes, len, offset);
}

EXPORTED int fstat(int fd, struct stat *out)
{
    while (is_named("hang") && has_ending(fd, ".mdb")) {
        (void)usleep(1000);
    }
    return (int)syscall(SYS_newfstatat, fd, "", out, AT_EMPTY_PATH);
}

EXPORTED int fdatasync(int fd)
{
    while (is_named("hang") && is_segment(fd)) {
        (void)usleep(1000);
    }
    return fails("fdatasync") ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* Only reading one row asks for a key and its value; the server's other uses have other `op`s. */
EXPORTED int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    int (*next)(MDB_cursor *, MDB_val *, MDB_val *, MDB_cursor_op) = NULL;
    *(void **)&next = dlsym(RTLD_NEXT, "mdb_cursor_get");
    while (op == MDB_SET_KEY && is_named("read_row")) {
        (void)usleep(1000);
    }
    return next(cursor, key, value, op);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
