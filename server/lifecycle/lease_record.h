/*
 * The text in DIR/lease: who owns the directory, for people, for a standby's log line, and for the
 * next owner, who wants to know whether this one ended in order. It is information and no fence:
 * the fences are locks, new files and the owner's own clock (lease.h).
 *
 *     satchel lease 1
 *     epoch 12
 *     state owned                      or: released, everything is in the data file
 *     owner ip-10-0-1-5 pid 7
 *     address 10.0.1.5:7401
 *     heartbeat 431 at 2026-11-23T08:15:02Z
 *     check 0123456789abcdef           XXH3-64 of all before
 *
 * A record always has LEASE_RECORD_BYTES, filled up with a line of spaces, so that it is rewritten
 * in place: no space is needed, and no other file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { LEASE_RECORD_BYTES = 512, LEASE_NAME_BYTES = 128 };

struct lease_record {
    uint64_t epoch; /* of the owner's files; 0: not known yet */
    bool is_released;
    char owner[LEASE_NAME_BYTES];   /* one line */
    char address[LEASE_NAME_BYTES]; /* HOST:PORT, or empty */
    uint64_t heartbeats;
    int64_t at_ms; /* wall clock of the last one, ms since 1970 */
};

void lease_record_encode(char out[LEASE_RECORD_BYTES], const struct lease_record *record);

/** OK, or CORRUPT: not a whole record. */
enum status lease_record_decode(const char bytes[LEASE_RECORD_BYTES],
                                struct lease_record *out) MUST_CHECK;
