/* Starting threads. */
#pragma once

#include <pthread.h>

#include "base/status.h"

/**
 * Starts a thread named `name` (15 characters at most are kept) that takes no signals: those are
 * the main thread's. Only what a thread does to itself, as a bus error, still comes to it. OK, or
 * NO_MEMORY (errno is set) when the system has no room for another one. Any thread.
 */
enum status thread_start(pthread_t *out, const char *name, void *(*run)(void *arg),
                         void *arg) MUST_CHECK;

/**
 * Lets the calling thread stand back behind others: niceness 10, and short turns. Without short
 * turns a thread keeps its core for about 3 ms on newer kernels, whatever its niceness, and a
 * request that arrives meanwhile waits so long. Where the kernel knows no turns of a thread's own
 * (before 6.12) the niceness is all. Nothing fails: at worst it competes.
 */
void thread_stand_back(void);
