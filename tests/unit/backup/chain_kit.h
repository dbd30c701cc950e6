/* What the tests of chain.h share: processes that write one log. */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "backup/chain.h"
#include "unit/backup/log_kit.h"

enum { STALE_MS = 10000 }; /* of a chain that does not say */

extern const uint8_t chain_uuid[SLOT_UUID_BYTES];
extern const struct chain_hint no_hint;

/* A process that writes the log. */
struct writer {
    struct bucket_client client;
    struct chain chain;
    struct feed *feed;
    struct feed_metrics metrics;
    uint64_t next_lsn;
};

/** A process of that epoch, whose store has changes up to `store_lsn`. */
void open_writer(struct writer *writer, uint64_t epoch, uint64_t store_lsn);
void close_writer(struct writer *writer);

/** The call went as wanted; otherwise the test fails with the chain's line. */
void demand(const struct writer *writer, enum chain_status got, enum chain_status wanted);

/** Opens a writer whose fence stands. */
void take_over(struct writer *writer, uint64_t epoch, uint64_t store_lsn);

/** Makes what the feed has the pending slot. */
void prepare(struct writer *writer);

/** Tries to write one slot with three changes. */
enum chain_status write_some(struct writer *writer);
