/*
 * A request to stop that reaches whoever waits: transfers look at it, pauses end by it. Once made
 * it stays. All functions but init and close: any thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    atomic_bool requested;
    pthread_mutex_t lock; /* only for waiting */
    pthread_cond_t wake;
};

void stop_init(struct stop *self);

/** Nobody may be waiting any more. */
void stop_close(struct stop *self);

/** Ends all pauses, now and from now on. */
void stop_request(struct stop *self);

bool stop_requested(const struct stop *self);

/** Waits for `ms` milliseconds or until it is requested; returns whether it is. */
bool stop_wait(struct stop *self, uint64_t ms);
