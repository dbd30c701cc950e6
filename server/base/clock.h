/*
 * Time comes in through this struct, so that a test can stop it. `wall_ms` is what expiry is
 * measured with: it has to mean the same on the next task. `mono_ns` is for durations and
 * deadlines.
 */
#pragma once

#include <stdint.h>
#include <time.h>

struct clock {
    int64_t (*wall_ms)(void *arg); /* milliseconds since 1970-01-01 UTC */
    /* Nanoseconds since an arbitrary start: never goes back, and goes on while the machine is
     * suspended, because a lease does as well. */
    int64_t (*mono_ns)(void *arg);
    void *arg; /* borrowed */
};

/** The system's clocks. Any thread. */
extern const struct clock clock_system;

/** The moment `ns` nanoseconds from now for pthread_cond_timedwait() on a condition that goes by
 *  CLOCK_MONOTONIC. Any thread. */
struct timespec clock_moment_in(int64_t ns);

static inline int64_t clock_wall_ms(const struct clock *self)
{
    return self->wall_ms(self->arg);
}

static inline int64_t clock_mono_ns(const struct clock *self)
{
    return self->mono_ns(self->arg);
}
