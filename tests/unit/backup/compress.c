/* Streams through zstd and back. */
#include "backup/compress.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "unit/backup/kit.h"

enum { RAW_BYTES = 3 * 1000 * 1000 };

/* Neither all the same nor without any pattern. */
static uint8_t *make_raw(void)
{
    uint8_t *raw = malloc(RAW_BYTES);
    uint64_t state = 1;
    for (size_t i = 0; i < RAW_BYTES; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        raw[i] = i % 3 == 0 ? (uint8_t)(state >> 60) : (uint8_t)(i / 1000);
    }
    return raw;
}

static void pack(struct view raw, size_t step, struct buf *out, uint8_t *hash)
{
    struct compressor *compressor = compressor_new();
    cr_assert(ne(ptr, compressor, NULL));
    for (size_t at = 0; at < raw.len; at += step) {
        size_t len = raw.len - at < step ? raw.len - at : step;
        cr_assert(
            eq(int, compressor_write(compressor, view_of(raw.ptr + at, len), out), STATUS_OK));
    }
    cr_assert(eq(int, compressor_finish(compressor, out), STATUS_OK));
    cr_assert(eq(u64, compressor_raw_bytes(compressor), raw.len));
    cr_assert(eq(u64, compressor_stored_bytes(compressor), out->len));
    compressor_hash(compressor, hash);
    compressor_free(compressor);
}

static enum status collect(void *arg, struct view raw)
{
    return buf_append(arg, raw);
}

Test(compress, what_goes_in_comes_out_in_pieces_of_any_size)
{
    uint8_t *raw = make_raw();
    static const size_t sizes[] = {0, 1, 1000, RAW_BYTES};
    static const size_t steps[] = {100, 65537, RAW_BYTES};
    for (size_t i = 0; i < COUNT(sizes) * COUNT(steps); i++) {
        size_t size = sizes[i / COUNT(steps)];
        size_t step = steps[i % COUNT(steps)];
        struct buf stored = {0}, back = {0};
        uint8_t hash[HASH128_BYTES], expected[HASH128_BYTES], read[HASH128_BYTES];
        pack(view_of(raw, size), step, &stored, hash);
        hash128(buf_view(&stored), expected);
        cr_assert(eq(int, memcmp(hash, expected, HASH128_BYTES), 0));
        struct decompressor *decompressor = decompressor_new(size);
        for (size_t at = 0; at < stored.len; at += step) {
            size_t len = stored.len - at < step ? stored.len - at : step;
            cr_assert(eq(
                int, decompressor_read(decompressor, view_of(stored.ptr + at, len), collect, &back),
                STATUS_OK));
        }
        cr_assert(eq(int, decompressor_finish(decompressor), STATUS_OK));
        cr_assert(view_equal(buf_view(&back), view_of(raw, size)));
        cr_assert(eq(u64, decompressor_raw_bytes(decompressor), size));
        cr_assert(eq(u64, decompressor_stored_bytes(decompressor), stored.len));
        decompressor_hash(decompressor, read);
        cr_assert(eq(int, memcmp(read, expected, HASH128_BYTES), 0));
        decompressor_free(decompressor);
        buf_free(&stored);
        buf_free(&back);
    }
    free(raw);
}

static void expect(struct view stored, uint64_t raw_bytes_max, const char *words)
{
    struct buf back = {0};
    struct decompressor *decompressor = decompressor_new(raw_bytes_max);
    enum status status = decompressor_read(decompressor, stored, collect, &back);
    status = status == STATUS_OK ? decompressor_finish(decompressor) : status;
    cr_assert(eq(int, status, STATUS_CORRUPT));
    cr_assert(strstr(decompressor_error(decompressor), words) != NULL, "%s",
              decompressor_error(decompressor));
    cr_assert(eq(int, decompressor_read(decompressor, stored, collect, &back), STATUS_CORRUPT));
    decompressor_free(decompressor);
    buf_free(&back);
}

Test(compress, what_is_not_one_whole_frame_of_bounded_size_is_refused)
{
    uint8_t *raw = make_raw();
    struct buf stored = {0};
    uint8_t hash[HASH128_BYTES];
    pack(view_of(raw, 500000), 500000, &stored, hash);
    for (size_t len = 0; len < stored.len; len += 1 + len / 7) {
        expect(view_of(stored.ptr, len), 500000, "too early");
    }
    expect(buf_view(&stored), 499999, "more comes out");
    cr_assert(eq(int, buf_append(&stored, view_str("x")), STATUS_OK));
    expect(buf_view(&stored), 500000, "follows the end");
    stored.len--;
    stored.ptr[0] ^= 1;
    expect(buf_view(&stored), 500000, "cannot be unpacked");
    /* A window that would take 64 MiB of memory. */
    ZSTD_CCtx *context = ZSTD_createCCtx();
    cr_assert(not(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 26))));
    ZSTD_inBuffer in = {.src = raw, .size = 10000};
    ZSTD_outBuffer out = {.dst = stored.ptr, .size = stored.cap};
    cr_assert(not(ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush))));
    expect(view_of(stored.ptr, out.pos), 500000, "cannot be unpacked");
    (void)ZSTD_freeCCtx(context);
    buf_free(&stored);
    free(raw);
}

static enum status refuse(void *arg, struct view raw)
{
    size_t *left = arg;
    if (raw.len > *left) {
        return STATUS_NO_SPACE;
    }
    *left -= raw.len;
    return STATUS_OK;
}

Test(compress, what_the_taker_says_ends_it)
{
    uint8_t *raw = make_raw();
    struct buf stored = {0};
    uint8_t hash[HASH128_BYTES];
    size_t left = 1000000;
    pack(view_of(raw, RAW_BYTES), RAW_BYTES, &stored, hash);
    struct decompressor *decompressor = decompressor_new(UINT64_MAX);
    cr_assert(eq(int, decompressor_read(decompressor, buf_view(&stored), refuse, &left),
                 STATUS_NO_SPACE));
    cr_assert(lt(sz, left, 128 * 1024));
    cr_assert(eq(int, decompressor_finish(decompressor), STATUS_NO_SPACE));
    decompressor_free(decompressor);
    buf_free(&stored);
    free(raw);
}
