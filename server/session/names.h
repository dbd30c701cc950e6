/*
 * A set of names with their positions, for finding duplicates in fields and the target of an
 * operation without comparing everything with everything. It lives on the caller's stack, borrows
 * the names and needs no clean-up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct name_entry {
    uint64_t hash;
    struct view name; /* borrowed */
};

struct names {
    struct name_entry *entries; /* borrowed; room for as many names as are added */
    uint16_t *slots;            /* borrowed; position + 1, 0 = free */
    size_t slots_mask;
    size_t count;
};

/** How many slots names_init() needs for `names_max` names: a power of two, at most half full. */
#define NAMES_SLOTS(names_max) ((size_t)(names_max)*2)

enum { NAMES_NONE = -1 };

/** Makes an empty set for at most `names_max` names (1..16384) in the caller's arrays. `slots` has
 *  room for NAMES_SLOTS() of the next power of two of `names_max`; only what is needed is cleared.
 */
void names_init(struct names *self, struct name_entry *entries, uint16_t *slots, size_t names_max);

/** The position of `name`, which is added when it is new; `*added` tells. */
size_t names_add(struct names *self, struct view name, bool *added);

/** The position of `name`, or NAMES_NONE. */
ptrdiff_t names_find(const struct names *self, struct view name);
