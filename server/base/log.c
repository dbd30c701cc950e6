/*
 * Log lines, put together on the stack and written in one call.
 *
 * The pairs are formatted once, as text. For JSON they are taken apart again: every caller writes
 * one form, and log_quoted() makes strings that both forms share.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 4096,  /* PIPE_BUF on Linux: what one write() puts into a pipe in one piece */
    PAIRS_BYTES_MAX = 3072, /* the pairs as text */
    TAIL_BYTES = 16,        /* kept free for the mark of a cut line and the end of it */
};

struct line {
    size_t len;
    bool is_cut;
    char text[LINE_BYTES_MAX];
};

/* Immutable after log_configure(), which runs before threads start. */
static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;

static _Atomic uint64_t lines_lost;

void log_configure(enum log_level least, enum log_format format)
{
    least_level = least;
    line_format = format;
}

uint64_t log_lines_lost(void)
{
    /* Relaxed: a count on its own, nothing is published by it. */
    return atomic_load_explicit(&lines_lost, memory_order_relaxed);
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* Appends `len` bytes or, when they do not fit, nothing. */
static void line_put(struct line *self, const char *text, size_t len)
{
    if (len > LINE_BYTES_MAX - TAIL_BYTES - self->len) {
        self->is_cut = true;
        return;
    }
    memcpy(self->text + self->len, text, len);
    self->len += len;
}

static void line_put_text(struct line *self, const char *text)
{
    line_put(self, text, strlen(text));
}

/* Writes one byte as it stands in a quoted string; returns how many bytes that takes, up to 6. */
static size_t escape_byte(char out[8], char c)
{
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = c;
        return 2;
    }
    if (is_printable(c)) {
        out[0] = c;
        return 1;
    }
    return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)(unsigned char)c);
}

const char *log_quoted(char *out, size_t out_bytes, const char *text)
{
    size_t len = 0;
    out[len++] = '"';
    for (const char *at = text != NULL ? text : ""; *at != '\0'; at++) {
        char escaped[8];
        size_t escaped_len = escape_byte(escaped, *at);
        if (len + escaped_len + 2 > out_bytes) { /* the closing quote and the zero */
            break;
        }
        memcpy(out + len, escaped, escaped_len);
        len += escaped_len;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}

/* Appends a JSON string of `len` bytes that are not escaped yet. */
static void line_put_json_string(struct line *self, const char *text, size_t len)
{
    line_put_text(self, "\"");
    for (size_t i = 0; i < len; i++) {
        char escaped[8];
        line_put(self, escaped, escape_byte(escaped, text[i]));
    }
    line_put_text(self, "\"");
}

/* Whether a bare value may stand in JSON as it is: a decimal number of JSON's grammar (without an
 * exponent, which no caller prints). */
static bool is_json_number(const char *text, size_t len)
{
    size_t i = len > 0 && text[0] == '-' ? 1 : 0;
    size_t digits = strspn(text + i, "0123456789");
    if (digits == 0 || i + digits > len || (digits > 1 && text[i] == '0')) {
        return false;
    }
    i += digits;
    if (i < len && text[i] == '.') {
        size_t decimals = strspn(text + i + 1, "0123456789");
        i += decimals > 0 ? 1 + decimals : 0;
    }
    return i == len;
}

/* The length of the value at `text`: a quoted string with its quotes, or all up to a space. */
static size_t value_length(const char *text)
{
    if (text[0] != '"') {
        return strcspn(text, " ");
    }
    size_t len = 1;
    while (text[len] != '\0' && text[len] != '"') {
        len += text[len] == '\\' && text[len + 1] != '\0' ? 2 : 1;
    }
    return text[len] == '"' ? len + 1 : len;
}

/* Appends `,"key":value` for one pair and returns the text behind it. */
static const char *line_put_json_pair(struct line *self, const char *pair)
{
    size_t key_len = strcspn(pair, "= ");
    line_put_text(self, ",");
    line_put_json_string(self, pair, key_len);
    line_put_text(self, ":");
    if (pair[key_len] != '=') { /* a word alone: it is there, which is all that can be said */
        line_put_text(self, "true");
        return pair + key_len;
    }
    const char *value = pair + key_len + 1;
    size_t len = value_length(value);
    bool is_quoted = len >= 2 && value[0] == '"' && value[len - 1] == '"';
    if (is_quoted || is_json_number(value, len)) {
        line_put(self, value, len);
    } else {
        line_put_json_string(self, value, len);
    }
    return value + len;
}

static void build_json(struct line *self, const char *time_text, const char *level,
                       const char *event, const char *pairs)
{
    line_put_text(self, "{\"time\":\"");
    line_put_text(self, time_text);
    line_put_text(self, "\",\"level\":\"");
    line_put_text(self, level);
    line_put_text(self, "\",\"event\":");
    line_put_json_string(self, event, strlen(event));
    while (*pairs != '\0') {
        if (*pairs == ' ') {
            pairs++;
            continue;
        }
        /* A pair goes in whole or not at all: half a one would not be JSON. */
        size_t before = self->len;
        pairs = line_put_json_pair(self, pairs);
        if (self->is_cut) {
            self->len = before;
            break;
        }
    }
}

static void build_text(struct line *self, const char *time_text, const char *level,
                       const char *event, const char *pairs)
{
    line_put_text(self, time_text);
    line_put_text(self, " ");
    line_put_text(self, level);
    line_put_text(self, " ");
    line_put_text(self, event);
    if (pairs[0] != '\0') {
        line_put_text(self, " ");
        line_put_text(self, pairs);
    }
}

/* Ends the line with the tail that line_put() kept free. */
static void line_end(struct line *self, bool is_json)
{
    const char *tail = is_json ? (self->is_cut ? ",\"cut\":true}\n" : "}\n")
                               : (self->is_cut ? " cut=true\n" : "\n");
    size_t tail_len = strlen(tail);
    memcpy(self->text + self->len, tail, tail_len);
    self->len += tail_len;
}

/* "2026-01-31T12:34:56.789Z" */
static void format_time(char *out, size_t out_bytes)
{
    struct timespec now;
    struct tm utc;
    char seconds[32];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, out_bytes, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    static const char *const level_names[] = {"debug", "info", "warn", "error"};
    if (level < least_level) {
        return;
    }
    int error = errno; /* a caller may log first and look at errno afterwards */
    char pairs[PAIRS_BYTES_MAX] = "";
    bool pairs_are_cut = false;
    struct line line = {.len = 0};
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        int len = vsnprintf(pairs, sizeof pairs, format, args);
        va_end(args);
        pairs_are_cut = len < 0 || (size_t)len >= sizeof pairs;
    }
    /* Whatever a caller forgot to quote, a control byte must not make a second line of it. */
    for (char *at = pairs; *at != '\0'; at++) {
        if (!is_printable(*at)) {
            *at = '?';
        }
    }
    char time_text[64];
    format_time(time_text, sizeof time_text);
    bool is_json = line_format == LOG_JSON;
    (is_json ? build_json : build_text)(&line, time_text, level_names[level], event, pairs);
    line.is_cut |= pairs_are_cut;
    line_end(&line, is_json);

    /* A pipe that has room for nothing would block the caller, so it is asked first. */
    struct pollfd poll_stderr = {.fd = STDERR_FILENO, .events = POLLOUT};
    bool has_room = poll(&poll_stderr, 1, 0) == 1 && (poll_stderr.revents & POLLOUT) != 0;
    if (!has_room || write(STDERR_FILENO, line.text, line.len) != (ssize_t)line.len) {
        atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
    }
    errno = error;
}
