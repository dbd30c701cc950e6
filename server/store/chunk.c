/* Chunks and the few empty ones that are kept. */
#include "store/chunk.h"

#include <stdlib.h>

enum {
    CHUNK_BYTES = 1024 * 1024, /* a frame; a larger record gets a chunk of its own */
    SPARE_CHUNKS_MAX = 4,
};

struct chunk *chunk_take(struct chunk_pool *pool, size_t record_bytes, uint64_t first_lsn)
{
    size_t cap = FRAME_HEADER_BYTES + record_bytes;
    cap = cap < CHUNK_BYTES ? CHUNK_BYTES : cap;
    struct chunk *chunk = cap == CHUNK_BYTES ? pool->spares : NULL;
    if (chunk != NULL) {
        pool->spares = chunk->next;
        pool->spare_count--;
    } else {
        chunk = malloc(sizeof *chunk + cap);
    }
    if (chunk != NULL) {
        *chunk = (struct chunk){.cap = cap, .len = FRAME_HEADER_BYTES, .first_lsn = first_lsn};
    }
    return chunk;
}

void chunks_recycle(struct chunk_pool *pool, struct chunk *chunks)
{
    while (chunks != NULL) {
        struct chunk *next = chunks->next;
        if (chunks->cap == CHUNK_BYTES && pool->spare_count < SPARE_CHUNKS_MAX) {
            chunks->next = pool->spares;
            pool->spares = chunks;
            pool->spare_count++;
        } else {
            free(chunks);
        }
        chunks = next;
    }
}

void chunks_free(struct chunk *chunks)
{
    while (chunks != NULL) {
        struct chunk *next = chunks->next;
        free(chunks);
        chunks = next;
    }
}
