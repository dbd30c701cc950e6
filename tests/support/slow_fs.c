/*
 * slow_fs DIRECTORY MOUNTPOINT: a file system (FUSE) that shows DIRECTORY, and can be as slow, as
 * stuck and as broken as a network file system. Stays in the foreground; unmounts when it ends.
 *
 * Words written to MOUNTPOINT/.control say how, from then on:
 *
 *     hang=OPS        these wait until a later word no longer names them; so does, as on a hard
 *                     NFS mount, a process that was killed meanwhile
 *     fail=ERROR:OPS  these fail: EIO, ENOSPC, EDQUOT, ESTALE
 *     OP-us=N         each such call takes N microseconds longer
 *
 * OP is read, write, sync or other (names, attributes, closing); OPS is some of them with commas
 * between, all, or none. Reading .control gives the number of calls of each so far.
 *
 * Several threads serve, so what hangs holds up nothing else. Pages are cached by the kernel as
 * they are on NFS: mapping files works. Locks are the kernel's, among the processes of this
 * machine.
 */
#define FUSE_USE_VERSION 35

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum op { OP_READ, OP_WRITE, OP_SYNC, OP_OTHER, OP_COUNT };
static const char *const op_names[OP_COUNT] = {"read", "write", "sync", "other"};

enum { CONTROL_BYTES_MAX = 512, THREADS_MAX = 64 };
static const char control_path[] = "/.control";

static int root_fd; /* of DIRECTORY */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned hanging; /* one bit an op, as in `failing` */
static unsigned failing;
static int fail_error;
static uint64_t delay_us[OP_COUNT];
static uint64_t calls[OP_COUNT];

/* ---- How it behaves ------------------------------------------------------------------------- */

/* Waits and delays as it was told; returns 0 or minus the error of the call. */
static int gate(enum op op)
{
    (void)pthread_mutex_lock(&lock);
    calls[op]++;
    while ((hanging >> op & 1) != 0) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    uint64_t us = delay_us[op];
    int rc = (failing >> op & 1) != 0 ? -fail_error : 0;
    (void)pthread_mutex_unlock(&lock);
    if (us != 0) {
        const struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                                       .tv_nsec = (long)(us % 1000000) * 1000};
        (void)nanosleep(&pause, NULL);
    }
    return rc;
}

static bool parse_ops(const char *text, unsigned *out)
{
    *out = 0;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (strcmp(text, "all") == 0) {
        *out = (1U << OP_COUNT) - 1;
        return true;
    }
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        int op = 0;
        while (op < OP_COUNT &&
               (strlen(op_names[op]) != len || strncmp(op_names[op], text, len) != 0)) {
            op++;
        }
        if (op == OP_COUNT) {
            return false;
        }
        *out |= 1U << op;
        text += len + (text[len] == ',');
    }
    return true;
}

static bool parse_failure(const char *text)
{
    static const struct {
        const char *name;
        int error;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"ESTALE", ESTALE}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        size_t len = strlen(errors[i].name);
        if (strncmp(text, errors[i].name, len) == 0 && text[len] == ':') {
            fail_error = errors[i].error;
            return parse_ops(text + len + 1, &failing);
        }
    }
    return false;
}

static bool parse_delay(const char *word)
{
    for (int op = 0; op < OP_COUNT; op++) {
        size_t len = strlen(op_names[op]);
        char *end = NULL;
        if (strncmp(word, op_names[op], len) == 0 && strncmp(word + len, "-us=", 4) == 0) {
            delay_us[op] = strtoull(word + len + 4, &end, 10);
            return *end == '\0';
        }
    }
    return false;
}

/* Obeys what was written to .control; false: some word makes no sense. */
static bool obey(char *text)
{
    bool ok = true;
    char *rest = NULL;
    (void)pthread_mutex_lock(&lock);
    for (const char *word = strtok_r(text, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        if (strncmp(word, "hang=", 5) == 0) {
            ok = parse_ops(word + 5, &hanging) && ok;
        } else if (strncmp(word, "fail=", 5) == 0) {
            ok = parse_failure(word + 5) && ok;
        } else {
            ok = parse_delay(word) && ok;
        }
    }
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    return ok;
}

static int read_control(char *out, size_t len, off_t offset)
{
    char text[CONTROL_BYTES_MAX];
    (void)pthread_mutex_lock(&lock);
    int text_len = snprintf(text, sizeof text, "read=%lu write=%lu sync=%lu other=%lu\n",
                            calls[OP_READ], calls[OP_WRITE], calls[OP_SYNC], calls[OP_OTHER]);
    (void)pthread_mutex_unlock(&lock);
    if (offset >= text_len) {
        return 0;
    }
    size_t rest = (size_t)(text_len - offset);
    len = len < rest ? len : rest;
    memcpy(out, text + offset, len);
    return (int)len;
}

static bool is_control(const char *path)
{
    return path != NULL && strcmp(path, control_path) == 0;
}

/* ---- Names ---------------------------------------------------------------------------------- */

/* "/a/b" as a path below root_fd. */
static const char *below(const char *path)
{
    return path[1] == '\0' ? "." : path + 1;
}

static int result(int rc)
{
    return rc < 0 ? -errno : 0;
}

static int do_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    if (is_control(path)) {
        *out = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
        return 0;
    }
    int rc = gate(OP_OTHER);
    if (rc != 0) {
        return rc;
    }
    return result(info != NULL ? fstat((int)info->fh, out)
                               : fstatat(root_fd, below(path), out, AT_SYMLINK_NOFOLLOW));
}

static int do_readlink(const char *path, char *out, size_t out_bytes)
{
    int rc = gate(OP_OTHER);
    ssize_t len = rc != 0 ? 0 : readlinkat(root_fd, below(path), out, out_bytes - 1);
    if (len < 0) {
        return -errno;
    }
    out[len] = '\0';
    return rc;
}

static int do_symlink(const char *target, const char *path)
{
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(symlinkat(target, root_fd, below(path)));
}

static int do_mkdir(const char *path, mode_t mode)
{
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(mkdirat(root_fd, below(path), mode));
}

static int do_unlink(const char *path)
{
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(unlinkat(root_fd, below(path), 0));
}

static int do_rmdir(const char *path)
{
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(unlinkat(root_fd, below(path), AT_REMOVEDIR));
}

static int do_rename(const char *from, const char *to, unsigned flags)
{
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(renameat2(root_fd, below(from), root_fd, below(to), flags));
}

static int do_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)info;
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(fchmodat(root_fd, below(path), mode, 0));
}

static int do_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
    (void)info;
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(utimensat(root_fd, below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int do_statfs(const char *path, struct statvfs *out)
{
    (void)path;
    int rc = gate(OP_OTHER);
    return rc != 0 ? rc : result(fstatvfs(root_fd, out));
}

static int do_readdir(const char *path, void *to, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)offset;
    (void)info;
    (void)flags;
    int rc = gate(OP_OTHER);
    int fd = rc != 0 ? -1 : openat(root_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        return rc != 0 ? rc : -errno;
    }
    for (const struct dirent *item = NULL; (item = readdir(dir)) != NULL;) {
        (void)fill(to, item->d_name, NULL, 0, 0);
    }
    (void)closedir(dir);
    return 0;
}

/* ---- Files ---------------------------------------------------------------------------------- */

static int do_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int rc = gate(OP_OTHER);
    int fd = rc != 0 ? -1 : openat(root_fd, below(path), info->flags | O_CLOEXEC, mode);
    if (fd < 0) {
        return rc != 0 ? rc : -errno;
    }
    info->fh = (uint64_t)fd;
    return 0;
}

static int do_open(const char *path, struct fuse_file_info *info)
{
    if (is_control(path)) {
        info->direct_io = 1;
        return 0;
    }
    return do_create(path, 0, info);
}

static int do_read(const char *path, char *out, size_t len, off_t offset,
                   struct fuse_file_info *info)
{
    if (is_control(path)) {
        return read_control(out, len, offset);
    }
    int rc = gate(OP_READ);
    ssize_t got = rc != 0 ? 0 : pread((int)info->fh, out, len, offset);
    return rc != 0 ? rc : got < 0 ? -errno : (int)got;
}

static int do_write(const char *path, const char *from, size_t len, off_t offset,
                    struct fuse_file_info *info)
{
    if (is_control(path)) {
        char text[CONTROL_BYTES_MAX];
        if (len >= sizeof text) {
            return -EINVAL;
        }
        memcpy(text, from, len);
        text[len] = '\0';
        return obey(text) ? (int)len : -EINVAL;
    }
    int rc = gate(OP_WRITE);
    ssize_t done = rc != 0 ? 0 : pwrite((int)info->fh, from, len, offset);
    return rc != 0 ? rc : done < 0 ? -errno : (int)done;
}

static int do_truncate(const char *path, off_t len, struct fuse_file_info *info)
{
    if (is_control(path)) { /* the shell's > */
        return 0;
    }
    int rc = gate(OP_OTHER);
    int fd = rc != 0        ? -1
             : info != NULL ? (int)info->fh
                            : openat(root_fd, below(path), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return rc != 0 ? rc : -errno;
    }
    rc = result(ftruncate(fd, len));
    if (info == NULL) {
        (void)close(fd);
    }
    return rc;
}

/* Every close(), the one at the end of a process as well. */
static int do_flush(const char *path, struct fuse_file_info *info)
{
    (void)info;
    return is_control(path) ? 0 : gate(OP_OTHER);
}

static int do_release(const char *path, struct fuse_file_info *info)
{
    return is_control(path) ? 0 : result(close((int)info->fh));
}

static int do_fsync(const char *path, int only_data, struct fuse_file_info *info)
{
    (void)path;
    int rc = gate(OP_SYNC);
    int fd = (int)info->fh;
    return rc != 0 ? rc : result(only_data != 0 ? fdatasync(fd) : fsync(fd));
}

static int do_fsyncdir(const char *path, int only_data, struct fuse_file_info *info)
{
    (void)only_data;
    (void)info;
    int rc = gate(OP_SYNC);
    int fd = rc != 0 ? -1 : openat(root_fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return rc != 0 ? rc : -errno;
    }
    rc = result(fsync(fd));
    (void)close(fd);
    return rc;
}

/* As an NFS client does, the kernel keeps the pages of files that nobody else changes, also of
 * those it has written itself. */
static void *do_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    config->kernel_cache = 1;
    return NULL;
}

static const struct fuse_operations operations = {
    .init = do_init,
    .getattr = do_getattr,
    .readlink = do_readlink,
    .symlink = do_symlink,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .rename = do_rename,
    .chmod = do_chmod,
    .utimens = do_utimens,
    .statfs = do_statfs,
    .readdir = do_readdir,
    .create = do_create,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .truncate = do_truncate,
    .flush = do_flush,
    .release = do_release,
    .fsync = do_fsync,
    .fsyncdir = do_fsyncdir,
};

int main(int argc, char *argv[])
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: slow_fs DIRECTORY MOUNTPOINT\n");
        return 2;
    }
    root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        (void)fprintf(stderr, "slow_fs: cannot open %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    char threads[64];
    (void)snprintf(threads, sizeof threads, "max_threads=%d,max_idle_threads=%d", THREADS_MAX,
                   THREADS_MAX);
    char program[] = "slow_fs";
    char foreground[] = "-f";
    char option[] = "-o";
    char unmount[] = "auto_unmount,fsname=slow_fs";
    char *fuse_argv[] = {program, foreground, option, unmount, option, threads, argv[2], NULL};
    return fuse_main(sizeof fuse_argv / sizeof fuse_argv[0] - 1, fuse_argv, &operations, NULL);
}
