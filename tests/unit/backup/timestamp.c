/* Times from text. */
#include "backup/timestamp.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "unit/backup/kit.h"

Test(timestamp, good_ones_are_read_to_the_millisecond)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2009-10-12T17:50:30.000Z", INT64_C(1255369830000)},
        {"2013-05-24T00:00:00.5Z", INT64_C(1369353600500)},
        {"2013-05-24T00:00:00.123456789Z", INT64_C(1369353600123)},
        {"2016-02-29T23:59:59Z", INT64_C(1456790399000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        cr_assert(eq(int, timestamp_parse(cases[i].text, &ms), STATUS_OK), "%s", cases[i].text);
        cr_assert(eq(i64, ms, cases[i].ms), "%s", cases[i].text);
    }
}

Test(timestamp, everything_else_is_refused)
{
    static const char *const texts[] = {
        "",
        "Z",
        "2013",
        "2013-05-24",
        "2013-05-24T00:00:00",
        "2013-05-24 00:00:00Z",
        "2013-05-24T00:00:00+00:00",
        "2013-05-24T00:00:00.Z",
        "2013-13-24T00:00:00Z",
        "2013-00-24T00:00:00Z",
        "2013-05-00T00:00:00Z",
        "2013-05-32T00:00:00Z",
        "2013-05-24T24:00:00Z",
        "2013-05-24T00:60:00Z",
        "2013-05-24T00:00:61Z",
        "1969-12-31T23:59:59Z",
        "2013-5-24T00:00:00Z",
        "2013-05-24T00:00:00Zx",
        "-013-05-24T00:00:00Z",
        "2013-05-24T 0:00:00Z",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t ms;
        cr_assert(eq(int, timestamp_parse(texts[i], &ms), STATUS_INVALID), "%s", texts[i]);
    }
}
