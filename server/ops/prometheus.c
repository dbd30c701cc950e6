/* Samples as Prometheus reads them. */
#include "ops/prometheus.h"

#include <stdio.h>

/* In a help text only the line feed and the backslash are special. */
static enum status write_help(struct buf *out, const char *help)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && *help != '\0') {
        size_t len = strcspn(help, "\\\n");
        status = buf_append(out, view_of(help, len));
        help += len;
        if (status == STATUS_OK && *help != '\0') {
            status = buf_append(out, view_str(*help == '\n' ? "\\n" : "\\\\"));
            help++;
        }
    }
    return status;
}

static enum status write_family(struct buf *out, const struct metric_desc *desc)
{
    static const char *const type_names[] = {
        [METRIC_counter] = "counter", [METRIC_gauge] = "gauge", [METRIC_histogram] = "histogram"};
    enum status status = buf_printf(out, "# HELP %s ", desc->name);
    if (status == STATUS_OK) {
        status = write_help(out, desc->help);
    }
    if (status == STATUS_OK) {
        status = buf_printf(out, "\n# TYPE %s %s\n", desc->name, type_names[desc->type]);
    }
    return status;
}

static enum status write_histogram(struct buf *out, const struct metric_sample *sample)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        char le[40] = "le=\"+Inf\"";
        if (i + 1 < METRIC_BUCKETS) {
            (void)snprintf(le, sizeof le, "le=\"%.15g\"", metric_bucket_bound(i));
        }
        below += sample->buckets[i];
        enum status status = metric_write_line(out, sample->desc, "_bucket", le, (double)below);
        if (status != STATUS_OK) {
            return status;
        }
    }
    enum status status = metric_write_line(out, sample->desc, "_sum", "", sample->sum);
    if (status == STATUS_OK) {
        status = metric_write_line(out, sample->desc, "_count", "", (double)sample->count);
    }
    return status;
}

void prometheus_write_sample(void *arg, const struct metric_sample *sample)
{
    struct prometheus_writer *self = arg;
    const struct metric_desc *desc = sample->desc;
    if (self->status == STATUS_OK &&
        (self->family == NULL || strcmp(self->family, desc->name) != 0)) {
        self->status = write_family(self->out, desc);
        self->family = desc->name;
    }
    if (self->status == STATUS_OK) {
        self->status = desc->type == METRIC_histogram
                           ? write_histogram(self->out, sample)
                           : metric_write_line(self->out, desc, "", "", sample->value);
    }
}
