/* Hex digits. */
#include "backup/hex.h"

static bool take_digit(char c, unsigned *out)
{
    if (c >= '0' && c <= '9') {
        *out = (unsigned)(c - '0');
        return true;
    }
    *out = (unsigned)(c - 'a') + 10;
    return c >= 'a' && c <= 'f';
}

void hex_put(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

bool hex_bytes(const char *text, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t byte;
        if (!hex_number(text + 2 * i, 2, &byte)) {
            return false;
        }
        out[i] = (uint8_t)byte;
    }
    return true;
}

bool hex_number(const char *text, unsigned digits, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < digits; i++) {
        unsigned digit;
        if (!take_digit(text[i], &digit)) {
            return false;
        }
        number = number << 4 | digit;
    }
    *out = number;
    return true;
}
