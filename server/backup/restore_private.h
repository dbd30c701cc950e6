/* What the files of the restore share. Nobody else includes it. */
#pragma once

#include "backup/restore.h"
#include "backup/survey.h"

/* ---- Looking: restore_look.c ---- */

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
    char text[RESTORE_TEXT_BYTES]; /* one line, when a call below failed */
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

/* ---- Applying: restore_apply.c ---- */

struct store_import;
struct apply; /* opaque */

struct apply_job {
    const struct restore_job *job;
    const struct look *look;
    const struct plan *plan;
    struct store_import *import;
    struct restore_report *report;
};

/* How an attempt went. */
struct applied {
    bool is_gone; /* something that was listed is not there any more */
    bool is_off;  /* inside a slot it was otherwise than the headers let expect */
};

/**
 * Puts the plan's snapshot and slots into the import. OK: they make a state that the store has had;
 * CORRUPT: they do not; or what the import, the gather or memory answers. The report's text has a
 * line when it is not OK, or when it ended before the plan did.
 */
enum status apply_plan(const struct apply_job *job, struct applied *out) MUST_CHECK;
