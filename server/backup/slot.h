/*
 * A slot: some changes of a store as one object of the archive, `log/<seq as 16 hex digits>`. The
 * slots of an archive are numbered densely from 0, whoever writes them.
 *
 *     header, 136 bytes
 *       0  "SATCHLOG" | format u32 = 1 | flags u32
 *      16  store uuid 16
 *      32  nonce 16        random, of the process that wrote it
 *      48  epoch u64       of that process
 *      56  seq u64
 *      64  base lsn u64    the last change that its store and the archive had in common when that
 *                          process took over: the same in every slot of the process
 *      72  first lsn u64   of the changes here; the base lsn if there are none
 *      80  last lsn u64    likewise
 *      88  from ms u64     the earliest time here
 *      96  to ms u64       the latest
 *     104  batches u32
 *     108  raw bytes u32   of the batches before compression
 *     112  prev 16         XXH3-128 of the whole slot before; zeros in slot 0
 *     128  XXH3-64 of the 128 bytes before
 *     payload              one zstd frame: batches
 *     trailer, 16 bytes    XXH3-128 of everything before it
 *
 *     batch: | follows lsn u64 | first lsn u64 | time ms u64 | count u32 | bytes u32 | records |
 *
 * The records of a batch are those of the journal (store/record.h): the n-th has the lsn `first lsn
 * + n`. `follows lsn` is the last change of this store before the batch: first lsn - 1, or, where a
 * process began and its lsns jump, the last one that its store had recovered. A batch that follows
 * something else than the batch before it tells that changes are missing.
 *
 * Every process begins with a slot that is a FENCE: whatever others wrote behind its base lsn is
 * abandoned from there on. A fence counts as something that happened at `from ms`.
 *
 * Numbers are little-endian, hashes canonical (base/hash128.h). Pure; a slot or a writer belongs to
 * one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash128.h"

enum {
    SLOT_HEADER_BYTES = 136,
    SLOT_TRAILER_BYTES = HASH128_BYTES,
    SLOT_BATCH_HEADER_BYTES = 32,
    SLOT_UUID_BYTES = 16,
    SLOT_NONCE_BYTES = 16,
    SLOT_RAW_BYTES_MAX = 256 * 1024 * 1024,
    SLOT_BYTES_MAX = 258 * 1024 * 1024, /* of a whole object: zstd adds at most 1/256 */
    SLOT_NAME_BYTES = 4 + 16 + 1,
    SLOT_ERRMSG_BYTES = 128,
};

/*
 * Flags of a slot. GAP: changes before its end are missing in the archive, and when it was written
 * no snapshot behind them was known. It tells the writer's successor, who reads only the last slot,
 * that a snapshot is owed; who replays slots sees the gap itself.
 */
enum { SLOT_FENCE = 1, SLOT_GAP = 2 };

struct slot_header {
    uint32_t flags;
    uint8_t uuid[SLOT_UUID_BYTES];
    uint8_t nonce[SLOT_NONCE_BYTES];
    uint64_t epoch;
    uint64_t seq;
    uint64_t base_lsn;
    uint64_t first_lsn;
    uint64_t last_lsn;
    int64_t from_ms;
    int64_t to_ms;
    uint32_t batches;
    uint32_t raw_bytes;
    uint8_t prev[HASH128_BYTES];
};

static inline bool slot_is_fence(const struct slot_header *header)
{
    return (header->flags & SLOT_FENCE) != 0;
}

struct slot_batch {
    uint64_t follows_lsn;
    uint64_t first_lsn;
    int64_t time_ms; /* wall clock when it had become durable, before anything was acknowledged */
    uint32_t count;  /* of records, at least 1 */
    struct view records; /* borrowed */
};

static inline uint64_t slot_batch_last_lsn(const struct slot_batch *batch)
{
    return batch->first_lsn + batch->count - 1;
}

/**
 * How many bytes of a batch's records are of changes up to `last_lsn`, and how many records those
 * are. The records have been checked, as slot_open() does.
 */
size_t slot_batch_cut(const struct slot_batch *batch, uint64_t last_lsn, uint32_t *count);

/** Writes "log/<seq>". */
void slot_name(char out[static SLOT_NAME_BYTES], uint64_t seq);

/** Reads such a name; false when it is none. */
bool slot_parse_name(const char *name, uint64_t *seq);

/** XXH3-128 of a whole slot: the next one's `prev`. */
static inline void slot_hash(struct view bytes, uint8_t out[static HASH128_BYTES])
{
    hash128(bytes, out);
}

/* ---- Writing ---- */

/* Members are private. Zeroed before first use; may be used again, and then keeps its memory. */
struct slot_writer {
    struct slot_header header;
    struct buf raw; /* owned */
};

/**
 * Begins a slot. Of `header` flags, uuid, nonce, epoch, seq, base_lsn and prev are taken, and of a
 * fence from_ms: when the process took over. The rest is counted.
 */
void slot_begin(struct slot_writer *self, const struct slot_header *header);

/**
 * Adds a batch, copying it; nothing of its order or records is checked, so what breaks the rules
 * above is found when the slot is opened. TOO_LARGE: it would not fit any more; NO_MEMORY. In both
 * cases the slot is as it was.
 */
enum status slot_append(struct slot_writer *self, const struct slot_batch *batch) MUST_CHECK;

/** How many bytes the batches have so far, before compression. */
static inline size_t slot_raw_bytes(const struct slot_writer *self)
{
    return self->raw.len;
}

/**
 * Replaces what `out` holds by the slot. A slot without batches has to be a fence. NO_MEMORY leaves
 * the writer as it was. `header` (may be NULL) gets what was written.
 */
enum status slot_finish(const struct slot_writer *self, struct buf *out,
                        struct slot_header *header) MUST_CHECK;

/** Gives the memory back; the writer is zeroed. */
void slot_writer_free(struct slot_writer *self);

/* ---- Reading ---- */

/**
 * Reads a header from the front of `bytes`, of which there may be more or nothing else. OK;
 * CORRUPT: damaged, or impossible; UNSUPPORTED: another format. `errmsg` (SLOT_ERRMSG_BYTES) then
 * has a line.
 */
enum status slot_read_header(struct view bytes, struct slot_header *out,
                             char errmsg[static SLOT_ERRMSG_BYTES]) MUST_CHECK;

/* Zeroed before first use; may be opened again, and then keeps its memory. */
struct slot {
    struct slot_header header;
    struct buf raw; /* owned: the batches */
    char errmsg[SLOT_ERRMSG_BYTES];
};

/**
 * Reads and verifies a whole slot, down to every record. `bytes` is not needed any more afterwards.
 * OK; CORRUPT, UNSUPPORTED, NO_MEMORY: `errmsg` has a line, and there are no batches. Whatever the
 * bytes are, memory stays in proportion to SLOT_RAW_BYTES_MAX.
 */
enum status slot_open(struct slot *self, struct view bytes) MUST_CHECK;

/** All batches of an open slot, for slot_next_batch(); valid until it is opened again or closed. */
static inline struct view slot_batches(const struct slot *self)
{
    return buf_view(&self->raw);
}

/** Takes the next batch off the front of `*rest`; its records borrow from there. OK or END; CORRUPT
 *  only for bytes that are not of a slot that was opened. */
enum status slot_next_batch(struct view *rest, struct slot_batch *out) MUST_CHECK;

/** Gives the memory back; the slot is zeroed. */
void slot_close(struct slot *self);
