/*
 * What to restore: which snapshot, and how far which slots carry it towards a target.
 *
 * The slots of an archive are one line, but the history they tell is a tree: a process that starts
 * from an earlier state (its base lsn) abandons what others wrote behind that.
 *
 *     slot   0  1  2  3  4  5  6
 *            A  A  A  B  B  C  C         process A   changes 1-100
 *                                        process B   base 60, changes 200-220
 *     1 ── 60 ── 100                     process C   base 210, changes 300-…
 *           └─ 200 ─ 210 ─ 220
 *                     └─ 300 ─ …         the state at 300 is made of 1-60, 200-210 and 300
 *
 * The walk goes along the line from a snapshot's next_seq and stops at the target:
 *
 *   latest   behind the last slot
 *   lsn N    behind the last change up to N: the state that the store had when N was the newest
 *            change, also where N was abandoned later. An N above everything is the latest state
 *   time T   before the first batch, or fence, that is later than T
 *
 * or earlier: where a slot is missing or damaged, or changes are, or where slots do not belong
 * together. What a process on the walk abandoned is void: it counts for the order, not for the
 * state. Where the walk cannot reach the processes that follow before the target, what they
 * abandoned is void nevertheless.
 *
 * A snapshot is usable when
 *   1. it is not later than the target: through_lsn <= N, or time_ms <= T;
 *   2. nothing it may hold is void: no process after its own, before the target, has abandoned
 *      changes up to its through_lsn;
 *   3. it is not beside the target: no changes that the target has and it lacks lie before its
 *      slots;
 *   4. the walk reaches its through_lsn, from where on it is a state the store has had.
 *
 * Everything here works on the slots' headers. Changes can be missing inside a slot, and a time or
 * lsn lies somewhere in one; so the replay has the last word (replay.h), and when it says that the
 * state is not a whole one, the plan is asked for the next older snapshot.
 *
 * What the archive does not tell cannot be planned with. A process that never shipped what it had
 * last, and whose successor began at an earlier state, leaves no trace of it; and of a process
 * whose first slot comes late, what it had before counts from its first change that is in the
 * archive.
 *
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/slot.h"

enum target_kind { TARGET_LATEST, TARGET_LSN, TARGET_TIME };

struct target {
    enum target_kind kind;
    uint64_t lsn;    /* TARGET_LSN */
    int64_t time_ms; /* TARGET_TIME */
};

/* A slot that is there. */
struct plan_slot {
    uint64_t seq;
    bool is_damaged;           /* `header` means nothing then */
    struct slot_header header; /* at least this was read */
};

struct plan_input {
    const struct manifest *manifests; /* borrowed; good ones, in any order */
    size_t manifest_count;
    const struct plan_slot *slots; /* borrowed; by ascending seq, those that are missing left out */
    size_t slot_count;
    struct target target;
    const bool *spoiled; /* borrowed; of each manifest: its snapshot was tried and is of no use;
                            NULL: none is */
};

/* Where the walk ends. name, text */
#define PLAN_ENDS(X)                                                                               \
    X(TARGET, "the target is reached")                                                             \
    X(ARCHIVE, "the archive ends")                                                                 \
    X(ABSENT, "the change asked for is not in the archive, the last one before it is reached")     \
    X(MISSING, "a slot is missing")                                                                \
    X(DAMAGED, "a slot is damaged")                                                                \
    X(GAP, "changes are missing between two slots")                                                \
    X(FORK, "a slot does not belong to those before it")

enum plan_end {
#define X(name, text) PLAN_END_##name,
    PLAN_ENDS(X)
#undef X
};

/** A string constant. */
const char *plan_end_text(enum plan_end end);

/* A slot to replay. */
struct plan_step {
    size_t slot;       /* index into the input's slots */
    uint64_t keep_lsn; /* changes of this slot above it are void; UINT64_MAX: none are */
    bool is_void;      /* its process was abandoned as a whole: what it took over does not matter */
};

enum { PLAN_TEXT_BYTES = 256 };

struct plan {
    bool is_found;   /* there is a usable snapshot; otherwise only the two texts mean something */
    bool is_settled; /* see plan_make() */
    size_t manifest; /* index of the snapshot to begin with */
    struct plan_step *steps; /* owned; the last may be one that only shows where the target is */
    size_t step_count;
    struct target target; /* for the replay */
    enum plan_end end;
    uint64_t end_seq;  /* the slot that the walk does not pass, or whose middle it ends in */
    uint64_t last_lsn; /* the state's last change, or an upper bound: a time may end inside a slot,
                          and lsns may be missing inside one */
    uint64_t lost_lsn; /* changes up to here are known to have been, before the target, and cannot
                          be had; 0: nothing is known to be lost */
    const char **refused; /* owned; for each manifest of the input a string constant that says why
                             it is not usable, or NULL */
    char text[PLAN_TEXT_BYTES]; /* one line about all this */
};

/**
 * Makes a plan. OK, also when there is no usable snapshot; or NO_MEMORY. `out` is to be freed.
 *
 * It is settled when older snapshots, and the slots before those of the input, could not make it
 * better: the target is reached, or what is in the way is in the way of older snapshots as well. So
 * an archive is read from its newest snapshot back until the plan is settled.
 */
enum status plan_make(const struct plan_input *input, struct plan *out) MUST_CHECK;

/** Gives the memory back; the plan is zeroed. A zeroed plan is fine. */
void plan_free(struct plan *self);
