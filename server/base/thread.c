/* Starting threads without signals. */
#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum status thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg)
{
    /* A thread inherits the mask of this moment. */
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT};
    sigset_t others;
    sigset_t before;
    (void)sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        (void)sigdelset(&others, own[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &others, &before);
    int error = pthread_create(out, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return STATUS_NO_MEMORY;
    }
    char cut[16];
    (void)snprintf(cut, sizeof cut, "%s", name);
    (void)pthread_setname_np(*out, cut);
    return STATUS_OK;
}

/* As sched_setattr(2) takes them; the C library has no declaration yet. */
struct sched_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t niceness;
    uint32_t priority;
    uint64_t runtime_ns; /* of a normal thread: its turn, from kernel 6.12 on */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

enum { NICENESS = 10, TURN_NS = 100 * 1000 /* the shortest there is */ };

void thread_stand_back(void)
{
    const struct sched_attributes attributes = {.size = sizeof attributes,
                                                .policy = SCHED_OTHER,
                                                .niceness = NICENESS,
                                                .runtime_ns = TURN_NS};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
