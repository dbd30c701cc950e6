/* Times, durations and sizes for people. */
#include "tools/backup/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* False: a year that has more than four digits, which no time of ours has. */
static bool split(int64_t ms, struct tm *out)
{
    time_t seconds = (time_t)(ms / 1000);
    return ms >= 0 && gmtime_r(&seconds, out) != NULL && out->tm_year < 10000 - 1900;
}

const char *text_time(char out[static TEXT_BYTES], int64_t ms)
{
    struct tm utc;
    if (!split(ms, &utc) || strftime(out, TEXT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0) {
        (void)snprintf(out, TEXT_BYTES, "?");
    }
    return out;
}

const char *text_timestamp(char out[static TEXT_BYTES], int64_t ms)
{
    struct tm utc;
    size_t len = split(ms, &utc) ? strftime(out, TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc) : 0;
    (void)snprintf(out + len, TEXT_BYTES - len, len != 0 ? ".%03dZ" : "?", (int)(ms % 1000));
    return out;
}

const char *text_duration(char out[static TEXT_BYTES], int64_t ms)
{
    int64_t seconds = ms / 1000;
    int64_t minutes = seconds / 60;
    int64_t hours = minutes / 60;
    if (ms < 1000) {
        (void)snprintf(out, TEXT_BYTES, "%" PRId64 " ms", ms > 0 ? ms : 0);
    } else if (seconds < 120) {
        (void)snprintf(out, TEXT_BYTES, "%" PRId64 " s", seconds);
    } else if (minutes < 120) {
        (void)snprintf(out, TEXT_BYTES, "%" PRId64 " min", minutes);
    } else if (hours < 48) {
        (void)snprintf(out, TEXT_BYTES, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
    } else {
        (void)snprintf(out, TEXT_BYTES, "%" PRId64 " d %" PRId64 " h", hours / 24, hours % 24);
    }
    return out;
}

const char *text_size(char out[static TEXT_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        (void)snprintf(out, TEXT_BYTES, "%" PRIu64 " B", bytes);
        return out;
    }
    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, TEXT_BYTES, "%.*f %s", value < 9.95 ? 1 : 0, value, units[unit]);
    return out;
}
