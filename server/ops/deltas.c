/* A row for each metric: how it was when it was last kept, and when it was last seen. */
#include "ops/deltas.h"

#include <stdlib.h>

enum { ROWS_STEP = 64 };

/* What a metric_sample says that can be subtracted. */
struct reading {
    double value;
    uint64_t buckets[METRIC_BUCKETS];
    double sum;
    uint64_t count;
};

struct deltas_row {
    const struct metric_desc *desc; /* static, or the registry's */
    struct reading kept;
    struct reading seen;
};

static struct reading reading_of(const struct metric_sample *sample)
{
    struct reading out = {.value = sample->value, .sum = sample->sum, .count = sample->count};
    memcpy(out.buckets, sample->buckets, sizeof out.buckets);
    return out;
}

static struct deltas_row *add_row(struct deltas *self, const struct metric_desc *desc)
{
    if (self->count % ROWS_STEP == 0) {
        struct deltas_row *rows = reallocarray(self->rows, self->count + ROWS_STEP, sizeof *rows);
        if (rows == NULL) {
            self->status = STATUS_NO_MEMORY;
            return NULL;
        }
        self->rows = rows;
    }
    struct deltas_row *row = &self->rows[self->count++];
    *row = (struct deltas_row){.desc = desc};
    return row;
}

/* The row of a metric, made when it is new; NULL without memory. */
static struct deltas_row *row_of(struct deltas *self, const struct metric_desc *desc)
{
    for (size_t i = 0; i < self->count; i++) {
        size_t at = (self->next + i) % self->count;
        if (self->rows[at].desc == desc) {
            self->next = at + 1;
            return &self->rows[at];
        }
    }
    return add_row(self, desc);
}

void deltas_visit_sample(void *arg, const struct metric_sample *sample)
{
    struct deltas *self = arg;
    struct deltas_row *row = row_of(self, sample->desc);
    if (row == NULL) {
        return;
    }
    row->seen = reading_of(sample);
    struct metric_sample delta = *sample;
    if (sample->desc->type != METRIC_gauge) {
        delta.value -= row->kept.value;
        delta.sum -= row->kept.sum;
        delta.count -= row->kept.count;
        for (size_t i = 0; i < METRIC_BUCKETS; i++) {
            delta.buckets[i] -= row->kept.buckets[i];
        }
    }
    self->visit(self->arg, &delta, sample);
}

void deltas_keep(struct deltas *self)
{
    for (size_t i = 0; i < self->count; i++) {
        self->rows[i].kept = self->rows[i].seen;
    }
    self->status = STATUS_OK;
}

void deltas_close(struct deltas *self)
{
    free(self->rows);
    self->rows = NULL;
    self->count = 0;
}
