/*
 * How long the requests of one connection take: from the bytes that came to the reply that the
 * kernel has. Costs a comparison and an addition a request, and a look at the clock a send.
 *
 *     answered: latency_add()                          sent: latency_sent()
 *        │                                                │
 *        ▼                                                ▼
 *     ┌───────────── batches, oldest first ─────────────┐    counted in the worker's histograms
 *     │ came at 17.2 s: 3 reads      │ came at 17.9 s: … │──▶ when nothing of a batch is unsent
 *     └─────────────────────────────────────────────────┘
 *
 * Requests that came together are one batch, however many they are. How many of its bytes are
 * unsent is noted only when a send falls short: otherwise all replies there are have left. There
 * are LATENCY_BATCHES_MAX batches at most: behind those, requests join the newest as if they had
 * come with it, so a connection that does not read its replies costs no memory here, and no request
 * looks shorter than it was.
 *
 * Belongs to a connection: its worker's thread only. Zeroed: no request.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"

enum latency_op {
    LATENCY_READ,   /* looks at sessions that it names */
    LATENCY_CHANGE, /* may change them */
    LATENCY_OTHER,  /* everything else: handshakes, statistics, scans, what is refused unread */
    LATENCY_OPS,
    LATENCY_NONE = LATENCY_OPS, /* nobody asked for it: a message to a subscriber */
};

enum { LATENCY_BATCHES_MAX = 4 };

struct latency_batch {
    int64_t since_ns; /* monotonic: when the bytes of its requests came */
    size_t unsent;    /* bytes up to the end of its replies; SIZE_MAX: not known */
    uint32_t counts[LATENCY_OPS];
};

struct latency {
    uint32_t count;
    struct latency_batch batches[LATENCY_BATCHES_MAX];
};

/** A request whose bytes came at `since_ns` was answered: its reply was appended to what will be
 *  sent. To be called behind that, in the order of the replies. */
void latency_add(struct latency *self, enum latency_op op, int64_t since_ns);

/**
 * The kernel took `taken` bytes more and `unsent` are left, at `now_ns`: what has left entirely
 * is counted in the histogram of its op.
 */
void latency_sent(struct latency *self, size_t taken, size_t unsent, int64_t now_ns,
                  struct metric_histogram *const histograms[LATENCY_OPS]);
