/* A data directory's files, and whether somebody uses them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/status.h"

struct place {
    char *dir; /* owned, as all below */
    char *journal_dir;
    char *data_file; /* NULL: there is none, but a journal */
    int fd;          /* of the data file, for reading; -1: none */
    struct stat data_before;
    struct stat journal_before;
};

/**
 * Finds the files. OK, also when only the data file is missing; then `errmsg` says so. LOCKED: a
 * store runs on them. Otherwise they cannot be looked at. `errmsg` says why. To be closed in any
 * case.
 */
enum status place_open(struct place *self, const char *dir, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;

/** True when nothing was written since place_open(), and no store runs on it now. */
bool place_is_unchanged(const struct place *self);

void place_close(struct place *self);
