/* JSON strings. */
#include <criterion/criterion.h>

#include "base/json_text.h"

Test(json_text, whatever_comes_the_result_is_a_valid_string)
{
    static const struct {
        const char *text;
        const char *wanted;
    } rows[] = {
        {"", "\"\""},
        {"plain ~ text", "\"plain ~ text\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"tab\tline\nbell\x07", "\"tab\\u0009line\\u000abell\\u0007\""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9b\x92",
         "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9b\x92\""},
        {"\xff", "\"\xef\xbf\xbd\""},                                 /* never in UTF-8 */
        {"\xc3", "\"\xef\xbf\xbd\""},                                 /* cut off */
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xe0\x9f\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80x", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""},
        {"\xe2\x82x", "\"\xef\xbf\xbd\xef\xbf\xbdx\""}, /* its third byte is missing */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        cr_assert_eq(json_put_text(&out, view_str(rows[i].text)), STATUS_OK);
        cr_assert(view_equal(buf_view(&out), view_str(rows[i].wanted)), "row %zu: %.*s", i,
                  (int)out.len, (const char *)out.ptr);
        buf_free(&out);
    }
}
