/*
 * One client: a thread that asks the process which serves, records what it asked and what it was
 * told, and goes on with the next process when the connection breaks. It never asks again: each
 * attempt is one recorded operation.
 */
#pragma once

#include <pthread.h>

#include "histories/stage.h"
#include "support/history.h"
#include "support/wire.h"

enum { CLIENT_BATCH_MAX = 4, CLIENT_LOOKS_MAX = 16, CLIENT_KNOWN = 64 };

struct client {
    pthread_t thread;
    struct stage *stage; /* borrowed */
    uint16_t number;
    uint64_t random;
    struct stage_run run; /* that it takes part in */
    struct wire wire;
    struct history history; /* owned; the main thread's after the end */
    uint64_t wrong;         /* answers that no server may give */
    int64_t last_value;
    uint64_t known[CLIENT_KNOWN]; /* by session: a version that was seen, for conditions */
};

/** Starts it. The members above `run` are set. */
void client_start(struct client *self);

/** Waits until it has ended. */
void client_join(struct client *self);

void client_free(struct client *self);
