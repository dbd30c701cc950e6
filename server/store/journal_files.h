/*
 * The journal of earlier epochs, as recovery finds it: which segments there are, what is in them,
 * and whether anything that was acknowledged is missing.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"
#include "store/record.h"
#include "store/segment.h"

/* One file of a segment. */
struct journal_file {
    char *path; /* owned */
    int fd;     /* open and locked as long as this is listed; owned */
    uint64_t epoch;
    uint64_t number;
    uint32_t lane;
    struct segment_header header;
    bool usable;            /* its frames count */
    const char *unused_why; /* when it is not usable: a constant that says so, for people */
};

struct journal_files {
    const struct file_ops *file; /* borrowed */
    struct journal_file *items;  /* owned; in order of epoch, number, lane */
    size_t count;
    uint64_t epoch_max; /* of all names, also of files that are not usable */
    uint64_t lsn_max;   /* of all headers: an epoch may have given lsns out and written none */
};

struct journal_place {
    const char *dir;
    const uint8_t *uuid;         /* of the store; NULL when it is not known */
    const struct file_ops *file; /* borrowed by what is listed */
    uint64_t lock_wait_ms;       /* how long to wait for the lock of a segment's last writer */
};

/** Lists the segments of a place, takes their locks (invariant 9) and reads their headers. CORRUPT:
 * a damaged header, or a segment of another store; LOCKED: another process still writes one;
 *  `errmsg` names it. On failure nothing is left to free. */
enum status journal_files_list(struct journal_files *self, const struct journal_place *place,
                               char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Called for each record above applied_lsn in the order of lsns; `time_ms` is that of its frame.
 *  Borrows during the call. */
typedef enum status (*journal_replay_fn)(void *arg, uint64_t lsn, uint64_t time_ms,
                                         const struct record *record);

/**
 * Replays what is above `applied_lsn`. What it replayed is on stable storage when it returns, also
 * what a dead process had left in the page cache. `*last_lsn` becomes the last change found, or
 * applied_lsn. CORRUPT when changes are missing or damaged that were durable once; `errmsg` says
 * which and where.
 */
enum status journal_files_replay(struct journal_files *self, uint64_t applied_lsn,
                                 journal_replay_fn visit, void *arg, uint64_t *last_lsn,
                                 char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/* ---- Looking at a journal as a whole -------------------------------------------------------- */

struct journal_problem {
    const struct journal_file *segment; /* in which, or before which, something is wrong */
    uint64_t offset;                    /* in its file */
    uint64_t lsn;                       /* of the first change it concerns; 0: none in particular */
    bool harmless;                      /* the rows have what is lost here */
    const char *what;                   /* one line; valid during the call */
};

/* Where the frames of a file end. */
struct journal_end {
    uint64_t offset;     /* behind the last frame that counts */
    uint64_t file_bytes; /* what stands behind may be left over from the file's earlier use */
    uint64_t torn_bytes; /* of it, what looks like a frame that was begun and does not count */
    uint64_t next_lsn;   /* that the segment's next frame would have */
};

/* Who looks on. Everything is called on the caller's thread and borrowed during the call. */
struct journal_observer {
    void (*frame)(void *arg, const struct journal_file *segment, uint64_t offset,
                  const struct frame *frame);
    void (*end)(void *arg, const struct journal_file *segment, const struct journal_end *end);
    void (*problem)(void *arg, const struct journal_problem *problem);
    void *arg; /* borrowed */
};

struct journal_survey {
    struct journal_place place;
    const uint64_t *applied_lsn; /* up to which the rows have all; NULL when it is not known */
    struct journal_observer observer;
};

/**
 * Reads the whole journal and decides as journal_files_replay() does, but tells about every problem
 * and goes on. It also sees damage where nothing is lost, and decodes every record. On
 * OK, whatever the problems, `*self` lists the segments and is the caller's to free; otherwise
 * the journal could not be read, `errmsg` says why, and nothing is left to free.
 */
enum status journal_files_survey(struct journal_files *self, const struct journal_survey *survey,
                                 uint64_t *last_lsn, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Removes all segments that were listed and gives their locks up; call when a checkpoint covers
 *  them. */
enum status journal_files_remove(struct journal_files *self) MUST_CHECK;

void journal_files_free(struct journal_files *self);
