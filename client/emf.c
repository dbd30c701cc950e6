/* Opening and closing an emitter, its metrics, and the values they take. */
#include "client/emf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/blocking.h"
#include "satchel/emf.h"

/* ---- Opening and closing --------------------------------------------------------------------- */

static void emf_free(struct satchel_emf *self)
{
    for (size_t i = 0; i < atomic_load_explicit(&self->count, memory_order_relaxed); i++) {
        struct satchel_emf_metric *metric = self->metrics[i];
        (void)pthread_mutex_destroy(&metric->lock);
        free(metric->active);
        free(metric->spare);
        free(metric);
    }
    emf_line_free(&self->line);
    buf_free(&self->text);
    buf_free(&self->value);
    emf_frame_free(&self->frame);
    emf_settings_free(&self->settings);
    if (self->c_locale != (locale_t)0) {
        freelocale(self->c_locale);
    }
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

/* Room for every line from the start, so that collecting never lacks memory. */
static enum status reserve(struct satchel_emf *self)
{
    struct buf *const buffers[] = {&self->line.definitions, &self->line.values, &self->text,
                                   &self->value};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0] && status == STATUS_OK; i++) {
        status = buf_reserve(buffers[i], (size_t)2 * SATCHEL_EMF_LINE_BYTES_MAX);
    }
    return status;
}

static enum satchel_status start(struct satchel_emf *self, const char **why)
{
    enum status status = emf_frame_init(&self->frame, &self->settings);
    if (status == STATUS_TOO_LARGE) {
        *why = "namespace, dimensions and properties together are too long";
        return SATCHEL_TOO_LARGE;
    }
    self->line.frame = &self->frame;
    self->c_locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (status == STATUS_OK) {
        status = reserve(self);
    }
    if (status == STATUS_OK && self->c_locale != (locale_t)0) {
        status = emf_writer_start(&self->settings, emf_collect, self, &self->writer);
    }
    *why = "out of memory, descriptors or threads";
    return self->writer != NULL && status == STATUS_OK ? SATCHEL_OK : SATCHEL_NO_MEMORY;
}

enum satchel_status satchel_emf_open(const struct satchel_emf_options *options,
                                     struct satchel_emf **out)
{
    static const struct satchel_emf_options all_defaults;
    *out = NULL;
    struct satchel_emf *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return blocking_refuse(SATCHEL_NO_MEMORY, "out of memory", NULL);
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    char why_text[EMF_WHY_BYTES] = "";
    const char *why = why_text;
    enum satchel_status status = emf_settings_init(
        &self->settings, options == NULL ? &all_defaults : options, getenv, why_text);
    bool has_target = status == SATCHEL_OK && self->settings.target != EMF_TARGET_NONE;
    if (has_target) {
        status = start(self, &why);
    }
    if (status == SATCHEL_OK && has_target) {
        *out = self;
        return status;
    }
    emf_free(self);
    return status == SATCHEL_OK ? status : blocking_refuse(status, why, NULL);
}

void satchel_emf_close(struct satchel_emf *self)
{
    /* A thread that hangs in the system still uses it all. */
    if (self != NULL && emf_writer_stop(self->writer)) {
        emf_free(self);
    }
}

/* ---- Metrics --------------------------------------------------------------------------------- */

static struct satchel_emf_metric *metric_new(struct satchel_emf *owner, enum metric_kind kind,
                                             const char *name, const char *unit)
{
    struct satchel_emf_metric *metric = calloc(1, sizeof *metric);
    bool is_distribution = kind == KIND_DISTRIBUTION;
    struct emf_distribution *active = is_distribution ? calloc(1, sizeof *active) : NULL;
    struct emf_distribution *spare = is_distribution ? calloc(1, sizeof *spare) : NULL;
    if (metric == NULL || (is_distribution && (active == NULL || spare == NULL))) {
        free(active);
        free(spare);
        free(metric);
        return NULL;
    }
    *metric = (struct satchel_emf_metric){
        .owner = owner, .unit = unit, .kind = kind, .active = active, .spare = spare};
    (void)snprintf(metric->name, sizeof metric->name, "%s", name);
    atomic_init(&metric->value, (double)NAN);
    (void)pthread_mutex_init(&metric->lock, NULL);
    return metric;
}

/* With the lock. NULL: `*why` says why. */
static struct satchel_emf_metric *find_or_add(struct satchel_emf *self, enum metric_kind kind,
                                              const char *name, const char *unit, const char **why)
{
    size_t count = atomic_load_explicit(&self->count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        struct satchel_emf_metric *metric = self->metrics[i];
        if (strcmp(metric->name, name) == 0) {
            *why = "a metric of another kind or unit has this name";
            return metric->kind == kind && metric->unit == unit ? metric : NULL;
        }
    }
    *why = "as many metrics as there may be";
    if (count == SATCHEL_EMF_METRICS_MAX) {
        return NULL;
    }
    struct satchel_emf_metric *metric = metric_new(self, kind, name, unit);
    *why = "out of memory";
    if (metric != NULL) {
        self->metrics[count] = metric;
        atomic_store_explicit(&self->count, count + 1, memory_order_release);
    }
    return metric;
}

static struct satchel_emf_metric *metric_of(struct satchel_emf *self, enum metric_kind kind,
                                            const char *name, const char *unit_text)
{
    if (self == NULL) {
        return NULL;
    }
    struct satchel_emf_metric *metric = NULL;
    const char *unit = emf_unit(unit_text);
    const char *why = NULL;
    if (!emf_is_name(name)) {
        why = "a metric cannot have this name";
    } else if (unit == NULL) {
        why = "CloudWatch knows no such unit";
    } else if (emf_settings_has(&self->settings, name) || strcmp(name, EMF_LINES_DROPPED) == 0 ||
               strcmp(name, EMF_VALUES_REFUSED) == 0) {
        why = "the name is taken by a dimension, a property or the library";
    } else {
        (void)pthread_mutex_lock(&self->lock);
        metric = find_or_add(self, kind, name, unit, &why);
        (void)pthread_mutex_unlock(&self->lock);
    }
    if (metric == NULL) {
        (void)blocking_refuse(SATCHEL_BAD_REQUEST, why, NULL);
    }
    return metric;
}

struct satchel_emf_metric *satchel_emf_counter(struct satchel_emf *self, const char *name,
                                               const char *unit)
{
    return metric_of(self, KIND_COUNTER, name, unit);
}

struct satchel_emf_metric *satchel_emf_gauge(struct satchel_emf *self, const char *name,
                                             const char *unit)
{
    return metric_of(self, KIND_GAUGE, name, unit);
}

struct satchel_emf_metric *satchel_emf_distribution(struct satchel_emf *self, const char *name,
                                                    const char *unit)
{
    return metric_of(self, KIND_DISTRIBUTION, name, unit);
}

static void count_refused(struct satchel_emf_metric *metric)
{
    atomic_fetch_add_explicit(&metric->owner->values_refused, 1, memory_order_relaxed);
}

void satchel_emf_add(struct satchel_emf_metric *metric, uint64_t amount)
{
    if (metric == NULL) {
        return;
    }
    if (metric->kind != KIND_COUNTER) {
        count_refused(metric);
        return;
    }
    atomic_fetch_add_explicit(&metric->amount, amount, memory_order_relaxed);
}

void satchel_emf_set(struct satchel_emf_metric *metric, double value)
{
    if (metric == NULL) {
        return;
    }
    if (metric->kind != KIND_GAUGE || !emf_is_number(value)) {
        count_refused(metric);
        return;
    }
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void satchel_emf_observe(struct satchel_emf_metric *metric, double value)
{
    if (metric == NULL) {
        return;
    }
    if (metric->kind != KIND_DISTRIBUTION || !emf_is_number(value) || value < 0) {
        count_refused(metric);
        return;
    }
    (void)pthread_mutex_lock(&metric->lock);
    emf_distribution_add(metric->active, value);
    (void)pthread_mutex_unlock(&metric->lock);
}

/* ---- Flushing and counts --------------------------------------------------------------------- */

enum satchel_status satchel_emf_flush(struct satchel_emf *self, uint64_t wait_ms)
{
    if (self == NULL || emf_writer_flush(self->writer, wait_ms) == STATUS_OK) {
        return SATCHEL_OK;
    }
    return blocking_refuse(SATCHEL_TIMED_OUT, "the target has not taken all lines yet", NULL);
}

struct satchel_emf_counts satchel_emf_counts(const struct satchel_emf *self)
{
    if (self == NULL) {
        return (struct satchel_emf_counts){0};
    }
    return (struct satchel_emf_counts){
        .lines_written = emf_writer_written(self->writer),
        .lines_dropped = emf_writer_dropped(self->writer),
        .values_refused = atomic_load_explicit(&self->values_refused, memory_order_relaxed),
    };
}
