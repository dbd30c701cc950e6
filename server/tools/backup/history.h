/*
 * What the slots of a log tell, kept small: enough to follow it from any snapshot as a restore
 * would, without having the changes. Batches that continue each other count as one.
 *
 * Memory: about 250 bytes a slot. No I/O; one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/plan.h"
#include "backup/slot.h"

enum { HISTORY_TEXT_BYTES = 256 };

struct history_batch {
    uint64_t follows_lsn;
    uint64_t first_lsn;
    int64_t time_ms; /* of the last */
    uint32_t count;
};

/* What plan_slot does not have. */
struct history_slot {
    uint8_t hash[HASH128_BYTES];
    size_t batch_begin; /* in `batches` */
    uint32_t batch_count;
};

/* Zeroed before first use. Reading is free. */
struct history {
    struct plan_slot *slots;       /* owned, as all here; by ascending seq */
    struct history_slot *contents; /* of each */
    size_t slot_count;
    size_t slot_cap;
    struct history_batch *batches;
    size_t batch_count;
    size_t batch_cap;
    struct slot slot; /* for reading */
    char problem[HISTORY_TEXT_BYTES];
};

/**
 * Adds the next slot, with all its bytes (none, when it is known to be unreadable, for which `why`
 * is the reason; otherwise NULL). OK: `problem` is "" or says what is wrong with it, which makes it
 * a damaged one; or NO_MEMORY.
 */
enum status history_add(struct history *self, uint64_t seq, struct view bytes,
                        const char *why) MUST_CHECK;

/* Where the way from a snapshot leads. */
struct history_way {
    bool is_whole;                 /* a state is reached that the store has had */
    bool is_latest;                /* … and from there on the way leads to the latest one */
    bool has_gap;                  /* changes are missing where it ends */
    uint64_t last_lsn;             /* with the last change … */
    int64_t last_ms;               /* … of this time; of the snapshot itself: when it was over */
    uint64_t end_seq;              /* the slot that it does not pass */
    char text[HISTORY_TEXT_BYTES]; /* one line: why it ends, or why it is not whole */
};

/** Follows the log from a snapshot: to the latest state, or, where that does not go on from it, to
 *  the snapshot's own end. OK or NO_MEMORY. */
enum status history_follow(const struct history *self, const struct manifest *manifest,
                           struct history_way *out) MUST_CHECK;

/** Forgets all slots, and keeps the memory. */
void history_clear(struct history *self);

/** Gives the memory back; the history is zeroed. */
void history_free(struct history *self);
