/*
 * Tells the outside how the server is, by HTTP on an address of its own:
 *
 *     /          a page for people that shows what the others say, and keeps itself up to date
 *     /livez     200 as long as the main loop turns; touches nothing else, no storage above all
 *     /readyz    200 when requests are served, 503 and the reason when not
 *     /leader    200 when this process owns the store and serves it, 503 and the reason when not
 *     /backupz   200 and how the backup is, 503 when somebody should look; see --backup
 *     /metrics   all metrics, for Prometheus; OpenMetrics for who asks for that
 *     /snapshot  POST: asks for a snapshot. 202 and {"snapshot": N}: the one with that number,
 * which begins after this; 503: not now, 409: there are no backups; with the reason
 *
 * Everything here runs on the main thread, on the event base that it is given. The process must
 * ignore SIGPIPE: a peer may go before its answer does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"

struct event_base;
struct ops; /* opaque */

struct ops_options {
    const char *listen; /* HOST:PORT, port 0 = the kernel's choice; NULL or "" = no ops server */
};

extern const struct option_desc ops_option_descs[];
extern const size_t ops_option_count;

struct ops_callbacks {
    /* Whether requests are served; if not, one line without line feed goes to `why`. Called for
     * every /readyz; must not block. Main thread. NULL: always ready. */
    bool (*ready)(void *arg, char *why, size_t why_bytes);
    /* Whether this process owns the store and serves it; otherwise as `ready`. */
    bool (*leads)(void *arg, char *why, size_t why_bytes);
    /* Appends a JSON object about the backup; `*is_well` decides between 200 and 503. Must not
     * block. Main thread. NULL: there is nothing to say (404). */
    enum status (*describe_backup)(void *arg, struct buf *out, bool *is_well);
    /* Asks for a snapshot and tells its number. OK; NOT_FOUND: there are no backups; AGAIN: not
     * now, one line without line feed goes to `why`. Must not block. Main thread. NULL: as
     * NOT_FOUND. */
    enum status (*want_snapshot)(void *arg, uint64_t *number, char *why, size_t why_bytes);
    void *arg; /* borrowed until ops_stop() */
};

/**
 * Listens and serves from `base` (borrowed until ops_stop(), as is `registry`). With nothing to
 * listen on `*out` is NULL, which all functions below take. OK, or INVALID (address), EXISTS (in
 * use by another process), IO, NO_MEMORY with one line in `errmsg`. On OK the caller owns `*out`.
 */
enum status ops_start(const struct ops_options *options, struct event_base *base,
                      const struct metric_registry *registry, const struct ops_callbacks *callbacks,
                      struct ops **out, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** The port that is listened on; 0 for NULL. */
uint16_t ops_port(const struct ops *self);

/** Adds the metrics of this server itself. The registry must not be read after ops_stop(). */
enum status ops_register_metrics(struct ops *self, struct metric_registry *registry) MUST_CHECK;

/** Closes the listener and all connections and frees everything; NULL is fine. Not from within a
 *  callback. */
void ops_stop(struct ops *self);
