/*
 * The manifest of a snapshot: a small JSON object beside the object with the rows. It is written
 * last and only if its name is free, so a snapshot without a manifest does not exist.
 *
 *     snap/<from lsn, 16 hex digits>-<epoch, 8>-<nonce, 8>.rows      rows_stream.h, compressed
 *     snap/…                                                 .json      the manifest
 *
 * A snapshot is taken while the store goes on: the rows have every change up to `from_lsn`, none
 * above `through_lsn`, and some between. So replaying the changes above `from_lsn` gives a state
 * that the store has had only once `through_lsn` is reached.
 *
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash128.h"

enum {
    MANIFEST_UUID_BYTES = 16,
    MANIFEST_VERSION_BYTES = 32,
    MANIFEST_BYTES_MAX = 16 * 1024, /* of the JSON text */
    MANIFEST_PARTS_MAX = 10000,     /* S3's own limit of parts */
    MANIFEST_ERRMSG_BYTES = 128,
    SNAPSHOT_NAME_BYTES = 5 + 16 + 1 + 8 + 1 + 8 + 5 + 1,
};

/* What tells one snapshot from another, as its name has it. */
struct snapshot_id {
    uint64_t from_lsn; /* every change up to it is in the rows */
    uint32_t epoch;
    uint32_t nonce; /* random */
};

enum snapshot_object { SNAPSHOT_ROWS, SNAPSHOT_MANIFEST };

/** Writes the name of one of a snapshot's two objects, with "snap/" before it. */
void snapshot_name(char out[static SNAPSHOT_NAME_BYTES], const struct snapshot_id *id,
                   enum snapshot_object object);

/** Reads such a name; false when it is none. */
bool snapshot_parse_name(const char *name, struct snapshot_id *id, enum snapshot_object *object);

struct manifest {
    struct snapshot_id id;
    char
        version[MANIFEST_VERSION_BYTES]; /* of Satchel, printable ASCII; informs, decides nothing */
    uint8_t uuid[MANIFEST_UUID_BYTES];   /* of the store */
    uint64_t hash_seed;                  /* of its table, so that scan cursors outlive a restore */
    uint64_t through_lsn;                /* no change above it is in the rows */
    uint64_t next_seq;                   /* slots from there on have every change above from_lsn */
    int64_t time_ms;                     /* wall clock when the last row had been read */
    uint64_t sessions;                   /* rows */
    uint64_t raw_bytes;                  /* of the stream before compression */
    uint64_t stored_bytes;               /* of the object */
    uint32_t parts;                      /* in which the object was uploaded */
    uint8_t hash[HASH128_BYTES];         /* XXH3-128 of the object */
};

/** Replaces what `out` holds by the JSON. NO_MEMORY; INVALID: a number or text is out of its range.
 */
enum status manifest_encode(const struct manifest *self, struct buf *out) MUST_CHECK;

/**
 * Reads a manifest. Members that are not known are passed over, all that are have to be there and
 * make sense. OK; CORRUPT, UNSUPPORTED: another format, NO_MEMORY: `errmsg` has a line. Text from
 * outside goes into a line only as far as it is printable.
 */
enum status manifest_decode(struct view json, struct manifest *out,
                            char errmsg[static MANIFEST_ERRMSG_BYTES]) MUST_CHECK;
