/*
 * One change of a cart as one atomic PATCH, made so that it can be sent again without harm.
 *
 * The problem. A store that dies, or a network that breaks, can leave "add one mug" without an
 * answer. It may have happened or not: not repeating it may lose a mug, repeating it may add two.
 * Reading the cart first does not help either, because the first attempt may still be on its way
 * and arrive after the read.
 *
 * The answer. Who wants the change gives it a key, `<since>-<random hex>`, and sends the same key
 * every time. The PATCH that makes the change also writes a marker field `.did:<key>`, and the
 * store refuses the PATCH as a whole when that marker is already there. So however often and
 * however late it arrives, it happens once.
 *
 * Refusing. A PATCH has no condition on a field, but INCREMENT has a range: it is refused, with all
 * that stands beside it, when the number would leave the 64 bits. To increment a field by
 * INT64_MAX - limit and back again therefore changes nothing, unless the field is above `limit`:
 * then the whole PATCH is refused with OUT_OF_RANGE. That one trick serves three times:
 *   - the marker must not be above 0: the change has not been made yet;
 *   - the quantity must not be above the largest allowed, whoever else adds at the same time;
 *   - `.forgot` must not be above the key's `since`, see below.
 * When a PATCH is refused, a read tells which of the three it was: a marker, once written, stays
 * until it is forgotten by name.
 *
 * Forgetting. Markers cannot be kept for ever. Above CHANGE_MARKERS_MAX the oldest are deleted, and
 * the same PATCH raises `.forgot` above the `since` of every one of them. `since` is the version of
 * the cart that the customer had seen when making the change. A key whose marker is gone is
 * thus refused (CHANGE_KEY_TOO_OLD) instead of being taken for a new one: the page then says that
 * it does not know, rather than guess. It takes more than CHANGE_MARKERS_KEPT other changes of the
 * same cart between an attempt and its repetition to get there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <satchel/satchel.h>

#include "cart.h"

enum {
    CHANGE_KEY_BYTES_MAX = 52,  /* 19 digits, a dash, 32 hex digits */
    CHANGE_FIELD_BYTES_MAX = 5, /* ".did:" before the key */
    CHANGE_MARKERS_MAX = 128,
    CHANGE_MARKERS_KEPT = 64,
    CHANGE_OPS_MAX = CHANGE_MARKERS_MAX + 8, /* more than a PATCH with all products or markers */
};

/** Identifies one change; `text` is empty when there is none: then nothing is recognised again. */
struct change_key {
    char text[CHANGE_KEY_BYTES_MAX + 1];
    int64_t since; /* version of the cart that was seen when the change was made */
};

/** Reads a key; false when `text` does not have the form. */
bool change_key_parse(const char *text, struct change_key *out);

enum change_kind { CHANGE_ADD, CHANGE_SET, CHANGE_REMOVE, CHANGE_CLEAR, CHANGE_CHECKOUT };

struct change {
    enum change_kind kind;
    const struct product *product; /* ADD, SET, REMOVE */
    int64_t quantity;              /* ADD, SET; 1 to the largest allowed */
    uint64_t seen_version;         /* CHECKOUT: what the customer wants to buy */
    int64_t order_number;          /* CHECKOUT: kept as the value of the marker */
    struct change_key key;
};

/** The operations of one PATCH; not to be copied, `list` points into the texts below it. */
struct change_ops {
    size_t count;
    struct satchel_op list[CHANGE_OPS_MAX];
    char marker[CHANGE_FIELD_BYTES_MAX + CHANGE_KEY_BYTES_MAX + 1];
    char marker_value[24];
    char quantity[24];
};

/** Fills `out` with the operations that make `change`; they borrow from `out` and the catalogue. */
void change_ops(const struct change *change, int64_t quantity_max, struct change_ops *out);

/** What the store remembers about a key. */
enum change_state { CHANGE_NOT_MADE, CHANGE_MADE, CHANGE_KEY_TOO_OLD };

/** Looks for `key` in a whole session. MADE: `*marker_value` (may be NULL) is what its marker
 *  holds. */
enum change_state change_state(const struct satchel_result *session, const struct change_key *key,
                               int64_t *marker_value);

/**
 * When a session has more than CHANGE_MARKERS_MAX markers, fills `out` with operations that forget
 * all but the newest CHANGE_MARKERS_KEPT and returns true. They borrow from `session`. It is safe
 * to apply them at any later time, in any order with others of their kind.
 */
bool change_forget_ops(const struct satchel_result *session, struct change_ops *out);
