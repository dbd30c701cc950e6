/* HTTP from bytes and to bytes. */
#include "ops/http_message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

Test(http_message, a_head_ends_with_an_empty_line)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"", 0},
        {"GET / HTTP/1.1\r\n", 0},
        {"GET / HTTP/1.1\r\n\r", 0},
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody", 27},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(sz, http_head_length(view_str(cases[i].text)), cases[i].len));
    }
    cr_assert(eq(sz, http_head_length(view_of(NULL, 0)), 0));
}

Test(http_message, requests_are_told_apart)
{
    static const struct {
        const char *line;
        unsigned code;
        enum http_method method;
        const char *path;
    } cases[] = {
        {"GET /livez HTTP/1.1", 200, HTTP_GET, "/livez"},
        {"GET / HTTP/1.0", 200, HTTP_GET, "/"},
        {"HEAD /metrics HTTP/1.1", 200, HTTP_HEAD, "/metrics"},
        {"GET /metrics?name=x&y HTTP/1.1", 200, HTTP_GET, "/metrics"},
        {"GET /metrics? HTTP/1.1", 200, HTTP_GET, "/metrics"},
        {"GET http://satchel:7402/readyz?x HTTP/1.1", 200, HTTP_GET, "/readyz"},
        {"GET http://satchel:7402 HTTP/1.1", 200, HTTP_GET, "/"},
        {"GET http:///livez HTTP/1.1", 200, HTTP_GET, "/livez"},
        {"POST /livez HTTP/1.1", 200, HTTP_POST, "/livez"},
        {"get /livez HTTP/1.1", 200, HTTP_OTHER, "/livez"},
        {"DELETE /livez HTTP/1.0", 200, HTTP_OTHER, "/livez"},
        {"POST livez HTTP/1.1", 400, HTTP_POST, NULL},
        {"POST /livez HTTP/2.0", 505, HTTP_POST, NULL},
        {"GET /livez HTTP/2.0", 505, HTTP_GET, NULL},
        {"HEAD /livez HTTP/0.9", 505, HTTP_HEAD, NULL},
        {"GET livez HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET * HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET ?x HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET /livez", 400, HTTP_GET, NULL},
        {"GET  /livez HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET /livez  HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET /livez HTTP/1.1 x", 400, HTTP_GET, NULL},
        {"GET /li\tvez HTTP/1.1", 400, HTTP_GET, NULL},
        {"GET /li\nvez HTTP/1.1", 400, HTTP_GET, NULL},
        {" GET /livez HTTP/1.1", 400, HTTP_GET, NULL},
        {"", 400, HTTP_GET, NULL},
        {"\xb5\x01\x01", 400, HTTP_GET, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf head = {0};
        struct http_request request;
        cr_assert(
            eq(int, buf_printf(&head, "%s\r\nHost: satchel\r\n\r\n", cases[i].line), STATUS_OK));
        cr_assert(eq(uint, http_parse_request(buf_view(&head), &request), cases[i].code), "%s",
                  cases[i].line);
        cr_assert(eq(int, request.method, cases[i].method), "%s", cases[i].line);
        if (cases[i].path != NULL) {
            cr_assert(view_equal(request.path, view_str(cases[i].path)), "%s gave %.*s",
                      cases[i].line, (int)request.path.len, request.path.ptr);
        }
        buf_free(&head);
    }
}

Test(http_message, a_post_has_no_body)
{
    static const struct {
        const char *headers;
        unsigned code;
    } cases[] = {
        {"", 200},
        {"Host: x\r\nContent-Length: 0\r\n", 200},
        {"content-length:00\r\nHost: x\r\n", 200},
        {"Content-Length: 1\r\n", 413},
        {"CONTENT-LENGTH:\t10 \r\n", 413},
        {"Content-Length: 0\r\nContent-Length: 5\r\n", 413},
        {"Content-Length: 99999999999999999999999999\r\n", 413},
        {"Transfer-Encoding: chunked\r\n", 413},
        {"Content-Length: \r\n", 400},
        {"Content-Length: -1\r\n", 400},
        {"Content-Length: 0x1\r\n", 400},
        {"Content-Lengths: 7\r\nX: Content-Length: 7\r\n", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf head = {0};
        struct http_request request;
        cr_assert(
            eq(int, buf_printf(&head, "POST /a HTTP/1.1\r\n%s\r\n", cases[i].headers), STATUS_OK));
        cr_assert(eq(uint, http_parse_request(buf_view(&head), &request), cases[i].code), "%s",
                  cases[i].headers);
        head.len = 0; /* a GET may announce one: it is thrown away */
        cr_assert(
            eq(int, buf_printf(&head, "GET /a HTTP/1.1\r\n%s\r\n", cases[i].headers), STATUS_OK));
        cr_assert(eq(uint, http_parse_request(buf_view(&head), &request), 200));
        buf_free(&head);
    }
}

Test(http_message, every_code_that_is_answered_has_its_reason)
{
    static const unsigned codes[] = {200, 202, 400, 404, 405, 409, 413, 431, 500, 503, 505};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        cr_assert(ne(str, (char *)http_reason(codes[i]), "Unknown"), "%u", codes[i]);
    }
}

Test(http_message, a_reply_has_its_headers_and_a_body_unless_for_head)
{
    struct http_reply reply = {.code = 404, .content_type = "text/plain"};
    struct buf with = {0};
    struct buf without = {0};
    cr_assert(eq(int, buf_append(&reply.body, view_str("not here\n")), STATUS_OK));
    cr_assert(eq(int, http_write_reply(&reply, HTTP_GET, &with), STATUS_OK));
    cr_assert(eq(int, http_write_reply(&reply, HTTP_HEAD, &without), STATUS_OK));
    cr_assert(eq(sz, with.len, without.len + 9));
    cr_assert(eq(int, buf_append(&with, view_of("", 1)), STATUS_OK));
    const char *text = (const char *)with.ptr;
    static const char start[] = "HTTP/1.1 404 Not Found\r\nDate: ";
    cr_assert(eq(int, strncmp(text, start, strlen(start)), 0), "%s", text);
    cr_assert_not_null(strstr(text, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
                                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
                                    "not here\n"),
                       "%s", text);
    buf_free(&reply.body);
    buf_free(&with);
    buf_free(&without);
}
