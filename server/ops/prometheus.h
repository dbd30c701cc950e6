/* Metrics as text that Prometheus reads (exposition format 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/). */
#pragma once

#include "base/bytes.h"
#include "base/metric.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A text in the making. Give the same one to all visits: samples of one family follow each other.
 */
struct prometheus_writer {
    struct buf *out;    /* borrowed */
    const char *family; /* of the last sample, borrowed from its desc; NULL at first */
    enum status status; /* OK, or NO_MEMORY: nothing is written any more */
};

/** A metric_visit_fn whose `arg` is a struct prometheus_writer. */
void prometheus_write_sample(void *arg, const struct metric_sample *sample);
