/*
 * What was written, and so what a read may bring.
 *
 * Every write of a value takes the next number before it is sent. Two rules follow, whatever the
 * order in which a server takes what is in flight at the same time:
 *
 *   1. No read brings a number that was not handed out yet.
 *   2. Where a write was sent when all before it were answered, it comes after all of them. Once it
 *      is answered itself its number is the floor: a read that is sent from then on brings it or a
 *      later one. A server that forgets writes, or answers from the past, breaks this.
 *
 * In a value stands its generation: the number, and above it the number of the run, so that what an
 * earlier run has left is told from what this one wrote. Any thread may call everything here.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct ledger_entry {
    _Atomic uint32_t sent;     /* the highest number that is handed out */
    _Atomic uint32_t answered; /* how many of them were answered; a refused write never is */
    _Atomic uint32_t floor;    /* 0: nothing is known */
};

struct ledger {
    struct ledger_entry *entries; /* owned; one for each value */
    uint32_t run;
};

/** A ledger for `count` values, in the run of this number. OK or NO_MEMORY. */
enum status ledger_init(struct ledger *self, uint64_t count, uint32_t run) MUST_CHECK;

void ledger_free(struct ledger *self);

/** The number of a write that is about to be sent; `*is_alone` tells whether all before it were
 *  answered. */
uint32_t ledger_send(struct ledger *self, uint64_t value, bool *is_alone);

/** That write was carried out, the server says. */
void ledger_answered(struct ledger *self, uint64_t value, uint32_t number, bool is_alone);

/** The floor for a read that is about to be sent. */
uint32_t ledger_floor(const struct ledger *self, uint64_t value);

/** What stands in the value. */
static inline uint64_t ledger_generation(const struct ledger *self, uint32_t number)
{
    return (uint64_t)self->run << 32 | number;
}

enum ledger_verdict {
    LEDGER_GOOD,
    LEDGER_NEVER,   /* rule 1 */
    LEDGER_OLD,     /* rule 2 */
    LEDGER_FOREIGN, /* another run's; good as long as this run has not written the value */
};

/** What a generation means that came from a read with this floor. */
enum ledger_verdict ledger_check(const struct ledger *self, uint64_t value, uint64_t generation,
                                 uint32_t floor);
