/* What rows.c and rows_read.c share. */
#pragma once

#include <endian.h>
#include <lmdb.h>

#include "store/rows.h"

enum {
    ROW_KEY_BYTES = 10,
    ROW_HEADER_BYTES = 12, /* of chunk 0 */
    ROW_CHUNK_BYTES = 2000,
};

struct rows {
    MDB_env *env;                /* owned */
    MDB_dbi dbi;                 /* immutable after rows_open */
    int fd;                      /* holds the POSIX lock; owned */
    char *link;                  /* the symlink in the run directory; owned */
    const struct file_ops *file; /* borrowed */
    char error[256];             /* writer and opener only */
};

struct rows_write {
    struct rows *rows;   /* borrowed */
    MDB_txn *txn;        /* owned */
    MDB_cursor *cursor;  /* owned */
    uint64_t last_rowid; /* the highest in the file */
};

/** A pages_problem_fn: the first problem becomes rows_error(). `arg` is the rows. */
void rows_on_page_problem(void *arg, uint64_t offset, const char *what);

/** Maps LMDB's return codes, and notes the words for rows_error(). */
enum status rows_status(struct rows *self, int rc, const char *what) MUST_CHECK;

static inline void row_key(uint8_t out[ROW_KEY_BYTES], uint64_t rowid, unsigned chunk)
{
    store_u64(out, htobe64(rowid));
    store_u16(out + 8, htobe16((uint16_t)chunk));
}

static inline uint64_t row_key_rowid(const uint8_t *key)
{
    return be64toh(load_u64(key));
}
