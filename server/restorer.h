/*
 * Restoring before the store opens: a thread of its own, so that health checks are answered
 * meanwhile.
 */
#pragma once

#include <stdbool.h>

#include "settings.h"

struct restorer; /* opaque */

/** Whether a start has to restore first: it was asked to, and the data directory has no store. */
bool restorer_is_needed(const struct settings *settings);

/** Starts restoring; `done` is called on the thread when it is over. NO_MEMORY, or INVALID and
 *  NOT_FOUND as place_open(); `errmsg` holds a line. */
enum status restorer_start(const struct settings *settings, void (*done)(void *arg), void *arg,
                           struct restorer **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Waits for its end, which `done` told or restorer_cancel() brings about, and frees it. OK: there
 * is a store, or the archive has none and a new one may begin; otherwise `errmsg` says why not. */
enum status restorer_finish(struct restorer *self, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Makes it give up. NULL is fine. Any thread. */
void restorer_cancel(struct restorer *self);

/** One line about how far it is. Any thread. */
void restorer_describe(struct restorer *self, char *out, size_t out_bytes);
