/* The stream of a snapshot's rows, in pieces of every size, whole and not. */
#include "backup/rows_stream.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/backup/kit.h"

enum { ROWS = 5 };

static const uint8_t uuid[ROWS_STREAM_UUID_BYTES] = "the store's own";

/* Row `i`: ids tell them apart, and contents grow. */
static void put_image(struct buf *to, unsigned i)
{
    char id[16];
    static const uint8_t content[400] = {1, 2, 3};
    (void)snprintf(id, sizeof id, "row-%u", i);
    const struct session session = {.id = view_str(id),
                                    .created_ms = 1800000000000,
                                    .kind = SATCHEL_BLOB,
                                    .content = view_of(content, i * 100)};
    cr_assert(buf_reserve(to, image_bytes(&session)) == STATUS_OK);
    image_encode(to->ptr, &session, i + 1);
    to->len = image_bytes(&session);
}

static void make(struct buf *stream)
{
    struct buf image = {0};
    cr_assert(eq(int, rows_stream_put_header(stream, uuid, 77), STATUS_OK));
    for (unsigned i = 0; i < ROWS; i++) {
        put_image(&image, i);
        cr_assert(eq(int, rows_stream_put_row(stream, buf_view(&image)), STATUS_OK));
    }
    cr_assert(eq(int, rows_stream_put_end(stream, ROWS), STATUS_OK));
    buf_free(&image);
}

/* Expects the rows in order; `arg` counts them. */
static enum status visit(void *arg, struct view bytes, const struct session *session)
{
    unsigned *count = arg;
    struct buf image = {0};
    put_image(&image, *count);
    cr_assert(view_equal(bytes, buf_view(&image)));
    cr_assert(eq(u64, session->version, *count + 1));
    buf_free(&image);
    (*count)++;
    return STATUS_OK;
}

/* In pieces of `step` bytes, each on memory of its own so that a sanitizer sees a read behind it.
 */
static enum status read_all(struct rows_stream_reader *reader, struct view bytes, size_t step,
                            unsigned *count)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; at < bytes.len && status == STATUS_OK; at += step) {
        size_t len = bytes.len - at < step ? bytes.len - at : step;
        uint8_t *piece = malloc(len);
        memcpy(piece, bytes.ptr + at, len);
        status = rows_stream_read(reader, view_of(piece, len), visit, count);
        free(piece);
    }
    return status == STATUS_OK ? rows_stream_finish(reader) : status;
}

Test(rows_stream, every_row_arrives_whatever_the_pieces)
{
    struct buf stream = {0};
    make(&stream);
    for (size_t step = 1; step <= stream.len; step++) {
        struct rows_stream_reader reader = {0};
        unsigned count = 0;
        cr_assert(eq(int, read_all(&reader, buf_view(&stream), step, &count), STATUS_OK), "%s",
                  reader.errmsg);
        cr_assert(count == ROWS && reader.rows == ROWS);
        cr_assert(reader.hash_seed == 77 && memcmp(reader.uuid, uuid, sizeof uuid) == 0);
        cr_assert(reader.part.cap <= 4096);
        rows_stream_close(&reader);
    }
    buf_free(&stream);
}

Test(rows_stream, a_stream_that_is_cut_anywhere_is_not_whole)
{
    struct buf stream = {0};
    make(&stream);
    for (size_t len = 0; len < stream.len; len++) {
        for (size_t step = 7; step <= 4096; step *= 8) {
            struct rows_stream_reader reader = {0};
            unsigned count = 0;
            cr_assert(
                eq(int, read_all(&reader, view_of(stream.ptr, len), step, &count), STATUS_CORRUPT));
            cr_assert(reader.errmsg[0] != '\0');
            rows_stream_close(&reader);
        }
    }
    buf_free(&stream);
}

Test(rows_stream, what_makes_no_sense_is_refused_and_stays_so)
{
    static const struct {
        size_t at;
        unsigned bytes;
        uint32_t number;
        enum status status;
        const char *words;
    } cases[] = {
        {0, 1, 'X', STATUS_CORRUPT, "not the rows"},
        {8, 4, 2, STATUS_UNSUPPORTED, "format"},
        {12, 4, 1, STATUS_UNSUPPORTED, "format"},
        {40, 4, ROWS_STREAM_IMAGE_BYTES_MAX + 1, STATUS_CORRUPT, "row 0: the row is too long"},
        {40, 4, UINT32_MAX, STATUS_CORRUPT, "too long"},
        {40, 4, 1, STATUS_CORRUPT, "row 0: the image makes no sense"},
        {40, 4, 54, STATUS_CORRUPT, "row 0: the image"},
        {44, 1, 2, STATUS_UNSUPPORTED, "another format"},
        {45, 1, 9, STATUS_CORRUPT, "row 0: the image"},
        {40, 4, 0, STATUS_CORRUPT, "not as many"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf stream = {0};
        make(&stream);
        memcpy(stream.ptr + cases[i].at, &cases[i].number, cases[i].bytes);
        for (size_t step = 5; step <= 5000; step *= 10) {
            struct rows_stream_reader reader = {0};
            unsigned count = 0;
            cr_assert(eq(int, read_all(&reader, buf_view(&stream), step, &count), cases[i].status),
                      "case %zu", i);
            cr_assert(strstr(reader.errmsg, cases[i].words) != NULL, "%s", reader.errmsg);
            cr_assert(reader.part.cap <= 8192); /* nothing for what has not come */
            cr_assert(eq(int, rows_stream_read(&reader, view_str("more"), visit, &count),
                         cases[i].status));
            cr_assert(eq(int, rows_stream_finish(&reader), cases[i].status));
            rows_stream_close(&reader);
        }
        buf_free(&stream);
    }
}

Test(rows_stream, the_end_counts_and_is_the_end)
{
    struct buf stream = {0};
    struct rows_stream_reader reader = {0};
    unsigned count = 0;
    make(&stream);
    stream.ptr[stream.len - 8] = ROWS - 1;
    cr_assert(eq(int, read_all(&reader, buf_view(&stream), 4096, &count), STATUS_CORRUPT));
    rows_stream_close(&reader);
    stream.ptr[stream.len - 8] = ROWS;
    cr_assert(eq(int, buf_append(&stream, view_str("x")), STATUS_OK));
    count = 0;
    cr_assert(eq(int, read_all(&reader, buf_view(&stream), 4096, &count), STATUS_CORRUPT));
    cr_assert(strstr(reader.errmsg, "follows the end") != NULL, "%s", reader.errmsg);
    rows_stream_close(&reader);
    buf_free(&stream);
}

static enum status refuse(void *arg, struct view bytes, const struct session *session)
{
    (void)arg;
    (void)bytes;
    return session->version == 3 ? STATUS_NO_SPACE : STATUS_OK;
}

Test(rows_stream, what_the_visitor_says_ends_it)
{
    struct buf stream = {0};
    struct rows_stream_reader reader = {0};
    make(&stream);
    cr_assert(eq(int, rows_stream_read(&reader, buf_view(&stream), refuse, NULL), STATUS_NO_SPACE));
    cr_assert(eq(u64, reader.rows, 2));
    cr_assert(eq(int, rows_stream_finish(&reader), STATUS_NO_SPACE));
    rows_stream_close(&reader);
    buf_free(&stream);
}
