/* Values in log-linear buckets. */
#include "client/emf_distribution.h"

#include <inttypes.h>
#include <math.h>

#include "client/emf_number.h"
#include "satchel/emf.h"

/* The values of a line: middles of buckets, or of several joined ones. */
struct points {
    size_t count;
    struct {
        double value;
        uint64_t count;
    } at[SATCHEL_EMF_VALUES_MAX];
};

static size_t bucket_of(double value)
{
    int exponent; /* value = fraction * 2^exponent, with a fraction in [0.5, 1) */
    double fraction = frexp(value, &exponent);
    int octave = exponent - 1 - EMF_OCTAVE_FIRST;
    if (octave < 0) {
        return 0;
    }
    if (octave >= EMF_OCTAVES) {
        return EMF_BUCKETS - 1;
    }
    size_t part = (size_t)((fraction - 0.5) * 2 * EMF_BUCKETS_PER_OCTAVE);
    return (size_t)octave * EMF_BUCKETS_PER_OCTAVE + part;
}

/* Where bucket `index` begins; EMF_BUCKETS gives the end of the last one. */
static double bucket_begin(size_t index)
{
    double part = (double)(index % EMF_BUCKETS_PER_OCTAVE) / EMF_BUCKETS_PER_OCTAVE;
    return ldexp(1 + part, (int)(index / EMF_BUCKETS_PER_OCTAVE) + EMF_OCTAVE_FIRST);
}

void emf_distribution_add(struct emf_distribution *self, double value)
{
    self->least = self->count == 0 || value < self->least ? value : self->least;
    self->most = self->count == 0 || value > self->most ? value : self->most;
    self->count++;
    self->sum += value;
    if (value > 0) {
        self->buckets[bucket_of(value)]++;
    } else {
        self->zeros++;
    }
}

/* No value outside what was observed: a bucket with one value in it then is that value when it is
 * the least or the most of all. */
static double within(const struct emf_distribution *self, double value)
{
    return value < self->least ? self->least : value > self->most ? self->most : value;
}

static bool points_add(struct points *self, double value, uint64_t count)
{
    if (count == 0) {
        return true;
    }
    if (self->count == SATCHEL_EMF_VALUES_MAX) {
        return false;
    }
    self->at[self->count].value = value;
    self->at[self->count].count = count;
    self->count++;
    return true;
}

/* Joins each `width` buckets (a power of two); false when that is more than a line takes. */
static bool points_of(const struct emf_distribution *self, size_t width, struct points *out)
{
    out->count = 0;
    bool fits = points_add(out, 0, self->zeros);
    for (size_t first = 0; first < EMF_BUCKETS && fits; first += width) {
        uint64_t count = 0;
        for (size_t i = first; i < first + width; i++) {
            count += self->buckets[i];
        }
        double middle = (bucket_begin(first) + bucket_begin(first + width)) / 2;
        fits = points_add(out, within(self, middle), count);
    }
    return fits;
}

/* The middle of a bucket has no more than five digits that mean something. */
static enum status put_value(const struct emf_distribution *self, struct buf *out, size_t i,
                             double value)
{
    char exact[EMF_NUMBER_BYTES];
    const char *comma = i == 0 ? "" : ",";
    return value <= self->least || value >= self->most
               ? buf_printf(out, "%s%s", comma, emf_number(exact, value))
               : buf_printf(out, "%s%.5g", comma, value);
}

static enum status put_points(const struct emf_distribution *self, const struct points *points,
                              struct buf *out)
{
    enum status status = buf_append(out, view_str("{\"Values\":["));
    for (size_t i = 0; i < points->count && status == STATUS_OK; i++) {
        status = put_value(self, out, i, points->at[i].value);
    }
    if (status == STATUS_OK) {
        status = buf_append(out, view_str("],\"Counts\":["));
    }
    for (size_t i = 0; i < points->count && status == STATUS_OK; i++) {
        status = buf_printf(out, "%s%" PRIu64, i == 0 ? "" : ",", points->at[i].count);
    }
    if (status == STATUS_OK) {
        char least[EMF_NUMBER_BYTES];
        char most[EMF_NUMBER_BYTES];
        char sum[EMF_NUMBER_BYTES];
        status = buf_printf(out, "],\"Min\":%s,\"Max\":%s,\"Sum\":%s,\"Count\":%" PRIu64 "}",
                            emf_number(least, self->least), emf_number(most, self->most),
                            emf_number(sum, self->sum), self->count);
    }
    return status;
}

enum status emf_distribution_write(const struct emf_distribution *self, size_t bytes_max,
                                   struct buf *out)
{
    size_t before = out->len;
    enum status status = STATUS_TOO_LARGE;
    for (size_t width = 1; width <= EMF_BUCKETS && status == STATUS_TOO_LARGE; width *= 2) {
        struct points points;
        if (!points_of(self, width, &points)) {
            continue;
        }
        status = put_points(self, &points, out);
        if (status == STATUS_OK && out->len - before > bytes_max) {
            status = STATUS_TOO_LARGE;
        }
        if (status != STATUS_OK) {
            out->len = before;
        }
    }
    return status;
}
