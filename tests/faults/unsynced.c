/* Per descriptor a list of overwritten bytes, the last write first. */
#include "faults/unsynced.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

struct overwritten {
    struct overwritten *next; /* owned: the write before this one */
    off_t offset;
    size_t len;
    uint8_t bytes[]; /* zeros where the file ended before */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct overwritten *writes[FDS_MAX]; /* owned; guarded by lock */

void unsynced_remember(int fd, off_t offset, size_t len)
{
    struct overwritten *write = calloc(1, sizeof *write + len);
    if (write == NULL) {
        abort();
    }
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

void unsynced_forget(int fd)
{
    (void)pthread_mutex_lock(&lock);
    drop(fd, false);
    (void)pthread_mutex_unlock(&lock);
}

void unsynced_lose(int fd)
{
    (void)pthread_mutex_lock(&lock);
    drop(fd, true);
    (void)pthread_mutex_unlock(&lock);
}

void unsynced_lose_all(void)
{
    (void)pthread_mutex_lock(&lock);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        drop(fd, true);
    }
    (void)pthread_mutex_unlock(&lock);
}
