/*
 * The floor server: the null server with a store that does only what none can leave out.
 *
 * With many sessions every store has to fetch the index slot and the value from memory that is in
 * no cache, to copy the value into the reply of a GET and, for a SET, to the session's place. The
 * null server does nothing of it, so what a store needs more than the null server is partly this,
 * and only the rest is the store's own. The floor server answers GET and SET of blobs over the
 * native protocol, with the real transport, the real codec of headers and replies, and the
 * prefetching that satcheld does for a batch of requests and for connections that are about to be
 * answered. It keeps what it is told, so its answers can be checked, until it ends.
 */
#pragma once

#include "micro/null_replies.h"
#include "net/net.h"

struct floor; /* opaque: its sessions and its workers' batches */

/** A floor server of up to `sessions_max` sessions; NULL: no memory. `replies` are borrowed until
 *  floor_free(). `is_shared`: there will be more than one worker. */
struct floor *floor_new(uint64_t sessions_max, bool is_shared, const struct null_replies *replies);

/** After net_free(). NULL is fine. */
void floor_free(struct floor *self);

/** Makes `handler`, whose functions are all set, one of the floor server. */
void floor_handle(struct floor *self, struct net_handler *handler);
