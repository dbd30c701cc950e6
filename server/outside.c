/* Setting up and ending what tells the outside about the server, in the order in which one needs
 * the other. */
#include "outside.h"

#include <stdio.h>

#include "health.h"
#include "server.h"

/* A lease that outlives its task is easier to understand with the task's id in it. */
static void on_ecs_found(void *arg, const struct ecs_task *task)
{
    struct server *self = arg;
    lease_set_task(self->lease, task->task);
    self->settings.emf.task = task->task;
    self->settings.emf.revision = task->revision;
}

static enum status start_ecs(struct server *self)
{
    const struct ecs_events events = {.found = on_ecs_found, .arg = self};
    enum status status = ecs_start(&self->settings.ecs, &ecs_times_standard, self->base, &events,
                                   &self->ecs);
    return status == STATUS_OK ? ecs_register_metrics(self->ecs, &self->registry) : status;
}

static enum status start_ops(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    const struct ops_callbacks callbacks = health_callbacks(self);
    enum status status = ops_start(&self->settings.ops, self->base, &self->registry, &callbacks,
                                   &self->ops, errmsg, errmsg_bytes);
    if (status == STATUS_OK && self->ops != NULL) {
        status = ops_register_metrics(self->ops, &self->registry);
    }
    return status;
}

static enum status start_emf(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = emf_start(&self->settings.emf, self->base, &self->registry, &self->emf,
                                   errmsg, errmsg_bytes);
    return status == STATUS_OK ? emf_register_metrics(self->emf, &self->registry) : status;
}

static enum status start_statsd(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = statsd_start(&self->settings.statsd, self->base, &self->registry,
                                      &self->statsd, errmsg, errmsg_bytes);
    return status == STATUS_OK ? statsd_register_metrics(self->statsd, &self->registry) : status;
}

enum status outside_start(struct server *self, char *errmsg, size_t errmsg_bytes)
{
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    enum status status = start_ecs(self);
    if (status == STATUS_OK) {
        status = start_ops(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = start_emf(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        status = start_statsd(self, errmsg, errmsg_bytes);
    }
    return status;
}

void outside_stop(struct server *self)
{
    /* Each of these takes its own metrics along, so the last looks at all of them come first. */
    statsd_send(self->statsd);
    emf_stop(self->emf);
    statsd_stop(self->statsd);
    ops_stop(self->ops);
}
