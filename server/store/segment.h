/*
 * Journal segments: files `journal/<epoch>-<number>-<lane>.jnl` of a header and frames.
 *
 *     header, 72 bytes:  | "SATCHJNL" | format u32 = 1 | lane u8 | lanes before u8 | 0 u16
 *                        | store uuid 16 | epoch u64
 *                        | number u64 | follows lsn u64 | first lsn u64
 *                        | XXH3-64 of the 64 before
 *     frame header, 48:  | "SJF1" u32 | bytes u32 | first lsn u64 | durable lsn u64 | count u32
 *                        | reserved u32 | time ms u64 | XXH3-64 of the 40 before and the records
 *     frame:             | frame header | records (record.h), `bytes` in all |
 *
 * A segment has one file, or more where the storage is slow: then a flush begins while others are
 * under way, each in a lane of its own, since syncs of one file may wait for each other. Within
 * a file frames stand without gaps; over all files of a segment their lsns continue each other. A
 * frame's checksum is seeded with epoch, number, lane and uuid, so bytes left over from a file that
 * was recycled never pass for a frame: where no file has a whole, continuing frame is the end.
 *
 * Is that end a torn tail (the process died while writing what it had not acknowledged) or damage?
 * Each frame says what was durable when it was written: if any whole frame behind the end knew the
 * missing lsn to be durable, it is damage. So that the last flush has one behind it as well, a
 * frame without records follows when the journal has been idle for a moment. What the rows have was
 * durable as well: if the end comes before it, any whole frame behind the end with changes that the
 * rows lack says the same.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/status.h"

enum {
    SEGMENT_HEADER_BYTES = 72,
    FRAME_HEADER_BYTES = 48,
    STORE_UUID_BYTES = 16,
    SEGMENT_NAME_BYTES = 48,
    SEGMENT_LANES = 4, /* files of one segment, at most */
};

struct segment_header {
    uint8_t uuid[STORE_UUID_BYTES]; /* of the store the segment belongs to */
    uint64_t epoch;                 /* grows with every start of the store */
    uint64_t number;                /* grows by one within an epoch */
    uint32_t lane;                  /* below SEGMENT_LANES: which file of the segment */
    uint32_t lanes_before;          /* files of the segment before, 0 at the epoch's start: once
                                       covered, each is used again or removed by itself */
    uint64_t follows_lsn;           /* the last change before this segment: first_lsn - 1 within an
                                       epoch; at its start what recovery found, before the gap */
    uint64_t first_lsn;             /* of the first frame */
};

/** Writes "<epoch>-<number>-<lane>.jnl" with fixed-width numbers, so that names sort. */
void segment_name(char out[SEGMENT_NAME_BYTES], uint64_t epoch, uint64_t number, uint32_t lane);

/** Reads such a name; false when it is none. */
bool segment_parse_name(const char *name, uint64_t *epoch, uint64_t *number, uint32_t *lane);

void segment_encode_header(uint8_t out[SEGMENT_HEADER_BYTES], const struct segment_header *header);

/** OK; CORRUPT: not a segment, or damaged; UNSUPPORTED: another format. */
enum status segment_decode_header(struct view bytes, struct segment_header *out) MUST_CHECK;

/** The seed of this segment's frame checksums. */
uint64_t segment_seed(const struct segment_header *header);

struct frame {
    uint64_t first_lsn;
    uint64_t durable_lsn; /* everything up to it was durable when the frame was written */
    uint64_t time_ms;     /* wall clock just before it was written */
    uint32_t count;
    struct view records; /* borrowed */
};

/** Fills the header in front of the records, which stand in place behind it and are all of
 *  frame->records; the other members go into the header. */
void frame_seal(uint8_t *at, const struct frame *frame, uint64_t seed);

/** Takes the next frame off the front of `*rest`: OK, or END when what is there is not a whole
 * frame that starts with `expected_lsn`. Its records are not looked at. */
enum status frame_next(struct view *rest, uint64_t seed, uint64_t expected_lsn,
                       struct frame *out) MUST_CHECK;

/** How many bytes at the front of `rest` are of a frame with this lsn or a later one that was
 *  begun, as far as they tell; 0: none. */
size_t frame_torn_bytes(struct view rest, uint64_t expected_lsn);

/** Finds the next whole frame that begins anywhere in `rest`, whatever its lsn; `*rest` goes on one
 *  byte behind its beginning. False when there is none. */
bool frame_find(struct view *rest, uint64_t seed, struct frame *out);
