/* Per descriptor a list of overwritten bytes, the last write first. */
#include "faults/unsynced.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

struct overwritten {
    struct overwritten *next; /* owned: the write before this one */
    ino_t inode;              /* the same for all writes of a descriptor */
    off_t offset;
    size_t len;
    uint8_t bytes[]; /* zeros where the file ended before */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct overwritten *writes[FDS_MAX]; /* owned; guarded by lock */

/* All files of a data directory are on one device. */
static ino_t inode_of(int fd)
{
    struct stat info;
    if (syscall(SYS_newfstatat, fd, "", &info, AT_EMPTY_PATH) != 0) {
        abort();
    }
    return info.st_ino;
}

void unsynced_remember(int fd, off_t offset, size_t len)
{
    struct overwritten *write = calloc(1, sizeof *write + len);
    if (write == NULL) {
        abort();
    }
    write->inode = inode_of(fd);
    write->offset = offset;
    write->len = len;
    /* A file that may only be written is LMDB's for its meta pages, whose writes are synchronous.
     */
    (void)syscall(SYS_pread64, fd, write->bytes, len, offset);
    (void)pthread_mutex_lock(&lock);
    write->next = writes[fd];
    writes[fd] = write;
    (void)pthread_mutex_unlock(&lock);
}

/* With the lock held. */
static void drop(int fd, bool restore)
{
    while (writes[fd] != NULL) {
        struct overwritten *write = writes[fd];
        if (restore) {
            (void)syscall(SYS_pwrite64, fd, write->bytes, write->len, write->offset);
        }
        writes[fd] = write->next;
        free(write);
    }
}

static void drop_file(int of_fd, bool restore)
{
    ino_t inode = inode_of(of_fd);
    (void)pthread_mutex_lock(&lock);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (writes[fd] != NULL && writes[fd]->inode == inode) {
            drop(fd, restore);
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

void unsynced_close(int fd)
{
    (void)pthread_mutex_lock(&lock);
    drop(fd, false);
    (void)pthread_mutex_unlock(&lock);
}

void unsynced_forget(int fd)
{
    drop_file(fd, false);
}

void unsynced_lose(int fd)
{
    drop_file(fd, true);
}

void unsynced_lose_all(void)
{
    (void)pthread_mutex_lock(&lock);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        drop(fd, true);
    }
    (void)pthread_mutex_unlock(&lock);
}
