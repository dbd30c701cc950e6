/*
 * Chunks: the memory that journal records are encoded into. A chunk becomes one frame as it is: it
 * has room for the frame's header in front of the records. Empty ones are kept for the next ones;
 * the journal's lock guards all of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "store/segment.h"

struct chunk {
    struct chunk *next; /* owned by the list it is in */
    size_t cap;         /* of bytes */
    size_t len;         /* used, frame header included */
    uint64_t first_lsn;
    uint64_t time_ms; /* wall clock when it was last begun to be written */
    uint32_t count;
    uint8_t bytes[]; /* frame header, records */
};

/* Empty chunks. All zeros is an empty pool. */
struct chunk_pool {
    struct chunk *spares; /* owned */
    unsigned spare_count;
};

/** An empty chunk with room for a record of that size, larger than usual when that is what it
 * takes; NULL when memory runs out. The caller owns it. */
struct chunk *chunk_take(struct chunk_pool *pool, size_t record_bytes, uint64_t first_lsn);

/** Gives a list of chunks back, of which the pool keeps a few. */
void chunks_recycle(struct chunk_pool *pool, struct chunk *chunks);

/** Frees a list of chunks; NULL is fine. */
void chunks_free(struct chunk *chunks);

static inline struct view chunk_records(const struct chunk *self)
{
    return view_of(self->bytes + FRAME_HEADER_BYTES, self->len - FRAME_HEADER_BYTES);
}
