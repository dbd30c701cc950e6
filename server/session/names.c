/* Open addressing over positions; the full hash is compared before the bytes are. */
#include "session/names.h"

#include "base/hash.h"

void names_init(struct names *self, struct name_entry *entries, uint16_t *slots, size_t names_max)
{
    size_t slot_count = 2;
    while (slot_count < NAMES_SLOTS(names_max)) {
        slot_count *= 2;
    }
    memset(slots, 0, slot_count * sizeof *slots);
    *self = (struct names){.entries = entries, .slots = slots, .slots_mask = slot_count - 1};
}

/* The slot that holds `name`, or the free one where it belongs. Ends because at most half of the
 * slots are taken. */
static size_t find_slot(const struct names *self, uint64_t hash, struct view name)
{
    size_t slot = (size_t)hash & self->slots_mask;
    while (self->slots[slot] != 0) {
        const struct name_entry *entry = &self->entries[self->slots[slot] - 1];
        if (entry->hash == hash && view_equal(entry->name, name)) {
            break;
        }
        slot = (slot + 1) & self->slots_mask;
    }
    return slot;
}

size_t names_add(struct names *self, struct view name, bool *added)
{
    uint64_t hash = hash64(name, 0);
    size_t slot = find_slot(self, hash, name);
    *added = self->slots[slot] == 0;
    if (*added) {
        self->entries[self->count] = (struct name_entry){.hash = hash, .name = name};
        self->count++;
        self->slots[slot] = (uint16_t)self->count;
    }
    return (size_t)self->slots[slot] - 1;
}

ptrdiff_t names_find(const struct names *self, struct view name)
{
    return (ptrdiff_t)self->slots[find_slot(self, hash64(name, 0), name)] - 1;
}
