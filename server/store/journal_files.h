/*
 * The journal of earlier epochs, as recovery finds it: which segments there are, what is in them,
 * and whether anything that was acknowledged is missing.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "store/record.h"
#include "store/segment.h"

struct journal_file {
    char *path; /* owned */
    uint64_t epoch;
    uint64_t number;
    struct segment_header header;
    bool usable; /* false: never finished being made, or caught while being recycled */
};

struct journal_files {
    const struct file_ops *file; /* borrowed */
    struct journal_file *items;  /* owned; in order of epoch and number */
    size_t count;
    uint64_t epoch_max; /* of all names, also of files that are not usable */
    uint64_t lsn_max;   /* of all headers: an epoch may have given lsns out and written none */
};

/** Lists the segments in `dir` and reads their headers. CORRUPT: a damaged header, or a segment of
 *  another store; `errmsg` names it. On failure nothing is left to free. */
enum status journal_files_list(struct journal_files *self, const char *dir,
                               const uint8_t uuid[STORE_UUID_BYTES], const struct file_ops *file,
                               char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Called for each record above applied_lsn in the order of lsns; borrows during the call. */
typedef enum status (*journal_replay_fn)(void *arg, uint64_t lsn, const struct record *record);

/**
 * Replays what is above `applied_lsn`. What it replayed is on stable storage when it returns, also
 * what a dead process had left in the page cache. `*last_lsn` becomes the last change found, or
 * applied_lsn. CORRUPT when changes are missing or damaged that were durable once, LOCKED when
 * another process still writes a segment; `errmsg` says which and where.
 */
enum status journal_files_replay(struct journal_files *self, uint64_t applied_lsn,
                                 journal_replay_fn visit, void *arg, uint64_t *last_lsn,
                                 char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Removes all segments that were listed; call when a checkpoint covers them. */
enum status journal_files_remove(struct journal_files *self) MUST_CHECK;

void journal_files_free(struct journal_files *self);
