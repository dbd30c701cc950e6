/*
 * What the clients of one generation share: which process serves, since which run, and how far the
 * window of sessions in use has moved. The main thread writes, clients read.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    STAGE_WINDOW = 6, /* sessions in use at the same time: few, so that clients meet */
    STAGE_RUNS_MAX = 32,
};

struct stage {
    uint64_t generation;    /* part of each session's id */
    unsigned ops_a_session; /* about so many operations go to a session */
    unsigned client_count;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint16_t run;
    bool serving; /* the process of this run can be asked */
    bool closing; /* the last run: clients look at every session, and end */
    bool due;     /* the run has had its answers */
    char address[64];
    uint32_t look_from;    /* sessions from here on are looked at when the run begins */
    uint32_t run_began_at; /* how many sessions had been in use */
    pid_t pid;             /* of the process that serves */
    bool kills;            /* whoever counts the last answer kills it at once */
    bool was_killed;       /* by a client */

    _Atomic uint64_t ops;         /* begun */
    _Atomic int64_t answers_left; /* until the run is due */
};

void stage_init(struct stage *self, uint64_t generation, unsigned client_count,
                unsigned ops_a_session);
void stage_close(struct stage *self);

/** How many sessions have been in use so far: those below. Any thread. */
uint32_t stage_sessions(const struct stage *self);

/** Main thread: the process at `address` serves from now on, as the next run (the first: run 0). It
 *  is due after so many answers. */
void stage_begin_run(struct stage *self, const char *address, pid_t pid, unsigned answers,
                     bool kills, bool closing);

/** Main thread: the process of this run is not to be asked any more. */
void stage_end_run(struct stage *self);

/** Main thread: waits until the run is due, or `wait_ms` are over; true when it is due. From then
 *  on no client kills its process. */
bool stage_wait_due(struct stage *self, unsigned wait_ms);

/** A client's answer has come. */
void stage_count_answer(struct stage *self);

/* What a client needs to know to take part in a run. */
struct stage_run {
    uint16_t run;
    bool closing;
    char address[64];
    uint32_t look_from;
};

/** A client waits for a process to ask, whose run is `least` or a later one. */
void stage_wait_run(struct stage *self, uint16_t least, struct stage_run *out);

/** True while this run's process can be asked. */
bool stage_is_serving(struct stage *self, uint16_t run);
