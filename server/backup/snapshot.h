/*
 * Taking a snapshot: the sessions of a store that goes on serving, as one object of the archive.
 *
 *     store_export_part() ─▶ rows stream ─▶ zstd, hashed ─▶ parts of 8 MiB ─▶ complete ─▶ manifest
 *
 * The rows are read by short reads between the store's checkpoints, so nothing waits for a snapshot
 * and its data file does not grow for it. What changes meanwhile may be in the rows or not; the log
 * has it in any case, which is what makes the snapshot whole (manifest.h).
 *
 * The manifest is written last, after the object is complete: whatever is cut short does not exist.
 */
#pragma once

#include <stdint.h>

#include "backup/manifest.h"
#include "backup/s3.h"
#include "base/clock.h"
#include "store/store.h"

enum { SNAPSHOT_ERRMSG_BYTES = 512 };

/* How far it is. */
struct snapshot_progress {
    uint64_t sessions;       /* read */
    uint64_t sessions_about; /* there were when it began */
    uint64_t sent_bytes;     /* compressed */
};

/* What a snapshot is taken of, and where it goes. */
struct snapshot_job {
    struct s3 *s3;             /* borrowed, as all here; the caller's alone during the call */
    struct store *store;       /* serves */
    const struct clock *clock; /* the wall clock the log's times are from */
    uint64_t from_lsn;         /* the log has every change up to it, in slots before next_seq … */
    uint64_t next_seq;         /* … and every later one from this slot on, then or soon */
    /* Told now and then, on the thread of snapshot_take(). NULL: nobody wants to know. */
    void (*progress)(void *arg, const struct snapshot_progress *progress);
    void *arg;
};

/**
 * Writes a checkpoint, then the snapshot. OK: `*out` tells what was stored. AGAIN: the store or the
 * client is stopping; IO: the storage failed, NO_SPACE: the checkpoint did not fit on the disk,
 * NO_MEMORY, CORRUPT: the data file; `errmsg` has a line, and parts that were sent are thrown away
 * as far as the storage can be reached. Blocks for as long as it takes.
 */
enum status snapshot_take(const struct snapshot_job *job, struct manifest *out,
                          char errmsg[static SNAPSHOT_ERRMSG_BYTES]) MUST_CHECK;
