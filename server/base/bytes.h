/*
 * Bytes: views that are borrowed, buffers that own, and fixed-width little-endian numbers.
 *
 * A view is passed by value and is valid as long as the memory that it was taken from. A buffer
 * owns `ptr`; reading `ptr`, `len` and lowering `len` is open to everyone, growing goes through
 * buf_reserve(). A zeroed `struct buf` is an empty buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

struct view {
    const uint8_t *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

struct buf {
    uint8_t *ptr; /* owned; NULL when cap is 0 */
    size_t len;
    size_t cap;
};

/** Makes room for `extra` more bytes after `len`. NO_MEMORY leaves the buffer as it was. */
enum status buf_reserve(struct buf *self, size_t extra) MUST_CHECK;

/** Appends a copy of `bytes`. NO_MEMORY leaves the buffer as it was. */
enum status buf_append(struct buf *self, struct view bytes) MUST_CHECK;

/** Appends formatted text without its terminating zero. NO_MEMORY leaves the buffer as it was. */
enum status buf_printf(struct buf *self, const char *format, ...)
    __attribute__((format(printf, 2, 3))) MUST_CHECK;

/** Removes the first `count` bytes (at most `len`). */
void buf_consume(struct buf *self, size_t count);

/** Gives the memory back; the buffer is empty and usable afterwards. */
void buf_free(struct buf *self);

static inline struct view buf_view(const struct buf *self)
{
    return (struct view){.ptr = self->ptr, .len = self->len};
}

static inline struct view view_of(const void *ptr, size_t len)
{
    return (struct view){.ptr = ptr, .len = len};
}

static inline struct view view_str(const char *text)
{
    return (struct view){.ptr = (const uint8_t *)text, .len = strlen(text)};
}

static inline bool view_equal(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** Compares without telling by its time where the bytes differ; the length is not secret. */
bool view_equal_constant_time(struct view a, struct view b);

/* The machine is little-endian on every platform Satchel supports (x86-64, arm64), so a copy is
 * the encoding; memcpy keeps unaligned access defined. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Satchel supports little-endian only");

static inline uint16_t load_u16(const uint8_t *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint32_t load_u32(const uint8_t *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint64_t load_u64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store_u16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void store_u32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void store_u64(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

/** Copies the bytes of `from` to `to` and returns the address behind them; an empty view is fine.
 */
static inline uint8_t *put_view(uint8_t *to, struct view from)
{
    if (from.len != 0) {
        memcpy(to, from.ptr, from.len);
    }
    return to + from.len;
}
