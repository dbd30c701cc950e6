/* Names of CloudWatch from names of Prometheus. */
#include "ops/emf_name.h"

#include <ctype.h>
#include <string.h>

/* Members of every line that are no metrics (emf_line.c). */
static const char *const properties[] = {"ServiceName", "Op",     "ServiceType",
                                         "Version",     "TaskId", "Revision"};

static bool ends_with(struct view text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

/* Cuts `end` off if it is there. */
static bool cut_end(struct view *text, const char *end)
{
    bool is_there = ends_with(*text, end);
    text->len -= is_there ? strlen(end) : 0;
    return is_there;
}

/* Appends the words of `from`, each with a capital. False: there is no room. */
static bool append_words(char out[EMF_NAME_BYTES], struct view from)
{
    size_t len = strlen(out);
    bool is_start = true;
    for (size_t i = 0; i < from.len; i++) {
        if (!isalnum(from.ptr[i])) {
            is_start = true;
            continue;
        }
        if (len + 1 == EMF_NAME_BYTES) {
            return false;
        }
        out[len++] = (char)(is_start ? toupper(from.ptr[i]) : from.ptr[i]);
        out[len] = '\0';
        is_start = false;
    }
    return true;
}

static bool copy_op(char out[EMF_OP_BYTES], struct view from)
{
    if (from.len >= EMF_OP_BYTES) {
        return false;
    }
    for (size_t i = 0; i < from.len; i++) {
        out[i] = (char)(isgraph(from.ptr[i]) ? from.ptr[i] : '_');
    }
    return true;
}

/* Takes the next `key="value"` from the text of labels; false at its end. A value's escapes stay as
 * they are: a backslash is no part of a name, and none of our ops has one. */
static bool next_label(const char **labels, struct view *key, struct view *value)
{
    const char *at = *labels + (**labels == ',');
    const char *quote = strchr(at, '"');
    if (quote == NULL || quote == at) {
        return false;
    }
    *key = view_of(at, (size_t)(quote - at) - 1); /* without the = */
    const char *end = quote + 1;
    while (*end != '\0' && *end != '"') {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    *value = view_of(quote + 1, (size_t)(end - quote) - 1);
    *labels = end + (*end == '"');
    return true;
}

static bool append_labels(struct emf_name *out, const char *labels)
{
    struct view key;
    struct view value;
    bool fits = true;
    while (fits && next_label(&labels, &key, &value)) {
        fits = view_equal(key, view_str("op")) ? copy_op(out->op, value)
                                               : append_words(out->text, value);
    }
    return fits;
}

static bool is_property(const char *name)
{
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (strcmp(properties[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool emf_name_of(const struct metric_desc *desc, struct emf_name *out)
{
    static const char prefix[] = "satchel_";
    struct view name = view_str(desc->name);
    if (ends_with(name, "_info")) {
        return false;
    }
    if (strncmp(desc->name, prefix, sizeof prefix - 1) == 0) {
        name = view_str(desc->name + sizeof prefix - 1);
    }
    *out = (struct emf_name){.unit = "None"};
    if (cut_end(&name, "_total")) {
        out->unit = "Count";
    }
    if (ends_with(name, "_bytes")) {
        out->unit = "Bytes";
    } else if (cut_end(&name, "_seconds")) {
        out->unit = "Seconds";
    }
    bool fits = append_words(out->text, name);
    if (desc->type == METRIC_histogram) {
        out->unit = "Microseconds";
        fits = fits && append_words(out->text, view_str("latency"));
    }
    fits = fits && append_labels(out, desc->labels);
    if (fits && is_property(out->text)) {
        fits = append_words(out->text, view_str("metric"));
    }
    return fits;
}
