/* Numbers and bytes as hex digits of a fixed count, lower case only. Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Writes 2 * len digits and a terminating zero. */
void hex_put(char *out, const uint8_t *bytes, size_t len);

/** Reads exactly 2 * len digits from the front of `text`; false when there is anything else. */
bool hex_bytes(const char *text, uint8_t *out, size_t len);

/** Reads exactly `digits` (at most 16) digits from the front of `text`; false when there is
 * anything else. */
bool hex_number(const char *text, unsigned digits, uint64_t *out);
