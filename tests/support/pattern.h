/*
 * Values that prove themselves: from the value alone it can be said whether it is whole, whose it
 * is and which of the values that its owner wrote.
 *
 *     { session u32 | number u32 | length u32 | check u32 } then bytes that follow from these
 *
 * Values shorter than the header are its first bytes: those can only be compared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { PATTERN_HEADER_BYTES = 16 };

/** Writes the `len` bytes of value `number` of `session` to `out`. */
void pattern_fill(uint8_t *out, size_t len, uint32_t session, uint32_t number);

/** True when `value` is exactly what pattern_fill() writes. */
bool pattern_matches(struct view value, size_t len, uint32_t session, uint32_t number);

/** True when `value` is whole, whichever it is; then `*session` and `*number` say which. False for
 *  everything shorter than the header. */
bool pattern_read(struct view value, uint32_t *session, uint32_t *number);

/** The next number of a reproducible sequence; `*state` is any number at first. */
uint64_t pattern_random(uint64_t *state);
