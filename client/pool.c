/* The connections of a blocking client. */
#include "client/pool.h"

#include <errno.h>
#include <time.h>

enum status pool_init(struct pool *self, unsigned connections_max)
{
    *self = (struct pool){.taken_max = connections_max};
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return STATUS_NO_MEMORY;
    }
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    bool has_cond = pthread_cond_init(&self->given, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    if (!has_cond) {
        return STATUS_NO_MEMORY;
    }
    if (pthread_mutex_init(&self->lock, NULL) != 0) {
        (void)pthread_cond_destroy(&self->given);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

void pool_close(struct pool *self)
{
    while (self->idle != NULL) {
        struct channel *channel = self->idle;
        self->idle = channel->next;
        channel_close(channel);
    }
    (void)pthread_cond_destroy(&self->given);
    (void)pthread_mutex_destroy(&self->lock);
}

static struct channel *pop_idle(struct pool *self)
{
    struct channel *channel = self->idle;
    if (channel != NULL) {
        self->idle = channel->next;
        channel->next = NULL;
    }
    return channel;
}

bool pool_take(struct pool *self, int64_t deadline_ns, struct channel **out)
{
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    (void)pthread_mutex_lock(&self->lock);
    while (self->taken == self->taken_max) {
        if (pthread_cond_timedwait(&self->given, &self->lock, &until) == ETIMEDOUT &&
            self->taken == self->taken_max) {
            (void)pthread_mutex_unlock(&self->lock);
            return false;
        }
    }
    self->taken++;
    struct channel *channel = pop_idle(self);
    (void)pthread_mutex_unlock(&self->lock);

    /* The look at the socket is I/O, so it is done outside the lock. After a restart of the server
     * all idle connections are dead; each call throws away what it meets. */
    while (channel != NULL && !channel_is_usable(channel)) {
        channel_close(channel);
        (void)pthread_mutex_lock(&self->lock);
        channel = pop_idle(self);
        (void)pthread_mutex_unlock(&self->lock);
    }
    *out = channel;
    return true;
}

void pool_give(struct pool *self, struct channel *channel)
{
    (void)pthread_mutex_lock(&self->lock);
    if (channel != NULL) {
        channel->next = self->idle;
        self->idle = channel;
    }
    self->taken--;
    (void)pthread_cond_signal(&self->given);
    (void)pthread_mutex_unlock(&self->lock);
}
