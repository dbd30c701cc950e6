/*
 * Replacing the store of a directory by another one, as a forced restore does.
 *
 *     DIR/data-7.mdb  DIR/journal/…              the store that is there, locked
 *     DIR/restoring/data-9.mdb  …/journal/…      the one that is made meanwhile
 *
 *     1  restoring/data-9.mdb ─▶ DIR/data-9.mdb.new     the old store still starts until here
 *     2  the old data files   ─▶ DIR/replaced-1/        from here on none does
 *     3  the old segments     ─▶ DIR/replaced-1/journal/
 *     4  the new segments     ─▶ DIR/journal/
 *     5  data-9.mdb.new       ─▶ DIR/data-9.mdb         from here on the new one does
 *     6  restoring/ and replaced-1/ are removed
 *
 * Whoever is killed anywhere leaves the old store, or the new one, or a directory on which none
 * starts: an unfinished data file stands in the way. Then everything of the old one is in
 * replaced-1/ and DIR/journal/, and another restore begins anew. Before step 1 the new store is
 * complete and durable, before step 6 nothing is deleted, and what is none of a store's files is
 * never touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"
#include "base/status.h"

struct replacing; /* opaque */

struct replace_options {
    const char *data_dir;        /* has a store, or what is left of one */
    const struct file_ops *file; /* borrowed */
    bool is_trial;               /* only finds out whether a process uses it */
};

/**
 * Locks the store that is there until replace_close(), and makes an empty directory for the new
 * one, on which an import may begin. OK; LOCKED: a process uses it; IO, NO_SPACE, NO_MEMORY:
 * `errmsg` has a line. One thread.
 */
enum status replace_begin(const struct replace_options *options, struct replacing **out,
                          char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Where the new store is to be made; valid until replace_close(). */
const char *replace_dir(const struct replacing *self);

/** Puts the new store, which is complete, in the place of the old one. OK; NOT_FOUND: there is
 * none; IO, NO_SPACE, NO_MEMORY: `errmsg` says where things are then. */
enum status replace_finish(struct replacing *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Removes what was made and not finished, and frees `self`; NULL is fine. */
void replace_close(struct replacing *self);
