/* Strings as JSON writes them. */
#include "base/json_text.h"

enum { ESCAPED_BYTES_MAX = 6 /* \u001f; the three bytes of U+FFFD are fewer */ };

/* The length of the UTF-8 sequence that `text` begins with, or 0 when it begins with none. Table
 * 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t sequence_length(struct view text)
{
    uint8_t first = text.ptr[0];
    if (first < 0x80) {
        return 1;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len > text.len) {
        return 0;
    }
    uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text.ptr[1] < least || text.ptr[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((text.ptr[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

enum status json_put_text(struct buf *out, struct view text)
{
    static const char hex[] = "0123456789abcdef";
    enum status status = buf_reserve(out, text.len * ESCAPED_BYTES_MAX + 2);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *to = out->ptr + out->len;
    *to++ = '"';
    while (text.len > 0) {
        uint8_t byte = text.ptr[0];
        size_t len = sequence_length(text);
        if (len == 0) {
            to = put_view(to, view_str("\xef\xbf\xbd"));
            len = 1;
        } else if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = byte;
        } else if (byte < 0x20) {
            to = put_view(to, view_str("\\u00"));
            *to++ = (uint8_t)hex[byte >> 4];
            *to++ = (uint8_t)hex[byte & 15];
        } else {
            to = put_view(to, view_of(text.ptr, len));
        }
        text = view_of(text.ptr + len, text.len - len);
    }
    *to++ = '"';
    out->len = (size_t)(to - out->ptr);
    return STATUS_OK;
}
