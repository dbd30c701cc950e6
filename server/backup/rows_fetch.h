/*
 * Fetching the rows of a snapshot: read in parts, decompressed, decoded, and compared with what the
 * manifest says, down to every row. Restoring and verifying do the same here, so that what verifies
 * is what restores.
 */
#pragma once

#include "backup/gather.h"
#include "backup/manifest.h"

enum { ROWS_FETCH_TEXT_BYTES = 256 };

struct rows_fetch_job {
    struct gather *gather;           /* borrowed, as all here */
    const struct manifest *manifest; /* of the snapshot */
    /* Takes each row, valid during the call; any answer but OK ends it all. NULL: nobody wants
     * them. */
    enum status (*row)(void *arg, struct view image);
    /* Told how many bytes of the object have been taken. */
    void (*progress)(void *arg, uint64_t stored_bytes);
    void *arg;
};

/**
 * Fetches them, 8 MiB a request and never much more in memory than the gather's window. OK: it is
 * all there, and right; only then is anything that `row` got to be believed. CORRUPT: `why` has a
 * line; NOT_FOUND: the object is gone; IO, AGAIN, NO_MEMORY: gather->errmsg says why, unless it is
 * empty; or what `row` answered, and `why` is empty.
 */
enum status rows_fetch(const struct rows_fetch_job *job,
                       char why[static ROWS_FETCH_TEXT_BYTES]) MUST_CHECK;
