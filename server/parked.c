/* A ring of parked replies and one buffer with their frames. */
#include "parked.h"

#include <assert.h>
#include <stdlib.h>

enum { RING_LEAST = 64, COMPACT_BYTES = 64 * 1024, KEEP_BYTES = 1024 * 1024 };

enum status parked_push(struct parked *self, const struct parked_reply *reply)
{
    if (self->count == self->cap) {
        uint32_t cap = self->cap == 0 ? RING_LEAST : self->cap * 2;
        struct parked_reply *ring = malloc(cap * sizeof *ring);
        if (ring == NULL) {
            return STATUS_NO_MEMORY;
        }
        for (uint32_t i = 0; i < self->count; i++) {
            ring[i] = self->ring[(self->head + i) & (self->cap - 1)];
        }
        free(self->ring);
        self->ring = ring;
        self->cap = cap;
        self->head = 0;
    }
    self->ring[(self->head + self->count) & (self->cap - 1)] = *reply;
    self->count++;
    return STATUS_OK;
}

const struct parked_reply *parked_first(const struct parked *self)
{
    return self->count == 0 ? NULL : &self->ring[self->head];
}

struct view parked_frame(const struct parked *self)
{
    assert(self->count != 0);
    return view_of(self->bytes.ptr + self->bytes_head, self->ring[self->head].len);
}

size_t parked_bytes(const struct parked *self)
{
    return self->bytes.len - self->bytes_head;
}

void parked_pop(struct parked *self)
{
    self->bytes_head += self->ring[self->head].len;
    self->head = (self->head + 1) & (self->cap - 1);
    self->count--;
    if (self->count == 0) {
        self->bytes.len = 0;
        self->bytes_head = 0;
        if (self->bytes.cap > KEEP_BYTES) { /* a burst is over */
            buf_free(&self->bytes);
        }
    } else if (self->bytes_head > COMPACT_BYTES && self->bytes_head > self->bytes.len / 2) {
        buf_consume(&self->bytes, self->bytes_head);
        self->bytes_head = 0;
    }
}

void parked_free(struct parked *self)
{
    free(self->ring);
    buf_free(&self->bytes);
    *self = (struct parked){0};
}
