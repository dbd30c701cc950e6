/*
 * File I/O goes through this struct of functions, so that a test can fail the n-th call or the
 * third write. Each function is the system call of its name: it returns what that returns and
 * sets errno, except that short reads and writes, and EINTR, are finished by file_pread_all() and
 * file_pwrite_all() below. Used by store/ and lifecycle/ for every byte on EFS; what LMDB does
 * inside is its own.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/status.h"

struct file_ops {
    int (*open)(void *arg, const char *path, int flags, mode_t mode);
    ssize_t (*pread)(void *arg, int fd, void *out, size_t len, off_t offset);
    ssize_t (*pwrite)(void *arg, int fd, const void *from, size_t len, off_t offset);
    int (*fdatasync)(void *arg, int fd);
    int (*fsync)(void *arg, int fd);
    int (*ftruncate)(void *arg, int fd, off_t len);
    int (*rename)(void *arg, const char *from, const char *to);
    int (*unlink)(void *arg, const char *path);
    /* POSIX F_SETLK write lock on the whole file; 0, or -1 with EAGAIN/EACCES when another
     * process holds it. Dropped by the first close() of that file in this process. */
    int (*lock)(void *arg, int fd);
    int (*close)(void *arg, int fd);
    void *arg; /* borrowed */
};

/** The operating system's own calls. Any thread. */
extern const struct file_ops file_ops_system;

/** Reads exactly out_len bytes, or to the end of file; the count goes to `*got`. IO: errno is set.
 */
enum status file_pread_all(const struct file_ops *ops, int fd, void *out, size_t out_len,
                           off_t offset, size_t *got) MUST_CHECK;

/**
 * Asks the kernel to fetch what is not in memory yet of `bytes` bytes from `offset` on, in many
 * requests at once; they may end behind the file. Reading alone keeps one or two requests under
 * way, each of which takes storage on a network a millisecond. Only advice: it changes nothing that
 * could be seen, fails silently, and therefore needs no place in file_ops. Any thread.
 */
void file_read_ahead(int fd, off_t offset, off_t bytes);

/** Writes all bytes. NO_SPACE (ENOSPC, EDQUOT, EFBIG) or IO otherwise, errno is set; part of the
 *  bytes may have been written. */
enum status file_pwrite_all(const struct file_ops *ops, int fd, struct view bytes,
                            off_t offset) MUST_CHECK;

/** Takes the lock on `fd`, trying again for `wait_ms`: a process that was killed holds its locks
 * until the kernel has taken it apart. OK; LOCKED: another process holds it; IO: errno is set. */
enum status file_lock(const struct file_ops *ops, int fd, uint64_t wait_ms) MUST_CHECK;

/** fsync of the directory `path`, so that entries created, renamed or removed in it are durable. */
enum status file_sync_dir(const struct file_ops *ops, const char *path) MUST_CHECK;

/** NO_SPACE for ENOSPC, EDQUOT and EFBIG, IO for every other errno value. */
enum status status_of_errno(int error);
