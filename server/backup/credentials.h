/*
 * The credentials that requests are signed with: fetched where credentials_source.h says, and
 * fetched again by a thread of their own before they expire.
 *
 *     fetched ──────────────── most of their life ───────────────▶ due ── lead ──▶ expired
 *        ▲                                                          │ fetch: fails, again after
 *        └──────────────────── fetch: good ─────────────────────────┘ 1 s, 2 s, … 60 s
 *
 * The lead is five minutes, or half of the life when that is less, and up to a tenth more by
 * chance, so that many tasks do not ask at the same moment. Until their real expiry the old
 * credentials are used while a fetch fails.
 *
 * Secrets are kept in memory that is wiped when it goes and left out of core dumps. They are never
 * logged, and no message holds one. What the environment holds is the operator's own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backup/credentials_source.h"
#include "backup/s3_http.h"
#include "base/clock.h"

struct credentials; /* opaque */

struct credentials_deps {
    char *(*environ_get)(const char *name); /* secure_getenv, or a test's own */
    struct s3_transport transport;          /* for the container provider alone; taken over */
    const struct clock *clock;              /* borrowed for the life of the credentials */
    uint64_t (*random)(void);               /* random_u64, or a test's own */
};

/**
 * Finds out where credentials come from, and starts the thread that fetches them; fixed ones are
 * there at once. OK; NOT_FOUND, INVALID (see credentials_source_open) or NO_MEMORY with one line in
 * `errmsg`. The transport is closed in the end, also when this fails. Main thread.
 */
enum status credentials_open(const struct credentials_deps *deps, struct credentials **out,
                             char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Ends the thread, wipes and frees. Nobody may be using it any more. An exchange that is under way
 *  is waited for: request its transport's stop first. NULL is fine. */
void credentials_close(struct credentials *self);

/** Copies the present ones to `out`, which must be from secret_new(). S3_OK, or NO_CREDENTIALS:
 * none have come yet, or they have expired. Any thread; never blocks on the network. */
enum s3_status credentials_get(struct credentials *self, struct credentials_keys *out) MUST_CHECK;

/**
 * Has newer ones fetched than those of `generation` (0: than none) and waits until that has worked
 * or failed. S3_OK: credentials_get() now gives others. Otherwise why not, with one line in
 * `errmsg`; EXPIRED: they are fixed, there are no others. Any thread but the main one.
 */
enum s3_status credentials_refresh(struct credentials *self, uint64_t generation, char *errmsg,
                                   size_t errmsg_bytes) MUST_CHECK;

/** Time until the present ones expire, for metrics: INT64_MAX never, 0 when there are none. */
int64_t credentials_left_ms(struct credentials *self);

/** When to fetch again what was fetched at `now_ms` and expires at `expires_ms`; `chance` is any
 *  random number. For credentials.c and its test. */
int64_t credentials_due_ms(int64_t now_ms, int64_t expires_ms, uint64_t chance);
