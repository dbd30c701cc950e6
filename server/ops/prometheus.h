/* Metrics as text that Prometheus reads: its own format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics 1.0.0
 * (https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md). The samples
 * are the same in both, letter by letter, so a server that changes from one to the other keeps its
 * series; OpenMetrics says more about a family, and says where the text ends. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/metric.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* A text in the making. Give the same one to all visits: samples of one family follow each other.
 */
struct prometheus_writer {
    struct buf *out; /* borrowed */
    bool is_openmetrics;
    const char *family; /* of the last sample, borrowed from its desc; NULL at first */
    enum status status; /* OK, or NO_MEMORY: nothing is written any more */
};

/** A metric_visit_fn whose `arg` is a struct prometheus_writer. */
void prometheus_write_sample(void *arg, const struct metric_sample *sample);

/** Ends the text, behind the last sample. */
void prometheus_end(struct prometheus_writer *self);

/** Whether a request with these header lines is to be answered in OpenMetrics: its Accept header
 *  names that format, and does not like the other one better. */
bool prometheus_wants_openmetrics(struct view headers);
