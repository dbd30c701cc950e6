/*
 * A stream into one zstd frame and back, with the XXH3-128 of what is stored. No I/O; each belongs
 * to one thread at a time. Writing calls thread_breathe().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash128.h"

struct compressor;   /* opaque */
struct decompressor; /* opaque */

/* ---- Writing ---- */

/** NULL: out of memory (a compressor takes about 2 MiB). The caller owns it. */
struct compressor *compressor_new(void);

/** NULL is fine. */
void compressor_free(struct compressor *self);

/** Takes the next bytes and appends to `out` what has become of them and of earlier ones, maybe
 *  nothing yet. NO_MEMORY: the stream is lost. */
enum status compressor_write(struct compressor *self, struct view raw, struct buf *out) MUST_CHECK;

/** Appends what is left and the end of the frame. Once. NO_MEMORY: the stream is lost. */
enum status compressor_finish(struct compressor *self, struct buf *out) MUST_CHECK;

uint64_t compressor_raw_bytes(const struct compressor *self);
uint64_t compressor_stored_bytes(const struct compressor *self);

/** XXH3-128 of everything that was appended so far. */
void compressor_hash(const struct compressor *self, uint8_t out[static HASH128_BYTES]);

/* ---- Reading ---- */

enum { DECOMPRESSOR_ERRMSG_BYTES = 128 };

/** Called with the next raw bytes, borrowed during the call, 128 KiB at most. Any status other than
 *  OK ends the reading and is returned. */
typedef enum status (*decompressor_take_fn)(void *arg, struct view raw);

/** `raw_bytes_max`: more than that is damage. NULL: out of memory. The caller owns it. */
struct decompressor *decompressor_new(uint64_t raw_bytes_max);

/** NULL is fine. */
void decompressor_free(struct decompressor *self);

/** Takes the next stored bytes, in pieces of any size. OK; CORRUPT, NO_MEMORY; or what `take`
 *  answered. After a failure the same one again. */
enum status decompressor_read(struct decompressor *self, struct view stored,
                              decompressor_take_fn take, void *arg) MUST_CHECK;

/** The stream is over: OK when it was one whole frame; CORRUPT, or what failed before. */
enum status decompressor_finish(struct decompressor *self) MUST_CHECK;

uint64_t decompressor_raw_bytes(const struct decompressor *self);
uint64_t decompressor_stored_bytes(const struct decompressor *self);

/** XXH3-128 of everything that was read so far. */
void decompressor_hash(const struct decompressor *self, uint8_t out[static HASH128_BYTES]);

/** What went wrong, a line; "" when nothing did. */
const char *decompressor_error(const struct decompressor *self);
