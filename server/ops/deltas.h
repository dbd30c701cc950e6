/*
 * What counters and histograms gained since an earlier look, for exporters that push: their
 * receivers add up what arrives, so each count has to be sent once.
 *
 *     struct deltas deltas = {.visit = write_row, .arg = &writer};    // and then, every time:
 *     metric_visit(registry, deltas_visit_sample, &deltas);
 *     deltas_keep(&deltas);                          // only when what was written is on its way
 *
 * Without deltas_keep() the next look begins where this one did: what could not be sent is in the
 * next delta, and nothing is lost. The first look tells everything since the process started.
 *
 * Values are sums of doubles, exact up to 2^53. One thread at a time.
 */
#pragma once

#include "base/metric.h"

/** `delta` is what a counter or a histogram gained; of a gauge it is the value, as in `total`,
 * which is the sample itself. Both are valid during the call only. */
typedef void (*deltas_visit_fn)(void *arg, const struct metric_sample *delta,
                                const struct metric_sample *total);

struct deltas_row; /* opaque */

/* All but the first two zero at the start. */
struct deltas {
    deltas_visit_fn visit;
    void *arg;               /* borrowed, for `visit` */
    struct deltas_row *rows; /* owned */
    size_t count;
    size_t next;        /* where the next sample's row probably is: looks have one order */
    enum status status; /* NO_MEMORY: some row was not visited; until deltas_keep() */
};

/** A metric_visit_fn whose `arg` is a struct deltas. A row is known by its description, which has
 *  to stay where it is. A new row for which there is no memory is left out; its counts come later.
 */
void deltas_visit_sample(void *arg, const struct metric_sample *sample);

/** From now on, deltas are counted from the last look. */
void deltas_keep(struct deltas *self);

/** Frees the rows. */
void deltas_close(struct deltas *self);
