/*
 * Carrying out changes that were decided, in three steps: first what may fail, then the journal,
 * then what cannot fail. All with the shard locked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"
#include "store/table.h"

/** True when the change is to be journalled; a touch may be one that the journal covers already. */
static inline bool change_is_journalled(const struct change *change)
{
    return change->kind != CHANGE_NONE && (change->kind != CHANGE_TOUCH || change->journal_touch);
}

/** Gets the memory that a change takes: `*fresh` is a new entry, or NULL when none is needed.
 * False: there is no memory. `slot` may be NULL. */
bool change_prepare(const struct slot *slot, const struct change *change,
                    struct entry **fresh) MUST_CHECK;

/**
 * Carries out a prepared change whose record has the number `lsn` (0: it is not journalled); room
 * for it was reserved. `*slot` is that of the id, or NULL, and is where the entry is afterwards.
 */
void change_place(struct shard *shard, uint64_t hash, struct slot **slot, struct entry *fresh,
                  const struct change *change, uint64_t lsn);
