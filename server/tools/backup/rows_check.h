/* Whether the rows of a snapshot are what its manifest says, down to every row. */
#pragma once

#include "backup/gather.h"
#include "backup/manifest.h"

enum { ROWS_CHECK_TEXT_BYTES = 256 };

/** Told how many bytes have come. */
typedef void (*rows_check_fn)(void *arg, uint64_t bytes);

/**
 * Reads and checks them, 8 MiB a request and never much more in memory than the gather's window.
 * OK; CORRUPT: `why` has a line; NOT_FOUND: the object is gone; IO, AGAIN, NO_MEMORY: the gather
 * says why.
 */
enum status rows_check(struct gather *gather, const struct manifest *manifest, rows_check_fn each,
                       void *arg, char why[static ROWS_CHECK_TEXT_BYTES]) MUST_CHECK;
