/* Lines: definitions and values are collected side by side and put together when one is full. */
#include "ops/emf_line.h"

#include <inttypes.h>

#include "base/json_text.h"
#include "ops/emf_values.h"

static const char dimensions[] = "\"Dimensions\":[[\"ServiceName\"]],\"Metrics\":[";
static const char dimensions_op[] =
    "\"Dimensions\":[[\"ServiceName\"],[\"ServiceName\",\"Op\"]],\"Metrics\":[";
static const char middle[] = "]}]},";

/* Remembers the first failure; afterwards nothing is appended. */
static void note(struct emf_writer *self, enum status status)
{
    self->status = self->status == STATUS_OK ? status : self->status;
}

static void append(struct emf_writer *self, struct buf *to, struct view text)
{
    if (self->status == STATUS_OK) {
        note(self, buf_append(to, text));
    }
}

/* Appends `"name":"value",`; nothing without a value. */
static void append_member(struct emf_writer *self, struct buf *to, const char *name,
                          const char *value)
{
    if (value == NULL || value[0] == '\0') {
        return;
    }
    if (self->status == STATUS_OK) {
        note(self, buf_printf(to, "\"%s\":", name));
    }
    if (self->status == STATUS_OK) {
        note(self, json_put_text(to, view_str(value)));
    }
    append(self, to, view_str(","));
}

void emf_writer_begin(struct emf_writer *self, int64_t now_ms)
{
    const struct emf_options *options = self->options;
    self->out.len = 0;
    self->lines = 0;
    self->status = STATUS_OK;
    self->open_count = 0;
    self->head.len = 0;
    self->properties.len = 0;
    note(self, buf_printf(&self->head, "{\"_aws\":{\"Timestamp\":%" PRId64 ",", now_ms));
    append_member(self, &self->head, "LogGroupName", options->log_group);
    append_member(self, &self->head, "LogStreamName", options->log_stream);
    append(self, &self->head, view_str("\"CloudWatchMetrics\":[{"));
    append_member(self, &self->head, "Namespace", options->metric_namespace);
    append_member(self, &self->properties, "ServiceName", options->service_name);
    append_member(self, &self->properties, "ServiceType", options->service_type);
    append_member(self, &self->properties, "Version", SATCHEL_VERSION_TEXT);
    append_member(self, &self->properties, "TaskId", options->task);
    append_member(self, &self->properties, "Revision", options->revision);
}

/* Puts a line together; it is empty afterwards. */
static void put_line(struct emf_writer *self, struct emf_line *line)
{
    if (line->metrics != 0) {
        const bool has_op = line->op[0] != '\0';
        append(self, &self->out, buf_view(&self->head));
        append(self, &self->out, view_str(has_op ? dimensions_op : dimensions));
        append(self, &self->out, buf_view(&line->definitions));
        append(self, &self->out, view_str(middle));
        append(self, &self->out, buf_view(&self->properties));
        if (has_op) {
            append_member(self, &self->out, "Op", line->op);
        }
        append(self, &self->out, buf_view(&line->values));
        append(self, &self->out, view_str("}\n"));
        self->lines++;
    }
    line->metrics = 0;
    line->definitions.len = 0;
    line->values.len = 0;
}

/* An upper bound of what a line has beside definitions and values. */
static size_t frame_bytes(const struct emf_writer *self)
{
    return self->head.len + sizeof dimensions_op + sizeof middle + self->properties.len +
           sizeof "\"Op\":\"\",}\n" + 2 * EMF_OP_BYTES;
}

static bool has_member(const struct emf_line *line, const char *member)
{
    return line->values.len != 0 &&
           memmem(line->values.ptr, line->values.len, member, strlen(member)) != NULL;
}

/* The line of an op, which may be a new one. */
static struct emf_line *line_of(struct emf_writer *self, const char *op)
{
    for (unsigned i = 0; i < self->open_count; i++) {
        if (strcmp(self->open[i].op, op) == 0) {
            return &self->open[i];
        }
    }
    if (self->open_count < EMF_LINES_OPEN) {
        self->open_count++;
    }
    struct emf_line *line = &self->open[self->open_count - 1];
    put_line(self, line); /* of another op, when all are taken */
    (void)snprintf(line->op, sizeof line->op, "%s", op);
    return line;
}

static void add(struct emf_writer *self, const struct emf_name *name)
{
    char definition[EMF_NAME_BYTES + 64];
    (void)snprintf(definition, sizeof definition, "{\"Name\":\"%s\",\"Unit\":\"%s\"}", name->text,
                   name->unit);
    struct emf_line *line = line_of(self, name->op);
    const size_t added = sizeof ",,\"\":" + strlen(definition) + strlen(name->text) +
                         self->value.len;
    const size_t frame = frame_bytes(self);
    if (frame + added > EMF_LINE_BYTES_MAX) {
        self->left_out++;
        return;
    }
    char member[EMF_NAME_BYTES + 8];
    (void)snprintf(member, sizeof member, "\"%s\":", name->text);
    /* Two rows of one name, which the labels should make impossible, would be one member twice. */
    if (line->metrics == EMF_METRICS_MAX ||
        frame + line->definitions.len + line->values.len + added > EMF_LINE_BYTES_MAX ||
        has_member(line, member)) {
        put_line(self, line);
    }
    if (line->metrics != 0) {
        append(self, &line->definitions, view_str(","));
        append(self, &line->values, view_str(","));
    }
    append(self, &line->definitions, view_str(definition));
    append(self, &line->values, view_str(member));
    append(self, &line->values, buf_view(&self->value));
    line->metrics++;
}

void emf_write_row(void *arg, const struct metric_sample *delta, const struct metric_sample *total)
{
    struct emf_writer *self = arg;
    struct emf_name name;
    const bool is_histogram = delta->desc->type == METRIC_histogram;
    const bool is_silent = is_histogram ? delta->count == 0
                                        : delta->desc->type == METRIC_counter && total->value == 0;
    if (is_silent || !emf_name_of(delta->desc, &name)) {
        return;
    }
    self->value.len = 0;
    note(self, is_histogram ? emf_write_histogram(&self->value, delta, self->options->histogram)
                            : emf_write_number(&self->value, delta->value));
    if (self->status == STATUS_OK) {
        add(self, &name);
    }
}

enum status emf_writer_end(struct emf_writer *self)
{
    for (unsigned i = 0; i < self->open_count; i++) {
        put_line(self, &self->open[i]);
    }
    return self->status;
}

void emf_writer_close(struct emf_writer *self)
{
    for (size_t i = 0; i < EMF_LINES_OPEN; i++) {
        buf_free(&self->open[i].definitions);
        buf_free(&self->open[i].values);
    }
    buf_free(&self->out);
    buf_free(&self->head);
    buf_free(&self->properties);
    buf_free(&self->value);
}
