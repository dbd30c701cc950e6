/* Histograms, the registry, and the plain text of a sample. */
#include "base/metric.h"

#include <math.h>
#include <stdbool.h>

void metric_observe_many_ns(struct metric_histogram *self, int64_t duration_ns, uint64_t count)
{
    uint64_t ns = duration_ns > 0 ? (uint64_t)duration_ns : 0;
    uint64_t us = ns / 1000 + (ns % 1000 != 0); /* rounded up: a bound belongs to its bucket */
    unsigned bucket = us <= 1 ? 0 : 64U - (unsigned)__builtin_clzll(us - 1);
    if (bucket >= METRIC_BUCKETS) {
        bucket = METRIC_BUCKETS - 1;
    }
    /* One writing thread, so a load and a store do, as in metric_add(). */
    uint64_t hits = atomic_load_explicit(&self->buckets[bucket], memory_order_relaxed);
    atomic_store_explicit(&self->buckets[bucket], hits + count, memory_order_relaxed);
    uint64_t sum_ns = atomic_load_explicit(&self->sum_ns, memory_order_relaxed);
    atomic_store_explicit(&self->sum_ns, sum_ns + ns * count, memory_order_relaxed);
}

double metric_bucket_bound(unsigned bucket)
{
    return bucket + 1 < METRIC_BUCKETS ? (double)(UINT64_C(1) << bucket) / 1e6 : HUGE_VAL;
}

enum status metric_register(struct metric_registry *self, struct metric_set set)
{
    /* Relaxed: who adds is the only one that changes it. */
    size_t count = atomic_load_explicit(&self->count, memory_order_relaxed);
    if (count == METRIC_SETS_MAX) {
        return STATUS_TOO_LARGE;
    }
    self->sets[count] = set;
    atomic_store_explicit(&self->count, count + 1, memory_order_release);
    return STATUS_OK;
}

static void add_histogram(struct metric_sample *sample, const struct metric_histogram *from)
{
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        uint64_t hits = atomic_load_explicit(&from->buckets[i], memory_order_relaxed);
        sample->buckets[i] += hits;
        sample->count += hits;
    }
    sample->sum += (double)atomic_load_explicit(&from->sum_ns, memory_order_relaxed) / 1e9;
}

static void add_instance(struct metric_sample *sample, const void *values)
{
    const void *value = (const uint8_t *)values + sample->desc->offset;
    switch (sample->desc->type) {
    case METRIC_counter:
        sample->value += (double)metric_counter_get(value);
        break;
    case METRIC_gauge:
        sample->value += (double)metric_gauge_get(value);
        break;
    case METRIC_histogram:
        add_histogram(sample, value);
        break;
    }
}

/* Whether a set before `index` has the same table, so that its rows were visited already. */
static bool table_was_visited(const struct metric_registry *self, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (self->sets[i].table == self->sets[index].table) {
            return true;
        }
    }
    return false;
}

void metric_visit(const struct metric_registry *self, metric_visit_fn visit, void *arg)
{
    const size_t count = atomic_load_explicit(&self->count, memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        if (self->sets[i].refresh != NULL) {
            self->sets[i].refresh(self->sets[i].refresh_arg);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct metric_table *table = self->sets[i].table;
        if (table_was_visited(self, i)) {
            continue;
        }
        for (size_t row = 0; row < table->count; row++) {
            struct metric_sample sample = {.desc = &table->descs[row]};
            for (size_t other = i; other < count; other++) {
                if (self->sets[other].table == table) {
                    add_instance(&sample, self->sets[other].values);
                }
            }
            visit(arg, &sample);
        }
    }
}

enum status metric_write_line(struct buf *out, const struct metric_desc *desc, const char *suffix,
                              const char *more_labels, double value)
{
    bool has_labels = desc->labels[0] != '\0';
    bool has_more = more_labels[0] != '\0';
    /* Whole numbers are written as such; a double holds them exactly up to 2^53. The test is on
     * the magnitude first: floor() of a huge number would say "whole" for what has lost digits. */
    bool is_whole = fabs(value) < 0x1p53 && floor(value) == value;
    return buf_printf(out, is_whole ? "%s%s%s%s%s%s%s %.0f\n" : "%s%s%s%s%s%s%s %.15g\n",
                      desc->name, suffix, has_labels || has_more ? "{" : "", desc->labels,
                      has_labels && has_more ? "," : "", more_labels,
                      has_labels || has_more ? "}" : "", value);
}

enum status metric_write_plain(struct buf *out, const struct metric_sample *sample)
{
    if (sample->desc->type != METRIC_histogram) {
        return metric_write_line(out, sample->desc, "", "", sample->value);
    }
    enum status status = metric_write_line(out, sample->desc, "_count", "", (double)sample->count);
    if (status == STATUS_OK) {
        status = metric_write_line(out, sample->desc, "_sum", "", sample->sum);
    }
    return status;
}
