/*
 * The rows of a snapshot as one stream, before it is compressed.
 *
 *     header, 40 bytes:
 *         | "SATCHSNP" | format u32 = 1 | reserved u32 = 0 | store uuid 16 | hash seed u64 |
 *     row:
 *         | length u32, more than 0 | image (store/image.h), `length` bytes |
 *     end, 12 bytes:
 *         | 0 u32 | number of rows u64 |
 *
 * No row twice is the writer's affair; their order means nothing. The stream has no checksum of its
 * own: the manifest has one of what is stored.
 *
 * No I/O; a reader belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "store/image.h"

enum {
    ROWS_STREAM_UUID_BYTES = 16,
    ROWS_STREAM_HEADER_BYTES = 40,
    ROWS_STREAM_END_BYTES = 12,
    ROWS_STREAM_BYTES_MIN = ROWS_STREAM_HEADER_BYTES + ROWS_STREAM_END_BYTES,
    ROWS_STREAM_ROW_BYTES_MIN = 4 + IMAGE_HEADER_BYTES + 1,
    ROWS_STREAM_IMAGE_BYTES_MAX = IMAGE_HEADER_BYTES + SATCHEL_ID_BYTES_MAX + UINT8_MAX +
                                  SATCHEL_VALUE_BYTES_MAX,
    ROWS_STREAM_ERRMSG_BYTES = 128,
};

/* ---- Writing: each appends to `to`; NO_MEMORY leaves that as it was ---- */

enum status rows_stream_put_header(struct buf *to,
                                   const uint8_t uuid[static ROWS_STREAM_UUID_BYTES],
                                   uint64_t hash_seed) MUST_CHECK;

/** `image` is one that image_decode() takes. */
enum status rows_stream_put_row(struct buf *to, struct view image) MUST_CHECK;

enum status rows_stream_put_end(struct buf *to, uint64_t rows) MUST_CHECK;

/* ---- Reading ---- */

/** Called for each row; both borrow and are valid during the call. Any status other than OK ends
 * the reading and is returned. */
typedef enum status (*rows_stream_visit_fn)(void *arg, struct view image,
                                            const struct session *session);

/* Zeroed before first use. Members other than those marked are private. */
struct rows_stream_reader {
    uint8_t uuid[ROWS_STREAM_UUID_BYTES]; /* readable once has_header */
    uint64_t hash_seed;                   /* readable once has_header */
    uint64_t rows;                        /* readable: so far */
    bool has_header;                      /* readable */
    bool is_whole;                        /* readable: the end was there, and agreed */
    enum status failed;                   /* what every further call answers, unless OK */
    struct buf part;                      /* owned: a row, header or end of which more is to come */
    char errmsg[ROWS_STREAM_ERRMSG_BYTES]; /* readable */
};

/**
 * Takes the next bytes of a stream, in pieces of any size, and calls `visit` for each row that is
 * whole. Keeps no more than one row, and no memory for what has not come. OK; CORRUPT, UNSUPPORTED,
 * NO_MEMORY: `errmsg` has a line; or the visitor's own status. After a failure the same one again.
 */
enum status rows_stream_read(struct rows_stream_reader *self, struct view bytes,
                             rows_stream_visit_fn visit, void *arg) MUST_CHECK;

/** The stream is over: OK when it was whole; otherwise CORRUPT with a line, or what failed before.
 */
enum status rows_stream_finish(struct rows_stream_reader *self) MUST_CHECK;

/** Gives the memory back; the reader is zeroed. */
void rows_stream_close(struct rows_stream_reader *self);
