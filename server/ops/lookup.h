/*
 * Finding out the addresses of a name without waiting for them: the system's resolver takes its
 * time, up to half a minute when no server answers, so a thread of its own asks it.
 *
 * All functions belong to the thread of the event base.
 */
#pragma once

#include "base/address.h"
#include "base/status.h"

struct addrinfo;
struct event_base;
struct lookup; /* opaque */

/** Called once, on the thread of the event base. `found` are addresses for UDP, borrowed during the
 *  call; NULL when there are none, and `why` says why not. The lookup is over and freed after it.
 */
typedef void (*lookup_done_fn)(void *arg, const struct addrinfo *found, const char *why);

/**
 * Starts looking `where` up (copied). `base` is borrowed until `done` was called or the lookup
 * cancelled, `arg` as long. OK, or NO_MEMORY when there is no room for a thread or a descriptor.
 */
enum status lookup_start(struct event_base *base, const struct host_port *where,
                         lookup_done_fn done, void *arg, struct lookup **out) MUST_CHECK;

/** `done` will not be called; NULL is fine. The thread may go on for a while, by itself. */
void lookup_cancel(struct lookup *self);
