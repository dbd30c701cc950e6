/* What the files of pruning share. Nobody else includes it. */
#pragma once

#include "backup/look.h"
#include "backup/prune.h"

enum doomed_kind { DOOMED_MANIFEST, DOOMED_ROWS, DOOMED_SLOT };

/* An object that goes. */
struct doomed {
    enum doomed_kind kind;
    uint64_t number; /* of a snapshot: its index in the survey; of a slot: its seq */
    uint64_t bytes;
};

struct prune {
    const struct prune_job *job;
    struct prune_report *report;
    struct s3 *s3; /* lists and deletes */
    struct gather gather;
    struct look look;
    struct retention_input input; /* its arrays are owned */
    struct retention_snapshot *snapshots;
    struct retention_slot *slots;
    uint64_t *slot_bytes; /* owned; of each of them */
    size_t slot_cap;
    struct retention decided;
    struct doomed *doomed; /* owned; in the order in which they go */
    size_t doomed_count;
};

/** Notes a line and returns `status`. */
enum status prune_say(struct prune *self, enum status status, const char *text);

/** The same for the last call of the client, which was about `doing`. */
enum status prune_storage_failed(struct prune *self, const char *doing);

void prune_show(const struct prune *self, enum prune_stage stage, uint64_t done, uint64_t total);

/** The first slot that is held; UINT64_MAX: none is. */
enum status prune_find_holds(struct prune *self, uint64_t *hold_seq) MUST_CHECK;

/** Deletes what is doomed, in order. END: a restore has begun meanwhile, and what is left has to
 * stay for now. */
enum status prune_delete(struct prune *self) MUST_CHECK;

/** Deletes holds that are void, and ends uploads that were never completed. */
enum status prune_sweep(struct prune *self) MUST_CHECK;
