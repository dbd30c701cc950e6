/* Retention as the server does it. */
#include "backup/pruner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* A bit less than the hour between two snapshots, or every other one would be passed over. */
enum { PAUSE_MS_STANDARD = 50 * 60 * 1000, NS_PER_MS = 1000000 };

#define METRIC_OWNER struct pruner_metrics
METRIC_TABLE(pruner_metrics, PRUNER_METRICS)

void pruner_init(struct pruner *self, const struct pruner_options *options,
                 const struct clock *clock)
{
    *self = (struct pruner){.options = *options, .clock = clock};
    if (self->options.pause_ms == 0) {
        self->options.pause_ms = PAUSE_MS_STANDARD;
    }
    self->status.is_on = options->policy.count != 0 || options->policy.age_ms != 0;
    (void)pthread_mutex_init(&self->lock, NULL);
}

void pruner_close(struct pruner *self)
{
    (void)pthread_mutex_destroy(&self->lock);
}

static void count(struct pruner *self, const struct prune_report *report)
{
    metric_add(&self->metrics.objects, report->objects_gone);
    metric_add(&self->metrics.bytes, report->bytes_gone);
    (void)pthread_mutex_lock(&self->lock);
    self->status.last_ms = clock_wall_ms(self->clock);
    self->status.objects += report->objects_gone;
    self->status.bytes += report->bytes_gone;
    (void)pthread_mutex_unlock(&self->lock);
    if (report->objects_gone != 0) {
        log_info(
            "backup: what was too old is deleted",
            "snapshots=%" PRIu64 " slots=%" PRIu64 " bytes=%" PRIu64 " snapshots_left=%" PRIu64,
            report->snapshots_gone, report->slots_gone, report->bytes_gone, report->snapshots_kept);
    }
}

static void note_success(struct pruner *self, const struct prune_report *report)
{
    metric_set(&self->metrics.kept_snapshots, (int64_t)report->snapshots_kept);
    metric_set(&self->metrics.kept_bytes, (int64_t)report->bytes_kept);
    (void)pthread_mutex_lock(&self->lock);
    self->status.is_failing = false;
    (void)pthread_mutex_unlock(&self->lock);
}

static void note_failure(struct pruner *self, const char *why)
{
    char quoted[2 * PRUNE_TEXT_BYTES];
    metric_add(&self->metrics.failures, 1);
    (void)pthread_mutex_lock(&self->lock);
    bool is_first = !self->status.is_failing;
    self->status.is_failing = true;
    self->status.failures++;
    (void)snprintf(self->status.error, sizeof self->status.error, "%s", why);
    (void)pthread_mutex_unlock(&self->lock);
    if (is_first) {
        log_warn("backup: old backups could not be deleted", "why=%s",
                 log_quoted(quoted, sizeof quoted, why));
    }
}

void pruner_run(struct pruner *self, struct prune_job job)
{
    struct prune_report report;
    const int64_t now_ns = clock_mono_ns(self->clock);
    const bool is_early = self->last_ns != 0 &&
                          now_ns - self->last_ns < (int64_t)self->options.pause_ms * NS_PER_MS;
    if (!self->status.is_on || is_early) { /* is_on never changes */
        return;
    }
    self->last_ns = now_ns;
    job.policy = self->options.policy;
    enum status status = prune_run(&job, &report);
    count(self, &report);
    if (status == STATUS_OK) {
        note_success(self, &report);
    } else if (status != STATUS_AGAIN) { /* the process is stopping: the next one goes on */
        note_failure(self, report.text);
    }
}

void pruner_status(struct pruner *self, struct pruner_status *out)
{
    (void)pthread_mutex_lock(&self->lock);
    *out = self->status;
    (void)pthread_mutex_unlock(&self->lock);
}

enum status pruner_register_metrics(const struct pruner *self, struct metric_registry *registry)
{
    return metric_register(
        registry, (struct metric_set){.table = &pruner_metrics_table, .values = &self->metrics});
}
