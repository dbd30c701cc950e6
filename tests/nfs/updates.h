/*
 * The updates that the programs here make, the same in each: 512-byte values (pattern.h) of
 * sessions drawn at random.
 */
#pragma once

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/bytes.h"
#include "support/random.h"

enum { UPDATE_VALUE_BYTES = 512, UPDATE_ID_BYTES = 16 };

/** The id of a session, in `out`. */
static inline struct view update_id(uint32_t session, char out[UPDATE_ID_BYTES])
{
    return view_of(out, (size_t)snprintf(out, UPDATE_ID_BYTES, "update-%08" PRIu32, session));
}

/** The session of the next update; `*random` begins with the same seed everywhere. */
static inline uint32_t update_session(struct random *random, uint32_t sessions)
{
    return (uint32_t)random_below(random, sessions);
}

static inline int64_t update_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
