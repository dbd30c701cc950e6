/*
 * Ranks by Zipf's law: rank k of n comes up in proportion to 1 / k^s, as popularity does on the
 * web.
 *
 * Rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", 1996): exact for every s > 0, no tables, so a billion ranks
 * cost what ten do; at most about 1.1 attempts a number.
 */
#pragma once

#include <stdint.h>

#include "load/splitmix.h"

struct zipf {
    double exponent;
    double count;
    double area_first; /* the integral's ends: what the uniform number is taken from */
    double area_last;
    double sure; /* so close to its rank no attempt is rejected */
};

/** `count` ranks (at least 1), `exponent` s above 0; 1 is fine. */
void zipf_init(struct zipf *self, uint64_t count, double exponent);

/** A rank from 0 (the most frequent) to count - 1. */
uint64_t zipf_next(const struct zipf *self, struct splitmix *random);
