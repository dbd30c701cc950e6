/* Starting threads without signals. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

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
