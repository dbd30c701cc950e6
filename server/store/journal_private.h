/*
 * What journal.c (records, life, questions) and journal_flush.c (the journal's threads) share.
 *
 * There is a thread for each lane of a segment. One of them leads: it waits until a flush is due,
 * takes what is queued, and writes and syncs it: a flight. On storage that answers at once it leads
 * on when its flight has landed, and the others sleep. On slow storage it hands the lead over when
 * it takes off, so that the next flight begins while this one is in the air, in another lane:
 *
 *      lane 0   ├── write, sync ──┤├── write, sync ──┤
 *      lane 1        ├── write, sync ──┤├── write, sync ──┤
 *      lane 2             ├── write, sync ──┤├── write, sync ──┤
 *
 * A change then waits for a part of a flush and for its own, rather than for almost two. Flights
 * land in the order in which they took off: what is durable has no gaps.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/chunk.h"
#include "store/journal.h"
#include "store/segment_writer.h"

enum {
    FLUSH_BYTES_MAX = 4 * 1024 * 1024, /* what one fdatasync may cover */
    PACE_BYTES = 1024 * 1024,          /* so much is flushed whoever waits for it */
};

/* A flush from taking its records to telling that they are durable. Its thread's; the members from
 * `status` on are guarded by the journal's lock once it is in the air. */
struct flight {
    struct chunk *chunks; /* owned */
    uint64_t number;      /* of flights, from 0 on */
    unsigned lane;
    bool is_alone; /* no other takes off before it has landed */
    int64_t start_ns;
    int64_t sync_ns; /* how long writing and syncing took */
    enum status status;
    int error;  /* errno, unless OK */
    bool saved; /* written again by an older flight, which had found the storage full */
};

struct journal {
    struct journal_options options; /* immutable; dir is owned */
    pthread_t threads[SEGMENT_LANES];

    pthread_mutex_t lock; /* guards the members up to `segments_told` */
    pthread_cond_t work;  /* who leads waits for records, or for time to pass */
    pthread_cond_t lead;  /* a thread waits until it leads */
    pthread_cond_t turn;  /* a flight waits for older ones to land, or others to be written */
    pthread_cond_t done;  /* others wait for durable_lsn */
    bool is_led;
    bool awaited; /* somebody waits for what is queued */
    bool stopping;
    bool failed;
    uint64_t next_lsn;
    struct chunk *first; /* owned: chunks to be written, oldest first */
    struct chunk *open;  /* the last of them, which records go into; NULL when the list is empty */
    struct chunk_pool pool;
    struct flight *flights[SEGMENT_LANES]; /* borrowed: those in the air, by lane; NULL: none */
    uint64_t begun;                        /* flights so far */
    uint64_t landed;                       /* of them, at their end */
    unsigned writing;                      /* of them, not written and synced yet */
    int64_t since_ns;                      /* when who leads began to wait */
    int64_t due_ns;         /* until when it waits, as journal_due_ns() says; 0: it does not */
    int64_t last_start_ns;  /* of the last flight */
    int64_t last_flush_ns;  /* how long it wrote and synced */
    uint64_t crowd;         /* records the last flush let go, and those that waited then */
    bool noted;             /* a frame in the segment says that everything in it is durable */
    uint64_t segments_told; /* in the metric */

    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t undurable_bytes;
    _Atomic uint64_t total_bytes;
    _Atomic int64_t busy_since_ns; /* monotonic: when the oldest flight began; 0: none is there */

    _Atomic bool no_space; /* the storage is full: nothing new is taken until it has room again */

    struct segment_writer segments; /* the flights'; dropping covered ones: any thread */
};

/** When the next flush is to begin, going by what is queued now: a moment of the monotonic clock,
 *  0: at once, INT64_MAX: not before something happens. Called with the lock held. */
int64_t journal_due_ns(const struct journal *self);

/** The threads' function; `arg` is the journal. */
void *journal_run(void *arg);
