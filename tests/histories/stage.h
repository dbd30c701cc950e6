/*
 * What the clients of one round share: which process serves, in which run, and how far the window
 * of sessions in use has moved. The main thread begins and ends runs, clients take part.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STAGE_WINDOW = 6 }; /* sessions in use at the same time: few, so that clients meet */

/* What a client needs to know to take part in a run. */
struct stage_run {
    uint16_t number;
    bool closing;          /* the last one: clients look at every session, and end */
    char address[64];      /* of the process that serves */
    uint32_t look_from;    /* sessions from here on are looked at first */
    unsigned fast_in_64;   /* so many of 64 operations are acknowledged from memory */
    unsigned padding_most; /* of texts, in bytes */
};

struct stage {
    uint64_t round;         /* part of each session's id */
    unsigned ops_a_session; /* about so many operations go to a session */
    unsigned client_count;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct stage_run run; /* the present one; its number also between runs: of the next one */
    bool serving;         /* its process can be asked */
    bool due;             /* it has had its answers */
    uint32_t began_at;    /* how many sessions were in use when it began */
    pid_t pid;            /* whom to kill when it is due; 0: nobody */
    bool given_up;        /* there will be no other run */
    bool was_killed;      /* by a client */

    _Atomic uint64_t ops;         /* begun */
    _Atomic int64_t answers_left; /* until the run is due */
};

void stage_init(struct stage *self, uint64_t round, unsigned client_count, unsigned ops_a_session);
void stage_close(struct stage *self);

/** How many sessions have been in use so far: those below. Any thread. */
uint32_t stage_sessions(const struct stage *self);

/** Main thread: a run begins, as `run` says, whose number and look_from are filled in. It is due
 * after so many answers; then the client who counts the last one kills the process `pid` at once,
 *  unless that is 0. */
void stage_begin_run(struct stage *self, const struct stage_run *run, unsigned answers, pid_t pid);

/** Main thread: waits until the run is due, or `wait_ms` are over. From then on no client kills.
 * True: one did. */
bool stage_wait_due(struct stage *self, unsigned wait_ms);

/** Main thread: the process of this run is gone. Returns the run's number. */
uint16_t stage_end_run(struct stage *self);

/** A client's answer has come. */
void stage_count_answer(struct stage *self);

/** Main thread: there will be no other run. */
void stage_give_up(struct stage *self);

/** A client waits for the run `least` or a later one; false: there is none. */
bool stage_wait_run(struct stage *self, uint16_t least, struct stage_run *out);

/** True while this run's process can be asked. */
bool stage_is_serving(struct stage *self, uint16_t number);
