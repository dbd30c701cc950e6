/* A binary heap of times. */
#include "client/async_due.h"

#include <stdlib.h>

static void put(struct due *self, size_t index, struct due_entry *entry)
{
    self->entries[index] = entry;
    entry->place = index + 1;
}

/* Both move `entry`, for which there is a hole at `index`, to where it belongs. */
static size_t rise(struct due *self, size_t index, struct due_entry *entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (self->entries[parent]->at_ns <= entry->at_ns) {
            break;
        }
        put(self, index, self->entries[parent]);
        index = parent;
    }
    put(self, index, entry);
    return index;
}

static void sink(struct due *self, size_t index, struct due_entry *entry)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count &&
            self->entries[child + 1]->at_ns < self->entries[child]->at_ns) {
            child++;
        }
        if (entry->at_ns <= self->entries[child]->at_ns) {
            break;
        }
        put(self, index, self->entries[child]);
        index = child;
    }
    put(self, index, entry);
}

enum status due_add(struct due *self, struct due_entry *entry, int64_t at_ns)
{
    if (self->count == self->room) {
        size_t room = self->room == 0 ? 16 : self->room * 2;
        struct due_entry **entries = realloc(self->entries, room * sizeof(struct due_entry *));
        if (entries == NULL) {
            return STATUS_NO_MEMORY;
        }
        self->entries = entries;
        self->room = room;
    }
    entry->at_ns = at_ns;
    (void)rise(self, self->count++, entry);
    return STATUS_OK;
}

void due_move(struct due *self, struct due_entry *entry, int64_t at_ns)
{
    size_t index = entry->place - 1;
    entry->at_ns = at_ns;
    if (rise(self, index, entry) == index) {
        sink(self, index, entry);
    }
}

void due_remove(struct due *self, struct due_entry *entry)
{
    if (entry->place == 0) {
        return;
    }
    size_t index = entry->place - 1;
    entry->place = 0;
    struct due_entry *last = self->entries[--self->count];
    if (last != entry && rise(self, index, last) == index) {
        sink(self, index, last);
    }
}

struct due_entry *due_first(const struct due *self)
{
    return self->count > 0 ? self->entries[0] : NULL;
}

void due_free(struct due *self)
{
    free(self->entries);
    *self = (struct due){0};
}
