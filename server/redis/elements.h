/*
 * What hashes and sets have in common: both are fields (session/fields.h), those of a set without
 * values. An element is a field of the one or a member of the other; it is named by 1 to 256 bytes.
 */
#pragma once

#include "redis/call.h"
#include "session/fields.h"
#include "session/names.h"

/** The elements of the command's only key, none when it is not there. False: it is of another kind,
 *  which has been answered. */
bool redis_elements(const struct redis_call *call, enum satchel_kind kind, struct view *out);

/** How many elements there are in well-formed content. */
size_t redis_element_count(struct view content);

/** The element of an argument; false when it is not there. `value` may be NULL. */
bool redis_find_element(struct view content, struct view name, struct view *value);

/* Elements by their names, for commands that ask for several of them. */
struct redis_element_lookup {
    struct view content;
    bool is_indexed; /* what follows is filled in */
    struct names names;
    struct name_entry entries[SATCHEL_FIELDS_MAX];
    uint16_t slots[NAMES_SLOTS(SATCHEL_FIELDS_MAX)];
    struct view values[SATCHEL_FIELDS_MAX];
};

/** Prepares for that many questions about well-formed content, which is borrowed. With many of them
 *  it makes an index first, so that not everything is compared with everything. */
void redis_element_lookup_init(struct redis_element_lookup *self, struct view content,
                               size_t questions);

/** As redis_find_element(). */
bool redis_element_lookup_find(const struct redis_element_lookup *self, struct view name,
                               struct view *value);

/* A change of the elements that arguments name. */
struct redis_element_change {
    enum satchel_kind kind;   /* of the session, which is made when there is none */
    enum satchel_field_op op; /* SET, SET_IF_ABSENT or DELETE */
    size_t first_arg;         /* the first name */
    size_t step;              /* from one name to the next; with 2 a value follows each name */
};

/**
 * Changes elements of the command's only key: all that the arguments name or none. `*difference` is
 * how many there are more than before, or fewer. A session that loses its last one is deleted.
 * False: nothing has changed, and why has been answered (another kind, a name that cannot be, too
 * large).
 */
bool redis_change_elements(const struct redis_call *call, const struct redis_element_change *change,
                           int64_t *difference);

/** The same for one element with a value that is no argument. */
bool redis_set_element(const struct redis_call *call, struct view name, struct view value);
