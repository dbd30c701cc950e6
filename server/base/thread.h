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
