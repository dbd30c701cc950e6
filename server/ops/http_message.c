/* The text of HTTP messages. */
#include "ops/http_message.h"

#include <time.h>

size_t http_head_length(struct view bytes)
{
    const uint8_t *end = bytes.len != 0 ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    return end != NULL ? (size_t)(end - bytes.ptr) + 4 : 0;
}

/* Takes the bytes up to the next `stop` off the front of `rest`; all of it when there is none. */
static struct view take_until(struct view *rest, char stop)
{
    const uint8_t *at = rest->len != 0 ? memchr(rest->ptr, stop, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    struct view taken = view_of(rest->ptr, len);
    size_t skipped = at != NULL ? len + 1 : len;
    *rest = view_of(rest->ptr + skipped, rest->len - skipped);
    return taken;
}

static bool begins_with(struct view bytes, const char *text)
{
    size_t len = strlen(text);
    return bytes.len >= len && memcmp(bytes.ptr, text, len) == 0;
}

/* The path of a request target: "/metrics?x=1", or "http://host/metrics" as to a proxy, which
 * RFC 9112 (3.2.2) asks every server to take. */
static struct view target_path(struct view target)
{
    if (begins_with(target, "http://")) {
        struct view rest = view_of(target.ptr + 7, target.len - 7);
        struct view host = take_until(&rest, '/');
        const uint8_t *slash = host.ptr + host.len;
        target = rest.ptr > slash ? view_of(slash, rest.len + 1) : view_str("/");
    }
    return take_until(&target, '?');
}

static bool is_token(struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] <= ' ' || bytes.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return bytes.len > 0;
}

unsigned http_parse_request(struct view head, struct http_request *out)
{
    *out = (struct http_request){0};
    struct view line = take_until(&head, '\r');
    struct view method = take_until(&line, ' ');
    struct view target = take_until(&line, ' ');
    if (!is_token(method) || !is_token(target) || !begins_with(line, "HTTP/") || !is_token(line)) {
        return 400;
    }
    out->is_head = view_equal(method, view_str("HEAD"));
    if (!view_equal(line, view_str("HTTP/1.1")) && !view_equal(line, view_str("HTTP/1.0"))) {
        return 505;
    }
    if (!out->is_head && !view_equal(method, view_str("GET"))) {
        return 405;
    }
    out->path = target_path(target);
    return begins_with(out->path, "/") ? 200 : 400;
}

const char *http_reason(unsigned code)
{
    switch (code) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

enum status http_write_reply(const struct http_reply *reply, bool is_head, struct buf *out)
{
    char date[64];
    struct tm utc;
    time_t now = time(NULL);
    (void)gmtime_r(&now, &utc);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    enum status status = buf_printf(out,
                                    "HTTP/1.1 %u %s\r\n"
                                    "Date: %s\r\n"
                                    "Content-Type: %s\r\n"
                                    "Content-Length: %zu\r\n"
                                    "Cache-Control: no-store\r\n"
                                    "%s"
                                    "Connection: close\r\n\r\n",
                                    reply->code, http_reason(reply->code), date,
                                    reply->content_type, reply->body.len,
                                    reply->code == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (status == STATUS_OK && !is_head) {
        status = buf_append(out, buf_view(&reply->body));
    }
    return status;
}
