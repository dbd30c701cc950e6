/*
 * Rows into a stream and out of it. The reader works on whole pieces (header, row, end): one that
 * is whole in what was handed in is read where it stands, and only one that is cut is put together
 * in `part`.
 */
#include "backup/rows_stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define MAGIC "SATCHSNP"

enum {
    FORMAT = 1,
    AT_FORMAT = 8,
    AT_RESERVED = 12,
    AT_UUID = 16,
    AT_SEED = 32,
    LENGTH_BYTES = 4,
};

enum status rows_stream_put_header(struct buf *to,
                                   const uint8_t uuid[static ROWS_STREAM_UUID_BYTES],
                                   uint64_t hash_seed)
{
    uint8_t header[ROWS_STREAM_HEADER_BYTES] = MAGIC;
    store_u32(header + AT_FORMAT, FORMAT);
    memcpy(header + AT_UUID, uuid, ROWS_STREAM_UUID_BYTES);
    store_u64(header + AT_SEED, hash_seed);
    return buf_append(to, view_of(header, sizeof header));
}

enum status rows_stream_put_row(struct buf *to, struct view image)
{
    assert(image.len >= IMAGE_HEADER_BYTES && image.len <= ROWS_STREAM_IMAGE_BYTES_MAX);
    enum status status = buf_reserve(to, LENGTH_BYTES + image.len);
    if (status == STATUS_OK) {
        store_u32(to->ptr + to->len, (uint32_t)image.len);
        (void)put_view(to->ptr + to->len + LENGTH_BYTES, image);
        to->len += LENGTH_BYTES + image.len;
    }
    return status;
}

enum status rows_stream_put_end(struct buf *to, uint64_t rows)
{
    uint8_t end[ROWS_STREAM_END_BYTES] = {0};
    store_u64(end + LENGTH_BYTES, rows);
    return buf_append(to, view_of(end, sizeof end));
}

/* ---- Reading ---- */

static enum status fail(struct rows_stream_reader *self, enum status status, const char *why)
{
    (void)snprintf(self->errmsg, sizeof self->errmsg, "row %" PRIu64 ": %s", self->rows, why);
    self->failed = status;
    return status;
}

static enum status read_header(struct rows_stream_reader *self, const uint8_t *from)
{
    if (memcmp(from, MAGIC, AT_FORMAT) != 0) {
        return fail(self, STATUS_CORRUPT, "not the rows of a snapshot");
    }
    if (load_u32(from + AT_FORMAT) != FORMAT || load_u32(from + AT_RESERVED) != 0) {
        return fail(self, STATUS_UNSUPPORTED, "the format of the rows is not known");
    }
    memcpy(self->uuid, from + AT_UUID, ROWS_STREAM_UUID_BYTES);
    self->hash_seed = load_u64(from + AT_SEED);
    self->has_header = true;
    return STATUS_OK;
}

static enum status read_end(struct rows_stream_reader *self, const uint8_t *from)
{
    if (load_u64(from + LENGTH_BYTES) != self->rows) {
        return fail(self, STATUS_CORRUPT, "the rows are not as many as said");
    }
    self->is_whole = true;
    return STATUS_OK;
}

static enum status read_row(struct rows_stream_reader *self, struct view image,
                            rows_stream_visit_fn visit, void *arg)
{
    struct session session;
    enum status status = image_decode(image, &session);
    if (status != STATUS_OK) {
        return status == STATUS_UNSUPPORTED
                   ? fail(self, STATUS_UNSUPPORTED, "an image of another format")
                   : fail(self, STATUS_CORRUPT, "the image makes no sense");
    }
    status = visit(arg, image, &session);
    if (status != STATUS_OK) {
        return fail(self, status, "was refused");
    }
    self->rows++;
    return STATUS_OK;
}

/* How long the piece is that begins with `front`. Until its length is there, that is all it has.
 * 0: the length is impossible. */
static size_t piece_bytes(const struct rows_stream_reader *self, struct view front)
{
    if (!self->has_header) {
        return ROWS_STREAM_HEADER_BYTES;
    }
    if (front.len < LENGTH_BYTES) {
        return LENGTH_BYTES;
    }
    size_t len = load_u32(front.ptr);
    if (len == 0) {
        return ROWS_STREAM_END_BYTES;
    }
    return len <= ROWS_STREAM_IMAGE_BYTES_MAX ? LENGTH_BYTES + len : 0;
}

static enum status read_piece(struct rows_stream_reader *self, struct view piece,
                              rows_stream_visit_fn visit, void *arg)
{
    if (!self->has_header) {
        return read_header(self, piece.ptr);
    }
    if (load_u32(piece.ptr) == 0) {
        return read_end(self, piece.ptr);
    }
    return read_row(self, view_of(piece.ptr + LENGTH_BYTES, piece.len - LENGTH_BYTES), visit, arg);
}

static struct view behind(struct view bytes, size_t len)
{
    return view_of(bytes.ptr + len, bytes.len - len);
}

/* Goes on with the piece in `part`, as far as `*rest` reaches. */
static enum status complete_part(struct rows_stream_reader *self, struct view *rest,
                                 rows_stream_visit_fn visit, void *arg)
{
    size_t bytes;
    while ((bytes = piece_bytes(self, buf_view(&self->part))) > self->part.len && rest->len != 0) {
        size_t missing = bytes - self->part.len;
        struct view next = view_of(rest->ptr, missing < rest->len ? missing : rest->len);
        if (buf_append(&self->part, next) != STATUS_OK) {
            return fail(self, STATUS_NO_MEMORY, "out of memory");
        }
        *rest = behind(*rest, next.len);
    }
    if (bytes == 0) {
        return fail(self, STATUS_CORRUPT, "the row is too long");
    }
    if (bytes > self->part.len) {
        return STATUS_OK;
    }
    enum status status = read_piece(self, buf_view(&self->part), visit, arg);
    self->part.len = 0;
    return status;
}

enum status rows_stream_read(struct rows_stream_reader *self, struct view bytes,
                             rows_stream_visit_fn visit, void *arg)
{
    enum status status = self->failed;
    while (status == STATUS_OK && bytes.len != 0) {
        if (self->is_whole) {
            return fail(self, STATUS_CORRUPT, "something follows the end");
        }
        size_t len = piece_bytes(self, bytes);
        if (self->part.len != 0 || len == 0 || len > bytes.len) {
            status = complete_part(self, &bytes, visit, arg);
        } else {
            status = read_piece(self, view_of(bytes.ptr, len), visit, arg);
            bytes = behind(bytes, len);
        }
    }
    return status;
}

enum status rows_stream_finish(struct rows_stream_reader *self)
{
    if (self->failed != STATUS_OK) {
        return self->failed;
    }
    return self->is_whole ? STATUS_OK : fail(self, STATUS_CORRUPT, "the rows end too early");
}

void rows_stream_close(struct rows_stream_reader *self)
{
    buf_free(&self->part);
    *self = (struct rows_stream_reader){0};
}
