/*
 * Looking at a data directory while a store may be writing it, from any process and any host, with
 * nothing but reads: no lock, no lock file, no word to the store.
 *
 * A look reads the rows and then the journal, and finds things wrong or not. Beside a store it
 * counts or has to be repeated:
 *
 * 1. Rows. LMDB copies on write. If at most one transaction was committed between the beginning of
 *    the look and its end, every page it has read is one of a tree that nobody has touched (the
 *    argument is at pages_txnid()). Otherwise what was read may be anything.
 *
 * 2. Journal. The state that a look finds is one that a killed process might have left, which
 *    recovery is made for, but for three things: a segment that a checkpoint covers is removed or
 *    used again, so it vanishes, or its frames do; a checkpoint that ends between rows and journal
 *    lets segments go that those rows still needed; and a frame that was not there yet when its
 *    place was read may be known as durable to one behind it, read a moment later. All of them only
 *    take something away. So what is complete is right, whatever went on meanwhile.
 *
 * 3. Something wrong counts only if the rows are the same transaction's at the end, which excludes
 *    the second thing in 2, and if the look before has found exactly the same: what a store changes
 *    meanwhile looks different from one look to the next, and what has rotted does not.
 *
 * A store checkpoints every few minutes, and a look takes seconds. One that never stands still for
 * so long cannot be judged.
 */
#pragma once

#include "tools/place.h"

/**
 * Looks once, from nothing. `no_data_file` says why place->data_file is NULL. Returns 0 when
 * everything could be read and nothing is wrong; otherwise a number that stands for all that is,
 * the same for the same findings. May return early, with anything, when place_change() is
 * PLACE_CHANGED.
 */
typedef uint64_t (*look_fn)(void *arg, const struct place *place, const char *no_data_file);

struct looks {
    unsigned count;                /* how often it was looked */
    bool is_beside;                /* the look that counts was beside a running store */
    char owner[PLACE_OWNER_BYTES]; /* which then is this one's; "" when it is not known */
};

/** Looks until it counts. OK; AGAIN: no look of many did; otherwise the directory cannot be opened.
 *  `errmsg` then says why, in one line. Takes as long as the looks do and a few seconds. */
enum status looks_take(struct looks *self, const char *dir, look_fn look, void *arg, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;
