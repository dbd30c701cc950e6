/*
 * A library to preload (LD_PRELOAD) into satcheld: counts its calls on files of the data directory
 * and makes one of them fail, as the plan says (fault_plan.h). LMDB's calls come by here as well.
 * What is written and not synced is gone when a sync fails, and when the process ends by _exit().
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faults/fault_plan.h"
#include "faults/unsynced.h"

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's are reserved */
#define EXPORTED __attribute__((visibility("default")))

enum { FDS_MAX = 4096, META_PAGES_END = 2 * 4096 };

struct fault {
    int error;
    enum fault_how how;
};

/* What each kind of call can give: open(2), write(2), fsync(2) …, and nfs(5) for ESTALE. */
#define HARD                                                                                       \
    {EIO, FAULT_ONCE},                                                                             \
    {                                                                                              \
        ESTALE, FAULT_ONCE                                                                         \
    }
#define FULL                                                                                       \
    {ENOSPC, FAULT_ONCE}, {EDQUOT, FAULT_ONCE},                                                    \
    {                                                                                              \
        ENOSPC, FAULT_A_WHILE                                                                      \
    }
#define HARD_A_WHILE                                                                               \
    {                                                                                              \
        EIO, FAULT_A_WHILE                                                                         \
    }
#define INTERRUPTED                                                                                \
    {                                                                                              \
        EINTR, FAULT_ONCE                                                                          \
    }
#define SHORTENED                                                                                  \
    {                                                                                              \
        0, FAULT_SHORT                                                                             \
    }
#define NO_FDS                                                                                     \
    {EMFILE, FAULT_ONCE},                                                                          \
    {                                                                                              \
        ENFILE, FAULT_ONCE                                                                         \
    }
#define REFUSED                                                                                    \
    {                                                                                              \
        EACCES, FAULT_ONCE                                                                         \
    }
#define NO_MEMORY                                                                                  \
    {                                                                                              \
        ENOMEM, FAULT_ONCE                                                                         \
    }

enum { FAULTS_MAX = 12 };

/* A fault without error and shortness ends a list. */
static const struct fault faults[FAULT_KIND_COUNT][FAULTS_MAX + 1] = {
    [FAULT_OPEN] = {HARD, HARD_A_WHILE, REFUSED, NO_FDS, INTERRUPTED},
    [FAULT_CREATE] = {HARD, HARD_A_WHILE, FULL, REFUSED, NO_FDS, INTERRUPTED},
    [FAULT_CLOSE] = {HARD, {ENOSPC, FAULT_ONCE}, {EDQUOT, FAULT_ONCE}, INTERRUPTED},
    [FAULT_READ] = {HARD, HARD_A_WHILE, INTERRUPTED, SHORTENED},
    [FAULT_WRITE] = {HARD, HARD_A_WHILE, FULL, {EFBIG, FAULT_ONCE}, INTERRUPTED, SHORTENED},
    /* What the file has already takes no space. */
    [FAULT_META] = {HARD, HARD_A_WHILE, INTERRUPTED, SHORTENED},
    [FAULT_SEEK] = {HARD},
    [FAULT_SYNC] = {HARD, HARD_A_WHILE, FULL, INTERRUPTED},
    [FAULT_TRUNCATE] = {HARD, FULL, INTERRUPTED},
    [FAULT_LOCK] = {HARD, {ENOLCK, FAULT_ONCE}, {EAGAIN, FAULT_ONCE}, REFUSED, INTERRUPTED},
    [FAULT_MAP] = {NO_MEMORY, {EAGAIN, FAULT_ONCE}},
    [FAULT_STAT] = {HARD, HARD_A_WHILE, NO_MEMORY},
    [FAULT_RENAME] = {HARD, FULL, REFUSED},
    [FAULT_UNLINK] = {HARD, REFUSED},
    [FAULT_MKDIR] = {HARD, FULL, REFUSED},
    [FAULT_OPENDIR] = {HARD, HARD_A_WHILE, REFUSED, NO_FDS, NO_MEMORY},
    [FAULT_READDIR] = {HARD},
    [FAULT_RESOLVE] = {HARD, REFUSED, NO_MEMORY},
};

static struct fault_plan *plan; /* NULL: no plan, nothing is counted */
static _Atomic bool is_ours[FDS_MAX];
static _Atomic bool is_synchronous[FDS_MAX]; /* O_DSYNC, O_SYNC: a write is a sync as well */
static _Atomic bool is_over;                 /* _exit() was called */
static _Atomic int64_t until_ns;             /* FAULT_A_WHILE, once it happened */

/* The C library's own function of that name. */
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

/* A union, because ISO C converts no object pointer to one to a function. */
#define REAL(name)                                                                                 \
    ((union {                                                                                      \
         void *found;                                                                              \
         __typeof__(&(name)) call;                                                                 \
     }){.found = real(#name)}                                                                      \
         .call)

__attribute__((constructor)) static void open_plan(void)
{
    const char *path = getenv("FAULT_PLAN");
    int fd = path == NULL ? -1 : REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *map = REAL(mmap)(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)REAL(close)(fd);
    plan = map == MAP_FAILED ? NULL : map;
}

/* ---- Whose calls count ---------------------------------------------------------------------- */

static bool starts_below(const char *path)
{
    size_t len = strlen(plan->below);
    return strncmp(path, plan->below, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Whether `path` is below the data directory, or a link to something there (as LMDB gets it). */
static bool is_below(const char *path)
{
    char target[PATH_MAX];
    if (plan == NULL) {
        return false;
    }
    if (starts_below(path)) {
        return true;
    }
    int kept = errno;
    long len = syscall(SYS_readlink, path, target, sizeof target - 1);
    errno = kept;
    target[len > 0 ? len : 0] = '\0';
    return starts_below(target);
}

static bool is_our_fd(int fd)
{
    while (atomic_load(&is_over)) {
        (void)pause(); /* the thread that ends the process does not come by here any more */
    }
    return plan != NULL && fd >= 0 && fd < FDS_MAX &&
           atomic_load_explicit(&is_ours[fd], memory_order_relaxed);
}

static void path_of_fd(int fd, char *out, size_t out_bytes)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long len = syscall(SYS_readlink, link, out, out_bytes - 1);
    out[len > 0 ? len : 0] = '\0';
}

static void own_fd(int fd, bool ours)
{
    if (fd >= FDS_MAX) {
        abort();
    }
    if (fd >= 0) {
        atomic_store_explicit(&is_ours[fd], ours, memory_order_relaxed);
    }
}

/* ---- Which call fails ----------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool is_end(const struct fault *fault)
{
    return fault->error == 0 && fault->how != FAULT_SHORT;
}

static bool can_give(enum fault_kind kind, int error)
{
    for (const struct fault *fault = faults[kind]; !is_end(fault); fault++) {
        if (fault->error == error) {
            return true;
        }
    }
    return false;
}

static struct fault choose(enum fault_kind kind, const char *path, int fd)
{
    uint32_t count = 1; /* no list is empty */
    while (!is_end(&faults[kind][count])) {
        count++;
    }
    struct fault fault = faults[kind][plan->choice % count];
    plan->choices = count;
    plan->kind = kind;
    plan->how = fault.how;
    plan->error = fault.error;
    if (path != NULL) {
        (void)snprintf(plan->path, sizeof plan->path, "%s", path);
    } else {
        path_of_fd(fd, plan->path, sizeof plan->path);
    }
    if (fault.how == FAULT_A_WHILE) {
        atomic_store(&until_ns, now_ns() + INT64_C(1000000) * FAULT_WHILE_MS);
    }
    atomic_store(&plan->happened, true);
    return fault;
}

/*
 * Counts a call on `path`, or on the open file `fd`. True: it fails, with errno set. `half` (NULL
 * for calls without a length) is set when half of it is to happen.
 */
static bool fails(enum fault_kind kind, const char *path, int fd, bool *half)
{
    struct fault fault = {.error = 0};
    int kept = errno;
    uint32_t number = 1 + atomic_fetch_add(&plan->calls, 1);
    if (number <= FAULT_CALLS_MAX) {
        atomic_store(&plan->kinds[number - 1], (uint8_t)kind);
    }
    if (number == plan->at) {
        fault = choose(kind, path, fd);
    } else if (atomic_load(&until_ns) > now_ns() && can_give(kind, plan->error)) {
        fault.error = plan->error;
    }
    bool is_short = fault.how == FAULT_SHORT && half != NULL;
    if (is_short) {
        *half = true;
    }
    errno = fault.error != 0 ? fault.error : kept;
    return fault.error != 0;
}

static bool path_fails(enum fault_kind kind, const char *path)
{
    return is_below(path) && fails(kind, path, -1, NULL);
}

static bool fd_fails(enum fault_kind kind, int fd)
{
    return is_our_fd(fd) && fails(kind, NULL, fd, NULL);
}

/* How much of `len` is to be done; -1: the call fails. */
static ssize_t part_of(enum fault_kind kind, int fd, size_t len)
{
    bool half = false;
    if (!is_our_fd(fd)) {
        return (ssize_t)len;
    }
    return fails(kind, NULL, fd, &half) ? -1 : (ssize_t)(half && len > 1 ? len / 2 : len);
}

/* ---- Opening and closing -------------------------------------------------------------------- */

EXPORTED int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (!is_below(path)) {
        return REAL(open)(path, flags, mode);
    }
    if (fails((flags & O_CREAT) != 0 ? FAULT_CREATE : FAULT_OPEN, path, -1, NULL)) {
        return -1;
    }
    int fd = REAL(open)(path, flags, mode);
    own_fd(fd, true);
    if (fd >= 0) {
        atomic_store_explicit(&is_synchronous[fd], (flags & O_DSYNC) != 0, memory_order_relaxed);
    }
    return fd;
}

EXPORTED int close(int fd)
{
    bool failed = fd_fails(FAULT_CLOSE, fd);
    int error = errno;
    if (is_our_fd(fd)) {
        unsynced_close(fd);
        own_fd(fd, false);
    }
    /* Linux closes the descriptor whatever it answers. */
    int rc = (int)syscall(SYS_close, fd);
    errno = failed ? error : errno;
    return failed ? -1 : rc;
}

/* ---- Reading and writing -------------------------------------------------------------------- */

EXPORTED ssize_t pread(int fd, void *out, size_t len, off_t offset)
{
    ssize_t part = part_of(FAULT_READ, fd, len);
    return part < 0 ? -1 : (ssize_t)syscall(SYS_pread64, fd, out, (size_t)part, offset);
}

EXPORTED ssize_t read(int fd, void *out, size_t len)
{
    ssize_t part = part_of(FAULT_READ, fd, len);
    return part < 0 ? -1 : (ssize_t)syscall(SYS_read, fd, out, (size_t)part);
}

/* Before a write that is not durable by itself. */
static void remember(int fd, off_t offset, size_t len)
{
    if (is_our_fd(fd) && !atomic_load_explicit(&is_synchronous[fd], memory_order_relaxed)) {
        unsynced_remember(fd, offset, len);
    }
}

/* LMDB's two meta pages. They are there from the first commit on. */
static bool is_meta(int fd, off_t offset)
{
    char path[PATH_MAX];
    if (!is_our_fd(fd) || offset >= META_PAGES_END) {
        return false;
    }
    path_of_fd(fd, path, sizeof path);
    return strstr(path, ".mdb") != NULL;
}

EXPORTED ssize_t pwrite(int fd, const void *from, size_t len, off_t offset)
{
    enum fault_kind kind = is_meta(fd, offset) ? FAULT_META : FAULT_WRITE;
    ssize_t part = part_of(kind, fd, len);
    if (part > 0) {
        remember(fd, offset, (size_t)part);
    }
    return part < 0 ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, from, (size_t)part, offset);
}

EXPORTED ssize_t write(int fd, const void *from, size_t len)
{
    ssize_t part = part_of(FAULT_WRITE, fd, len);
    if (part > 0 && is_our_fd(fd)) {
        remember(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR), (size_t)part);
    }
    return part < 0 ? -1 : (ssize_t)syscall(SYS_write, fd, from, (size_t)part);
}

/* LMDB's, for pages that lie behind each other. */
EXPORTED ssize_t writev(int fd, const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += parts[i].iov_len;
    }
    bool half = false;
    if (is_our_fd(fd)) {
        if (fails(FAULT_WRITE, NULL, fd, &half)) {
            return -1;
        }
        remember(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR), len);
    }
    if (half && count == 1) {
        return (ssize_t)syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len / 2);
    }
    return (ssize_t)syscall(SYS_writev, fd, parts, half ? count / 2 : count);
}

EXPORTED off_t lseek(int fd, off_t offset, int whence)
{
    return fd_fails(FAULT_SEEK, fd) ? -1 : (off_t)syscall(SYS_lseek, fd, offset, whence);
}

/* A failed sync loses what it was asked for, but for one that only was interrupted. */
static int sync_with(long call, int fd)
{
    if (!is_our_fd(fd)) {
        return (int)syscall(call, fd);
    }
    if (!fails(FAULT_SYNC, NULL, fd, NULL)) {
        unsynced_forget(fd);
        return (int)syscall(call, fd);
    }
    if (errno != EINTR) {
        int error = errno;
        unsynced_lose(fd);
        errno = error;
    }
    return -1;
}

EXPORTED int fsync(int fd)
{
    return sync_with(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
    return sync_with(SYS_fdatasync, fd);
}

EXPORTED int ftruncate(int fd, off_t len)
{
    return fd_fails(FAULT_TRUNCATE, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

EXPORTED void *mmap(void *addr, size_t len, int protection, int flags, int fd, off_t offset)
{
    return fd_fails(FAULT_MAP, fd) ? MAP_FAILED
                                   : REAL(mmap)(addr, len, protection, flags, fd, offset);
}

/* Locks only: all other operations ask the storage nothing. */
EXPORTED int fcntl(int fd, int operation, ...)
{
    va_list args;
    va_start(args, operation);
    void *arg = va_arg(args, void *); /* what is smaller comes the same way */
    va_end(args);
    bool is_lock = operation == F_SETLK || operation == F_SETLKW || operation == F_GETLK;
    return is_lock && fd_fails(FAULT_LOCK, fd) ? -1 : REAL(fcntl)(fd, operation, arg);
}

/* ---- Questions ------------------------------------------------------------------------------ */

EXPORTED int fstat(int fd, struct stat *out)
{
    return fd_fails(FAULT_STAT, fd) ? -1 : REAL(fstat)(fd, out);
}

/* What programs built against older C libraries call, as the packaged LMDB was. */
/* NOLINTBEGIN(bugprone-reserved-identifier): the C library's name */
int __fxstat(int version, int fd, struct stat *out);

EXPORTED int __fxstat(int version, int fd, struct stat *out)
/* NOLINTEND(bugprone-reserved-identifier) */
{
    (void)version;
    return fstat(fd, out);
}

EXPORTED int stat(const char *path, struct stat *out)
{
    return path_fails(FAULT_STAT, path) ? -1 : REAL(stat)(path, out);
}

EXPORTED int fstatfs(int fd, struct statfs *out)
{
    return fd_fails(FAULT_STAT, fd) ? -1 : REAL(fstatfs)(fd, out);
}

EXPORTED int fstatvfs(int fd, struct statvfs *out)
{
    return fd_fails(FAULT_STAT, fd) ? -1 : REAL(fstatvfs)(fd, out);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The end of a task is the end of its machine: what was not synced is gone. */
EXPORTED void _exit(int code)
{
    if (plan != NULL && !atomic_exchange(&is_over, true)) {
        unsynced_lose_all();
    }
    (void)syscall(SYS_exit_group, code);
    abort();
}

/* ---- Names ---------------------------------------------------------------------------------- */

EXPORTED int rename(const char *from, const char *to)
{
    return path_fails(FAULT_RENAME, from) ? -1 : REAL(rename)(from, to);
}

EXPORTED int unlink(const char *path)
{
    /* A link to something below is not below. */
    bool counts = plan != NULL && starts_below(path);
    return counts && fails(FAULT_UNLINK, path, -1, NULL) ? -1 : REAL(unlink)(path);
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
    return path_fails(FAULT_MKDIR, path) ? -1 : REAL(mkdir)(path, mode);
}

EXPORTED char *realpath(const char *path, char *out)
{
    return path_fails(FAULT_RESOLVE, path) ? NULL : REAL(realpath)(path, out);
}

EXPORTED DIR *opendir(const char *path)
{
    bool ours = is_below(path);
    if (ours && fails(FAULT_OPENDIR, path, -1, NULL)) {
        return NULL;
    }
    DIR *dir = REAL(opendir)(path);
    if (ours && dir != NULL) {
        own_fd(dirfd(dir), true);
    }
    return dir;
}

EXPORTED struct dirent *readdir(DIR *dir)
{
    return fd_fails(FAULT_READDIR, dirfd(dir)) ? NULL : REAL(readdir)(dir);
}

EXPORTED int closedir(DIR *dir)
{
    own_fd(dirfd(dir), false);
    return REAL(closedir)(dir);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
