/* File loops: short calls, interruptions, errors, the end of file; and the system's calls. */
#include "base/file.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A disk in memory that answers each call as its script says. */
struct scripted_disk {
    uint8_t bytes[64];
    size_t len;
    /* One entry a call: > 0 moves at most so many bytes, 0 answers 0, < 0 fails with that errno.
     * Behind its end calls are done in full. */
    const int *script;
    size_t script_len;
    size_t calls;
};

static ssize_t scripted_step(struct scripted_disk *disk, size_t len)
{
    if (disk->calls >= disk->script_len) {
        disk->calls++;
        return (ssize_t)len;
    }
    int step = disk->script[disk->calls++];
    if (step < 0) {
        errno = -step;
        return -1;
    }
    return step < (int)len ? step : (ssize_t)len;
}

static ssize_t scripted_pread(void *arg, int fd, void *out, size_t len, off_t offset)
{
    struct scripted_disk *disk = arg;
    (void)fd;
    size_t left = (size_t)offset < disk->len ? disk->len - (size_t)offset : 0;
    ssize_t count = scripted_step(disk, len < left ? len : left);
    if (count > 0) {
        memcpy(out, disk->bytes + offset, (size_t)count);
    }
    return count;
}

static ssize_t scripted_pwrite(void *arg, int fd, const void *from, size_t len, off_t offset)
{
    struct scripted_disk *disk = arg;
    (void)fd;
    ssize_t count = scripted_step(disk, len);
    if (count > 0) {
        memcpy(disk->bytes + offset, from, (size_t)count);
        disk->len = (size_t)offset + (size_t)count;
    }
    return count;
}

static struct file_ops scripted_ops(struct scripted_disk *disk)
{
    return (struct file_ops){.pread = scripted_pread, .pwrite = scripted_pwrite, .arg = disk};
}

Test(file, short_and_interrupted_writes_are_finished)
{
    static const int script[] = {3, -EINTR, 1, 2, -EINTR};
    struct scripted_disk disk = {.script = script, .script_len = 5};
    struct file_ops ops = scripted_ops(&disk);
    cr_assert(eq(int, file_pwrite_all(&ops, 0, view_str("hello world"), 5), STATUS_OK));
    cr_assert(eq(sz, disk.calls, 6));
    cr_assert(view_equal(view_of(disk.bytes + 5, 11), view_str("hello world")));
}

Test(file, a_failed_write_says_whether_space_is_missing)
{
    static const struct {
        int step;
        enum status status;
        int error;
    } cases[] = {
        {-ENOSPC, STATUS_NO_SPACE, ENOSPC}, {-EDQUOT, STATUS_NO_SPACE, EDQUOT},
        {-EFBIG, STATUS_NO_SPACE, EFBIG},   {-EIO, STATUS_IO, EIO},
        {-ESTALE, STATUS_IO, ESTALE},       {0, STATUS_IO, EIO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int script[] = {2, cases[i].step};
        struct scripted_disk disk = {.script = script, .script_len = 2};
        struct file_ops ops = scripted_ops(&disk);
        errno = 0;
        cr_assert(eq(int, file_pwrite_all(&ops, 0, view_str("hello"), 0), cases[i].status));
        cr_assert(eq(int, errno, cases[i].error));
        cr_assert(eq(sz, disk.calls, 2));
    }
}

Test(file, reading_goes_on_to_the_end_of_file)
{
    static const int script[] = {4, -EINTR, 1};
    struct scripted_disk disk = {.len = 10, .script = script, .script_len = 3};
    memcpy(disk.bytes, "0123456789", 10);
    struct file_ops ops = scripted_ops(&disk);
    char out[20] = "";
    size_t got = 99;
    cr_assert(eq(int, file_pread_all(&ops, 0, out, sizeof out, 2, &got), STATUS_OK));
    cr_assert(eq(sz, got, 8));
    cr_assert(eq(str, out, "23456789"));
    cr_assert(eq(int, file_pread_all(&ops, 0, out, 3, 0, &got), STATUS_OK));
    cr_assert(eq(sz, got, 3));
}

Test(file, a_failed_read_is_io_and_keeps_errno)
{
    static const int script[] = {4, -ESTALE};
    struct scripted_disk disk = {.len = 10, .script = script, .script_len = 2};
    struct file_ops ops = scripted_ops(&disk);
    char out[20];
    size_t got;
    cr_assert(eq(int, file_pread_all(&ops, 0, out, sizeof out, 0, &got), STATUS_IO));
    cr_assert(eq(int, errno, ESTALE));
}

Test(file, the_systems_calls_do_what_their_names_say)
{
    const struct file_ops *ops = &file_ops_system;
    char dir[] = "/tmp/satchel-file-XXXXXX";
    char path[64];
    char moved[64];
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/a", dir);
    (void)snprintf(moved, sizeof moved, "%s/b", dir);

    int fd = ops->open(ops->arg, path, O_RDWR | O_CREAT, 0600);
    cr_assert(ge(int, fd, 0));
    cr_assert(ne(int, fcntl(fd, F_GETFD) & FD_CLOEXEC, 0));
    cr_assert(eq(int, file_pwrite_all(ops, fd, view_str("hello world"), 0), STATUS_OK));
    cr_assert(eq(int, ops->fdatasync(ops->arg, fd), 0));
    cr_assert(eq(int, ops->ftruncate(ops->arg, fd, 5), 0));
    char out[20] = "";
    size_t got;
    cr_assert(eq(int, file_pread_all(ops, fd, out, sizeof out, 0, &got), STATUS_OK));
    cr_assert(eq(sz, got, 5));
    cr_assert(eq(str, out, "hello"));

    cr_assert(eq(int, ops->rename(ops->arg, path, moved), 0));
    cr_assert(eq(int, file_sync_dir(ops, dir), STATUS_OK));
    cr_assert(ne(int, access(path, F_OK), 0));
    cr_assert(eq(int, ops->unlink(ops->arg, moved), 0));
    cr_assert(eq(int, ops->close(ops->arg, fd), 0));
    cr_assert(eq(int, file_pwrite_all(ops, fd, view_str("x"), 0), STATUS_IO));
    cr_assert(eq(int, errno, EBADF));
    cr_assert(eq(int, file_sync_dir(ops, moved), STATUS_IO));
    cr_assert(eq(int, rmdir(dir), 0));
}

static bool is_in_memory(const uint8_t *map, size_t bytes)
{
    static unsigned char pages[1024];
    cr_assert(eq(int, mincore((void *)(uintptr_t)map, bytes, pages), 0));
    for (size_t i = 0; i < bytes / (size_t)sysconf(_SC_PAGESIZE); i++) {
        if ((pages[i] & 1) == 0) {
            return false;
        }
    }
    return true;
}

/* More than one call of the kernel's takes; on storage that is memory it is there already. */
Test(file, what_is_read_ahead_is_in_memory_before_it_is_read, .timeout = 60)
{
    enum { BYTES = 4 * 1024 * 1024 };
    static uint8_t bytes[BYTES];
    char path[] = "/var/tmp/satchel-file-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, file_pwrite_all(&file_ops_system, fd, view_of(bytes, BYTES), 0), STATUS_OK));
    cr_assert(eq(int, fsync(fd), 0));
    cr_assert(eq(int, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0));
    const uint8_t *map = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert(ne(ptr, (void *)(uintptr_t)map, MAP_FAILED));
    file_read_ahead(fd, 0, BYTES + 4096);
    while (!is_in_memory(map, BYTES)) {
        const struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL);
    }
    cr_assert(eq(int, munmap((void *)(uintptr_t)map, BYTES), 0));
    cr_assert(eq(int, close(fd), 0));
    cr_assert(eq(int, unlink(path), 0));
}

Test(file, a_lock_keeps_other_processes_out_until_the_file_is_closed)
{
    const struct file_ops *ops = &file_ops_system;
    char path[] = "/tmp/satchel-lock-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(ge(int, fd, 0));
    cr_assert(eq(int, ops->lock(ops->arg, fd), 0));
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        if (child == 0) {
            int other = ops->open(ops->arg, path, O_RDWR, 0);
            _exit(ops->lock(ops->arg, other) == 0 ? 1 : errno == EAGAIN || errno == EACCES ? 2 : 3);
        }
        int wait_status;
        cr_assert(eq(int, waitpid(child, &wait_status, 0), child));
        cr_assert(eq(int, WEXITSTATUS(wait_status), round == 0 ? 2 : 1));
        if (round == 0) {
            cr_assert(eq(int, ops->close(ops->arg, fd), 0));
        }
    }
    cr_assert(eq(int, unlink(path), 0));
}

/* Another process has the lock, and gives it up after `ms`; below 0: only when it is killed. */
static pid_t hold_lock(const char *path, int ms)
{
    int ready[2];
    char byte;
    cr_assert(eq(int, pipe(ready), 0));
    pid_t child = fork();
    cr_assert(ge(int, child, 0));
    if (child == 0) {
        const struct file_ops *ops = &file_ops_system;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = ops->open(ops->arg, path, O_RDWR, 0);
        if (ops->lock(ops->arg, fd) != 0 || write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        if (ms < 0) {
            (void)pause();
        }
        const struct timespec delay = {.tv_nsec = ms * 1000000L};
        (void)nanosleep(&delay, NULL);
        _exit(0);
    }
    (void)close(ready[1]);
    cr_assert(eq(int, (int)read(ready[0], &byte, 1), 1));
    (void)close(ready[0]);
    return child;
}

Test(file, a_lock_is_waited_for_as_long_as_it_says)
{
    static const struct {
        int held_ms; /* below 0: for ever */
        uint64_t wait_ms;
        enum status status;
    } cases[] = {{-1, 0, STATUS_LOCKED}, {-1, 100, STATUS_LOCKED}, {200, 30000, STATUS_OK}};
    const struct file_ops *ops = &file_ops_system;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[] = "/tmp/satchel-lock-XXXXXX";
        int wait_status;
        int fd = mkstemp(path);
        cr_assert(ge(int, fd, 0));
        pid_t child = hold_lock(path, cases[i].held_ms);
        cr_assert(eq(int, file_lock(ops, fd, cases[i].wait_ms), cases[i].status), "case %zu", i);
        if (cases[i].held_ms < 0) {
            cr_assert(eq(int, kill(child, SIGKILL), 0));
        }
        cr_assert(eq(int, waitpid(child, &wait_status, 0), child));
        cr_assert(eq(int, file_lock(ops, fd, 0), STATUS_OK));
        cr_assert(eq(int, close(fd), 0));
        cr_assert(eq(int, unlink(path), 0));
    }
    errno = 0;
    cr_assert(eq(int, file_lock(ops, -1, 30000), STATUS_IO)); /* waiting does not cure that */
    cr_assert(eq(int, errno, EBADF));
}

/* file_sync_dir() with calls that fail in turn. */
struct sync_script {
    int open_error;
    int fsync_error;
    int close_error;
    int closes;
};

static int failing(int error, int otherwise)
{
    errno = error;
    return error != 0 ? -1 : otherwise;
}

static int sync_open(void *arg, const char *path, int flags, mode_t mode)
{
    (void)path, (void)flags, (void)mode;
    return failing(((struct sync_script *)arg)->open_error, 7);
}

static int sync_fsync(void *arg, int fd)
{
    (void)fd;
    return failing(((struct sync_script *)arg)->fsync_error, 0);
}

static int sync_close(void *arg, int fd)
{
    (void)fd;
    ((struct sync_script *)arg)->closes++;
    return failing(((struct sync_script *)arg)->close_error, 0);
}

Test(file, syncing_a_directory_reports_the_first_error_and_closes)
{
    static const struct {
        struct sync_script script;
        enum status status;
        int error;
        int closes;
    } cases[] = {
        {{0, 0, 0, 0}, STATUS_OK, 0, 1},
        {{ENOENT, 0, 0, 0}, STATUS_IO, ENOENT, 0},
        {{0, EIO, 0, 0}, STATUS_IO, EIO, 1},
        {{0, ENOSPC, EIO, 0}, STATUS_NO_SPACE, ENOSPC, 1},
        {{0, 0, EDQUOT, 0}, STATUS_NO_SPACE, EDQUOT, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sync_script script = cases[i].script;
        struct file_ops ops = {
            .open = sync_open, .fsync = sync_fsync, .close = sync_close, .arg = &script};
        cr_assert(eq(int, file_sync_dir(&ops, "/dir"), cases[i].status), "case %zu", i);
        cr_assert(cases[i].status == STATUS_OK || errno == cases[i].error, "case %zu", i);
        cr_assert(eq(int, script.closes, cases[i].closes), "case %zu", i);
    }
}
