/* What came together since the last time, as lines. All on the writer's thread. */
#include <math.h>

#include "base/clock.h"
#include "client/emf.h"
#include "client/emf_number.h"
#include "satchel/emf.h"

static void send_line(struct satchel_emf *self)
{
    self->text.len = 0;
    if (self->line.metric_count > 0 &&
        emf_line_finish(&self->line, clock_wall_ms(&clock_system), &self->text) == STATUS_OK) {
        /* It counts what it cannot take. */
        enum status status = emf_writer_put(self->writer, buf_view(&self->text), false);
        (void)status;
    }
}

/* Adds what `self->value` holds; begins another line when this one is full. */
static void add_value(struct satchel_emf *self, const char *name, const char *unit)
{
    struct view value = buf_view(&self->value);
    if (emf_line_add(&self->line, name, unit, value) == STATUS_TOO_LARGE) {
        send_line(self);
        enum status status = emf_line_add(&self->line, name, unit, value);
        (void)status; /* an empty line has room for any one value: emf_line_room() */
    }
}

static enum status put_count(struct satchel_emf *self, uint64_t amount)
{
    return buf_printf(&self->value, "%llu", (unsigned long long)amount);
}

static enum status put_counter(struct satchel_emf *self, struct satchel_emf_metric *metric)
{
    uint64_t amount = atomic_exchange_explicit(&metric->amount, 0, memory_order_relaxed);
    if (amount > EMF_NUMBER_MAX) { /* the rest next time */
        satchel_emf_add(metric, amount - EMF_NUMBER_MAX);
        amount = EMF_NUMBER_MAX;
    }
    return put_count(self, amount);
}

static enum status put_gauge(struct satchel_emf *self, struct satchel_emf_metric *metric)
{
    double value = atomic_load_explicit(&metric->value, memory_order_relaxed);
    char number[EMF_NUMBER_BYTES];
    return isnan(value) ? STATUS_END
                        : buf_append(&self->value, view_str(emf_number(number, value)));
}

static enum status put_distribution(struct satchel_emf *self, struct satchel_emf_metric *metric)
{
    (void)pthread_mutex_lock(&metric->lock);
    struct emf_distribution *taken = metric->active;
    metric->active = metric->spare;
    metric->spare = taken;
    (void)pthread_mutex_unlock(&metric->lock);
    if (taken->count == 0) {
        return STATUS_END;
    }
    size_t room = emf_line_room(&self->frame, metric->name, metric->unit);
    enum status status = emf_distribution_write(taken, room, &self->value);
    *taken = (struct emf_distribution){0};
    return status;
}

static void collect_metric(struct satchel_emf *self, struct satchel_emf_metric *metric)
{
    static enum status (*const put[])(struct satchel_emf *, struct satchel_emf_metric *) = {
        [KIND_COUNTER] = put_counter,
        [KIND_GAUGE] = put_gauge,
        [KIND_DISTRIBUTION] = put_distribution,
    };
    self->value.len = 0;
    if (put[metric->kind](self, metric) == STATUS_OK) {
        add_value(self, metric->name, metric->unit);
    }
}

/* One of the library's own, which is there only when there is something to tell. */
static void collect_own(struct satchel_emf *self, const char *name, uint64_t now, uint64_t *told)
{
    self->value.len = 0;
    if (now != *told && put_count(self, now - *told) == STATUS_OK) {
        add_value(self, name, "Count");
        *told = now;
    }
}

void emf_collect(void *arg)
{
    struct satchel_emf *self = arg;
    locale_t before = uselocale(self->c_locale);
    size_t count = atomic_load_explicit(&self->count, memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        collect_metric(self, self->metrics[i]);
    }
    struct satchel_emf_counts counts = satchel_emf_counts(self);
    collect_own(self, EMF_LINES_DROPPED, counts.lines_dropped, &self->told_dropped);
    collect_own(self, EMF_VALUES_REFUSED, counts.values_refused, &self->told_refused);
    send_line(self);
    (void)uselocale(before);
}
