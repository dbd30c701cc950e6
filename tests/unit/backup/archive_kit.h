/*
 * A real archive in the bucket, written as its writers do: slots of processes, snapshots whose rows
 * are what the changes made. For tests of who reads archives.
 *
 *     archive_fence('A', 0);  archive_put(100);  archive_snapshot();  archive_fence('B', 60);  …
 */
#pragma once

#include "backup/manifest.h"
#include "backup/slot.h"
#include "unit/backup/bucket.h"

extern const uint8_t archive_uuid[SLOT_UUID_BYTES];

/** Begins an archive without objects; the bucket is open. */
void archive_begin(void);

/** A process takes over, in the epoch that its letter stands for; slots have the time 1000 * seq.
 */
void archive_fence(char name, uint64_t base_lsn);

/** The present process ships one change: session `id` becomes "<id>-<lsn>". They follow each other;
 *  the first one of a process follows its base lsn. */
void archive_put(uint64_t lsn, const char *id);

/**
 * A snapshot of the present process behind the last slot, whole at the last change: its rows are
 * the sessions that all processes along the line have put. `nonce` tells snapshots of one lsn
 * apart. The name of its rows goes to `out` (may be NULL).
 */
void archive_snapshot(uint32_t nonce, char *out);

/** How many slots there are. */
uint64_t archive_slots(void);
