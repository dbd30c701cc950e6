/* Starting threads without signals, and how they share cores. */
#include "base/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
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

enum {
    TURN_NS = 50 * 1000,         /* of a thread that stands back, about */
    REST_TURNS = 7,              /* it rests for seven times as long */
    PROMPT_TURN_NS = 100 * 1000, /* the shortest that the kernel takes */
    NS_PER_S = 1000 * 1000 * 1000,
};

/* ---- Prompt threads -------------------------------------------------------------------------- */

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

void thread_be_prompt(void)
{
    struct sched_attributes attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 &&
        attributes.policy == SCHED_OTHER) {
        attributes.runtime_ns = PROMPT_TURN_NS;
        (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
    }
}

/* ---- Threads that stand back ----------------------------------------------------------------- */

/* Of the calling thread; NULL: it does not stand back. */
static _Thread_local const atomic_bool *hurries;
static _Thread_local int64_t rested_ns; /* the processor time it had used when it rested last */

static int64_t used_ns(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * NS_PER_S + used.tv_nsec;
}

void thread_stand_back(const atomic_bool *unless)
{
    hurries = unless;
    rested_ns = used_ns();
}

void thread_breathe(void)
{
    /* Relaxed: it is only about when. */
    if (hurries == NULL || atomic_load_explicit(hurries, memory_order_relaxed)) {
        return;
    }
    const int64_t turn_ns = used_ns() - rested_ns;
    if (turn_ns >= TURN_NS) {
        const int64_t rest_ns = REST_TURNS * turn_ns;
        const struct timespec rest = {.tv_sec = rest_ns / NS_PER_S, .tv_nsec = rest_ns % NS_PER_S};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
        rested_ns += turn_ns;
    }
}
