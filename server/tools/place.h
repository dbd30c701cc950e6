/* A data directory's files, who uses them, and whether they change. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/status.h"

enum { PLACE_OWNER_BYTES = 300 };

struct place {
    char *dir; /* owned, as all below */
    char *journal_dir;
    char *data_file; /* NULL: there is none, but a journal */
    int fd;          /* of the data file, for reading; -1: none */
    struct stat data_before;
    struct stat journal_before;
    uint64_t txnid_before;         /* of the data file, see pages_txnid() */
    bool is_used;                  /* a store holds the data file's lock */
    char owner[PLACE_OWNER_BYTES]; /* of it, as the lease has it; "" when that does not say */
};

/** What became of it since place_open(). */
enum place_change {
    PLACE_AT_REST,   /* nobody used it, and nothing at all has changed */
    PLACE_SAME_ROWS, /* no transaction was committed */
    PLACE_NEXT_ROWS, /* one was: every page that was read is still what it was */
    PLACE_CHANGED,   /* what was read of the rows may be anything */
};

/**
 * Finds the files and asks for the data file's lock, which it does not take: holding it would keep
 * a store from starting. OK, also when only the data file is missing; then `errmsg` says so.
 * Otherwise they cannot be looked at, and `errmsg` says why. To be closed in any case.
 */
enum status place_open(struct place *self, const char *dir, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;

/** Opens the file anew, because NFS promises to show what others have written to who opens after
 * they have. */
enum place_change place_change(const struct place *self);

void place_close(struct place *self);
