/*
 * Metrics as lines of StatsD, joined to packets that no network on the way has to cut up.
 *
 *     plain       satchel.requests.get:5|c
 *     graphite    satchel.requests;op=get:5|c
 *     dogstatsd   satchel.requests:5|c|#op:get
 *
 * A name is the prefix and the Prometheus name without "satchel_" and without the "_total" of
 * counters. Labels are tags, in plain their values are parts of the name.
 *
 * Counters are sent as what they gained, a gain of nothing too: a series is there from the start.
 * Gauges are sent as they are; in plain and graphite a negative one follows a zero in the same
 * packet, because a number with a sign is a change there.
 *
 * Distributions: statsd takes percentiles from the values that arrive, each as one, and uses
 * the rate for the count only. So plain and graphite get timings of equal weight: every one when
 * there are no more than STATSD_TIMINGS_MAX, otherwise as many, evenly from the shortest to the
 * longest, with the rate that makes the count right. They are in milliseconds, as that type is
 * defined, and the name says so: `_seconds` becomes `_ms`. Receivers of dogstatsd weigh a value by
 * its rate: they get one value of type d for each bucket that gained, in seconds.
 */
#pragma once

#include "base/bytes.h"
#include "base/metric.h"

enum {
    STATSD_PACKET_BYTES_MAX = 1400, /* Ethernet carries 1,432 even through tunnels */
    STATSD_PREFIX_BYTES_MAX = 100,
    STATSD_TIMINGS_MAX = 100, /* of one histogram and look */
};

enum statsd_dialect { STATSD_PLAIN, STATSD_DOGSTATSD, STATSD_GRAPHITE };

/* Packets in the making. The first four are the user's, the rest zero at first. */
struct statsd_writer {
    enum statsd_dialect dialect;
    const char *prefix; /* borrowed; "" for none */
    /* Called with every packet, which is valid during the call. */
    void (*send)(void *arg, struct view packet);
    void *arg;           /* borrowed */
    uint64_t lines_lost; /* lines that no packet can hold */
    size_t len;
    uint8_t packet[STATSD_PACKET_BYTES_MAX];
};

/** Writes what a counter or a histogram gained, or the value of a gauge; sends the packets that are
 *  full. */
void statsd_write(struct statsd_writer *self, const struct metric_sample *delta);

/** Sends what is left. */
void statsd_flush(struct statsd_writer *self);
