/* Numbers as Redis spells them, and words in any case. */
#include "proto/resp.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/number.h"

bool resp_parse_integer(struct view text, int64_t *out)
{
    return number_parse(text, out) == SATCHEL_OK;
}

bool resp_parse_float(struct view text, long double *out)
{
    char digits[RESP_NUMBER_BYTES_MAX];
    if (text.len == 0 || text.len >= sizeof digits || isspace(text.ptr[0]) != 0) {
        return false;
    }
    *put_view((uint8_t *)digits, text) = '\0';
    char *end = digits;
    errno = 0;
    *out = strtold(digits, &end);
    bool is_out_of_range = errno == ERANGE && (isinf(*out) || *out == 0);
    return (size_t)(end - digits) == text.len && !is_out_of_range && !isnan(*out);
}

struct view resp_format_float(long double number, char out[static RESP_NUMBER_BYTES_MAX])
{
    int written = snprintf(out, RESP_NUMBER_BYTES_MAX, "%.17Lf", number);
    size_t len = written < 0 ? 0 : (size_t)written;
    if (memchr(out, '.', len) != NULL) {
        while (out[len - 1] == '0') {
            len--;
        }
        len -= out[len - 1] == '.';
    }
    struct view text = view_of(out, len);
    return view_equal(text, view_str("-0")) ? view_str("0") : text;
}

bool resp_is_word(struct view name, const char *word)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        c = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
        if (c == '\0' || c != (uint8_t)word[i]) {
            return false;
        }
    }
    return word[name.len] == '\0';
}
