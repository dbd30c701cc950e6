/* Streams through zstd; the hash is always over the compressed side. */
#include "backup/compress.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/thread.h"

enum {
    COMPRESSION_LEVEL = 1,
    PIECE_BYTES = 128 * 1024,
    TURN_BYTES = 16 * 1024, /* raw, at a time: some ten microseconds */
    WINDOW_LOG_MAX = 23,    /* 8 MiB; level 1 uses half a MiB */
};

struct compressor {
    ZSTD_CCtx *context;   /* owned */
    struct hash128 *hash; /* owned */
    uint64_t raw_bytes;
    uint64_t stored_bytes;
};

struct decompressor {
    ZSTD_DCtx *context;   /* owned */
    struct hash128 *hash; /* owned */
    uint8_t *piece;       /* owned, PIECE_BYTES */
    uint64_t raw_bytes_max;
    uint64_t raw_bytes;
    uint64_t stored_bytes;
    bool is_whole;      /* the frame has ended */
    enum status failed; /* OK: not yet */
    char errmsg[DECOMPRESSOR_ERRMSG_BYTES];
};

/* ---- Writing ---- */

struct compressor *compressor_new(void)
{
    struct compressor *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->context = ZSTD_createCCtx();
    self->hash = hash128_new();
    if (self->context == NULL || self->hash == NULL ||
        ZSTD_isError(
            ZSTD_CCtx_setParameter(self->context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL))) {
        compressor_free(self);
        return NULL;
    }
    return self;
}

void compressor_free(struct compressor *self)
{
    if (self != NULL) {
        (void)ZSTD_freeCCtx(self->context);
        hash128_free(self->hash);
        free(self);
    }
}

static size_t turn_end(size_t begin, size_t raw_bytes)
{
    return raw_bytes - begin < TURN_BYTES ? raw_bytes : begin + TURN_BYTES;
}

static enum status run(struct compressor *self, struct view raw, ZSTD_EndDirective end,
                       struct buf *out)
{
    ZSTD_inBuffer in = {.src = raw.ptr};
    size_t left;
    do {
        enum status status = buf_reserve(out, PIECE_BYTES);
        if (status != STATUS_OK) {
            return status;
        }
        if (in.pos == in.size) {
            in.size = turn_end(in.pos, raw.len);
        }
        ZSTD_outBuffer to = {.dst = out->ptr + out->len, .size = PIECE_BYTES};
        left = ZSTD_compressStream2(self->context, &to, &in, end);
        if (ZSTD_isError(left)) {
            return STATUS_NO_MEMORY; /* the only error that is left to it */
        }
        hash128_update(self->hash, view_of(to.dst, to.pos));
        self->stored_bytes += to.pos;
        out->len += to.pos;
        thread_breathe();
    } while (end == ZSTD_e_end ? left != 0 : in.pos < raw.len);
    self->raw_bytes += raw.len;
    return STATUS_OK;
}

enum status compressor_write(struct compressor *self, struct view raw, struct buf *out)
{
    return run(self, raw, ZSTD_e_continue, out);
}

enum status compressor_finish(struct compressor *self, struct buf *out)
{
    return run(self, view_of(NULL, 0), ZSTD_e_end, out);
}

uint64_t compressor_raw_bytes(const struct compressor *self)
{
    return self->raw_bytes;
}

uint64_t compressor_stored_bytes(const struct compressor *self)
{
    return self->stored_bytes;
}

void compressor_hash(const struct compressor *self, uint8_t out[static HASH128_BYTES])
{
    hash128_digest(self->hash, out);
}

/* ---- Reading ---- */

struct decompressor *decompressor_new(uint64_t raw_bytes_max)
{
    struct decompressor *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->raw_bytes_max = raw_bytes_max;
    self->context = ZSTD_createDCtx();
    self->hash = hash128_new();
    self->piece = malloc(PIECE_BYTES);
    if (self->context == NULL || self->hash == NULL || self->piece == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(self->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        decompressor_free(self);
        return NULL;
    }
    return self;
}

void decompressor_free(struct decompressor *self)
{
    if (self != NULL) {
        (void)ZSTD_freeDCtx(self->context);
        hash128_free(self->hash);
        free(self->piece);
        free(self);
    }
}

static enum status fail(struct decompressor *self, enum status status, const char *why)
{
    (void)snprintf(self->errmsg, sizeof self->errmsg, "%s", why);
    self->failed = status;
    return status;
}

/* One step: some bytes in, at most a piece out. */
static enum status step(struct decompressor *self, ZSTD_inBuffer *in, bool *has_more,
                        decompressor_take_fn take, void *arg)
{
    ZSTD_outBuffer out = {.dst = self->piece, .size = PIECE_BYTES};
    size_t left = ZSTD_decompressStream(self->context, &out, in);
    if (ZSTD_isError(left)) {
        return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation
                   ? fail(self, STATUS_NO_MEMORY, "out of memory")
                   : fail(self, STATUS_CORRUPT, "cannot be unpacked");
    }
    self->is_whole = left == 0;
    *has_more = out.pos == out.size;
    self->raw_bytes += out.pos;
    if (self->raw_bytes > self->raw_bytes_max) {
        return fail(self, STATUS_CORRUPT, "more comes out than was said");
    }
    enum status status = out.pos != 0 ? take(arg, view_of(self->piece, out.pos)) : STATUS_OK;
    return status == STATUS_OK ? STATUS_OK : fail(self, status, "was refused");
}

enum status decompressor_read(struct decompressor *self, struct view stored,
                              decompressor_take_fn take, void *arg)
{
    if (self->failed != STATUS_OK) {
        return self->failed;
    }
    hash128_update(self->hash, stored);
    self->stored_bytes += stored.len;
    ZSTD_inBuffer in = {.src = stored.ptr, .size = stored.len};
    enum status status = STATUS_OK;
    bool has_more = false;
    while (status == STATUS_OK && (in.pos < in.size || has_more)) {
        if (self->is_whole) {
            if (in.pos < in.size) {
                return fail(self, STATUS_CORRUPT, "something follows the end");
            }
            break;
        }
        status = step(self, &in, &has_more, take, arg);
    }
    return status;
}

enum status decompressor_finish(struct decompressor *self)
{
    if (self->failed != STATUS_OK) {
        return self->failed;
    }
    return self->is_whole ? STATUS_OK : fail(self, STATUS_CORRUPT, "ends too early");
}

uint64_t decompressor_raw_bytes(const struct decompressor *self)
{
    return self->raw_bytes;
}

uint64_t decompressor_stored_bytes(const struct decompressor *self)
{
    return self->stored_bytes;
}

void decompressor_hash(const struct decompressor *self, uint8_t out[static HASH128_BYTES])
{
    hash128_digest(self->hash, out);
}

const char *decompressor_error(const struct decompressor *self)
{
    return self->errmsg;
}
