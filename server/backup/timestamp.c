/* Times from text. */
#include "backup/timestamp.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Takes `count` digits off the front. */
static bool take_number(const char **text, unsigned count, int *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        *out = *out * 10 + (**text - '0');
        (*text)++;
    }
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

/* ".000": up to the third digit it counts. */
static bool take_fraction(const char **text, int *out_ms)
{
    int scale = 100;
    *out_ms = 0;
    if (!take_char(text, '.')) {
        return true;
    }
    const char *begin = *text;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        *out_ms += scale * (**text - '0');
        scale /= 10;
    }
    return *text != begin;
}

enum status timestamp_parse(const char *text, int64_t *out_ms)
{
    struct tm utc = {0};
    int fraction_ms = 0;
    bool is_good = take_number(&text, 4, &utc.tm_year) && take_char(&text, '-') &&
                   take_number(&text, 2, &utc.tm_mon) && take_char(&text, '-') &&
                   take_number(&text, 2, &utc.tm_mday) && take_char(&text, 'T') &&
                   take_number(&text, 2, &utc.tm_hour) && take_char(&text, ':') &&
                   take_number(&text, 2, &utc.tm_min) && take_char(&text, ':') &&
                   take_number(&text, 2, &utc.tm_sec) && take_fraction(&text, &fraction_ms) &&
                   take_char(&text, 'Z') && *text == '\0';
    /* A leap second is written as 60. */
    if (!is_good || utc.tm_year < 1970 || utc.tm_mon < 1 || utc.tm_mon > 12 || utc.tm_mday < 1 ||
        utc.tm_mday > 31 || utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 60) {
        return STATUS_INVALID;
    }
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    *out_ms = (int64_t)timegm(&utc) * 1000 + fraction_ms;
    return STATUS_OK;
}
