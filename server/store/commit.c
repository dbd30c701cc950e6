/* Changes on their way into the table. */
#include "store/commit.h"

#include <assert.h>

bool change_prepare(const struct slot *slot, const struct change *change, struct entry **fresh)
{
    const struct entry *entry = slot == NULL ? NULL : slot->entry;
    *fresh = NULL;
    if ((change->kind != CHANGE_PUT && change->kind != CHANGE_PATCH) ||
        (entry != NULL && !entry->tombstone && entry_fits(entry, &change->next))) {
        return true;
    }
    *fresh = entry_new(&change->next, true);
    return *fresh != NULL;
}

static void place_session(struct shard *shard, uint64_t hash, struct slot **slot,
                          struct entry *fresh, const struct change *change, uint64_t lsn)
{
    if (fresh == NULL) {
        struct session next = change->next;
        next.version = lsn;
        entry_assign((*slot)->entry, &next);
    } else {
        fresh->version = lsn & SESSION_VERSION_MAX;
        if (*slot == NULL) {
            *slot = shard_insert(shard, hash, fresh);
        } else {
            shard_replace(shard, *slot, fresh);
        }
    }
    shard_changed(shard, *slot);
}

static void place_times(struct shard *shard, struct slot *slot, const struct change *change,
                        uint64_t lsn)
{
    struct entry *entry = slot->entry;
    entry->expires_ms = (uint64_t)change->next.expires_ms & ((UINT64_C(1) << 44) - 1);
    entry->idle_ttl_ms = change->next.idle_ttl_ms & ((UINT64_C(1) << 39) - 1);
    if (lsn != 0) {
        shard->touch_lsn = lsn;
        entry->touched = 1;
        shard_changed(shard, slot);
    } else { /* what LMDB and journal have still covers it: in memory only */
        slot_set_expiry(slot);
    }
}

void change_place(struct shard *shard, uint64_t hash, struct slot **slot, struct entry *fresh,
                  const struct change *change, uint64_t lsn)
{
    switch (change->kind) {
    case CHANGE_PUT:
    case CHANGE_PATCH:
        place_session(shard, hash, slot, fresh, change, lsn);
        break;
    case CHANGE_TOUCH:
        assert(*slot != NULL && (*slot)->entry != NULL); /* a touch changes what is there */
        place_times(shard, *slot, change, lsn);
        break;
    case CHANGE_DELETE:
        shard_bury(shard, *slot, lsn);
        break;
    case CHANGE_NONE:
        break;
    }
}
