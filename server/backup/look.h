/*
 * Looking at an archive to see what a restore would begin with: as little of it as that takes.
 *
 * Blocks; one thread at a time, that of the gather.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/plan.h"
#include "backup/survey.h"

enum { LOOK_TEXT_BYTES = 512 };

/*
 * What is known of the archive so far: all snapshots, and the headers of some slots that lie behind
 * each other. It grows backwards, to older snapshots, and forwards, until the target is in it.
 */
struct look {
    struct survey survey;
    struct manifest *manifests; /* owned; the good ones, by their place in the log, newest first */
    bool *spoiled;              /* owned; of each: it was tried and is of no use */
    size_t manifest_count;
    size_t in_view;          /* so many of them are in view: the first … */
    struct plan_slot *slots; /* owned; … and these slots, from the oldest one's next_seq on */
    size_t slot_count;
    size_t slot_cap;
    size_t first_slot; /* index of slots[0] in the survey's */
    uint64_t epoch_max;
    uint64_t lsn_max;
    char text[LOOK_TEXT_BYTES]; /* one line, when a call below failed */
};

/** Looks at the snapshots; afterwards look_close() has to be called. NOT_FOUND: the archive is
 *  empty; CORRUPT: it has not one snapshot that is good; and what the survey answers. */
enum status look_begin(struct look *self, struct gather *gather) MUST_CHECK;

/**
 * Takes the next older snapshots into view that may serve for the target, and what lies behind
 * them. END: there is none.
 */
enum status look_back(struct look *self, const struct target *target) MUST_CHECK;

/** Takes all snapshots into view, and all slots behind the oldest. END: they are. */
enum status look_at_all(struct look *self) MUST_CHECK;

/** Makes a plan of as much as it takes; `out` is to be freed. OK, also when there is none. */
enum status look_plan(struct look *self, const struct target *target, struct plan *out) MUST_CHECK;

void look_close(struct look *self);
