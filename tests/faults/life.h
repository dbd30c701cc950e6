/*
 * A short life of a store: a few dozen changes and reads of all kinds, some at the same time, with
 * enough bytes for several journal segments, and with checkpoints between them. Afterwards every
 * session is as it was acknowledged last, or as the one change would have left it whose answer
 * never came.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIFE_SESSIONS = 18, LIFE_WHY_BYTES = 256 };

struct life_session {
    uint32_t last;  /* number of the newest value that was ever sent; none is sent twice */
    uint32_t now;   /* the value that was acknowledged last; 0: no session */
    bool is_unsure; /* a change was not answered … */
    uint32_t maybe; /* … which would have left this */
};

struct life {
    struct life_session sessions[LIFE_SESSIONS];
    uint64_t version_max;  /* that was ever seen */
    uint64_t acknowledged; /* changes, so far */
    char why[LIFE_WHY_BYTES];
};

/** Asked after every step of a life, by life_run(): is it to end here? */
typedef bool (*life_is_over_fn)(const void *arg);

/**
 * Lives until the script ends, `is_over` (NULL: never) says so, or the connection breaks. `data` is
 * the data directory, where checkpoints are waited for. False: a wrong answer, or none in time;
 * `why` says what.
 */
bool life_run(struct life *self, const char *address, const char *data, life_is_over_fn is_over,
              const void *arg);

/** Changes every session once, without a checkpoint. Everything has to be acknowledged. */
bool life_leave_tail(struct life *self, const char *address);

/** After a start: every session has to be what it may be, which becomes what it is; and a new
 *  version has to be above all earlier ones. False: `why` says what is not so. */
bool life_verify(struct life *self, const char *address);
