/*
 * Imports: the directory of a store is made from sessions and changes, which came from a backup.
 *
 * The sessions become a data file, the changes a journal of earlier epochs, and the next start
 * replays them as after any crash. The data file gets its name last: a directory in which an import
 * was cut short has a journal and no data file, and no store starts on it.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "store/segment.h"
#include "store/store.h"

struct store_import; /* opaque */

struct store_import_options {
    const char *data_dir; /* exists or can be made; has no store */
    const char *run_dir;  /* local directory for LMDB's lock file; NULL: a private one in /tmp */
    uint64_t map_bytes;   /* LMDB's map size: the largest data file */
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t hash_seed;
    uint64_t epoch;       /* higher than any that this store ever had */
    uint64_t applied_lsn; /* the sessions have all changes up to it; later ones, too, perhaps */
    uint64_t last_lsn;    /* not lower than any that this store ever gave out */
    const struct file_ops *file; /* borrowed */
};

/**
 * Begins, in the place of an import that was cut short. EXISTS: there is a store in the directory;
 * IO, NO_SPACE, NO_MEMORY, LOCKED. `errmsg` holds a line. The caller owns `*out` until one of the
 * functions that end it. One thread.
 */
enum status store_import_begin(const struct store_import_options *options,
                               struct store_import **out, char *errmsg,
                               size_t errmsg_bytes) MUST_CHECK;

/** Whether an import may begin there: OK; EXISTS: there is a store, or a journal that was one's;
 *  IO. `errmsg` holds a line. What an import left that was cut short does not count. */
enum status store_import_check(const char *data_dir, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Adds a session by its image (image.h); each one once. INVALID, UNSUPPORTED: not an image. */
enum status store_import_session(struct store_import *self, struct view image) MUST_CHECK;

/**
 * Adds changes that come after all changes added before. Those that a session has already are
 * skipped at the start. INVALID: some are missing between the last ones, or applied_lsn, and these.
 */
enum status store_import_changes(struct store_import *self,
                                 const struct store_changes *changes) MUST_CHECK;

/** Why the last call failed, one line. */
const char *store_import_error(const struct store_import *self);

/** Makes all of it durable and a store; frees `self` in any case. When it fails nothing is left in
 *  the directory, as after store_import_abort(). */
enum status store_import_finish(struct store_import *self, char *errmsg,
                                size_t errmsg_bytes) MUST_CHECK;

/** Removes what was written and frees `self`; NULL is fine. */
void store_import_abort(struct store_import *self);

/** Removes what an import that was cut short, or a store that is given up, has in a directory.
 *  LOCKED: a process uses it. `errmsg` holds a line. */
enum status store_import_clear(const char *data_dir, const struct file_ops *file, char *errmsg,
                               size_t errmsg_bytes) MUST_CHECK;
