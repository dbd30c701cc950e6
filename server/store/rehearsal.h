/* A rehearsal of recovery: would a store start on these files, and with what? */
#pragma once

#include <stdint.h>

#include "base/file.h"
#include "base/status.h"
#include "store/rows.h"

struct rehearsal {
    const char *data_dir;        /* borrowed, as all below */
    const char *journal_dir;     /* of it */
    const char *data_file;       /* of it */
    const struct file_ops *file; /* must not write anything; see rows_options.read_only */
    int64_t now_ms;              /* decides what has expired */
};

struct rehearsed {
    uint64_t live;     /* sessions that would be served */
    uint64_t expired;  /* sessions that are there and would not be */
    uint64_t replayed; /* changes that are only in the journal */
    uint64_t last_lsn;
};

/** Rebuilds the table in memory as recovery does, values left out, and throws it away. CORRUPT and
 *  others: a store would not start, and `errmsg` says why in recovery's own words. */
enum status rehearse_recovery(const struct rehearsal *rehearsal, struct rehearsed *out,
                              char *errmsg, size_t errmsg_bytes) MUST_CHECK;
