/* Writing replies. Each function makes room once, for all that it writes. */
#include "proto/resp.h"

#include <stdarg.h>
#include <stdio.h>

#include "session/number.h"

enum {
    LINE_END_BYTES = 2,
    HEADER_BYTES_MAX = 1 + NUMBER_BYTES_MAX + LINE_END_BYTES, /* ":-9223372036854775808\r\n" */
};

static const char VERBATIM_FORMAT[] = "txt:";

/* Where `bytes` more may be written; NULL: there is no memory, or was none before. */
static uint8_t *room(struct resp_writer *self, size_t bytes)
{
    if (self->has_failed || buf_reserve(self->to, bytes) != STATUS_OK) {
        self->has_failed = true;
        return NULL;
    }
    return self->to->ptr + self->to->len;
}

/* What is written ends at `end`. */
static void written(const struct resp_writer *self, const uint8_t *end)
{
    self->to->len = (size_t)(end - self->to->ptr);
}

static uint8_t *put_line_end(uint8_t *to)
{
    to[0] = '\r';
    to[1] = '\n';
    return to + LINE_END_BYTES;
}

/* Writes ":42\r\n" and what looks like that. */
static uint8_t *put_header(uint8_t *to, char mark, int64_t number)
{
    uint8_t digits[NUMBER_BYTES_MAX];
    *to++ = (uint8_t)mark;
    return put_line_end(put_view(to, number_format(number, digits)));
}

static void write_header(struct resp_writer *self, char mark, int64_t number)
{
    uint8_t *to = room(self, HEADER_BYTES_MAX);
    if (to != NULL) {
        written(self, put_header(to, mark, number));
    }
}

static void write_text(struct resp_writer *self, const char *text)
{
    struct view bytes = view_str(text);
    uint8_t *to = room(self, bytes.len);
    if (to != NULL) {
        written(self, put_view(to, bytes));
    }
}

void resp_simple(struct resp_writer *self, const char *text)
{
    struct view bytes = view_str(text);
    uint8_t *to = room(self, 1 + bytes.len + LINE_END_BYTES);
    if (to != NULL) {
        *to++ = '+';
        written(self, put_line_end(put_view(to, bytes)));
    }
}

void resp_error(struct resp_writer *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int measured = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (measured < 0) {
        self->has_failed = true;
        return;
    }
    size_t len = (size_t)measured;
    /* vsnprintf() ends the text with a zero, where the line end will be. */
    uint8_t *to = room(self, 1 + len + LINE_END_BYTES);
    if (to == NULL) {
        return;
    }
    *to++ = '-';
    va_start(args, format);
    (void)vsnprintf((char *)to, len + 1, format, args);
    va_end(args);
    for (uint8_t *end = to + len; to < end; to++) {
        *to = *to == '\r' || *to == '\n' ? ' ' : *to;
    }
    written(self, put_line_end(to));
}

void resp_integer(struct resp_writer *self, int64_t number)
{
    write_header(self, ':', number);
}

void resp_bulk(struct resp_writer *self, struct view bytes)
{
    uint8_t *to = room(self, HEADER_BYTES_MAX + bytes.len + LINE_END_BYTES);
    if (to != NULL) {
        to = put_header(to, '$', (int64_t)bytes.len);
        written(self, put_line_end(put_view(to, bytes)));
    }
}

void resp_bulk_text(struct resp_writer *self, const char *text)
{
    resp_bulk(self, view_str(text));
}

void resp_null(struct resp_writer *self)
{
    write_text(self, self->is_resp3 ? "_\r\n" : "$-1\r\n");
}

void resp_null_array(struct resp_writer *self)
{
    write_text(self, self->is_resp3 ? "_\r\n" : "*-1\r\n");
}

void resp_array(struct resp_writer *self, size_t count)
{
    write_header(self, '*', (int64_t)count);
}

void resp_map(struct resp_writer *self, size_t pairs)
{
    if (self->is_resp3) {
        write_header(self, '%', (int64_t)pairs);
    } else {
        resp_array(self, 2 * pairs);
    }
}

void resp_set(struct resp_writer *self, size_t count)
{
    write_header(self, self->is_resp3 ? '~' : '*', (int64_t)count);
}

void resp_push(struct resp_writer *self, size_t count)
{
    write_header(self, self->is_resp3 ? '>' : '*', (int64_t)count);
}

void resp_verbatim(struct resp_writer *self, struct view text)
{
    if (!self->is_resp3) {
        resp_bulk(self, text);
        return;
    }
    struct view format = view_str(VERBATIM_FORMAT);
    size_t len = format.len + text.len;
    uint8_t *to = room(self, HEADER_BYTES_MAX + len + LINE_END_BYTES);
    if (to != NULL) {
        to = put_header(to, '=', (int64_t)len);
        written(self, put_line_end(put_view(put_view(to, format), text)));
    }
}
