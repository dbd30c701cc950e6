/*
 * Samples as lines of CloudWatch's embedded metric format
 * (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
 *
 *     {"_aws":{"Timestamp":1764000000000,"CloudWatchMetrics":[{"Namespace":"Satchel",
 *      "Dimensions":[["ServiceName"],["ServiceName","Op"]],
 *      "Metrics":[{"Name":"Requests","Unit":"Count"}]}]},
 *      "ServiceName":"satchel","TaskId":"…","Op":"get","Requests":42}
 *
 * A dimension has one value in a line, so the rows of each op have a line of their own, which
 * counts for [ServiceName] as well: CloudWatch adds the ops up. What is full is cut into several
 * lines.
 *
 * A counter is sent from its first count on: what never happened costs nothing.
 */
#pragma once

#include "ops/emf.h"
#include "ops/emf_name.h"

enum {
    /* PIPE_BUF, so that a line goes into a pipe in one piece and no other writer's falls into it.
     * The formats' own limits are 16 KiB (the awslogs driver splits longer ones) and 1 MB. */
    EMF_LINE_BYTES_MAX = 4096,
    EMF_METRICS_MAX = 100, /* of one line */
    EMF_LINES_OPEN = 32,   /* ops that are collected at a time; of more, some get several lines */
};

struct emf_line {
    char op[EMF_OP_BYTES];
    unsigned metrics;
    struct buf definitions; /* owned, as `values` */
    struct buf values;
};

/* All but the options zero at the start. */
struct emf_writer {
    const struct emf_options *options; /* borrowed, settled */
    struct buf out;                    /* owned: the lines, each with its line feed */
    unsigned lines;                    /* in `out` */
    unsigned left_out;                 /* metrics that had no room in a line of their own, ever */
    enum status status;                /* OK, or NO_MEMORY: `out` is not whole */
    struct buf head;                   /* owned, as all below */
    struct buf properties;
    struct buf value;
    struct emf_line open[EMF_LINES_OPEN];
    unsigned open_count;
};

/** Begins a look at all metrics, made at `now_ms` since 1970. What was in `out` is gone. */
void emf_writer_begin(struct emf_writer *self, int64_t now_ms);

/** A deltas_visit_fn whose `arg` is a struct emf_writer. */
void emf_write_row(void *arg, const struct metric_sample *delta, const struct metric_sample *total);

/** Ends the look: all lines are in `out`. OK or NO_MEMORY. */
enum status emf_writer_end(struct emf_writer *self) MUST_CHECK;

/** Frees everything. */
void emf_writer_close(struct emf_writer *self);
