/*
 * Names to addresses, without ever holding up the caller longer than it wants to wait.
 *
 * getaddrinfo(3) has no deadline: with an unreachable DNS server it blocks for many seconds. So it
 * runs on a detached thread of its own, and its end shows on a file descriptor that the blocking
 * client polls with its deadline and the asynchronous one watches in its loop. Numeric addresses
 * are done at once, without a thread.
 *
 * A client has at most one look-up running: whoever asks meanwhile shares it. So a dead DNS server
 * costs one thread, not one an attempt.
 */
#pragma once

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>

/* One look-up; counted references: each holder and the thread have one. */
struct resolve_job;

/* What a client keeps. Any thread. */
struct resolver {
    pthread_mutex_t lock;
    struct resolve_job *running; /* guarded by lock; holds a reference; may be done */
};

void resolver_init(struct resolver *self);

/** A thread that is still looking up goes on by itself and frees its job. */
void resolver_close(struct resolver *self);

/** A reference to a look-up of `host` and `port` (decimal), started now or running already; NULL:
 *  out of memory, descriptors or threads. The caller gives it back with resolve_release(). */
struct resolve_job *resolver_start(struct resolver *self, const char *host, const char *port);

/** Readable for poll(2) from the moment the look-up is done. Valid as long as the reference. */
int resolve_done_fd(const struct resolve_job *job);

bool resolve_is_done(const struct resolve_job *job);

/** After it is done: the addresses (borrowed from the job), or NULL with a text in `*why` (valid as
 *  long as the process). */
const struct addrinfo *resolve_addresses(const struct resolve_job *job, const char **why);

/** Gives a reference back; NULL is fine. */
void resolve_release(struct resolve_job *job);
