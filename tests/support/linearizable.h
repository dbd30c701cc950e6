/*
 * Is one session's history linearizable, with durable effects?
 *
 * It is when each answered operation can be given one moment between its invocation and its return
 * so that the session, changing at these moments only, gives exactly these answers; when the state
 * that a run began with is one that the run before can have left on the storage; and when every
 * process answered only while the directory was its own. In detail:
 *
 *   order      an operation that returned before another was invoked comes before it
 *   answers    status, version, content, owner and time left to live are those of the moment
 *   versions   every change has a version above all earlier ones, lost ones included; what changes
 *              nothing, and a touch, keeps it
 *   durable    what was acknowledged, and every state that was shown, is there after a crash
 *   fast       what was acknowledged from memory may be undone by a crash, from some moment on:
 * never something in the middle, and nothing that was shown to who asked for durable answers
 *   unknown    without an answer it happened after its invocation and before its run was over, or
 *              never
 *   one owner  no process answers what it was asked after its successor has answered
 *
 * The search is Wing and Gong's (JPDC 1993) with Lowe's memory of configurations seen before (CPE
 * 2017): try what may come next, go back where nothing fits. Answers name versions, so most
 * wrong tries end at once. Linearizability is local: sessions are checked one by one.
 */
#pragma once

#include <stdio.h>

#include "support/history.h"
#include "support/linearizable_model.h"

enum linearizable_verdict {
    LINEARIZABLE,
    NOT_LINEARIZABLE,
    LINEARIZABLE_UNDECIDED, /* over a limit below; a test that meets one asks too much at a time */
};

enum {
    LINEARIZABLE_OPEN_MAX = 512,   /* answered operations at the same time */
    LINEARIZABLE_UNKNOWN_MAX = 64, /* unanswered operations in one run */
    LINEARIZABLE_STATES_MAX = 500000,
};

/* Where the search got furthest. Members are valid while the history is. */
struct linearizable_end {
    size_t placed; /* answered operations that have their moment */
    uint16_t run;
    struct session_model state; /* what the session is then */
    bool lost;                  /* it is in the part that the crash undoes */
    bool is_zombie;             /* one owner: `op` was answered too late */
    const struct history_op *op;
    size_t tried_count; /* what may come next and does not fit */
    struct {
        const struct history_op *op;
        const char *why; /* static */
    } tried[16];
};

/**
 * Decides on `count` operations of one session, sorted by invocation. It does not exist at first.
 * `end` may be NULL; when not, it is filled for NOT_LINEARIZABLE.
 */
enum linearizable_verdict linearizable_check(const struct history_op *ops, size_t count,
                                             struct linearizable_end *end);

/** Writes why the history is not linearizable: its last operations as a time line, without those
 * that do not matter, and where no order goes on. */
void linearizable_story(const struct history_op *ops, size_t count, FILE *to);
