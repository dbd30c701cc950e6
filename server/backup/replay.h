/*
 * Replaying a plan's slots (plan.h): says of each batch how much of it belongs to the state, and
 * looks where headers cannot tell: whether changes are missing inside a slot, and behind which
 * batch a time lies.
 *
 *     replay_begin ─▶ for each step: replay_slot ─▶ for each batch of it: replay_batch ─▶ …
 *                     until GAP or DONE, or the steps are over; then replay_is_consistent
 *
 * Pure; a replay belongs to one thread at a time.
 */
#pragma once

#include "backup/plan.h"

enum { REPLAY_ERRMSG_BYTES = 160 };

enum replay_verdict {
    REPLAY_APPLY, /* the first `count` records belong to the state */
    REPLAY_SKIP,  /* none do: the rows have them, or they are void */
    REPLAY_GAP,   /* changes before this batch are missing: the state ends before it */
    REPLAY_DONE,  /* the target is reached: the state ends before this batch */
};

struct replay {
    struct target target;
    uint64_t from_lsn;
    uint64_t through_lsn;
    uint64_t last_lsn; /* readable: the last change of the state so far */
    uint64_t keep_lsn; /* of the slot that is being replayed */
    uint64_t lost_lsn; /* readable, after GAP: changes up to here are missing; 0: other ones */
    bool has_gap;      /* readable: GAP, or END of a slot, was answered */
    bool has_slot;
    struct slot_header slot;          /* of that slot */
    uint8_t hash[HASH128_BYTES];      /* of that slot's bytes */
    char errmsg[REPLAY_ERRMSG_BYTES]; /* readable, after CORRUPT or GAP */
};

/** Begins with a snapshot, for the plan's target. */
void replay_begin(struct replay *self, const struct manifest *snapshot,
                  const struct target *target);

/**
 * Goes on to the next slot of the plan, as it was read and checked; `hash` is slot_hash() of its
 * bytes. OK; CORRUPT: it is not the slot that follows the one before it; END: its process took over
 * changes that are missing, so the state ends before it, as after GAP. Then `errmsg` has a line.
 */
enum status replay_slot(struct replay *self, const struct slot_header *header,
                        const uint8_t hash[static HASH128_BYTES],
                        const struct plan_step *step) MUST_CHECK;

/**
 * Judges the next batch of that slot. With APPLY its first `*count` records belong to the state;
 * those up to what last_lsn was before are there already. After GAP or DONE nothing more is to be
 * asked.
 */
enum replay_verdict replay_batch(struct replay *self, const struct slot_batch *batch,
                                 uint32_t *count) MUST_CHECK;

/** True when the state is one that the store has had: everything the rows may hold is replayed. */
bool replay_is_consistent(const struct replay *self);
