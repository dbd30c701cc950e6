/*
 * Pruning: the objects that retention.h gives up are deleted.
 *
 *     survey ─▶ decision ─▶ manifests ─▶ rows ─▶ slots, the oldest first ─▶ uploads left behind
 *
 * A manifest goes before what it stands for, and no slot goes before every snapshot that needs it
 * has: whatever moment this ends at, what is left is a shorter archive, and a whole one. Holds are
 * looked for again before each request that deletes, a thousand objects at most.
 *
 * The latest state, and every other that a snapshot that stays leads to, can be restored as before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/archive.h"
#include "backup/place.h"
#include "backup/retention.h"
#include "backup/survey.h"

enum { PRUNE_TEXT_BYTES = 512 };

enum prune_stage { PRUNE_LOOKING, PRUNE_DELETING };

struct prune_job {
    struct archive *archive; /* borrowed, as all here; the caller's alone during the call */
    struct place *place; /* for more connections to read with; NULL: the archive's client alone */
    struct stop *stop;   /* the one that ends the archive's client: ends those as well */
    struct retention_policy policy;
    bool is_dry; /* decide, delete nothing */
    /* Told from time to time; `total` 0: not known. May be NULL. */
    void (*progress)(void *arg, enum prune_stage stage, uint64_t done, uint64_t total);
    /* Told of each snapshot when it is decided, in the order of their names: why it stays, or NULL:
     * it goes. Both valid during the call. May be NULL. */
    void (*snapshot)(void *arg, const struct survey_snapshot *snapshot, const char *stays);
    void *arg;
};

/* What was done; in a dry run, what would be. */
struct prune_report {
    uint64_t snapshots_kept; /* with a manifest */
    uint64_t snapshots_gone;
    uint64_t orphans_gone; /* rows without a manifest */
    uint64_t slots_gone;
    uint64_t uploads_gone; /* begun more than a day ago and never completed */
    uint64_t holds_gone;   /* void ones */
    uint64_t bytes_kept;   /* of snapshots: how much of the log stays is not looked at */
    uint64_t bytes_gone;
    uint64_t objects_gone;
    uint64_t keep_seq;              /* the log is kept from this slot on; 0: all of it */
    bool is_useless;                /* nothing in the archive leads to its latest state */
    char nothing[PRUNE_TEXT_BYTES]; /* why nothing may go, or no more than went; or "" */
    char text[PRUNE_TEXT_BYTES];    /* why it failed, one line */
};

/**
 * Prunes. OK, also when nothing may go. IO: the storage failed or denies access; AGAIN: the client
 * was stopped; NO_MEMORY: `out->text` has a line and `out` what was done until then; what is left
 * is whole, and the next call goes on. Blocks; in the server, not on a thread that ships.
 */
enum status prune_run(const struct prune_job *job, struct prune_report *out) MUST_CHECK;
