/* Words of inline requests; see resp_word.h. */
#include "proto/resp_word.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends an argument; fewer than what may stand before one, as in Redis. */
static bool is_separator(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads what follows a backslash between double quotes; returns how many characters that were. */
static size_t read_escape(struct view text, uint8_t *out)
{
    static const char names[] = "nrtba";
    static const char meanings[] = "\n\r\t\b\a";
    if (text.ptr[0] == 'x' && text.len >= 3) {
        int high = hex_value(text.ptr[1]);
        int low = hex_value(text.ptr[2]);
        if (high >= 0 && low >= 0) {
            *out = (uint8_t)(high * 16 + low);
            return 3;
        }
    }
    const char *name = memchr(names, text.ptr[0], sizeof names - 1);
    *out = name == NULL ? text.ptr[0] : (uint8_t)meanings[name - names];
    return 1;
}

struct view resp_skip_spaces(struct view line)
{
    size_t at = 0;
    while (at < line.len && is_space(line.ptr[at])) {
        at++;
    }
    return view_of(line.ptr + at, line.len - at);
}

bool resp_take_word(struct view *line, struct buf *to)
{
    const uint8_t *from = line->ptr;
    size_t len = line->len;
    size_t at = 0;
    uint8_t quote = 0; /* which one is open */
    bool is_over = false;
    bool is_balanced = true;
    while (!is_over && at < len) {
        uint8_t c = from[at++];
        bool is_last = at == len;
        if (quote == 0 && is_separator(c)) {
            is_over = true;
        } else if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote != 0 && c == quote) {
            quote = 0;
            is_over = true;
            is_balanced = is_last || is_space(from[at]);
        } else if (quote == '"' && c == '\\' && !is_last) {
            at += read_escape(view_of(from + at, len - at), &to->ptr[to->len++]);
        } else {
            bool is_escaped = quote == '\'' && c == '\\' && !is_last && from[at] == '\'';
            to->ptr[to->len++] = is_escaped ? '\'' : c;
            at += is_escaped;
        }
    }
    *line = view_of(from + at, len - at);
    return is_balanced && quote == 0;
}
