/*
 * The reader pool: brings values back from LMDB that are not in memory. A page fault on EFS takes
 * milliseconds and stalls a reader thread here, never a worker.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct loader; /* opaque */
struct rows;
struct store;

enum { LOADER_THREADS = 2, LOADER_QUEUE_MAX = 16384 };

/** Starts the threads on the store's rows. On OK the caller owns `*out`. */
enum status loader_start(struct store *store, struct loader **out) MUST_CHECK;

/** From now on reads come from `rows`; returns when nobody uses the ones before. Keeper thread. */
enum status loader_use(struct loader *self, struct rows *rows) MUST_CHECK;

/** Ends the threads and frees the loader; what is queued is reported as loaded without being so. */
void loader_stop(struct loader *self);

/** Queues one value, to be followed by events.loaded(waiter) on a loader thread. TOO_LARGE when the
 * queue is full, NO_MEMORY. May be called with a shard locked. */
enum status loader_request(struct loader *self, uint64_t hash, uint64_t rowid,
                           void *waiter) MUST_CHECK;
