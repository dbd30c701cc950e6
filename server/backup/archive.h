/*
 * The objects of an archive by what they are:
 *
 *     log/<seq>         slots of the log, numbered without holes; each is written once
 *     snap/<name>.rows  snapshots, sent in parts through the client itself
 *     snap/<name>.json  their manifests; a snapshot exists when its manifest does
 *
 * What is in them is the business of slot.h and manifest.h. Calls block; statuses are those of the
 * client, whose s3_describe_error() has the rest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/s3.h"
#include "base/bytes.h"

/* One thread at a time, like its client. */
struct archive {
    struct s3 *s3; /* borrowed */
    /* The storage honours conditions. Without them two writers that come at the same moment can
     * overwrite each other; one that comes later is still noticed. */
    bool is_conditional;
};

/**
 * Stores a slot whose number was free. S3_EXISTS: it was not. Then either somebody else has it, or
 * this writer itself by an attempt that seemed to fail, in this call or an earlier one.
 */
enum s3_status archive_put_slot(struct archive *self, uint64_t seq, struct view bytes) MUST_CHECK;

/** Reads a slot into `out`, replacing what was in it. S3_NOT_FOUND: there is none; S3_TOO_LARGE:
 *  what is there cannot be one. */
enum s3_status archive_get_slot(struct archive *self, uint64_t seq, struct buf *out) MUST_CHECK;

/* The slots from some number on. */
struct archive_tail {
    uint64_t count; /* 0: none, and the rest means nothing */
    uint64_t first_seq;
    uint64_t last_seq; /* dense: last_seq - first_seq + 1 == count */
    uint64_t hole_seq; /* the first number that is missing between them; last_seq + 1: none */
};

/** Lists the slots numbered `from_seq` and above, a thousand a request. */
enum s3_status archive_find_tail(struct archive *self, uint64_t from_seq,
                                 struct archive_tail *out) MUST_CHECK;

/** Told each manifest's key and what that says, in ascending order; both valid during the call.
 *  False: enough. */
typedef bool (*archive_manifest_fn)(void *arg, const char *key, const struct snapshot_id *id);

/** Lists the manifests without reading them. */
enum s3_status archive_list_manifests(struct archive *self, archive_manifest_fn each,
                                      void *arg) MUST_CHECK;

/** Reads a manifest into `out`, replacing what was in it. S3_TOO_LARGE: it cannot be one. */
enum s3_status archive_get_manifest(struct archive *self, const char *key,
                                    struct buf *out) MUST_CHECK;

/**
 * Reads the newest manifest. `*is_found` is false when there is none that can be read, which is no
 * failure: it is a hint where the log ends, and the log itself knows.
 */
enum s3_status archive_find_newest(struct archive *self, struct manifest *out,
                                   bool *is_found) MUST_CHECK;

/** Stores a manifest. S3_EXISTS: the name is taken, maybe by an earlier attempt of this call. */
enum s3_status archive_put_manifest(struct archive *self, const char *key,
                                    struct view bytes) MUST_CHECK;

/** Deletes any object; S3_OK also when there was none. */
enum s3_status archive_delete(struct archive *self, const char *key) MUST_CHECK;
