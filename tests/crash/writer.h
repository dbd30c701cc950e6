/*
 * A thread that changes its own sessions, and counters that it shares with others, until its
 * connection breaks.
 */
#pragma once

#include <pthread.h>

#include "crash/counter.h"
#include "crash/model.h"
#include "support/wire.h"

enum { WRITER_WINDOW = 16, COUNTERS = 4 };

/* A request on the way. */
struct sent {
    bool used;
    struct model *model;     /* borrowed; NULL: an increment */
    struct counter *counter; /* borrowed */
    struct model_op op;
};

struct writer {
    pthread_t thread;
    const char *address;  /* borrowed */
    struct model *models; /* borrowed: its own sessions */
    unsigned model_count;
    struct counter *counters; /* borrowed, shared: COUNTERS of them */
    uint64_t version_floor;   /* every new version has to be above */
    uint64_t random;

    struct wire wire;
    struct sent sent[WRITER_WINDOW];
    struct buf value; /* scratch */
    bool is_told_to_wait;
    /* What happened in this run. */
    uint64_t acknowledged; /* durably: changes, increments */
    uint64_t fast;
    uint64_t busy;
    uint64_t unanswered;
    uint64_t violations; /* each was printed */
    uint64_t version_max;
};

/** What the thread runs; `arg` is a struct writer. */
void *writer_run(void *arg);
