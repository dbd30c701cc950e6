/* Numbers and distributions of a line. */
#include "ops/emf_values.h"

#include <inttypes.h>
#include <math.h>

static const double number_max = 0x1p53 - 1; /* every whole number up to here is a double */
static const double us_per_s = 1e6;

static double lower_us(unsigned bucket)
{
    return bucket == 0 ? 0 : metric_bucket_bound(bucket - 1) * us_per_s;
}

/* The last bucket has no end. As if it were as wide as the others. */
static double upper_us(unsigned bucket)
{
    return bucket + 1 < METRIC_BUCKETS ? metric_bucket_bound(bucket) * us_per_s
                                       : 2 * lower_us(bucket);
}

double emf_bucket_value_us(unsigned bucket)
{
    return (lower_us(bucket) + upper_us(bucket)) / 2;
}

enum status emf_write_number(struct buf *out, double value)
{
    double cut = isnan(value) ? 0 : fmax(-number_max, fmin(value, number_max));
    return buf_printf(out, floor(cut) == cut ? "%.0f" : "%.15g", cut);
}

static enum status write_values(struct buf *out, const struct metric_sample *sample)
{
    unsigned first = METRIC_BUCKETS;
    unsigned last = 0;
    enum status status = buf_printf(out, "{\"Values\":[");
    for (unsigned i = 0; status == STATUS_OK && i < METRIC_BUCKETS; i++) {
        if (sample->buckets[i] != 0) {
            status = buf_printf(out, "%s%.15g", first == METRIC_BUCKETS ? "" : ",",
                                emf_bucket_value_us(i));
            first = first == METRIC_BUCKETS ? i : first;
            last = i;
        }
    }
    if (status == STATUS_OK) {
        status = buf_printf(out, "],\"Counts\":[");
    }
    for (unsigned i = first; status == STATUS_OK && i <= last; i++) {
        if (sample->buckets[i] != 0) {
            status = buf_printf(out, "%s%" PRIu64, i == first ? "" : ",", sample->buckets[i]);
        }
    }
    /* Bounds of the buckets: the sum lies between Count times the one and Count times the other,
     * which is not so for midpoints. In the last bucket a single duration may be all of the sum. */
    double sum_us = round(sample->sum * us_per_s * 1000) / 1000; /* to the nanosecond */
    double max_us = last + 1 < METRIC_BUCKETS ? upper_us(last) : fmax(upper_us(last), sum_us);
    if (status == STATUS_OK) {
        status = buf_printf(out, "],\"Min\":%.15g,\"Max\":", lower_us(first));
    }
    if (status == STATUS_OK) {
        status = emf_write_number(out, max_us);
    }
    if (status == STATUS_OK) {
        status = buf_printf(out, ",\"Count\":%" PRIu64 ",\"Sum\":", sample->count);
    }
    if (status == STATUS_OK) {
        status = emf_write_number(out, sum_us);
    }
    return status == STATUS_OK ? buf_append(out, view_str("}")) : status;
}

static enum status write_array(struct buf *out, const struct metric_sample *sample)
{
    const unsigned count = sample->count < EMF_VALUES_MAX ? (unsigned)sample->count
                                                          : EMF_VALUES_MAX;
    enum status status = buf_append(out, view_str("["));
    unsigned bucket = 0;
    uint64_t below = sample->buckets[0]; /* durations up to the end of the bucket */
    for (unsigned i = 0; status == STATUS_OK && i < count; i++) {
        const double rank = ((double)i + 0.5) / (double)count * (double)sample->count;
        while (bucket + 1 < METRIC_BUCKETS && (double)below < rank) {
            below += sample->buckets[++bucket];
        }
        status = buf_printf(out, "%s%.15g", i == 0 ? "" : ",", emf_bucket_value_us(bucket));
    }
    return status == STATUS_OK ? buf_append(out, view_str("]")) : status;
}

enum status emf_write_histogram(struct buf *out, const struct metric_sample *sample,
                                enum emf_histogram form)
{
    return form == EMF_ARRAY ? write_array(out, sample) : write_values(out, sample);
}
