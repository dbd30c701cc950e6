/**
 * libsatchel: metrics of a web service, as CloudWatch reads them out of its log.
 *
 * A service counts, sets and observes; now and then the library writes what came together as one
 * line of JSON in CloudWatch's Embedded Metric Format, to standard output (which ECS sends to
 * CloudWatch Logs) or to a CloudWatch agent. CloudWatch makes metrics of such lines by itself.
 *
 *     struct satchel_emf *emf = NULL;
 *     satchel_emf_open(&(struct satchel_emf_options){.name_space = "MyApp/Fargate",
 *                                                    .service_name = "shop"}, &emf);
 *     struct satchel_emf_metric *requests = satchel_emf_counter(emf, "RequestCount", "Count");
 *     struct satchel_emf_metric *latency = satchel_emf_distribution(emf, "Latency",
 *                                                                   "Milliseconds");
 *     …
 *     satchel_emf_add(requests, 1);
 *     satchel_emf_observe(latency, 12.5);
 *     …
 *     satchel_emf_close(emf);
 *
 * Metrics never hold up a service: adding is an atomic instruction, observing takes a lock that is
 * never held over anything slow, and all writing is done by a thread of the library's own. While
 * nobody takes the lines, counters and distributions go on adding up, so that nothing of theirs is
 * lost; lines of events wait in half a queue of SATCHEL_EMF_QUEUE_BYTES_MAX, and what does not
 * fit is dropped, counted, and told as metric EmfLinesDropped once lines are taken again.
 *
 * Every function takes NULL in place of the emitter or a metric and then does nothing, so a service
 * that runs without metrics needs no second path. After a fork(2) an emitter belongs to the parent
 * alone. The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
 * CloudWatch_Embedded_Metric_Format_Specification.html
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <satchel/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

enum {
    SATCHEL_EMF_METRICS_MAX = 98,     /* of one emitter; with its own two the 100 of the format */
    SATCHEL_EMF_DIMENSIONS_MAX = 30,  /* with ServiceName */
    SATCHEL_EMF_PROPERTIES_MAX = 32,  /* of an emitter, and again of an event */
    SATCHEL_EMF_NAME_BYTES_MAX = 250, /* of a metric, a dimension or a property */
    SATCHEL_EMF_VALUES_MAX = 100, /* of a distribution in one line, and of samples in an event */
    SATCHEL_EMF_LINE_BYTES_MAX = 4096,  /* PIPE_BUF: a pipe takes such a line whole or not at all */
    SATCHEL_EMF_FRAME_BYTES_MAX = 2048, /* namespace, dimensions and properties together, as JSON */
    SATCHEL_EMF_QUEUE_BYTES_MAX = 1048576,
};

/** An emitter: metrics that share namespace, dimensions and target. Opaque. Any thread. */
struct satchel_emf;

/** One metric of an emitter, which owns it. Opaque. Any thread. */
struct satchel_emf_metric;

/** A name and a text, neither NULL. The name is printable ASCII without `"` and `\`, does not begin
 *  with ':', and has 1 to SATCHEL_EMF_NAME_BYTES_MAX bytes. */
struct satchel_emf_property {
    const char *name;
    const char *value; /* of a dimension: 1 to 1024 bytes of printable ASCII; else any text */
};

/** A zeroed member means the default in brackets. Everything is copied. */
struct satchel_emf_options {
    const char *name_space;   /* of the metrics: 1 to 256 letters, digits and " ._#:/-"
                                 [$AWS_EMF_NAMESPACE; one of them is needed] */
    const char *service_name; /* dimension ServiceName [$AWS_EMF_SERVICE_NAME, else none] */
    const char *service_type; /* property ServiceType [$AWS_EMF_SERVICE_TYPE, else none] */
    const struct satchel_emf_property *dimensions; /* more of them; each combination of values is a
                                                      metric that is paid for [none] */
    size_t dimension_count;
    const struct satchel_emf_property *properties; /* stand in each line, make no metrics [none] */
    size_t property_count;
    /* Where lines go: "stdout", "stderr", "fd:N" (an open descriptor, which is duplicated),
     * "tcp://HOST:PORT" of a CloudWatch agent, or "none". [$AWS_EMF_AGENT_ENDPOINT; else
     * tcp://127.0.0.1:25888 when $AWS_EMF_ENVIRONMENT is Agent, ECS or EC2; else stdout. When it is
     * Local or Lambda: stdout] */
    const char *target;
    const char *log_group_name;  /* for an agent [$AWS_EMF_LOG_GROUP_NAME, else "NAME-metrics" with
                                    the service's name, else "metrics"] */
    const char *log_stream_name; /* for an agent [$AWS_EMF_LOG_STREAM_NAME, else the agent's] */
    uint64_t interval_ms;        /* between two flushes, 100 ms to an hour [10 s] */
    uint64_t close_ms;           /* how long satchel_emf_close() waits for the target [1 s] */
    bool is_high_resolution;     /* CloudWatch keeps seconds instead of minutes; costs more */
};

/**
 * Makes an emitter. Does not wait for an agent, and none has to be there. OK: the caller owns
 * `*out`, which is NULL when the target is "none". BAD_REQUEST: options that cannot be used, and
 * satchel_last_message() says which. TOO_LARGE: over a limit. NO_MEMORY. Any thread.
 */
enum satchel_status satchel_emf_open(const struct satchel_emf_options *options,
                                     struct satchel_emf **out);

/** Flushes, waits for the target up to close_ms, and frees the emitter and its metrics. No other
 *  call on them may be running or follow. */
void satchel_emf_close(struct satchel_emf *self);

/*
 * Each makes a metric, or gives the one that has this name, kind and unit already. `unit` is one of
 * CloudWatch's ("Count", "Milliseconds", "Bytes", "Percent", "Count/Second", …); NULL: "None".
 * NULL: the name or the unit cannot be used, the name is taken, there are SATCHEL_EMF_METRICS_MAX
 * already, or no memory; satchel_last_message() says which. Any thread; best at the start.
 */

/** Events since the last flush; written also when there were none, so that an alarm sees a 0. */
struct satchel_emf_metric *satchel_emf_counter(struct satchel_emf *self, const char *name,
                                               const char *unit);

/** A value that is what it was last set to; written from the first time on. */
struct satchel_emf_metric *satchel_emf_gauge(struct satchel_emf *self, const char *name,
                                             const char *unit);

/**
 * All values since the last flush, as Values and Counts with Min, Max, Sum and Count, so that
 * CloudWatch can give percentiles. Values are kept in log-linear buckets, 16 to a power of two, and
 * written as their middles: within 3.2 % of what was observed. When they are so far apart
 * that it takes more than SATCHEL_EMF_VALUES_MAX, neighbours are joined. Count, Sum, Min and Max
 * are exact. Not written when nothing was observed.
 */
struct satchel_emf_metric *satchel_emf_distribution(struct satchel_emf *self, const char *name,
                                                    const char *unit);

/** Adds to a counter. */
void satchel_emf_add(struct satchel_emf_metric *metric, uint64_t amount);

/** Sets a gauge. Anything but a number of at most 2^53 - 1 either side of 0 is refused: counted,
 *  and told as metric EmfValuesRefused. */
void satchel_emf_set(struct satchel_emf_metric *metric, double value);

/** Adds a value to a distribution. As for a gauge, and negative values are refused as well. */
void satchel_emf_observe(struct satchel_emf_metric *metric, double value);

/** One value of an event. */
struct satchel_emf_sample {
    const struct satchel_emf_metric *metric; /* of this emitter, any kind; says name and unit */
    double value;
};

/**
 * Writes a line of its own, soon: values with what they belong to (a request id, a path), which can
 * be looked up in the log. CloudWatch counts these values beside those of the regular lines, so
 * give them here or there. Copies everything; never waits. OK; BAD_REQUEST: a name or a value
 * cannot be used, or a name stands twice; TOO_LARGE: more than a line or a limit takes; BUSY: the
 * queue is full (counted as dropped); NO_MEMORY. Any thread.
 */
enum satchel_status satchel_emf_event(struct satchel_emf *self,
                                      const struct satchel_emf_sample *samples, size_t sample_count,
                                      const struct satchel_emf_property *properties,
                                      size_t property_count);

/** Writes now what came together, and returns when it is with the target or `wait_ms` are over; 0:
 *  at once. OK, or TIMED_OUT: nothing is lost, it goes on. Any thread. */
enum satchel_status satchel_emf_flush(struct satchel_emf *self, uint64_t wait_ms);

/** What became of lines and values since the emitter was opened. */
struct satchel_emf_counts {
    uint64_t lines_written;  /* the target took them whole */
    uint64_t lines_dropped;  /* lost: the queue was full, or the target refused them for good */
    uint64_t values_refused; /* by satchel_emf_set() and satchel_emf_observe() */
};

/** The counts as they are now; zeros for NULL. Any thread. */
struct satchel_emf_counts satchel_emf_counts(const struct satchel_emf *self);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
