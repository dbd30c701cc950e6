/*
 * The retry policy: may a request be sent again, and after how long a pause? Pure functions of
 * their arguments, shared by the blocking and the asynchronous client.
 *
 * Backoff is exponential with full jitter: a random time up to a ceiling that doubles from 10 ms to
 * 1 s. A fleet of clients that lost the same server then comes back spread out instead of in waves
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "satchel/protocol.h"

enum {
    POLICY_BACKOFF_FIRST_MS = 10,
    POLICY_BACKOFF_MOST_MS = 1000,
    POLICY_ATTEMPT_MS = 25, /* no attempt starts with less time: it would hardly be answered, and a
                               clear BUSY would become a TIMED_OUT that may have been applied */
    POLICY_GIVE_UP = -1,
};

/* How an attempt ended. */
struct policy_case {
    enum satchel_status status;
    bool sent;         /* the whole request was handed to the system, so the server may have it */
    bool repeatable;   /* doing it twice does no harm: policy_is_repeatable() */
    unsigned failures; /* attempts that failed so far, this one included; at least 1 */
    uint64_t retry_after_ms; /* what the server asked for; 0 = nothing */
    uint64_t left_ms;        /* until the deadline of the call */
    uint64_t random;         /* any 64 random bits */
};

/** Milliseconds (at least 1, at most left_ms - POLICY_ATTEMPT_MS) to wait before the next attempt,
 *  or POLICY_GIVE_UP. */
int64_t policy_pause_ms(const struct policy_case *ended);

/** Milliseconds from 1 to the ceiling that `failures` (at least 1) attempts have reached. */
uint64_t policy_backoff_ms(unsigned failures, uint64_t random);

/** True when a request may be sent again although it may have been applied already. */
bool policy_is_repeatable(enum satchel_opcode opcode, bool has_condition, bool has_increment);

/** True when this end of a sent request leaves open whether it was applied. */
bool policy_is_ambiguous(enum satchel_status status, bool sent);

/**
 * The status for the caller after the last attempt ended with `last`. `ambiguous` is the status of
 * an earlier attempt of a change that may have been applied (OK: there was none): a later "cannot
 * connect" must not claim then that nothing happened.
 */
enum satchel_status policy_final_status(enum satchel_status last, enum satchel_status ambiguous);
