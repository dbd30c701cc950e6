/*
 * Pushes all metrics to a StatsD receiver, by UDP, from the main loop's timer.
 *
 * Nothing here is waited for. A name is looked up by a thread of its own; the socket does not
 * block, and a packet that it does not take is lost and counted. Without an address nothing is
 * lost: the gains stay, and go with the first packets after there is one.
 *
 * Everything runs on the main thread.
 */
#pragma once

#include <stdint.h>

#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"

#define STATSD_METRICS(X)                                                                          \
    X(counter, packets, "satchel_statsd_packets_total", "",                                        \
      "Packets sent to the StatsD receiver.")                                                      \
    X(counter, lost_packets, "satchel_statsd_lost_packets_total", "",                              \
      "Packets that the system did not take, or that nobody listened for.")                        \
    X(counter, lost_lines, "satchel_statsd_lost_lines_total", "",                                  \
      "Lines for StatsD that were too long for a packet.")                                         \
    X(counter, failed_lookups, "satchel_statsd_failed_lookups_total", "",                          \
      "Times the name of the StatsD receiver had no address.")
METRIC_STRUCT(statsd_metrics, STATSD_METRICS)
METRIC_TABLE_DECLARE(statsd_metrics)

struct event_base;
struct statsd; /* opaque */

struct statsd_options {
    const char *to;       /* HOST:PORT; NULL: nothing is sent */
    unsigned dialect;     /* enum statsd_dialect */
    uint64_t interval_ms; /* between two looks */
    const char *prefix;   /* NULL: none */
};

extern const struct option_desc statsd_option_descs[];
extern const size_t statsd_option_count;

/**
 * Whether statsd_start() can use what was given, before anything is opened. OK, or INVALID
 * (address, prefix) with one line in `errmsg`. Any thread.
 */
enum status statsd_options_check(const struct statsd_options *options, char *errmsg,
                                 size_t errmsg_bytes) MUST_CHECK;

/**
 * Starts looking the receiver up, and sends every interval from `base` (borrowed until
 * statsd_stop(), as are `registry` and the texts in the options). With nowhere to send to, `*out`
 * is NULL, which the functions below take. OK, or INVALID (address, prefix), NO_MEMORY with one
 * line in `errmsg`. On OK the caller owns `*out`.
 */
enum status statsd_start(const struct statsd_options *options, struct event_base *base,
                         const struct metric_registry *registry, struct statsd **out, char *errmsg,
                         size_t errmsg_bytes) MUST_CHECK;

/** Adds what this counts itself. The registry must not be read after statsd_stop(). */
enum status statsd_register_metrics(struct statsd *self,
                                    struct metric_registry *registry) MUST_CHECK;

/** Sends what has happened since the last look, without waiting for the timer; NULL is fine. */
void statsd_send(struct statsd *self);

/** Frees everything, without another look at the registry; NULL is fine. */
void statsd_stop(struct statsd *self);
