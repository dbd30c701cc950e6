/*
 * Writing segments: one is open, full ones are closed, covered ones are used again.
 *
 *      started ──append, sync──▶ full ──rotate──▶ closed ──covered──▶ spare ──started again
 *          │                                         │                (the rest is removed)
 *          └──no space──▶ abandoned: closed as well, what was not durable goes to a new one
 *
 * A segment begins with the file of lane 0; another lane's is begun when it is first used. One
 * thread may be in each lane. Starting another segment concerns all of them.
 *
 * The file of a covered segment is used again because its blocks are allocated: a sync then has no
 * file size to write, which takes a local disk two thirds of the time. It stays in its lane, since
 * the files of other lanes may be shorter. Its header changes before its name does, so a file whose
 * header is another segment's is one that was caught in between and holds nothing that is needed.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/ownership.h"
#include "base/status.h"
#include "store/segment.h"

struct segment_writer_options {
    const char *dir; /* borrowed for the writer's life */
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t epoch;
    uint64_t segment_bytes;        /* all files of a segment together */
    uint64_t spare_bytes;          /* of covered files that are kept */
    const struct file_ops *file;   /* borrowed */
    const struct ownership *owner; /* borrowed */
};

/* A file of a segment that is not written any more. */
struct closed_segment {
    uint64_t number;
    uint64_t last_lsn; /* nothing in the segment is above */
    uint64_t bytes;    /* that the file has on the storage */
    uint32_t lane;
    bool spare; /* covered: it may become the next file */
};

/* One file of the open segment; used by one thread at a time. */
struct segment_lane {
    int fd;                   /* locked; -1: not begun */
    uint64_t seed;            /* of its frames' checksums */
    uint64_t offset;          /* where the next frame goes */
    uint64_t last_lsn;        /* of the last frame that was appended; 0: none was */
    uint64_t allocated_bytes; /* that it had from its life before; 0: it is new */
};

/* Embedded by the journal. */
struct segment_writer {
    struct segment_writer_options options; /* immutable */
    uint64_t follows_lsn;                  /* of the epoch's first segment, as is … */
    uint64_t first_lsn;                    /* … this: there is a gap between the two */
    struct segment_header header;          /* of the open segment's lane 0 */
    struct segment_lane lanes[SEGMENT_LANES];
    _Atomic uint64_t bytes;        /* of frames in the open segment, in all lanes */
    uint64_t started;              /* segments so far */
    pthread_mutex_t lock;          /* guards the closed segments */
    struct closed_segment *closed; /* owned */
    size_t closed_count;
    size_t closed_cap;
};

/** Starts the first segment of the epoch, durably; see struct segment_header for the lsns. On
 * failure there is nothing to close, and errno says more. Blocks on the storage, as all of these.
 */
enum status segment_writer_open(struct segment_writer *self,
                                const struct segment_writer_options *options, uint64_t follows_lsn,
                                uint64_t first_lsn) MUST_CHECK;

/** Whether `bytes` of frames, headers included, fit into the open segment. Any thread. */
bool segment_writer_has_room(const struct segment_writer *self, uint64_t bytes);

/** Starts another segment when `bytes` of frames do not fit into this one. Nobody may be in any
 * lane, and in all but lane 0 everything has to be durable. NO_SPACE, IO: as for appending. */
enum status segment_writer_make_room(struct segment_writer *self, uint64_t bytes) MUST_CHECK;

/** Seals the frame in place (`at` is its header, frame->records stand behind it) and writes it into
 * a lane, whatever room there is. NO_SPACE, IO: see errno; nothing more may be appended then,
 * except after segment_writer_restart(). */
enum status segment_writer_append(struct segment_writer *self, unsigned lane, uint8_t *at,
                                  const struct frame *frame) MUST_CHECK;

/** Makes what was appended to the lane durable. A failure means that it is not, and must not be
 *  asked again. */
enum status segment_writer_sync(struct segment_writer *self, unsigned lane) MUST_CHECK;

/** Writes a frame without records that says what is durable, so that damage to the frames before it
 * cannot pass for a torn tail. Nobody may be in any lane, and everything appended has to be
 * durable. Nothing depends on the frame, so it is not synced; when there is no space for it, it is
 * left out. IO: as for appending. */
enum status segment_writer_note_durable(struct segment_writer *self,
                                        uint64_t durable_lsn) MUST_CHECK;

/** After NO_SPACE: leaves the open segment as it is and starts a new one behind `durable_lsn`, into
 *  whose lane 0 everything above is to be appended again. Nobody may be in any lane. NO_SPACE:
 *  there is still none, ask later. */
enum status segment_writer_restart(struct segment_writer *self, uint64_t durable_lsn) MUST_CHECK;

/** A checkpoint covers everything up to `lsn`: closed segments that end there or before are kept as
 *  spares, up to `spare_bytes`, or removed. Checkpoint thread. */
enum status segment_writer_drop_covered(struct segment_writer *self, uint64_t lsn) MUST_CHECK;

/** Closes the open segment and frees everything. */
enum status segment_writer_close(struct segment_writer *self);
