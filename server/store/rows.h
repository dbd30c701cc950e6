/*
 * Rows: sessions in LMDB. The only module that includes <lmdb.h>.
 *
 *     key    row id u64, chunk u16, both big-endian        row id 0 is the meta row
 *     value  of chunk 0: XXH3-64 of the image (seeded with the row id) | image length u32 | image …
 *            of the others: the image goes on
 *
 * A value holds at most 2000 bytes, so it never needs LMDB's overflow pages, whose search for
 * contiguous free pages costs more than the chunks do. Row ids are handed out in the order of time:
 * what is new together lies together.
 *
 * The environment is opened through a symlink in a local directory, because LMDB puts its lock file
 * beside the path it was given and the data file may be on NFS. One process owns a data file; what
 * excludes others is a POSIX lock on the data file itself, taken before LMDB opens it (invariant
 * 9).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "session/session.h"
#include "store/segment.h"

struct rows;        /* opaque: the environment */
struct rows_write;  /* opaque: a write transaction */
struct rows_reader; /* opaque: a read transaction that is renewed for each read */

/* The meta row. */
struct rows_meta {
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t hash_seed;   /* of the table; kept so that scan cursors outlive a restart */
    uint64_t epoch;       /* of the process that wrote it */
    uint64_t applied_lsn; /* all changes up to it are in the rows */
    uint64_t last_lsn;    /* highest lsn given out when it was written */
    uint64_t next_rowid;
};

struct rows_options {
    const char *path;            /* of the data file, which exists (it may be empty) */
    const char *run_dir;         /* local directory for symlink and lock file, exists; unused when
                                    read_only */
    uint64_t map_bytes;          /* upper bound of the file's size; unused when read_only */
    uint64_t lock_wait_ms;       /* how long to wait for a predecessor that is just ending */
    bool read_only;              /* for looking: nothing is created. A store that writes the file
                                    meanwhile may make anything fail, see pages_txnid() */
    const struct file_ops *file; /* borrowed */
};

/**
 * Takes the lock on the data file and opens it. OK; LOCKED: another process owns it; IO, NO_MEMORY,
 * CORRUPT, UNSUPPORTED. `errmsg` then holds a line. On OK the caller owns `*out`.
 */
enum status rows_open(const struct rows_options *options, struct rows **out, char *errmsg,
                      size_t errmsg_bytes) MUST_CHECK;

/** Makes an empty data file at options->path, in the place of what an attempt left there, and opens
 *  it like rows_open(). NO_SPACE, IO and as there. */
enum status rows_create(const struct rows_options *options, struct rows **out, char *errmsg,
                        size_t errmsg_bytes) MUST_CHECK;

/** Closes the environment and gives the lock up. No transaction or reader may be left. */
void rows_close(struct rows *self);

/** Size of the data file: bytes in use or free for reuse. Asks the storage, so it may hang: never
 *  on a worker or the main thread. */
uint64_t rows_file_bytes(const struct rows *self);

/** Why the last call of this thread's owner failed: LMDB's or the system's words. */
const char *rows_error(const struct rows *self);

/** Reads the meta row. NOT_FOUND: a new file. CORRUPT, UNSUPPORTED. */
enum status rows_read_meta(struct rows *self, struct rows_meta *out) MUST_CHECK;

/** Called for each row in the order of row ids; the session borrows and is valid during the call.
 * Any status other than OK ends the scan and is returned. */
typedef enum status (*rows_visit_fn)(void *arg, uint64_t rowid, const struct session *session);

/**
 * Reads the file front to back into the page cache, then takes the account of its pages (pages.h).
 * CORRUPT: rows_error() says what is wrong with which. A scan does not notice a tree in which
 * searching goes astray, or which has old pages in it; so this comes first.
 */
enum status rows_check(struct rows *self) MUST_CHECK;

/** Visits every row. CORRUPT names the row in rows_error(). */
enum status rows_scan(struct rows *self, rows_visit_fn visit, void *arg) MUST_CHECK;

/**
 * Visits rows from `rowid` on until their images are `bytes` or a little more, in one short read
 * transaction: a long one would keep the file from using its free pages again. `*next` is where to
 * go on, 0 when that was the last row. CORRUPT as rows_scan().
 */
enum status rows_scan_part(struct rows *self, uint64_t rowid, size_t bytes, rows_visit_fn visit,
                           void *arg, uint64_t *next) MUST_CHECK;

/** Called for each damaged row, or part of one; `what` is valid during the call. */
typedef void (*rows_damage_fn)(void *arg, uint64_t rowid, const char *what);

/** Like rows_scan(), but goes on behind damaged rows, which `damaged` hears of. */
enum status rows_survey(struct rows *self, rows_visit_fn visit, rows_damage_fn damaged,
                        void *arg) MUST_CHECK;

/* One writer at a time; everything from begin to commit or abort on one thread. */
enum status rows_write_begin(struct rows *self, struct rows_write **out) MUST_CHECK;

/** Writes the row of an image, replacing what was there. NO_SPACE: the map is full. */
enum status rows_put(struct rows_write *write, uint64_t rowid, struct view image) MUST_CHECK;

/** Removes a row; a row that is not there is fine. */
enum status rows_delete(struct rows_write *write, uint64_t rowid) MUST_CHECK;

enum status rows_put_meta(struct rows_write *write, const struct rows_meta *meta) MUST_CHECK;

/** Commits and syncs; the transaction is gone in any case. */
enum status rows_commit(struct rows_write *write) MUST_CHECK;
void rows_abort(struct rows_write *write);

/** Readers: one a thread. */
enum status rows_reader_new(struct rows *self, struct rows_reader **out) MUST_CHECK;
void rows_reader_free(struct rows_reader *reader);

/** Reads one row as of the last commit and verifies it; `into` holds the image the session borrows
 *  from. OK, NOT_FOUND, CORRUPT, IO, NO_MEMORY. Holds no transaction afterwards. */
enum status rows_read(struct rows_reader *reader, uint64_t rowid, struct buf *into,
                      struct session *out) MUST_CHECK;
