/*
 * The writer's end of the log: which slot is the next, and is it still ours to write?
 *
 *     chain_find()     read what the log ends with ◀─┐
 *     chain_fence()    a FENCE behind it ────────────┘ the process before us was quicker
 *        ⋮             others are shut out from here on
 *     chain_prepare()  changes ─▶ bytes of the next slot
 *     chain_write()    bytes ─▶ storage; or find out that we are shut out
 *
 * Why there is never a fork, whoever pauses where:
 *  1. A slot is stored only if its number was free, and the storage decides that.
 *  2. What was once tried under a number is tried again with the same bytes until it is known how
 *     that went, so an object there that has our nonce is what we meant to write.
 *  3. An object with another nonce under our number, once our fence stands, means that another
 *     process took over: we are FENCED for good.
 *  4. Retention makes old numbers free again, but never the last one, and takes minutes at least:
 *     so a writer that has not heard of the storage for `stale_ms` lists what lies behind its end,
 *     and one whose store took that long lists again before it believes that it succeeded.
 *
 * No threads here; a chain belongs to one thread at a time. Calls block.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/archive.h"
#include "backup/feed.h"
#include "backup/slot.h"
#include "base/clock.h"

/*
 * OK
 * FAILED        the storage or memory failed: the same call may succeed later
 * FENCED        another process writes this archive now
 * FOREIGN       the archive is of another store
 * UNSUPPORTED   the archive has a newer format
 * UNSAFE        the storage does not honour conditions, and nobody said that we are alone
 *
 * After the last four nothing may be written any more, ever, by this process.
 */
enum chain_status {
    CHAIN_OK,
    CHAIN_FAILED,
    CHAIN_FENCED,
    CHAIN_FOREIGN,
    CHAIN_UNSUPPORTED,
    CHAIN_UNSAFE,
};

enum { CHAIN_ERRMSG_BYTES = 512 };

struct chain_options {
    uint8_t uuid[SLOT_UUID_BYTES];   /* of the store */
    uint8_t nonce[SLOT_NONCE_BYTES]; /* random, of this process */
    uint64_t epoch;                  /* higher than that of every process before */
    uint64_t store_lsn;              /* the last change the store had after its recovery */
    bool is_single_writer; /* the operator says so: a storage without conditions will do */
    uint64_t stale_ms;     /* 0: 10 s */
};

/* Zeroed and then chain_init(). Reading is free to everybody on its thread. */
struct chain {
    struct archive archive;
    struct chain_options options;
    const struct clock *clock; /* borrowed */
    bool is_probed;
    bool is_open;                    /* our fence stands */
    bool is_deletable;               /* known when probed: retention can work */
    uint64_t next_seq;               /* of the slot to be written */
    uint64_t base_lsn;               /* the last change that store and archive had in common */
    uint64_t last_lsn;               /* the last change of this history that the archive holds */
    bool owes_snapshot;              /* changes are missing, and no snapshot mends that yet */
    uint64_t gap_seq;                /* the last slot before which there are some missing */
    uint64_t gaps;                   /* found by this process */
    uint64_t raw_bytes;              /* of the slots written, before compression */
    uint64_t stored_bytes;           /* … and as they are stored */
    char errmsg[CHAIN_ERRMSG_BYTES]; /* one line about the last call that was not OK */

    uint8_t prev[HASH128_BYTES];
    int64_t confirmed_ns;        /* when we last knew that nothing lies behind our end */
    struct slot_writer writer;   /* owned; as are the next three */
    struct slot slot;            /* of somebody */
    struct buf pending;          /* bytes of the next slot; empty: none is prepared */
    struct buf read;             /* an object */
    struct slot_header prepared; /* of `pending` */
    bool has_prepared_gap;
};

/** `s3` and `clock` are borrowed for the chain's life. */
void chain_init(struct chain *self, struct s3 *s3, const struct chain_options *options,
                const struct clock *clock);

/** Frees what it owns. */
void chain_close(struct chain *self);

/* What the newest manifest says; zeros: there is none. */
struct chain_hint {
    uint64_t next_seq;
    uint64_t through_lsn;
    uint64_t epoch; /* 0: there is no manifest */
    uint8_t uuid[SLOT_UUID_BYTES];
};

/**
 * Finds the end of the log, and what it holds of this store's history: last_lsn. When its last
 * slots are damaged their headers, or the newest manifest, say whose it is; FAILED when nothing
 * does. Call it again when FAILED. The chain may be open already: when an earlier chain_fence()
 * only seemed to fail. Numbers below the hint's are not used again even if retention has removed
 * all slots.
 */
enum chain_status chain_find(struct chain *self, const struct chain_hint *hint) MUST_CHECK;

/**
 * Looks whether the end that was found is in our history at all: a store that was restored to what
 * had been abandoned comes from before it. Then what both have in common is what our first new
 * change follows. `taken` has that. Between chain_find() and chain_fence().
 */
void chain_meet(struct chain *self, const struct feed_taken *taken);

/**
 * Puts our fence behind the end that was found, dated `time_ms`: when the process took over, but no
 * later than the first change that will be shipped. OK: if the chain is not open now, another
 * process wrote there meanwhile; then, and when FAILED, begin with chain_find() again.
 */
enum chain_status chain_fence(struct chain *self, int64_t time_ms) MUST_CHECK;

/** Tells the time of the first batch that the archive does not have; false: it has all of them. */
bool chain_first_new(const struct chain *self, const struct feed_taken *taken, int64_t *time_ms);

/**
 * Makes the next slot of what was taken. What the archive has already is left out: a store tells
 * recovered changes as well. OK: chain_has_pending() says whether there was anything else; FAILED:
 * out of memory. Only when the chain is open and nothing is pending.
 */
enum chain_status chain_prepare(struct chain *self, const struct feed_taken *taken) MUST_CHECK;

static inline bool chain_has_pending(const struct chain *self)
{
    return self->pending.len > 0;
}

/** Stores the pending slot; OK: it is there, and it is ours. FAILED: call it again. */
enum chain_status chain_write(struct chain *self) MUST_CHECK;

/**
 * Says that the changes that the store recovered have all come. If the archive lacks some,
 * that is a gap, which a snapshot has to mend. Once, when the chain is open.
 */
void chain_end_recovered(struct chain *self);

/** A snapshot is stored whose next_seq is this: it mends the gaps before that slot. */
void chain_note_snapshot(struct chain *self, uint64_t next_seq);
