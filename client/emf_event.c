/* Lines of events. */
#include "base/clock.h"
#include "client/blocking.h"
#include "client/emf.h"
#include "client/emf_number.h"
#include "satchel/emf.h"

/* Whether the names of an event, and those of each line, are all different. */
static bool names_differ(const struct satchel_emf *self, const struct satchel_emf_sample *samples,
                         size_t sample_count, const struct satchel_emf_property *properties,
                         size_t property_count)
{
    for (size_t i = 0; i < property_count; i++) {
        if (emf_settings_has(&self->settings, properties[i].name)) {
            return false;
        }
        for (size_t k = 0; k < i + sample_count; k++) {
            const char *other = k < i ? properties[k].name : samples[k - i].metric->name;
            if (strcmp(properties[i].name, other) == 0) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < sample_count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (samples[i].metric == samples[k].metric) {
                return false;
            }
        }
    }
    return true;
}

static bool is_event(const struct satchel_emf *self, const struct satchel_emf_sample *samples,
                     size_t sample_count, const struct satchel_emf_property *properties,
                     size_t property_count)
{
    for (size_t i = 0; i < sample_count; i++) {
        if (samples[i].metric == NULL || samples[i].metric->owner != self ||
            !emf_is_number(samples[i].value)) {
            return false;
        }
    }
    for (size_t i = 0; i < property_count; i++) {
        if (!emf_is_name(properties[i].name) || properties[i].value == NULL) {
            return false;
        }
    }
    return names_differ(self, samples, sample_count, properties, property_count);
}

static enum status fill_event(struct emf_line *line, const struct satchel_emf_sample *samples,
                              size_t sample_count, const struct satchel_emf_property *properties,
                              size_t property_count)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < property_count && status == STATUS_OK; i++) {
        status = emf_line_add_property(line, properties[i].name, properties[i].value);
    }
    for (size_t i = 0; i < sample_count && status == STATUS_OK; i++) {
        char number[EMF_NUMBER_BYTES];
        const struct satchel_emf_metric *metric = samples[i].metric;
        status = emf_line_add(line, metric->name, metric->unit,
                              view_str(emf_number(number, samples[i].value)));
    }
    return status;
}

enum satchel_status satchel_emf_event(struct satchel_emf *self,
                                      const struct satchel_emf_sample *samples, size_t sample_count,
                                      const struct satchel_emf_property *properties,
                                      size_t property_count)
{
    if (self == NULL) {
        return SATCHEL_OK;
    }
    if (sample_count > SATCHEL_EMF_VALUES_MAX || property_count > SATCHEL_EMF_PROPERTIES_MAX) {
        return blocking_refuse(SATCHEL_TOO_LARGE, "more samples or properties than allowed", NULL);
    }
    if (!is_event(self, samples, sample_count, properties, property_count)) {
        return blocking_refuse(SATCHEL_BAD_REQUEST,
                               "a name or a value cannot be used, or a name stands twice", NULL);
    }
    struct emf_line line = {.frame = &self->frame};
    struct buf text = {0};
    locale_t before = uselocale(self->c_locale);
    enum status status = fill_event(&line, samples, sample_count, properties, property_count);
    if (status == STATUS_OK) {
        status = emf_line_finish(&line, clock_wall_ms(&clock_system), &text);
    }
    (void)uselocale(before);
    if (status == STATUS_OK) {
        status = emf_writer_put(self->writer, buf_view(&text), true);
    }
    emf_line_free(&line);
    buf_free(&text);
    switch (status) {
    case STATUS_OK:
        return SATCHEL_OK;
    case STATUS_TOO_LARGE:
        return blocking_refuse(SATCHEL_TOO_LARGE, "longer than a line may be", NULL);
    case STATUS_AGAIN:
        return blocking_refuse(SATCHEL_BUSY, "the queue of lines is full", NULL);
    default:
        return blocking_refuse(SATCHEL_NO_MEMORY, "out of memory", NULL);
    }
}
