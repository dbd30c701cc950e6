/* The text of HTTP messages. */
#include "ops/http_message.h"

#include <string.h>
#include <strings.h>
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

static enum http_method method_of(struct view name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST}};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (view_equal(name, view_str(methods[i].name))) {
            return methods[i].method;
        }
    }
    return HTTP_OTHER;
}

static bool is_header(struct view name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp((const char *)name.ptr, wanted, name.len) == 0;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct view view_trim(struct view bytes)
{
    while (bytes.len > 0 && is_space(bytes.ptr[0])) {
        bytes = view_of(bytes.ptr + 1, bytes.len - 1);
    }
    while (bytes.len > 0 && is_space(bytes.ptr[bytes.len - 1])) {
        bytes.len--;
    }
    return bytes;
}

bool http_next_header(struct view *headers, const char *name, struct view *value)
{
    while (headers->len > 0) {
        struct view line = take_until(headers, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (is_header(take_until(&line, ':'), name)) {
            *value = view_trim(line);
            return true;
        }
    }
    return false;
}

/* 200 for a Content-Length of nothing, 413 for one of something, 400 for what is no number. */
static unsigned check_length(struct view value)
{
    unsigned code = 400;
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t byte = value.ptr[i];
        if (byte < '0' || byte > '9') {
            return 400;
        }
        code = byte != '0' || code == 413 ? 413 : 200;
    }
    return code;
}

/* 200 when the header lines announce no body. */
static unsigned check_no_body(struct view headers)
{
    struct view rest = headers;
    struct view value;
    unsigned code = http_next_header(&rest, "Transfer-Encoding", &value) ? 413 : 200;
    rest = headers;
    while (code == 200 && http_next_header(&rest, "Content-Length", &value)) {
        code = check_length(value);
    }
    return code;
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
    out->method = method_of(method);
    if (!view_equal(line, view_str("HTTP/1.1")) && !view_equal(line, view_str("HTTP/1.0"))) {
        return 505;
    }
    out->path = target_path(target);
    if (!begins_with(out->path, "/")) {
        return 400;
    }
    out->headers = head;
    return out->method == HTTP_POST ? check_no_body(head) : 200;
}

const char *http_reason(unsigned code)
{
    switch (code) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
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

enum status http_write_reply(const struct http_reply *reply, enum http_method method,
                             struct buf *out)
{
    char date[64];
    struct tm utc;
    time_t now = time(NULL);
    (void)gmtime_r(&now, &utc);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    enum status status = buf_printf(
        out,
        "HTTP/1.1 %u %s\r\n"
        "Date: %s\r\n"
        "Content-Type: %s\r\n"
        "Content-Length: %zu\r\n"
        "Cache-Control: no-store\r\n"
        "%s%s%s",
        reply->code, http_reason(reply->code), date, reply->content_type, reply->body.len,
        reply->allow != NULL ? "Allow: " : "", reply->allow != NULL ? reply->allow : "",
        reply->allow != NULL ? "\r\n" : "");
    if (status == STATUS_OK) {
        status = buf_append(out, reply->headers);
    }
    if (status == STATUS_OK) {
        status = buf_append(out, view_str("Connection: close\r\n\r\n"));
    }
    if (status == STATUS_OK && method != HTTP_HEAD) {
        status = buf_append(out, buf_view(&reply->body));
    }
    return status;
}
