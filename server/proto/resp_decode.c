/*
 * Reading requests. An array's arguments stay where they are; those of an inline request are
 * copied, because quoting changes them. Where Redis is lenient, so is this: what stands in place of
 * the line feed of "\r\n", and of the "\r\n" behind an argument, is not looked at.
 */
#include "proto/resp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/resp_word.h"
#include "session/number.h"

enum { ARGS_LEAST = 16, KEPT_ARGS = 1024, LINE_END_BYTES = 2 };

/* One look at a request. */
struct reader {
    struct resp_request *request; /* borrowed, as all here */
    const struct resp_limits *limits;
    struct view bytes;
    size_t at;   /* how many of them were taken */
    size_t need; /* after AGAIN */
};

static enum status refuse(const struct reader *self, const char *why)
{
    (void)snprintf(self->request->errmsg, sizeof self->request->errmsg, "Protocol error: %s", why);
    return STATUS_INVALID;
}

static enum status await(struct reader *self, size_t bytes)
{
    self->need = bytes;
    return STATUS_AGAIN;
}

/* ---- Arrays --------------------------------------------------------------------------------- */

/* Takes a line that holds the length of something; `line` has no "\r\n". */
static enum status take_line(struct reader *self, const char *too_long, struct view *line)
{
    const uint8_t *from = self->bytes.ptr + self->at;
    size_t left = self->bytes.len - self->at;
    size_t searched = left < RESP_LINE_BYTES_MAX ? left : RESP_LINE_BYTES_MAX;
    const uint8_t *end = searched == 0 ? NULL : memchr(from, '\r', searched);
    if (end == NULL) {
        return searched == RESP_LINE_BYTES_MAX ? refuse(self, too_long)
                                               : await(self, self->bytes.len + 1);
    }
    *line = view_of(from, (size_t)(end - from));
    if (left < line->len + LINE_END_BYTES) {
        return await(self, self->bytes.len + 1);
    }
    self->at += line->len + LINE_END_BYTES;
    return STATUS_OK;
}

/* The number behind the line's first character. */
static bool read_length(struct view line, int64_t *length)
{
    return number_parse(view_of(line.ptr + 1, line.len - 1), length) == SATCHEL_OK;
}

/* Takes "*3\r\n". A count below 0 is one of 0, as in Redis. */
static enum status take_count(struct reader *self, size_t *count)
{
    struct view line;
    int64_t number;
    enum status status = take_line(self, "too big mbulk count string", &line);
    if (status != STATUS_OK) {
        return status;
    }
    if (!read_length(line, &number) || (number > 0 && (size_t)number > self->limits->args_max)) {
        return refuse(self, "invalid multibulk length");
    }
    if (self->limits->is_stranger && number > RESP_STRANGER_ARGS_MAX) {
        return refuse(self, "unauthenticated multibulk length");
    }
    *count = number < 0 ? 0 : (size_t)number;
    return STATUS_OK;
}

/* Takes "$5\r\n". */
static enum status take_bulk_length(struct reader *self, size_t *len)
{
    struct view line;
    int64_t number;
    enum status status = take_line(self, "too big bulk count string", &line);
    if (status != STATUS_OK) {
        return status;
    }
    if (line.ptr[0] != '$') { /* of an empty line this is the line's end */
        char why[] = "expected '$', got '?'";
        why[sizeof why - sizeof "?'"] = (char)line.ptr[0];
        return refuse(self, why);
    }
    if (!read_length(line, &number) || number < 0 ||
        (size_t)number > self->limits->bulk_bytes_max) {
        return refuse(self, "invalid bulk length");
    }
    if (self->limits->is_stranger && number > RESP_STRANGER_BULK_BYTES_MAX) {
        return refuse(self, "unauthenticated bulk length");
    }
    *len = (size_t)number;
    return STATUS_OK;
}

/* Takes "$5\r\nhello\r\n", the whole of it or nothing. */
static enum status take_bulk(struct reader *self, struct view *arg)
{
    size_t begin = self->at;
    size_t len = 0;
    enum status status = take_bulk_length(self, &len);
    size_t end = self->at + len + LINE_END_BYTES;
    if (status == STATUS_OK && end > self->limits->request_bytes_max) {
        status = refuse(self, "too big request"); /* Redis ends such a connection without a word */
    } else if (status == STATUS_OK && end > self->bytes.len) {
        status = await(self, end);
    }
    if (status != STATUS_OK) {
        self->at = begin;
        return status;
    }
    *arg = view_of(self->bytes.ptr + self->at, len);
    self->at = end;
    return STATUS_OK;
}

static enum status add_arg(struct resp_request *self, struct view arg)
{
    if (self->argc == self->cap) {
        size_t cap = self->cap == 0 ? ARGS_LEAST : 2 * self->cap;
        struct view *grown = realloc(self->argv, cap * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        self->argv = grown;
        self->cap = cap;
    }
    self->argv[self->argc++] = arg;
    return STATUS_OK;
}

/* Goes on where the last look ended, only to see whether all arguments are there now. */
static enum status skip_args(struct reader *self, struct resp_progress *progress)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && progress->args_left != 0) {
        struct view arg;
        self->at = progress->bytes;
        status = take_bulk(self, &arg);
        if (status == STATUS_OK) {
            progress->bytes = self->at;
            progress->args_left--;
        }
    }
    self->at = 0;
    return status;
}

static enum status decode_array(struct reader *self, struct resp_progress *progress)
{
    size_t count = 0;
    enum status status = skip_args(self, progress);
    if (status == STATUS_OK) {
        status = take_count(self, &count);
    }
    while (status == STATUS_OK && self->request->argc < count) {
        struct view arg;
        status = take_bulk(self, &arg);
        if (status == STATUS_OK) {
            status = add_arg(self->request, arg);
        } else {
            *progress = (struct resp_progress){.bytes = self->at,
                                               .args_left = count - self->request->argc};
        }
    }
    return status;
}

/* ---- Inline --------------------------------------------------------------------------------- */

/* Splits a line into arguments. */
static enum status split(const struct reader *self, struct view line)
{
    struct buf *unquoted = &self->request->unquoted;
    unquoted->len = 0;
    enum status status = buf_reserve(unquoted, line.len);
    line = resp_skip_spaces(line);
    while (status == STATUS_OK && line.len != 0) {
        size_t begin = unquoted->len;
        if (!resp_take_word(&line, unquoted)) {
            return refuse(self, "unbalanced quotes in request");
        }
        status = add_arg(self->request, view_of(unquoted->ptr + begin, unquoted->len - begin));
        line = resp_skip_spaces(line);
    }
    return status;
}

static enum status decode_inline(struct reader *self, struct resp_progress *progress)
{
    size_t searched = self->bytes.len < RESP_LINE_BYTES_MAX ? self->bytes.len : RESP_LINE_BYTES_MAX;
    const uint8_t *end = memchr(self->bytes.ptr + progress->bytes, '\n',
                                searched - progress->bytes);
    if (end == NULL) {
        progress->bytes = searched;
        return searched == RESP_LINE_BYTES_MAX ? refuse(self, "too big inline request")
                                               : await(self, searched + 1);
    }
    self->at = (size_t)(end - self->bytes.ptr) + 1;
    return split(self, view_of(self->bytes.ptr, self->at - 1));
}

/* ---- Requests ------------------------------------------------------------------------------- */

enum status resp_decode(struct resp_request *self, const struct resp_limits *limits,
                        struct resp_progress *progress, struct view bytes, size_t *used,
                        size_t *need)
{
    assert(progress->bytes <= bytes.len);
    struct reader reader = {.request = self, .limits = limits, .bytes = bytes};
    self->argc = 0;
    if (self->cap > KEPT_ARGS) {
        resp_request_free(self);
    }
    if (bytes.len == 0) {
        *need = 1;
        return STATUS_AGAIN;
    }
    enum status status = bytes.ptr[0] == '*' ? decode_array(&reader, progress)
                                             : decode_inline(&reader, progress);
    if (status == STATUS_AGAIN) {
        *need = reader.need;
        return STATUS_AGAIN;
    }
    *progress = (struct resp_progress){0};
    *used = reader.at;
    return status;
}

void resp_request_free(struct resp_request *self)
{
    free(self->argv);
    buf_free(&self->unquoted);
    *self = (struct resp_request){0};
}
