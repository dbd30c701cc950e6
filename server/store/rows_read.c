/* Reading rows: one at a time for values that are not in memory, all of them at start. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/image.h"
#include "store/pages.h"
#include "store/rows_private.h"

struct rows_reader {
    struct rows *rows;  /* borrowed */
    MDB_txn *txn;       /* owned; reset between reads */
    MDB_cursor *cursor; /* owned */
};

enum status rows_reader_new(struct rows *self, struct rows_reader **out)
{
    struct rows_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return STATUS_NO_MEMORY;
    }
    reader->rows = self;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &reader->txn);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_open(reader->txn, self->dbi, &reader->cursor);
    }
    if (rc != MDB_SUCCESS) {
        rows_reader_free(reader);
        return STATUS_IO;
    }
    mdb_txn_reset(reader->txn);
    *out = reader;
    return STATUS_OK;
}

void rows_reader_free(struct rows_reader *reader)
{
    if (reader->cursor != NULL) {
        mdb_cursor_close(reader->cursor);
    }
    if (reader->txn != NULL) {
        mdb_txn_abort(reader->txn);
    }
    free(reader);
}

/*
 * Assembles the row that begins at `chunk` (the value of its chunk 0) with the cursor on it, into
 * `into` unless it is one chunk, and verifies it. The cursor ends on the row's last chunk.
 */
static enum status assemble(MDB_cursor *cursor, uint64_t rowid, MDB_val chunk, struct buf *into,
                            struct session *out)
{
    const uint8_t *first = chunk.mv_data;
    if (chunk.mv_size < ROW_HEADER_BYTES) {
        return STATUS_CORRUPT;
    }
    uint64_t checksum = load_u64(first);
    size_t image_len = load_u32(first + 8);
    struct view image = view_of(first + ROW_HEADER_BYTES, chunk.mv_size - ROW_HEADER_BYTES);
    if (image.len < image_len) {
        if (image_len > SATCHEL_VALUE_BYTES_MAX + 1024) {
            return STATUS_CORRUPT;
        }
        into->len = 0;
        enum status status = buf_reserve(into, image_len);
        if (status == STATUS_OK) {
            status = buf_append(into, image);
        }
        for (unsigned n = 1; status == STATUS_OK && into->len < image_len; n++) {
            MDB_val key;
            uint8_t expected[ROW_KEY_BYTES];
            row_key(expected, rowid, n);
            int rc = mdb_cursor_get(cursor, &key, &chunk, MDB_NEXT);
            if (rc != MDB_SUCCESS || key.mv_size != ROW_KEY_BYTES ||
                memcmp(key.mv_data, expected, ROW_KEY_BYTES) != 0) {
                return STATUS_CORRUPT;
            }
            status = buf_append(into, view_of(chunk.mv_data, chunk.mv_size));
        }
        if (status != STATUS_OK) {
            return status;
        }
        image = buf_view(into);
    }
    if (image.len != image_len || hash64(image, rowid) != checksum ||
        image_decode(image, out) != STATUS_OK) {
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

enum status rows_read(struct rows_reader *reader, uint64_t rowid, struct buf *into,
                      struct session *out)
{
    if (mdb_txn_renew(reader->txn) != MDB_SUCCESS) {
        return STATUS_IO;
    }
    enum status status = STATUS_IO;
    if (mdb_cursor_renew(reader->txn, reader->cursor) == MDB_SUCCESS) {
        uint8_t bytes[ROW_KEY_BYTES];
        row_key(bytes, rowid, 0);
        MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
        MDB_val value;
        int rc = mdb_cursor_get(reader->cursor, &key, &value, MDB_SET_KEY);
        status = rc == MDB_SUCCESS    ? assemble(reader->cursor, rowid, value, into, out)
                 : rc == MDB_NOTFOUND ? STATUS_NOT_FOUND
                                      : STATUS_IO;
    }
    if (status == STATUS_OK &&
        (into->ptr == NULL || out->id.ptr != into->ptr + IMAGE_HEADER_BYTES)) {
        /* A row of one chunk was read in place; copy it out before the transaction ends. */
        struct view image = view_of(out->id.ptr - IMAGE_HEADER_BYTES, image_bytes(out));
        into->len = 0;
        status = buf_append(into, image);
        if (status == STATUS_OK) {
            status = image_decode(buf_view(into), out);
        }
    }
    mdb_txn_reset(reader->txn);
    return status;
}

/* ---- The whole file ------------------------------------------------------------------------- */

enum status rows_check(struct rows *self)
{
    struct pages_count count;
    self->error[0] = '\0';
    enum status status = pages_check(self->file, self->fd, &count, rows_on_page_problem, self);
    if (status == STATUS_IO) {
        return rows_status(self, errno, "reading the file");
    }
    return status == STATUS_OK && self->error[0] != '\0' ? STATUS_CORRUPT : status;
}

/* A walk over all rows. */
struct scan {
    struct rows *rows;
    MDB_cursor *cursor; /* borrowed */
    rows_visit_fn visit;
    rows_damage_fn damaged; /* NULL: the first damage ends the walk */
    void *arg;
    struct buf scratch;
    uint8_t last_key[ROW_KEY_BYTES];
    bool has_last_key;
    uint64_t from;     /* the first row id wanted; 0: all */
    size_t bytes_left; /* of images to visit */
    uint64_t next;     /* the row id behind the last one visited, when bytes_left is used up */
};

/* Looks at the row that begins at the cursor. CORRUPT: rows_error() says what is wrong with it. */
static enum status scan_row(struct scan *self, MDB_val key, MDB_val value)
{
    struct rows *rows = self->rows;
    if (key.mv_size != ROW_KEY_BYTES) {
        (void)snprintf(rows->error, sizeof rows->error, "a key of %zu bytes is none of ours",
                       key.mv_size);
        return STATUS_CORRUPT;
    }
    uint8_t bytes[ROW_KEY_BYTES];
    memcpy(bytes, key.mv_data, sizeof bytes);
    uint64_t rowid = row_key_rowid(bytes);
    bool is_in_order = !self->has_last_key || memcmp(self->last_key, bytes, sizeof bytes) < 0;
    memcpy(self->last_key, bytes, sizeof bytes);
    self->has_last_key = true;
    if (!is_in_order) {
        (void)snprintf(rows->error, sizeof rows->error, "row %" PRIu64 " is out of order", rowid);
        return STATUS_CORRUPT;
    }
    if (load_u16(bytes + 8) != 0) {
        (void)snprintf(rows->error, sizeof rows->error,
                       "row %" PRIu64 " has a part without its beginning", rowid);
        return STATUS_CORRUPT;
    }
    if (rowid == 0) {
        return STATUS_OK; /* the meta row */
    }
    struct session session;
    enum status status = assemble(self->cursor, rowid, value, &self->scratch, &session);
    if (status == STATUS_CORRUPT) {
        (void)snprintf(rows->error, sizeof rows->error, "row %" PRIu64 " is damaged", rowid);
    }
    if (status == STATUS_OK) {
        status = self->visit(self->arg, rowid, &session);
    }
    size_t len = status == STATUS_OK ? image_bytes(&session) : 0;
    if (len >= self->bytes_left) {
        self->next = rowid + 1;
        return STATUS_END;
    }
    self->bytes_left -= len;
    return status;
}

static enum status scan_all(struct scan *self)
{
    uint8_t first[ROW_KEY_BYTES];
    row_key(first, self->from, 0);
    MDB_val key = {.mv_size = sizeof first, .mv_data = first};
    MDB_val value;
    uint64_t told = 0; /* what follows its beginning is damaged with it */
    for (MDB_cursor_op op = MDB_SET_RANGE;; op = MDB_NEXT) {
        int rc = mdb_cursor_get(self->cursor, &key, &value, op);
        if (rc != MDB_SUCCESS) {
            return rc == MDB_NOTFOUND ? STATUS_OK : rows_status(self->rows, rc, "scan");
        }
        enum status status = scan_row(self, key, value);
        if (status == STATUS_CORRUPT && self->damaged != NULL) {
            uint64_t rowid = key.mv_size == ROW_KEY_BYTES ? row_key_rowid(key.mv_data) : 0;
            if (rowid == 0 || rowid != told) {
                self->damaged(self->arg, rowid, self->rows->error);
            }
            told = rowid;
        } else if (status != STATUS_OK) {
            return status;
        }
    }
}

/* Walks in a read transaction of its own. */
static enum status run_scan(struct scan *self)
{
    struct rows_reader *reader = NULL;
    enum status status = rows_reader_new(self->rows, &reader);
    if (status != STATUS_OK) {
        return status;
    }
    int rc = mdb_txn_renew(reader->txn);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_renew(reader->txn, reader->cursor);
    }
    self->cursor = reader->cursor;
    status = rc == MDB_SUCCESS ? scan_all(self) : rows_status(self->rows, rc, "scan");
    buf_free(&self->scratch);
    rows_reader_free(reader);
    return status;
}

enum status rows_survey(struct rows *self, rows_visit_fn visit, rows_damage_fn damaged, void *arg)
{
    struct scan scan = {
        .rows = self, .visit = visit, .damaged = damaged, .arg = arg, .bytes_left = SIZE_MAX};
    return run_scan(&scan);
}

enum status rows_scan(struct rows *self, rows_visit_fn visit, void *arg)
{
    return rows_survey(self, visit, NULL, arg);
}

enum status rows_scan_part(struct rows *self, uint64_t rowid, size_t bytes, rows_visit_fn visit,
                           void *arg, uint64_t *next)
{
    struct scan scan = {
        .rows = self, .visit = visit, .arg = arg, .from = rowid, .bytes_left = bytes};
    enum status status = run_scan(&scan);
    *next = scan.next;
    return status == STATUS_END && scan.next != 0 ? STATUS_OK : status;
}
