/* What shipper.c and shipper_round.c share. Nobody else includes it. */
#pragma once

#include <pthread.h>

#include "backup/shipper.h"

struct shipper {
    struct shipper_options options; /* immutable, with its defaults */
    struct shipper_deps deps;       /* immutable */
    struct shipper_metrics metrics; /* lag_seconds: whoever reads; the others: the thread */
    pthread_t thread;

    /* The thread's own. */
    struct chain chain;
    struct feed_taken taken; /* not in a slot yet */
    uint64_t told_gap_seq;   /* the last gap a snapshot was asked for; UINT64_MAX: none */
    uint64_t gaps;           /* that were counted */

    pthread_mutex_t lock; /* guards what follows; never held during I/O or a call outside */
    pthread_cond_t ended;
    struct shipper_status status; /* without its times */
    bool is_known;                /* the position */
    uint64_t unshipped_ms;        /* time of the oldest change taken from the feed; 0: none */
    int64_t failing_since_ns;     /* 0: it is not */
    uint64_t covered_seq;         /* the highest next_seq of a snapshot */
    bool is_stopping;
    bool has_ended;
};

/* What a round came to. */
enum shipper_round {
    ROUND_IDLE,    /* there is nothing to ship */
    ROUND_SHIPPED, /* there may be more */
    ROUND_FAILED,
    ROUND_ENDED, /* for good */
};

/** Takes the log over, if that was not done yet, and writes one slot if there is something. `*why`
 *  is FAILED or worse when it failed. The thread. */
enum shipper_round shipper_round(struct shipper *self, enum chain_status *why);
