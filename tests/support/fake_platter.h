/*
 * What is durable on the fake disk: of each segment the bytes and the name as of the last sync, and
 * what came since. No locking of its own; the fake disk's lock is held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum { PLATTER_FDS = 1024, PLATTER_FILES_MAX = 4096, PLATTER_NAME_BYTES = 64 };

struct platter_write {
    struct platter_write *next; /* owned */
    size_t offset;
    size_t len;
    uint8_t bytes[];
};

struct platter_file {
    char name[PLATTER_NAME_BYTES];         /* "" when it was removed */
    char durable_name[PLATTER_NAME_BYTES]; /* "" when its name was never synced */
    struct buf durable;                    /* owned */
    struct platter_write *pending;         /* owned; oldest first */
};

struct fake_platter {
    struct platter_file files[PLATTER_FILES_MAX];
    size_t count;
    size_t fd_files[PLATTER_FDS]; /* place in files + 1; 0: not a segment */
};

/** A descriptor was opened. Segments that the disk did not see made count as durable. */
void platter_opened(struct fake_platter *self, int fd, const char *path);
void platter_closed(struct fake_platter *self, int fd);

/** True for a descriptor of a segment. */
bool platter_knows(const struct fake_platter *self, int fd);

void platter_written(struct fake_platter *self, int fd, struct view bytes, off_t offset);

/** A segment's bytes, or, for any other descriptor, all names are durable now. */
void platter_synced(struct fake_platter *self, int fd);

/** `to` NULL: removed. */
void platter_renamed(struct fake_platter *self, const char *from, const char *to);

/** See fake_disk_survivors(). */
void platter_survivors(const struct fake_platter *self, const char *into, uint64_t seed);

void platter_free(struct fake_platter *self);
