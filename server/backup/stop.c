/* Stopping. */
#include "backup/stop.h"

#include <assert.h>

#include "base/clock.h"

void stop_init(struct stop *self)
{
    pthread_condattr_t monotonic;
    atomic_init(&self->requested, false);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int error = pthread_cond_init(&self->wake, &monotonic);
    assert(error == 0); /* on Linux these calls allocate nothing */
    (void)error;
    (void)pthread_condattr_destroy(&monotonic);
}

void stop_close(struct stop *self)
{
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
}

void stop_request(struct stop *self)
{
    (void)pthread_mutex_lock(&self->lock);
    /* Relaxed: nothing is published by it; waiters see it by the lock. */
    atomic_store_explicit(&self->requested, true, memory_order_relaxed);
    (void)pthread_cond_broadcast(&self->wake);
    (void)pthread_mutex_unlock(&self->lock);
}

bool stop_requested(const struct stop *self)
{
    return atomic_load_explicit(&self->requested, memory_order_relaxed);
}

bool stop_wait(struct stop *self, uint64_t ms)
{
    const struct timespec until = clock_moment_in((int64_t)ms * 1000000);
    (void)pthread_mutex_lock(&self->lock);
    int error = 0;
    while (!stop_requested(self) && error == 0) {
        error = pthread_cond_timedwait(&self->wake, &self->lock, &until);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return stop_requested(self);
}
