/* What the journal's tests share: a journal on a directory of its own, changes to write into it,
 * and the replay of what is there. */
#pragma once

#include "store/journal.h"
#include "store/journal_files.h"
#include "support/fake_disk.h"
#include "support/random.h"
#include "support/temp_dir.h"

enum { KIT_CHANGES_MAX = 4096, KIT_SPARE_SEGMENTS = 4 };

extern const uint8_t kit_uuid[STORE_UUID_BYTES];

struct kit {
    char dir[TEMP_DIR_BYTES];
    uint64_t segment_bytes;
    uint64_t undurable_bytes_max;
    const struct file_ops *file; /* borrowed */
    const struct clock *clock;   /* borrowed */
    struct ownership owner;      /* all zero at first: owned for ever */
    struct journal *journal;     /* NULL while it is closed */
    struct journal_metrics metrics;
    uint64_t told_lsn; /* of the last change that was told as durable; journal thread */
    _Atomic bool has_failed;
    char why[256]; /* of the failure */
};

/** Makes the directory; segments of 64 KiB, the system's files. */
void kit_init(struct kit *self);

/** Closes the journal if it is open and removes the directory. */
void kit_end(struct kit *self);

enum status kit_try_open(struct kit *self, uint64_t epoch, uint64_t follows_lsn, uint64_t next_lsn,
                         char *errmsg, size_t errmsg_bytes) MUST_CHECK;
void kit_open(struct kit *self, uint64_t epoch, uint64_t follows_lsn, uint64_t next_lsn);
void kit_close(struct kit *self);

/** Writes a PUT of a session whose id and content tell its lsn, about `len` bytes of it; returns
 * the lsn, 0 when the journal refuses. */
uint64_t kit_put(struct kit *self, size_t len);

/** The same, and waits until it is durable. */
uint64_t kit_put_durable(struct kit *self, size_t len);

/* What a replay found. */
struct replayed {
    enum status status; /* of listing or replaying */
    char errmsg[512];
    uint64_t last_lsn;
    uint64_t lsn_max;   /* of all headers */
    uint64_t epoch_max; /* of all names */
    size_t count;
    uint64_t lsns[KIT_CHANGES_MAX];
};

/** Replays the directory `dir`. Every change has to be as kit_put() wrote it, and lsns have to
 * rise.
 */
void kit_replay(const char *dir, uint64_t applied_lsn, struct replayed *out);

/** The path of the first file of segment `number` of `epoch` in `dir`. */
void kit_path(char out[256], const char *dir, uint64_t epoch, uint64_t number);

/** Whatever a crash left of the journal, all that was durable is in it, and no gap. `seed` decides
 * what a few of many possible outcomes are. */
void kit_check_survivors(struct fake_disk *disk, uint64_t seed, uint64_t applied, uint64_t durable);
