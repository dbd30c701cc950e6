/* The operating system's file calls, and the loops that finish short ones. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { READ_AHEAD_BYTES = 128 * 1024 }; /* a call */

static int system_open(void *arg, const char *path, int flags, mode_t mode)
{
    (void)arg;
    return open(path, flags | O_CLOEXEC, mode);
}

static ssize_t system_pread(void *arg, int fd, void *out, size_t len, off_t offset)
{
    (void)arg;
    return pread(fd, out, len, offset);
}

static ssize_t system_pwrite(void *arg, int fd, const void *from, size_t len, off_t offset)
{
    (void)arg;
    return pwrite(fd, from, len, offset);
}

static int system_fdatasync(void *arg, int fd)
{
    (void)arg;
    return fdatasync(fd);
}

static int system_fsync(void *arg, int fd)
{
    (void)arg;
    return fsync(fd);
}

static int system_ftruncate(void *arg, int fd, off_t len)
{
    (void)arg;
    return ftruncate(fd, len);
}

static int system_rename(void *arg, const char *from, const char *to)
{
    (void)arg;
    return rename(from, to);
}

static int system_unlink(void *arg, const char *path)
{
    (void)arg;
    return unlink(path);
}

static int system_lock(void *arg, int fd)
{
    (void)arg;
    struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &whole_file);
}

static int system_close(void *arg, int fd)
{
    (void)arg;
    return close(fd);
}

const struct file_ops file_ops_system = {
    .open = system_open,
    .pread = system_pread,
    .pwrite = system_pwrite,
    .fdatasync = system_fdatasync,
    .fsync = system_fsync,
    .ftruncate = system_ftruncate,
    .rename = system_rename,
    .unlink = system_unlink,
    .lock = system_lock,
    .close = system_close,
    .arg = NULL,
};

enum status status_of_errno(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? STATUS_NO_SPACE : STATUS_IO;
}

enum status file_pread_all(const struct file_ops *ops, int fd, void *out, size_t out_len,
                           off_t offset, size_t *got)
{
    uint8_t *at = out;
    *got = 0;
    while (*got < out_len) {
        ssize_t part = ops->pread(ops->arg, fd, at + *got, out_len - *got, offset + (off_t)*got);
        if (part == 0) {
            break;
        }
        if (part < 0) {
            if (errno == EINTR) {
                continue;
            }
            return STATUS_IO;
        }
        *got += (size_t)part;
    }
    return STATUS_OK;
}

void file_read_ahead(int fd, off_t offset, off_t bytes)
{
    /* The kernel takes no more from one call than the device's readahead, 128 KiB by default, and
     * forgets the rest of what was asked for. */
    for (off_t at = 0; at < bytes; at += READ_AHEAD_BYTES) {
        (void)posix_fadvise(fd, offset + at, READ_AHEAD_BYTES, POSIX_FADV_WILLNEED);
    }
}

enum status file_pwrite_all(const struct file_ops *ops, int fd, struct view bytes, off_t offset)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t part = ops->pwrite(ops->arg, fd, bytes.ptr + done, bytes.len - done,
                                   offset + (off_t)done);
        if (part < 0) {
            if (errno == EINTR) {
                continue;
            }
            return status_of_errno(errno);
        }
        if (part == 0) { /* no progress and no reason: a disk that behaves so is broken */
            errno = EIO;
            return STATUS_IO;
        }
        done += (size_t)part;
    }
    return STATUS_OK;
}

enum status file_lock(const struct file_ops *ops, int fd, uint64_t wait_ms)
{
    /* Polling: a server that sends no callbacks (EFS) would not wake who waits. */
    enum { POLL_MS = 20 };
    for (uint64_t waited_ms = 0; ops->lock(ops->arg, fd) != 0; waited_ms += POLL_MS) {
        if (errno != EAGAIN && errno != EACCES) {
            return STATUS_IO;
        }
        if (waited_ms >= wait_ms) {
            return STATUS_LOCKED;
        }
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    return STATUS_OK;
}

enum status file_sync_dir(const struct file_ops *ops, const char *path)
{
    int fd = ops->open(ops->arg, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return status_of_errno(errno);
    }
    enum status status = STATUS_OK;
    if (ops->fsync(ops->arg, fd) != 0) {
        status = status_of_errno(errno);
    }
    int error = errno;
    if (ops->close(ops->arg, fd) != 0 && status == STATUS_OK) {
        return status_of_errno(errno);
    }
    errno = error;
    return status;
}
