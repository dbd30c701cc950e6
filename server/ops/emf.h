/*
 * Metrics for CloudWatch: every interval one look at the registry, as lines of the embedded metric
 * format (docs/metrics.md), to standard output or to a CloudWatch agent.
 *
 * The main loop's timer makes the lines and hands them to a bounded queue; a thread, `emf`, writes
 * them. Who does not take them slows nobody: when the queue is full the lines of that interval are
 * dropped and counted, and what was counted in it is part of the next interval that has room.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/metric.h"
#include "base/option.h"
#include "base/status.h"

struct emf; /* opaque */
struct event_base;

enum { EMF_TEXT_BYTES_MAX = 512 }; /* of any text of the options */

enum emf_to { EMF_TO_NONE, EMF_TO_STDOUT, EMF_TO_AGENT };

/* All texts are borrowed until emf_stop(). Filled by option_parse(), then by emf_options_settle().
 */
struct emf_options {
    const char *where; /* none, stdout, agent or tcp://HOST:PORT; NULL: AWS_EMF_ENVIRONMENT says */
    uint64_t interval_ms;
    uint64_t queue_bytes;         /* that wait; as much again may be on its way out */
    unsigned histogram;           /* enum emf_histogram */
    const char *metric_namespace; /* NULL before settling, afterwards NULL means: not said */
    const char *service_name;
    const char *service_type;
    const char *log_group;
    const char *log_stream;

    const char *task;       /* set by the caller, as is the next: of ECS; NULL: unknown */
    const char *revision;   /* of the task definition */
    enum emf_to to;         /* set by emf_options_settle(), as is the next */
    struct host_port agent; /* for EMF_TO_AGENT */
    char log_group_standard[EMF_TEXT_BYTES_MAX]; /* may be what `log_group` points to */
};

extern const struct option_desc emf_option_descs[];
extern const size_t emf_option_count;

/**
 * Fills what the options left open from the official variables AWS_EMF_… (`environ_get` is getenv
 * or a test's own) and the defaults, and checks all of it. OK, or INVALID with one line in `errmsg`
 * that names the option or the variable. `self` must stay where it is. Main thread.
 */
enum status emf_options_settle(struct emf_options *self, char *(*environ_get)(const char *),
                               char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Looks at `registry` every interval from `base` on (all three borrowed until emf_stop()). With
 * EMF_TO_NONE `*out` is NULL, which the functions below take. OK or NO_MEMORY with one line in
 * `errmsg`. The process must ignore SIGPIPE. On OK the caller owns `*out`. Main thread, as all
 * below.
 */
enum status emf_start(const struct emf_options *options, struct event_base *base,
                      const struct metric_registry *registry, struct emf **out, char *errmsg,
                      size_t errmsg_bytes) MUST_CHECK;

/** Adds the metrics of the lines themselves. */
enum status emf_register_metrics(struct emf *self, struct metric_registry *registry) MUST_CHECK;

/**
 * Looks a last time, and gives the lines half a second to leave. A thread that is stuck in a write
 * is left behind with its memory; the end of the process ends it. NULL is fine.
 */
void emf_stop(struct emf *self);
