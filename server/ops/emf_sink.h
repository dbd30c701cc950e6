/*
 * Where lines go: a bounded queue, and a thread that writes it to a descriptor or to an agent.
 *
 * main: emf_sink_offer(), the rest at start and end. The thread has the lines it is writing for
 * itself; the lock covers the moment in which it takes all that wait. An eventfd wakes it, so one
 * poll(2) waits for the receiver, for new lines and for the end at the same time.
 */
#pragma once

#include <stdbool.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/metric.h"

#define EMF_METRICS(X)                                                                             \
    X(counter, lines, "satchel_emf_lines_total", "", "Lines of metrics that were written.")        \
    X(counter, dropped, "satchel_emf_dropped_lines_total", "",                                     \
      "Lines of metrics that were dropped because too many waited or they could not be written.")  \
    X(counter, left_out, "satchel_emf_left_out_total", "",                                         \
      "Values that were not sent because a line has no room for them or memory was short.")        \
    X(counter, connections, "satchel_emf_connections_total", "",                                   \
      "Attempts to connect to the agent.")                                                         \
    X(gauge, waiting_bytes, "satchel_emf_waiting_bytes", "", "Bytes of lines that wait.")
METRIC_STRUCT(emf_metrics, EMF_METRICS)
METRIC_TABLE_DECLARE(emf_metrics)

struct emf_sink; /* opaque */

/* Either a descriptor (borrowed) or, with `fd` -1, an agent (copied). */
struct emf_sink_options {
    int fd;
    const struct host_port *agent;
    size_t waiting_bytes_max;
};

/** Starts the thread. OK or NO_MEMORY. On OK the caller owns `*out`. */
enum status emf_sink_start(const struct emf_sink_options *options,
                           struct emf_sink **out) MUST_CHECK;

/** Lives as long as the sink; `left_out` is for the caller, the rest for the sink. */
struct emf_metrics *emf_sink_metrics(struct emf_sink *self);

/** Queues whole lines, all `count` of them or none. False: there is no room, they are counted as
 *  dropped. Never waits. */
bool emf_sink_offer(struct emf_sink *self, struct view lines, unsigned count);

/** Gives what waits `flush_ms` to leave, and frees everything; but not what a thread still needs
 * that is stuck even then: it goes with the process. */
void emf_sink_stop(struct emf_sink *self, unsigned flush_ms);
