/* Decimal integers in fields: `0` or an optional minus, a digit from 1 to 9 and more digits. There
 * is one spelling for each number, so incrementing by 0 never changes a byte. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "satchel/protocol.h"

enum { NUMBER_BYTES_MAX = 20 }; /* -9223372036854775808 */

/** Reads a number. OK; NOT_A_NUMBER: another spelling or other bytes; OUT_OF_RANGE: a number that
 *  does not fit. */
enum satchel_status number_parse(struct view text, int64_t *out);

/** Writes a number into `digits` and returns the part of it that was used. */
struct view number_format(int64_t number, uint8_t digits[NUMBER_BYTES_MAX]);
