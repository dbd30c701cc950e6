#include "load/zipf.h"

#include <math.h>

/* Below this the quotients are 1 within a double's precision, and 0 / 0 at zero itself. */
static const double NEAR_ZERO = 1e-8;

/* log(1 + x) / x and (exp(x) - 1) / x, continued at 0: with them no case for s = 1 is needed. */
static double log1p_quotient(double x)
{
    return fabs(x) > NEAR_ZERO ? log1p(x) / x : 1 - x / 2;
}

static double expm1_quotient(double x)
{
    return fabs(x) > NEAR_ZERO ? expm1(x) / x : 1 + x / 2;
}

/* The weight of a rank, for any real x from 1 up. */
static double weight(const struct zipf *self, double x)
{
    return exp(-self->exponent * log(x));
}

/* The integral of the weight from 1 to x, and its inverse. */
static double area(const struct zipf *self, double x)
{
    double log_x = log(x);
    return expm1_quotient((1 - self->exponent) * log_x) * log_x;
}

static double area_inverse(const struct zipf *self, double y)
{
    double t = y * (1 - self->exponent);
    return exp(log1p_quotient(t < -1 ? -1 : t) * y); /* rounding may lead just below -1 */
}

void zipf_init(struct zipf *self, uint64_t count, double exponent)
{
    *self = (struct zipf){.exponent = exponent, .count = (double)count};
    self->area_first = area(self, 1.5) - 1;
    self->area_last = area(self, self->count + 0.5);
    self->sure = 2 - area_inverse(self, area(self, 2.5) - weight(self, 2));
}

uint64_t zipf_next(const struct zipf *self, struct splitmix *random)
{
    for (;;) {
        double y = self->area_last + splitmix_unit(random) * (self->area_first - self->area_last);
        double x = area_inverse(self, y);
        double rank = floor(x + 0.5);
        rank = rank < 1 ? 1 : rank > self->count ? self->count : rank;
        if (rank - x <= self->sure || y >= area(self, rank + 0.5) - weight(self, rank)) {
            return (uint64_t)rank - 1;
        }
    }
}
