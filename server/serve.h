/*
 * The glue: bytes from net/ through proto/ to the store and back.
 *
 *      net: received ─▶ decode a batch ─▶ prefetch ─▶ store_execute ─▶ encode ─▶ conn_out
 *                                             │                          │
 *                              value not in memory: wait         not durable yet: parked
 *                              for a reader, run again           until the flush (woken)
 *
 * Everything a worker needs is its own: scratch memory, parked replies, waiting loads, metrics.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"
#include "net/net.h"
#include "store/store.h"

struct serve; /* opaque */

struct serve_options {
    const char *token_file;   /* NULL: the token is in SATCHEL_TOKEN, or there is none */
    bool open_without_token;  /* listening beyond loopback without a token was asked for */
    unsigned ack;             /* enum ack: what commands get that do not say */
    uint64_t value_bytes_max; /* largest content */
};

extern const struct option_desc serve_option_descs[];
extern const size_t serve_option_count;

/**
 * Reads the token (base/token.h). `listen` is net's address: beyond loopback a token is needed, or
 * the option that names the risk. INVALID or IO with one line in `errmsg`. On OK the caller owns
 * `*out`.
 */
enum status serve_new(const struct serve_options *options, const char *listen,
                      const struct clock *clock, const struct metric_registry *registry,
                      struct serve **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Names the store, before net_start(). Borrowed until serve_free(). */
void serve_set_store(struct serve *self, struct store *store, const struct ownership *owner);

/** What to give to net_start(). */
struct net_handler serve_handler(struct serve *self);

/** Names the net, once, after net_start(): from then on durable replies are released. */
void serve_set_net(struct serve *self, struct net *net);

/** The store's event: wakes the workers that have replies waiting. Any thread. */
void serve_on_durable(struct serve *self);

/** The store's event: a value is in memory, or will not come. Any thread. */
void serve_on_loaded(void *waiter);

/** The store's event: a session has expired. Any thread. */
void serve_on_expired(struct serve *self, struct view id);

/** Tells every connection to go elsewhere (GOAWAY) and answers new requests with STOPPING. */
void serve_drain(struct serve *self);

/** True when no reply waits for the storage any more. Any thread. */
bool serve_is_idle(const struct serve *self);

enum status serve_register_metrics(struct serve *self, struct metric_registry *registry) MUST_CHECK;

/** After net_free() and store_close(). NULL is fine. */
void serve_free(struct serve *self);
