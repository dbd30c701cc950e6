/*
 * What is due when: a binary heap of entries that are embedded in their owners. Adding entries in
 * the order of their times, as requests with one deadline are, costs one comparison.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct due_entry {
    int64_t at_ns; /* CLOCK_MONOTONIC; set by due_add() */
    size_t place;  /* in the heap + 1; 0 = not in it */
};

struct due {
    struct due_entry **entries; /* owned array of borrowed entries */
    size_t count;
    size_t room;
};

/** Adds an entry that is not in the heap; NO_MEMORY leaves all as it was. */
enum status due_add(struct due *self, struct due_entry *entry, int64_t at_ns) MUST_CHECK;

/** Moves an entry that is in the heap to another time. */
void due_move(struct due *self, struct due_entry *entry, int64_t at_ns);

/** Takes an entry out; fine when it is not in. */
void due_remove(struct due *self, struct due_entry *entry);

/** The earliest entry, or NULL. */
struct due_entry *due_first(const struct due *self);

void due_free(struct due *self);
