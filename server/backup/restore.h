/*
 * Restoring: the directory of a store is made from the archive.
 *
 *     manifests, headers of slots ─▶ plan ─┬─ snapshot ─▶ rows    ─┐
 *                                          └─ slots ────▶ journal ─┴─▶ the next start replays it
 *
 * Every byte is checked on its way, and the data file gets its name last: what is cut short is no
 * store. When a snapshot turns out to be damaged the next older one is taken, and the report says
 * so. The restored store goes on in an epoch, and with lsns, that the archive has never seen.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/archive.h"
#include "backup/manifest.h"
#include "backup/plan.h"
#include "base/file.h"

enum { RESTORE_TEXT_BYTES = 512 };

enum restore_stage { RESTORE_LOOKING, RESTORE_ROWS, RESTORE_CHANGES };

struct restore_job {
    struct archive *archive; /* borrowed, as all here; the caller's alone during the call */
    struct target target;
    const char *data_dir; /* has no store */
    const char *run_dir;  /* NULL: a private one in /tmp */
    uint64_t map_bytes;
    const struct file_ops *file;
    /* Told from time to time; `total` 0: not known. May be NULL. */
    void (*progress)(void *arg, enum restore_stage stage, uint64_t done, uint64_t total);
    void *arg;
};

/* What was restored. */
struct restore_report {
    struct manifest snapshot;
    unsigned passed_over; /* newer snapshots that were damaged */
    uint64_t slots;
    uint64_t changes;
    uint64_t last_lsn;
    int64_t last_time_ms; /* of the last change, or of the snapshot */
    uint64_t lost_lsn;    /* changes up to here were there once and cannot be had; 0: none known */
    char text[RESTORE_TEXT_BYTES];        /* one line: where it ends and why */
    char passed_text[RESTORE_TEXT_BYTES]; /* why the last of those was passed over; "" */
};

/**
 * Restores. OK: `*out` tells what. NOT_FOUND: the archive is empty, or begins after the target;
 * EXISTS: there is a store in the directory, and it is not to be cleared; LOCKED: a process uses
 * it; CORRUPT: everything that would serve is damaged; IO, NO_SPACE, NO_MEMORY, AGAIN: the client
 * was stopped. `out->text` then has a line, and the directory is empty, or as it was. Blocks.
 */
enum status restore_run(const struct restore_job *job, struct restore_report *out) MUST_CHECK;
