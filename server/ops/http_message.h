/* Requests from bytes and answers to bytes: the part of HTTP/1.1 (RFC 9110, 9112) that health
 * checks and scrapes need. Pure functions, any thread. */
#pragma once

#include "base/bytes.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_request {
    enum http_method method;
    struct view path;    /* without query; borrowed from the bytes that were parsed, as the next */
    struct view headers; /* the header lines, for http_next_header() */
};

struct http_reply {
    unsigned code;            /* one that http_reason() knows */
    const char *content_type; /* borrowed until the reply is written, as the next one */
    const char *allow;        /* with 405: the methods that there are */
    struct view headers;      /* more lines, each with its CRLF; borrowed likewise; may be empty */
    struct buf body;          /* owned */
};

/** The length of the request line and headers with the empty line that ends them, or 0 when that
 *  has not come yet. */
size_t http_head_length(struct view bytes);

/** Reads a whole head. 200, or the code to answer: 400 for what is not HTTP, 413 for a POST that
 * has a body, 505 for another version than 1.0 and 1.1. `*out` tells the method in the last two
 * cases as well. Methods are told apart only: whether the path has one is the handler's business.
 */
unsigned http_parse_request(struct view head, struct http_request *out);

/** Finds the next header of that name, in any case, in `*headers`, which then begins behind it.
 *  False: there is none (left). `*value` is borrowed from there, without spaces around it. */
bool http_next_header(struct view *headers, const char *name, struct view *value);

/** The bytes without the spaces and tabs around them. */
struct view view_trim(struct view bytes);

/** "Not Found" for 404. A string constant, never NULL. */
const char *http_reason(unsigned code);

/** Appends the reply to a request of that method to `out`, without its body when that is HEAD. It
 *  says that the connection will close. OK or NO_MEMORY. */
enum status http_write_reply(const struct http_reply *reply, enum http_method method,
                             struct buf *out) MUST_CHECK;
