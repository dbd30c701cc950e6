/* Samples as Prometheus reads them. */
#include "ops/prometheus.h"

#include <stdio.h>

#include "ops/accept.h"

/* In a help text the line feed and the backslash are special; in OpenMetrics the quote as well. */
static enum status write_help(struct buf *out, const char *help, bool is_openmetrics)
{
    const char *const special = is_openmetrics ? "\\\n\"" : "\\\n";
    enum status status = STATUS_OK;
    while (status == STATUS_OK && *help != '\0') {
        size_t len = strcspn(help, special);
        status = buf_append(out, view_of(help, len));
        help += len;
        if (status == STATUS_OK && *help != '\0') {
            status = buf_printf(out, "\\%c", *help == '\n' ? 'n' : *help);
            help++;
        }
    }
    return status;
}

static bool ends_with(struct view name, const char *suffix)
{
    const size_t len = strlen(suffix);
    return name.len >= len && memcmp(name.ptr + name.len - len, suffix, len) == 0;
}

struct family {
    struct view name;
    const char *type;
    const char *unit; /* OpenMetrics: the last part of its name when that is one; or NULL */
};

static struct family prometheus_family(const struct metric_desc *desc)
{
    static const char *const type_names[] = {
        [METRIC_counter] = "counter", [METRIC_gauge] = "gauge", [METRIC_histogram] = "histogram"};
    return (struct family){.name = view_str(desc->name), .type = type_names[desc->type]};
}

/* In OpenMetrics the name of a family is that of its samples without what its type adds. */
static struct family openmetrics_family(const struct metric_desc *desc)
{
    static const char *const units[] = {"seconds", "bytes"};
    struct family family = prometheus_family(desc);
    const bool is_info = desc->type == METRIC_gauge && ends_with(family.name, "_info");
    if (is_info || (desc->type == METRIC_counter && ends_with(family.name, "_total"))) {
        family.name.len -= strlen(is_info ? "_info" : "_total");
        family.type = is_info ? "info" : family.type;
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ends_with(family.name, units[i])) {
            family.unit = units[i];
        }
    }
    return family;
}

static enum status write_family(struct buf *out, const struct metric_desc *desc,
                                bool is_openmetrics)
{
    const struct family family = is_openmetrics ? openmetrics_family(desc)
                                                : prometheus_family(desc);
    const int name_len = (int)family.name.len;
    const char *const name = (const char *)family.name.ptr;
    enum status status = buf_printf(out, "# HELP %.*s ", name_len, name);
    if (status == STATUS_OK) {
        status = write_help(out, desc->help, is_openmetrics);
    }
    if (status == STATUS_OK) {
        status = buf_printf(out, "\n# TYPE %.*s %s\n", name_len, name, family.type);
    }
    if (status == STATUS_OK && family.unit != NULL) {
        status = buf_printf(out, "# UNIT %.*s %s\n", name_len, name, family.unit);
    }
    return status;
}

static enum status write_histogram(struct buf *out, const struct metric_sample *sample)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        /* Both formats take it; OpenMetrics wants a point or an exponent in it, and no bound is
         * whole: they are powers of two, in millionths. */
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
        self->status = write_family(self->out, desc, self->is_openmetrics);
        self->family = desc->name;
    }
    if (self->status == STATUS_OK) {
        self->status = desc->type == METRIC_histogram
                           ? write_histogram(self->out, sample)
                           : metric_write_line(self->out, desc, "", "", sample->value);
    }
}

void prometheus_end(struct prometheus_writer *self)
{
    if (self->status == STATUS_OK && self->is_openmetrics) {
        self->status = buf_append(self->out, view_str("# EOF\n"));
    }
}

bool prometheus_wants_openmetrics(struct view headers)
{
    static const struct media_type openmetrics = {"application", "openmetrics-text", "1.0.0"};
    static const struct media_type plain = {"text", "plain", "0.0.4"};
    const struct accepted wanted = accept_find(headers, &openmetrics);
    return wanted.match >= ACCEPT_NAMED && wanted.quality > 0 &&
           wanted.quality >= accept_find(headers, &plain).quality;
}
