/* Sockets first, then the log line, then the end. */
#include "storage_death.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum {
    LISTING_BYTES = 4096,
    FDS_GUESSED_MAX = 1 << 16, /* when the kernel does not list them */
};

static _Atomic bool is_serving;
static atomic_flag is_ending = ATOMIC_FLAG_INIT;

void storage_death_serving(void)
{
    /* Relaxed: it stands for itself. */
    atomic_store_explicit(&is_serving, true, memory_order_relaxed);
}

/* ---- Sockets -------------------------------------------------------------------------------- */

/* -1: not a number. */
static int number_of(const char *name)
{
    int number = 0;
    for (; *name >= '0' && *name <= '9'; name++) {
        number = number * 10 + (*name - '0');
    }
    return *name == '\0' ? number : -1;
}

/* False: the kernel does not tell. Whatever is no socket is not touched by shutdown(). */
static bool shut_down_listed(void)
{
    union {
        struct dirent64 first; /* for its alignment */
        char bytes[LISTING_BYTES];
    } listing;
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return false;
    }
    ssize_t len = 0;
    while ((len = getdents64(dir, listing.bytes, sizeof listing.bytes)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct dirent64 *item = (const void *)(listing.bytes + at);
            int fd = number_of(item->d_name);
            if (fd >= 0) {
                (void)shutdown(fd, SHUT_RDWR);
            }
            at += item->d_reclen;
        }
    }
    return len == 0;
}

static void shut_down_sockets(void)
{
    struct rlimit limit = {.rlim_cur = FDS_GUESSED_MAX};
    if (shut_down_listed()) {
        return;
    }
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 0; fd < FDS_GUESSED_MAX && (rlim_t)fd < limit.rlim_cur; fd++) {
        (void)shutdown(fd, SHUT_RDWR);
    }
}

/* ---- The end -------------------------------------------------------------------------------- */

_Noreturn void storage_death(const char *why)
{
    bool is_first = !atomic_flag_test_and_set(&is_ending);
    shut_down_sockets();
    if (is_first) {
        char quoted[600];
        log_error("storage failed", "why=%s", log_quoted(quoted, sizeof quoted, why));
        _exit(atomic_load_explicit(&is_serving, memory_order_relaxed) ? EXIT_STORAGE : EXIT_START);
    }
    for (;;) {
        (void)pause(); /* the first one ends it */
    }
}

_Noreturn void storage_death_unlogged(int exit_code)
{
    shut_down_sockets();
    _exit(exit_code);
}

static void on_bus_error(int signal_number)
{
    (void)signal_number;
    storage_death("a page of the data file cannot be read");
}

void storage_death_catch_bus_error(void)
{
    /* On the stack of the thread that read the page: it is the page that is bad, not the stack. */
    struct sigaction action = {.sa_handler = on_bus_error};
    (void)sigaction(SIGBUS, &action, NULL); /* fails for unknown numbers only */
}
