/* The timer that looks at the metrics, and what it is made of. */
#include "ops/emf.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/deltas.h"
#include "ops/emf_line.h"
#include "ops/emf_sink.h"
#include "ops/emf_values.h"
#include "ops/process.h"

enum { FLUSH_MS = 500 };

struct emf {
    const struct metric_registry *registry; /* borrowed */
    struct deltas deltas;
    struct emf_writer writer;
    struct emf_sink *sink; /* owned, as the next */
    struct event *timer;
};

static void look(struct emf *self)
{
    const unsigned left_out = self->writer.left_out;
    emf_writer_begin(&self->writer, clock_wall_ms(&clock_system));
    metric_visit(self->registry, deltas_visit_sample, &self->deltas);
    process_visit(deltas_visit_sample, &self->deltas);
    struct metric_counter *counter = &emf_sink_metrics(self->sink)->left_out;
    if (emf_writer_end(&self->writer) != STATUS_OK) {
        metric_add(counter, 1); /* memory was short; the next look has it all */
        return;
    }
    if (self->deltas.status != STATUS_OK) {
        metric_add(counter, 1);
    }
    metric_add(counter, self->writer.left_out - left_out);
    if (emf_sink_offer(self->sink, buf_view(&self->writer.out), self->writer.lines)) {
        deltas_keep(&self->deltas);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

static void free_all(struct emf *self)
{
    if (self->timer != NULL) {
        event_free(self->timer);
    }
    deltas_close(&self->deltas);
    emf_writer_close(&self->writer);
    free(self);
}

enum status emf_start(const struct emf_options *options, struct event_base *base,
                      const struct metric_registry *registry, struct emf **out, char *errmsg,
                      size_t errmsg_bytes)
{
    *out = NULL;
    if (options->to == EMF_TO_NONE) {
        return STATUS_OK;
    }
    (void)snprintf(errmsg, errmsg_bytes, "--emf: %s", status_text(STATUS_NO_MEMORY));
    struct emf *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->registry = registry;
    self->writer.options = options;
    self->deltas = (struct deltas){.visit = emf_write_row, .arg = &self->writer};
    self->timer = event_new(base, -1, EV_PERSIST, on_timer, self);
    const struct timeval interval = {.tv_sec = (time_t)(options->interval_ms / 1000),
                                     .tv_usec = (suseconds_t)(options->interval_ms % 1000 * 1000)};
    const struct emf_sink_options sink = {
        .fd = options->to == EMF_TO_STDOUT ? STDOUT_FILENO : -1,
        .agent = &options->agent,
        .waiting_bytes_max = options->queue_bytes,
    };
    if (self->timer == NULL || event_add(self->timer, &interval) != 0 ||
        emf_sink_start(&sink, &self->sink) != STATUS_OK) {
        free_all(self);
        return STATUS_NO_MEMORY;
    }
    *out = self;
    return STATUS_OK;
}

enum status emf_register_metrics(struct emf *self, struct metric_registry *registry)
{
    if (self == NULL) {
        return STATUS_OK;
    }
    return metric_register(registry, (struct metric_set){.table = &emf_metrics_table,
                                                         .values = emf_sink_metrics(self->sink)});
}

void emf_stop(struct emf *self)
{
    if (self != NULL) {
        look(self);
        emf_sink_stop(self->sink, FLUSH_MS);
        free_all(self);
    }
}
