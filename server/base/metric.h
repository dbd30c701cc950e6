/*
 * Metrics: each module declares a table; the table makes a struct of values and a description,
 * from which every exporter (Prometheus, STATS, later EMF and StatsD) prints.
 *
 *     #define STORE_METRICS(X) \
 *         X(counter,   flushes,       "satchel_journal_flushes_total", "", "Flushes …") \
 *         X(gauge,     sessions,      "satchel_sessions", "", "Sessions …") \
 *         X(histogram, flush_seconds, "satchel_journal_flush_seconds", "", "Time of …") \
 *     METRIC_STRUCT(store_metrics, STORE_METRICS)
 *     METRIC_TABLE_DECLARE(store_metrics)          // in the .c: METRIC_TABLE(store_metrics,
 * STORE_METRICS)
 *
 * The fourth column is a fixed label set as Prometheus writes it ("op=\"get\"") or "". Rows of one
 * family (same name) stand next to each other and share the help text of the first.
 *
 * A value has one writing thread, or several that use the *_shared functions; reading is open to
 * all threads at any time (relaxed: each value is exact, a set of them is not a snapshot). Several
 * instances of one struct (one a worker) may be registered: exporters add them up.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum { METRIC_BUCKETS = 28 }; /* bucket i counts values <= 1 us * 2^i; the last one: everything */

struct metric_counter {
    _Atomic uint64_t value;
};

struct metric_gauge {
    _Atomic int64_t value;
};

/* Durations in nanoseconds, exported in seconds. */
struct metric_histogram {
    _Atomic uint64_t buckets[METRIC_BUCKETS];
    _Atomic uint64_t sum_ns;
};

enum metric_type { METRIC_counter, METRIC_gauge, METRIC_histogram };

struct metric_desc {
    enum metric_type type;
    const char *name;   /* the Prometheus family: base units, _total on counters */
    const char *labels; /* "" or `key="value",…` */
    const char *help;
    size_t offset; /* in the struct of values */
};

struct metric_table {
    const struct metric_desc *descs;
    size_t count;
};

#define METRIC_STRUCT_ROW(type, member, name, labels, help) struct metric_##type member;
#define METRIC_STRUCT(struct_name, TABLE)                                                          \
    struct struct_name {                                                                           \
        TABLE(METRIC_STRUCT_ROW)                                                                   \
    };
#define METRIC_TABLE_DECLARE(struct_name) extern const struct metric_table struct_name##_table;
/* Expects METRIC_OWNER to be defined as `struct struct_name` at the place of use. */
#define METRIC_TABLE_ROW(type, member, name, labels, help)                                         \
    {METRIC_##type, name, labels, help, offsetof(METRIC_OWNER, member)},
#define METRIC_TABLE(struct_name, TABLE)                                                           \
    static const struct metric_desc struct_name##_descs[] = {TABLE(METRIC_TABLE_ROW)};             \
    const struct metric_table struct_name##_table = {                                              \
        struct_name##_descs, sizeof struct_name##_descs / sizeof struct_name##_descs[0]};

/* One writing thread: a load and a store, no locked instruction. */
static inline void metric_add(struct metric_counter *self, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(&self->value, memory_order_relaxed);
    atomic_store_explicit(&self->value, now + amount, memory_order_relaxed);
}

static inline void metric_add_shared(struct metric_counter *self, uint64_t amount)
{
    atomic_fetch_add_explicit(&self->value, amount, memory_order_relaxed);
}

static inline void metric_set(struct metric_gauge *self, int64_t value)
{
    atomic_store_explicit(&self->value, value, memory_order_relaxed);
}

static inline void metric_move_shared(struct metric_gauge *self, int64_t by)
{
    atomic_fetch_add_explicit(&self->value, by, memory_order_relaxed);
}

static inline uint64_t metric_counter_get(const struct metric_counter *self)
{
    return atomic_load_explicit(&self->value, memory_order_relaxed);
}

static inline int64_t metric_gauge_get(const struct metric_gauge *self)
{
    return atomic_load_explicit(&self->value, memory_order_relaxed);
}

/** Counts `count` equal durations (negative ones count as 0) at the price of one. One writing
 *  thread. */
void metric_observe_many_ns(struct metric_histogram *self, int64_t duration_ns, uint64_t count);

/** Counts one duration. One writing thread. */
static inline void metric_observe_ns(struct metric_histogram *self, int64_t duration_ns)
{
    metric_observe_many_ns(self, duration_ns, 1);
}

/** Upper bound of a bucket in seconds, inclusive; infinite for the last one. */
double metric_bucket_bound(unsigned bucket);

/*
 * A registry: what exporters walk. Sets are only ever added, and by one thread at a time; exporters
 * may be reading meanwhile. Zeroed: empty.
 */
enum { METRIC_SETS_MAX = 320 }; /* two for each of 128 workers, and those of everybody else */

struct metric_set {
    const struct metric_table *table; /* shared, static */
    const void *values;               /* borrowed until the registry goes */
    void (*refresh)(void *arg);       /* brings gauges up to date before a read; may be NULL */
    void *refresh_arg;                /* borrowed */
};

struct metric_registry {
    struct metric_set sets[METRIC_SETS_MAX];
    _Atomic size_t count; /* release after a set is written, acquire before they are read */
};

/** Adds a set; TOO_LARGE when METRIC_SETS_MAX is reached. */
enum status metric_register(struct metric_registry *self, struct metric_set set) MUST_CHECK;

/* One row summed over all instances of its table. */
struct metric_sample {
    const struct metric_desc *desc;
    double value;                     /* counter, gauge */
    uint64_t buckets[METRIC_BUCKETS]; /* histogram: not cumulative */
    double sum;                       /* histogram: seconds */
    uint64_t count;                   /* histogram: of all buckets */
};

/** Called once a row, families contiguous; the sample is valid during the call only. */
typedef void (*metric_visit_fn)(void *arg, const struct metric_sample *sample);

/** Refreshes all sets, then visits every row of every distinct table. Any thread. */
void metric_visit(const struct metric_registry *self, metric_visit_fn visit, void *arg);

/**
 * Appends one line `name<suffix>{labels,more_labels} value` with its line feed, as Prometheus reads
 * it. `suffix` and `more_labels` may be "" but not NULL; labels are written as they stand, so a
 * value with a quote, a backslash or a line feed in it must come escaped. OK or NO_MEMORY.
 */
enum status metric_write_line(struct buf *out, const struct metric_desc *desc, const char *suffix,
                              const char *more_labels, double value) MUST_CHECK;

/**
 * Appends a sample for people and scripts: one line for a counter or a gauge, the two lines _count
 * and _sum for a histogram; no comments. OK or NO_MEMORY (the lines before it may be there).
 */
enum status metric_write_plain(struct buf *out, const struct metric_sample *sample) MUST_CHECK;
