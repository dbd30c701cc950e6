/* Decimal integers in fields. */
#include "session/number.h"

enum satchel_status number_parse(struct view text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t first = negative ? 1 : 0;
    size_t digits = text.len - first;
    if (digits == 0 || (text.ptr[first] == '0' && text.len > 1)) {
        return SATCHEL_NOT_A_NUMBER;
    }
    int64_t number = 0;
    bool fits = true;
    for (size_t i = first; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return SATCHEL_NOT_A_NUMBER;
        }
        /* Downwards, because the negative side reaches one further. */
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_sub_overflow(number, text.ptr[i] - '0', &number);
    }
    if (!fits || (!negative && number == INT64_MIN)) {
        return SATCHEL_OUT_OF_RANGE;
    }
    *out = negative ? number : -number;
    return SATCHEL_OK;
}

struct view number_format(int64_t number, uint8_t digits[NUMBER_BYTES_MAX])
{
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    uint8_t *at = digits + NUMBER_BYTES_MAX;
    do {
        *--at = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (number < 0) {
        *--at = '-';
    }
    return view_of(at, (size_t)(digits + NUMBER_BYTES_MAX - at));
}
