/*
 * What an archive has to offer for a restore: its manifests, and the headers of the slots behind
 * them. Reading a header costs a request, so only those are read that a plan may need.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backup/archive.h"
#include "backup/manifest.h"
#include "backup/plan.h"

struct findings {
    struct manifest *manifests; /* owned; good ones */
    size_t manifest_count;
    size_t damaged;          /* manifests that are not */
    struct plan_slot *slots; /* owned; by ascending seq, from the first that is of use */
    size_t slot_count;
    uint64_t epoch_max; /* of everything */
    uint64_t lsn_max;   /* likewise */
};

/**
 * Collects. NOT_FOUND: the archive is empty, or all its snapshots are later than the target;
 * CORRUPT: there is something, but not one good snapshot; IO, NO_MEMORY, AGAIN: the client was
 * stopped. `text` then has a line. The result is to be freed in
 * any case.
 */
enum status findings_collect(struct findings *self, struct archive *archive,
                             const struct target *target, char *text, size_t text_bytes) MUST_CHECK;

/** Gives the memory back; zeroed is fine. */
void findings_free(struct findings *self);
