/*
 * The rows of a snapshot, compressed and not. The first byte of the input says in pieces of which
 * size the rest is read; whatever that is, the same rows come out and the same is said at the end.
 * What is whole gives the same bytes when it is written again.
 */
#include "fuzz.h"

#include "backup/compress.h"
#include "backup/rows_stream.h"

static enum status visit(void *arg, struct view image, const struct session *session)
{
    REQUIRE(view_within(session->id, image) && view_within(session->content, image));
    REQUIRE(image.len <= ROWS_STREAM_IMAGE_BYTES_MAX && session->version != 0);
    return rows_stream_put_row(arg, image);
}

/* Reads in pieces and writes the rows to `out`. */
static enum status read_in_pieces(struct view bytes, size_t step, struct buf *out, uint64_t *rows)
{
    struct rows_stream_reader reader = {0};
    enum status status = STATUS_OK;
    for (size_t at = 0; at < bytes.len && status == STATUS_OK; at += step) {
        size_t len = bytes.len - at < step ? bytes.len - at : step;
        status = rows_stream_read(&reader, view_of(bytes.ptr + at, len), visit, out);
    }
    status = status == STATUS_OK ? rows_stream_finish(&reader) : status;
    REQUIRE((status == STATUS_OK) == (reader.errmsg[0] == '\0'));
    REQUIRE(rows_stream_finish(&reader) == status);
    if (status == STATUS_OK) {
        struct buf whole = {0};
        REQUIRE(rows_stream_put_header(&whole, reader.uuid, reader.hash_seed) == STATUS_OK);
        REQUIRE(buf_append(&whole, buf_view(out)) == STATUS_OK);
        REQUIRE(rows_stream_put_end(&whole, reader.rows) == STATUS_OK);
        REQUIRE(view_equal(buf_view(&whole), bytes));
        buf_free(&whole);
    }
    *rows = reader.rows;
    rows_stream_close(&reader);
    return status;
}

static enum status count_bytes(void *arg, struct view raw)
{
    *(size_t *)arg += raw.len;
    return STATUS_OK;
}

static void unpack(struct view stored)
{
    enum { RAW_BYTES_MAX = 1 << 20 };
    size_t bytes = 0;
    struct decompressor *decompressor = decompressor_new(RAW_BYTES_MAX);
    REQUIRE(decompressor != NULL);
    if (decompressor_read(decompressor, stored, count_bytes, &bytes) == STATUS_OK &&
        decompressor_finish(decompressor) == STATUS_OK) {
        REQUIRE(bytes <= RAW_BYTES_MAX && bytes == decompressor_raw_bytes(decompressor));
    }
    decompressor_free(decompressor);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct view bytes = view_of(input + 1, len - 1);
    struct buf pieces = {0}, whole = {0};
    uint64_t rows_of_pieces, rows_of_whole;
    enum status status = read_in_pieces(bytes, (size_t)input[0] + 1, &pieces, &rows_of_pieces);
    REQUIRE(read_in_pieces(bytes, len, &whole, &rows_of_whole) == status);
    REQUIRE(rows_of_pieces == rows_of_whole && view_equal(buf_view(&pieces), buf_view(&whole)));
    unpack(bytes);
    buf_free(&pieces);
    buf_free(&whole);
    return 0;
}
