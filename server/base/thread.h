/* Starting threads, and how they share cores with each other. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/status.h"

/**
 * Starts a thread named `name` (15 characters at most are kept) that takes no signals: those are
 * the main thread's. Only what a thread does to itself, as a bus error, still comes to it. OK, or
 * NO_MEMORY (errno is set) when the system has no room for another one. Any thread.
 */
enum status thread_start(pthread_t *out, const char *name, void *(*run)(void *arg),
                         void *arg) MUST_CHECK;

/**
 * Tells the kernel that what the calling thread has to do is short: when it wakes up it gets its
 * core at once rather than when the turn of whoever has it is over, which on newer kernels is a
 * tick, up to 4 ms. It takes no larger share of the core, needs no privilege, and does nothing
 * where the kernel knows no turns of a thread's own (before 6.12; a thread that wakes up goes first
 * there). See EEVDF and sched_setattr(2).
 */
void thread_be_prompt(void);

/**
 * Makes the calling thread stand back: long work in the background of a server whose requests are
 * not to notice, not even where all threads share a quarter of a core, as small tasks on Fargate
 * do. It has to call thread_breathe() between pieces of some ten microseconds. `unless`: borrowed
 * for the thread's life; while it is true there is no rest.
 *
 * A low priority is no substitute: it decides who gets more of a core that all want, but not how
 * soon, and a share of processor time that the background has used up is missing in front.
 */
void thread_stand_back(const atomic_bool *unless);

/**
 * Rests, when the calling thread stands back and its turn is over, for seven times as long as the
 * turn took, so that it uses an eighth of a core at most. Nothing in other threads: what is shared
 * with them may call it.
 */
void thread_breathe(void);
