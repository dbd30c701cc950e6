/*
 * Restoring: the directory of a store is made from the archive.
 *
 *     snapshots, headers of slots ─▶ plan ─┬─ snapshot ─▶ rows    ─┐
 *                                          └─ slots ────▶ journal ─┴─▶ the next start replays it
 *
 * The archive is read from its newest snapshot on, and further back only when that one is of no
 * use. Every byte is checked on its way, and the data file gets its name last: what is cut short is
 * no store. The restored store goes on in an epoch, and with lsns, that the archive has never seen.
 *
 * The archive stays in use meanwhile. A hold (hold.h) keeps retention away; where none can be put,
 * and something turns out to have been deleted, all is looked at again.
 *
 * Nothing is written to the archive but that hold.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/gather.h"
#include "backup/manifest.h"
#include "backup/plan.h"
#include "base/file.h"

enum { RESTORE_TEXT_BYTES = 512 };

enum restore_stage { RESTORE_LOOKING, RESTORE_ROWS, RESTORE_CHANGES };

/* What was restored, or is going to be. */
struct restore_report {
    struct manifest snapshot; /* with which it begins */
    unsigned passed_over;     /* newer snapshots that are damaged */
    unsigned looks;           /* how often the archive was looked at; 1, unless it changed */
    bool is_unheld;           /* no hold could be put: `hold_text` says why */
    bool is_whole;            /* nothing that belongs to the target is known to be missing */
    uint64_t slots;           /* that are replayed */
    uint64_t slot_bytes;      /* as they are stored */
    uint64_t changes;         /* that were replayed; a dry run does not know */
    uint64_t last_lsn;        /* the last change of the state; of a dry run: at most */
    int64_t last_time_ms;     /* of the last change, or of the snapshot; of a dry run: at most */
    uint64_t lost_lsn; /* changes up to here were there once and cannot be had; 0: none known */
    uint64_t epoch;    /* in which the store goes on, at least */
    char text[RESTORE_TEXT_BYTES];        /* one line: where it ends and why */
    char passed_text[RESTORE_TEXT_BYTES]; /* why the last of those was passed over; "" */
    char hold_text[RESTORE_TEXT_BYTES];
};

struct restore_job {
    struct gather *gather;  /* borrowed, as all here; the caller's alone during the call */
    struct s3 *hold_client; /* renews the hold and deletes it in the end; NULL: none is put */
    struct target target;
    const char *data_dir; /* may be missing */
    const char *run_dir;  /* NULL: a private one in /tmp */
    uint64_t map_bytes;
    const struct file_ops *file;
    bool is_dry_run; /* finds out what would be restored, and whether it is there; writes nothing */
    /*
     * Takes the place of a store that is in the directory (store/replace.h): it stays until the new
     * one is complete, and is then removed. Files that are none of a store's stay.
     */
    bool is_forced;
    /* Told from time to time; `total` 0: not known. RESTORE_ROWS counts stored bytes,
     * RESTORE_CHANGES slots. May be NULL. */
    void (*progress)(void *arg, enum restore_stage stage, uint64_t done, uint64_t total);
    /* Told once it is clear what is going to be restored, and again when another snapshot has to
     * be taken. Of the report `text`, snapshot, slots and slot_bytes are known. May be NULL. */
    void (*planned)(void *arg, const struct restore_report *report);
    void *arg;
};

/**
 * Restores. OK: `*out` tells what. NOT_FOUND: the archive is empty; CORRUPT: it has nothing that
 * would lead to the target, since all is later or damaged; EXISTS: there is a store in the
 * directory, and it is not to be replaced; LOCKED: a process uses it; IO, NO_SPACE, NO_MEMORY,
 * TOO_LARGE (of the archive), AGAIN: the client was stopped. `out->text` then has a line, and the
 * directory has what it had. After a kill it has no store, or the old one, or the new one, and
 * never a mixture that starts. Blocks.
 */
enum status restore_run(const struct restore_job *job, struct restore_report *out) MUST_CHECK;
