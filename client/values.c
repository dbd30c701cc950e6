/* The small public functions on values: texts, statuses, results and fields. */
#include "satchel/satchel.h"

#include <stdlib.h>
#include <string.h>

#include "proto/native.h"
#include "session/fields.h"

struct satchel_bytes satchel_text(const char *text)
{
    return (struct satchel_bytes){.ptr = text, .len = strlen(text)};
}

const char *satchel_kind_text(enum satchel_kind kind)
{
    switch (kind) {
#define X(name, number, tag, word)                                                                 \
    case SATCHEL_##name:                                                                           \
        return word;
        SATCHEL_KINDS(X)
#undef X
    }
    return "unknown";
}

const char *satchel_status_text(enum satchel_status status)
{
    return satchel_status_text_of(status);
}

enum satchel_retry_class satchel_status_retry(enum satchel_status status)
{
    return satchel_status_retry_of(status);
}

const char *satchel_version(void)
{
    return SATCHEL_VERSION_TEXT;
}

void satchel_result_free(struct satchel_result *result)
{
    if (result != NULL) {
        free(result->memory);
        *result = (struct satchel_result){0};
    }
}

bool satchel_next_field(struct satchel_bytes *rest, struct satchel_field *field)
{
    struct view left = view_of(rest->ptr, rest->len);
    struct field next;
    if (fields_next(&left, &next) != STATUS_OK) {
        return false; /* the end: fields from a reply were checked when it was decoded */
    }
    *rest = (struct satchel_bytes){.ptr = left.ptr, .len = left.len};
    field->name = (struct satchel_bytes){.ptr = next.name.ptr, .len = next.name.len};
    field->value = (struct satchel_bytes){.ptr = next.value.ptr, .len = next.value.len};
    return true;
}

bool satchel_find_field(struct satchel_bytes content, struct satchel_bytes name,
                        struct satchel_bytes *value)
{
    struct view found;
    if (!fields_find(view_of(content.ptr, content.len), view_of(name.ptr, name.len), &found)) {
        return false;
    }
    *value = (struct satchel_bytes){.ptr = found.ptr, .len = found.len};
    return true;
}
