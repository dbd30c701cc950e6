/* Growing buffers. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_BYTES_LEAST = 256 };

enum status buf_reserve(struct buf *self, size_t extra)
{
    if (extra <= self->cap - self->len) {
        return STATUS_OK;
    }
    if (extra > SIZE_MAX / 4 - self->len) {
        return STATUS_NO_MEMORY;
    }
    size_t cap = self->cap < BUF_BYTES_LEAST ? BUF_BYTES_LEAST : self->cap;
    while (cap < self->len + extra) {
        cap += cap / 2;
    }
    uint8_t *grown = realloc(self->ptr, cap);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->ptr = grown;
    self->cap = cap;
    return STATUS_OK;
}

enum status buf_append(struct buf *self, struct view bytes)
{
    enum status status = buf_reserve(self, bytes.len);
    if (status == STATUS_OK && bytes.len != 0) {
        memcpy(self->ptr + self->len, bytes.ptr, bytes.len);
        self->len += bytes.len;
    }
    return status;
}

enum status buf_printf(struct buf *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        return STATUS_INVALID;
    }
    enum status status = buf_reserve(self, (size_t)len + 1);
    if (status != STATUS_OK) {
        return status;
    }
    va_start(args, format);
    (void)vsnprintf((char *)self->ptr + self->len, (size_t)len + 1, format, args);
    va_end(args);
    self->len += (size_t)len;
    return STATUS_OK;
}

void buf_consume(struct buf *self, size_t count)
{
    if (count >= self->len) {
        self->len = 0;
        return;
    }
    memmove(self->ptr, self->ptr + count, self->len - count);
    self->len -= count;
}

void buf_free(struct buf *self)
{
    free(self->ptr);
    *self = (struct buf){0};
}

bool view_equal_constant_time(struct view a, struct view b)
{
    if (a.len != b.len) {
        return false;
    }
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++) {
        difference = (uint8_t)(difference | (a.ptr[i] ^ b.ptr[i]));
    }
    return difference == 0;
}
