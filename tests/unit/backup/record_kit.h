/* Records and batches for the tests of what is in the archive. */
#pragma once

#include "backup/slot.h"

/** Appends the record of `id`, which becomes `content` as change `lsn`; ends the test if it cannot.
 */
void kit_put(struct buf *to, uint64_t lsn, const char *id, const char *content);

/** Appends the record of `id`'s end. */
void kit_delete(struct buf *to, const char *id);

/**
 * A batch of `count` changes, as different as there are kinds of them, whose records are put behind
 * what `records` has; they borrow from it, so it must not grow while the batch is used.
 */
struct slot_batch kit_batch(struct buf *records, uint64_t follows_lsn, uint64_t first_lsn,
                            uint32_t count, int64_t time_ms);
