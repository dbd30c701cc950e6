/*
 * Replies that wait for the storage: encoded, in the order they came, each with the lsn that has to
 * be durable before it may leave (invariant 1). One a worker; worker only.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "latency.h"

struct client;

struct parked_reply {
    struct client *client; /* borrowed; counted in its in_flight */
    uint64_t gate_lsn;
    int64_t since_ns; /* monotonic: since when it waits */
    int64_t came_ns;  /* monotonic: when the bytes of its request came */
    uint32_t len;     /* bytes of the frame */
    enum latency_op op;
};

struct parked {
    struct parked_reply *ring; /* owned; capacity is a power of two */
    uint32_t cap;
    uint32_t head;
    uint32_t count;
    struct buf bytes;  /* frames one after the other */
    size_t bytes_head; /* where the first frame begins */
};

/** Appends what reply->len bytes at the end of `bytes` are; the caller appended them to
 * parked->bytes before. NO_MEMORY: it is not parked, the bytes stay. */
enum status parked_push(struct parked *self, const struct parked_reply *reply) MUST_CHECK;

/** The oldest reply, or NULL. Its frame is parked_frame(). */
const struct parked_reply *parked_first(const struct parked *self);
struct view parked_frame(const struct parked *self);

/** Bytes of all frames that are parked. */
size_t parked_bytes(const struct parked *self);

/** Removes the oldest reply and its frame. */
void parked_pop(struct parked *self);

void parked_free(struct parked *self);
