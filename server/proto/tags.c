/* Collecting the tagged fields of a body. */
#include "proto/tags.h"

#include "proto/native.h"

enum { ANY_LENGTH = UINT8_MAX };

/* How long a value of each type is. */
enum {
    LENGTH_BYTES = ANY_LENGTH,
    LENGTH_FIELDS = ANY_LENGTH,
    LENGTH_OPS = ANY_LENGTH,
    LENGTH_U16 = 2,
    LENGTH_U64 = 8,
    LENGTH_FLAG = 0,
};

static const uint8_t lengths[] = {
#define X(name, number, type, where, meaning) [TAG_INDEX_##name] = LENGTH_##type,
    SATCHEL_TAGS(X)
#undef X
};

#define REPEATABLE (TAG_BIT(STAT) | TAG_BIT(ENTRY))

/* TAGS_KNOWN for an unknown tag. */
static enum tag_index index_of(uint16_t tag)
{
    switch (tag) {
#define X(name, number, type, where, meaning)                                                      \
    case number:                                                                                   \
        return TAG_INDEX_##name;
        SATCHEL_TAGS(X)
#undef X
    default:
        return TAGS_KNOWN;
    }
}

enum satchel_status tags_collect(struct tags *self, struct view body, const char **why)
{
    self->seen = 0;
    struct native_tag tag;
    enum status status = STATUS_OK;
    while ((status = native_next_tag(&body, &tag)) == STATUS_OK) {
        enum tag_index index = index_of(tag.tag);
        if (index == TAGS_KNOWN) {
            if ((tag.tag & SATCHEL_TAG_CRITICAL) != 0) {
                *why = "unknown critical tag";
                return SATCHEL_UNSUPPORTED;
            }
            continue;
        }
        uint64_t bit = UINT64_C(1) << index;
        if ((self->seen & bit & ~REPEATABLE) != 0) {
            *why = "a tag stands twice";
            return SATCHEL_BAD_REQUEST;
        }
        if (lengths[index] != ANY_LENGTH && lengths[index] != tag.bytes.len) {
            *why = "a value has the wrong length for its tag";
            return SATCHEL_BAD_REQUEST;
        }
        self->seen |= bit;
        self->values[index] = tag.bytes;
    }
    if (status != STATUS_END) {
        *why = "the lengths in the body do not fit";
        return SATCHEL_BAD_REQUEST;
    }
    return SATCHEL_OK;
}
