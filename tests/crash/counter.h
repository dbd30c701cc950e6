/*
 * A session whose field `n` every writer increments by one. Whatever happens, afterwards
 *
 *     base + acknowledged <= n <= base + acknowledged + maybe
 *
 * and while the server lives no two increments are answered with the same number.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/native.h"

enum { COUNTER_ANSWERS_MAX = 1 << 20 };

struct counter {
    unsigned number;              /* its id is "c" and this */
    int64_t base;                 /* as verified last; changes only while no writer runs */
    _Atomic int64_t acknowledged; /* durably, since */
    _Atomic int64_t maybe;        /* acknowledged from memory, or unanswered */
    _Atomic uint8_t *answered;    /* owned: which numbers above base were answers */
};

/** Memory that is not there ends the test. */
void counter_init(struct counter *self, unsigned number);
void counter_free(struct counter *self);

struct view counter_id(const struct counter *self, char out[16]);

/** Takes the answer to an increment; NULL or what is wrong with it. Any thread. */
const char *counter_answered(struct counter *self, const struct native_reply *reply, bool durable);

/** After a restart; returns how many acknowledged increments are lost, or minus how many there are
 *  too many; `*what` is n, or -1 when it cannot be read. The next round begins from there. */
int64_t counter_verify(struct counter *self, const struct native_reply *reply, int64_t *what);
