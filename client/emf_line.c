/* Lines of the Embedded Metric Format. */
#include "client/emf_line.h"

#include <inttypes.h>
#include <string.h>

#include "base/json_text.h"
#include "satchel/emf.h"

static const char opening[] = "{\"_aws\":{\"Timestamp\":";
static const char middle[] = "]}]}";
static const char ending[] = "}\n";

/* All of a line but its frame, definitions and values: the texts above, without their zeros, and a
 * time of at most 20 digits. */
enum { REST_BYTES = sizeof opening + sizeof middle + sizeof ending - 3 + 20 };

static enum status put_member(struct buf *out, const char *name, const char *value)
{
    enum status status = buf_append(out, view_str(","));
    if (status == STATUS_OK) {
        status = json_put_text(out, view_str(name));
    }
    if (status == STATUS_OK) {
        status = buf_append(out, view_str(":"));
    }
    return status == STATUS_OK ? json_put_text(out, view_str(value)) : status;
}

static enum status put_head(const struct emf_settings *settings, struct buf *out)
{
    enum status status = STATUS_OK;
    if (settings->log_group_name != NULL) {
        status = put_member(out, "LogGroupName", settings->log_group_name);
    }
    if (settings->log_stream_name != NULL && status == STATUS_OK) {
        status = put_member(out, "LogStreamName", settings->log_stream_name);
    }
    if (status == STATUS_OK) {
        status = buf_printf(out, ",\"CloudWatchMetrics\":[{\"Namespace\":\"%s\",\"Dimensions\":[[",
                            settings->name_space);
    }
    for (size_t i = 0; i < settings->dimension_count && status == STATUS_OK; i++) {
        status = buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", settings->dimensions[i].name);
    }
    return status == STATUS_OK ? buf_append(out, view_str("]],\"Metrics\":[")) : status;
}

static enum status put_members(const struct emf_pair *pairs, size_t count, struct buf *out)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = put_member(out, pairs[i].name, pairs[i].value);
    }
    return status;
}

enum status emf_frame_init(struct emf_frame *self, const struct emf_settings *settings)
{
    *self = (struct emf_frame){.is_high_resolution = settings->is_high_resolution};
    enum status status = put_head(settings, &self->head);
    if (status == STATUS_OK) {
        status = put_members(settings->dimensions, settings->dimension_count, &self->members);
    }
    if (status == STATUS_OK) {
        status = put_members(settings->properties, settings->property_count, &self->members);
    }
    if (status == STATUS_OK &&
        self->head.len + self->members.len + REST_BYTES > SATCHEL_EMF_FRAME_BYTES_MAX) {
        status = STATUS_TOO_LARGE;
    }
    if (status != STATUS_OK) {
        emf_frame_free(self);
    }
    return status;
}

void emf_frame_free(struct emf_frame *self)
{
    buf_free(&self->head);
    buf_free(&self->members);
}

/* A comma more than the first definition of a line has. */
static enum status put_definition(const struct emf_frame *frame, const char *name, const char *unit,
                                  struct buf *out)
{
    return buf_printf(out, ",{\"Name\":\"%s\",\"Unit\":\"%s\"%s}", name, unit,
                      frame->is_high_resolution ? ",\"StorageResolution\":1" : "");
}

size_t emf_line_room(const struct emf_frame *frame, const char *name, const char *unit)
{
    static const char definition[] = ",{\"Name\":\"\",\"Unit\":\"\",\"StorageResolution\":1}";
    static const char member[] = ",\"\":";
    size_t used = frame->head.len + frame->members.len + REST_BYTES + sizeof definition +
                  sizeof member + 2 * strlen(name) + strlen(unit);
    return SATCHEL_EMF_LINE_BYTES_MAX - used; /* the frame leaves half a line */
}

static size_t line_bytes(const struct emf_line *self)
{
    return self->frame->head.len + self->frame->members.len + REST_BYTES + self->definitions.len +
           self->values.len;
}

/* Takes back what was added when it failed or is too much. */
static enum status settle(struct emf_line *self, enum status status, size_t definitions_before,
                          size_t values_before)
{
    if (status == STATUS_OK && line_bytes(self) > SATCHEL_EMF_LINE_BYTES_MAX) {
        status = STATUS_TOO_LARGE;
    }
    if (status != STATUS_OK) {
        self->definitions.len = definitions_before;
        self->values.len = values_before;
    }
    return status;
}

enum status emf_line_add(struct emf_line *self, const char *name, const char *unit,
                         struct view value)
{
    size_t definitions_before = self->definitions.len;
    size_t values_before = self->values.len;
    enum status status = put_definition(self->frame, name, unit, &self->definitions);
    if (status == STATUS_OK) {
        status = buf_printf(&self->values, ",\"%s\":", name);
    }
    if (status == STATUS_OK) {
        status = buf_append(&self->values, value);
    }
    status = settle(self, status, definitions_before, values_before);
    self->metric_count += status == STATUS_OK;
    return status;
}

enum status emf_line_add_property(struct emf_line *self, const char *name, const char *value)
{
    size_t before = self->values.len;
    return settle(self, put_member(&self->values, name, value), self->definitions.len, before);
}

enum status emf_line_finish(struct emf_line *self, int64_t wall_ms, struct buf *out)
{
    size_t before = out->len;
    struct view definitions = buf_view(&self->definitions);
    if (definitions.len > 0) { /* the comma before the first one */
        definitions = view_of(definitions.ptr + 1, definitions.len - 1);
    }
    enum status status = buf_printf(out, "%s%" PRId64, opening, wall_ms);
    const struct view parts[] = {buf_view(&self->frame->head),
                                 definitions,
                                 view_str(middle),
                                 buf_view(&self->frame->members),
                                 buf_view(&self->values),
                                 view_str(ending)};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == STATUS_OK; i++) {
        status = buf_append(out, parts[i]);
    }
    if (status != STATUS_OK) {
        out->len = before;
    }
    self->definitions.len = 0;
    self->values.len = 0;
    self->metric_count = 0;
    return status;
}

void emf_line_free(struct emf_line *self)
{
    buf_free(&self->definitions);
    buf_free(&self->values);
}
