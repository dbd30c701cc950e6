/* Requests from bytes and answers to bytes: the part of HTTP/1.1 (RFC 9110, 9112) that health
 * checks and scrapes need. Pure functions, any thread. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct http_request {
    bool is_head;     /* HEAD: the answer has no body */
    struct view path; /* without query; borrowed from the bytes that were parsed */
};

struct http_reply {
    unsigned code;            /* one that http_reason() knows */
    const char *content_type; /* borrowed until the reply is written */
    struct buf body;          /* owned */
};

/** The length of the request line and headers with the empty line that ends them, or 0 when that
 *  has not come yet. */
size_t http_head_length(struct view bytes);

/** Reads the request line from a whole head. 200, or the code to answer: 400 for what is not HTTP,
 *  405 for another method than GET and HEAD, 505 for another version than 1.0 and 1.1. `*out` tells
 *  is_head in the last two cases as well. */
unsigned http_parse_request(struct view head, struct http_request *out);

/** "Not Found" for 404. A string constant, never NULL. */
const char *http_reason(unsigned code);

/** Appends the reply to `out`, without its body when `is_head`. It says that the connection will
 *  close. OK or NO_MEMORY. */
enum status http_write_reply(const struct http_reply *reply, bool is_head,
                             struct buf *out) MUST_CHECK;
