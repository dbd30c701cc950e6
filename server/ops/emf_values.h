/*
 * A latency distribution as CloudWatch takes it. It computes percentiles from values with counts,
 * not from a statistic set, so each bucket of the histogram is sent as its midpoint with its count:
 * a percentile is wrong by at most half a bucket. In microseconds.
 *
 *   values   {"Values":[3,6],"Counts":[17,2],"Min":2,"Max":8,"Count":19,"Sum":61.5}
 *            counts and sum are exact. The form that AWS' own emitters write; their page on the
 * format does not have it (github.com/awslabs/metrique, emf.rs). array    [3,3,3,6]: at most 100
 * values, the 0.5 %, 1.5 % … quantiles of a larger number. Within the published format, but counts
 * and sum are those of the sample.
 */
#pragma once

#include "base/bytes.h"
#include "base/metric.h"

enum emf_histogram { EMF_VALUES, EMF_ARRAY };
enum { EMF_VALUES_MAX = 100 }; /* of one metric in one line */

_Static_assert((int)METRIC_BUCKETS <= (int)EMF_VALUES_MAX, "a value for each bucket");

/** The value that stands for a bucket, in microseconds: its midpoint. Any thread. */
double emf_bucket_value_us(unsigned bucket);

/** Appends a number as JSON: finite, and cut to +-(2^53 - 1), which is what a reader can hold. OK
 * or NO_MEMORY. Any thread. */
enum status emf_write_number(struct buf *out, double value) MUST_CHECK;

/** Appends what a histogram counted, at least one duration. OK or NO_MEMORY. Any thread. */
enum status emf_write_histogram(struct buf *out, const struct metric_sample *sample,
                                enum emf_histogram form) MUST_CHECK;
