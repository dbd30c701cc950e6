/* File calls that cannot write. */
#include "tools/read_only.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int refuse(void)
{
    errno = EROFS;
    return -1;
}

static int read_only_open(void *arg, const char *path, int flags, mode_t mode)
{
    (void)arg;
    (void)mode;
    if ((flags & (O_CREAT | O_TRUNC)) != 0) {
        return refuse();
    }
    return open(path, (flags & ~O_ACCMODE) | O_RDONLY | O_CLOEXEC);
}

static ssize_t read_only_pread(void *arg, int fd, void *out, size_t len, off_t offset)
{
    (void)arg;
    return pread(fd, out, len, offset);
}

static ssize_t refuse_pwrite(void *arg, int fd, const void *from, size_t len, off_t offset)
{
    (void)arg;
    (void)fd;
    (void)from;
    (void)len;
    (void)offset;
    return refuse();
}

static int skip_sync(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    return 0;
}

static int refuse_ftruncate(void *arg, int fd, off_t len)
{
    (void)arg;
    (void)fd;
    (void)len;
    return refuse();
}

static int refuse_rename(void *arg, const char *from, const char *to)
{
    (void)arg;
    (void)from;
    (void)to;
    return refuse();
}

static int refuse_unlink(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return refuse();
}

static int skip_lock(void *arg, int fd)
{
    (void)arg;
    (void)fd;
    return 0;
}

static int read_only_close(void *arg, int fd)
{
    (void)arg;
    return close(fd);
}

const struct file_ops file_ops_read_only = {
    .open = read_only_open,
    .pread = read_only_pread,
    .pwrite = refuse_pwrite,
    .fdatasync = skip_sync,
    .fsync = skip_sync,
    .ftruncate = refuse_ftruncate,
    .rename = refuse_rename,
    .unlink = refuse_unlink,
    .lock = skip_lock,
    .close = read_only_close,
};
