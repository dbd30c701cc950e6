/*
 * The tagged fields of a body, collected: which tags stand in it and where. Shared by the decoders
 * of requests and replies, so that the rules about tags (once only, right length, unknown ones)
 * live in one place.
 */
#pragma once

#include "base/bytes.h"
#include "satchel/protocol.h"

/* Every tag has an index, in the order of the table. */
enum tag_index {
#define X(name, number, type, where, meaning) TAG_INDEX_##name,
    SATCHEL_TAGS(X)
#undef X
        TAGS_KNOWN /* how many there are */
};

_Static_assert(TAGS_KNOWN <= 64, "struct tags keeps a bit for each tag");

#define TAG_BIT(name) (UINT64_C(1) << TAG_INDEX_##name)

/* The tags that carry content, one for each kind of it. */
#define CONTENT_TAGS (TAG_BIT(VALUE) | TAG_BIT(FIELDS) | TAG_BIT(NAMES))

struct tags {
    uint64_t seen;                  /* TAG_BIT() of those that stand in the body */
    struct view values[TAGS_KNOWN]; /* borrowed from the body; only where `seen` says so */
};

/**
 * Collects the tags of `body`. OK; BAD_REQUEST: lengths that do not fit, a tag twice (STAT and
 * ENTRY may repeat, the last is kept), a value of the wrong length; UNSUPPORTED: an unknown
 * critical tag. `*why` is a static text then. Unknown tags that are not critical are skipped.
 */
enum satchel_status tags_collect(struct tags *self, struct view body, const char **why);

static inline bool tags_have(const struct tags *self, uint64_t bits)
{
    return (self->seen & bits) != 0;
}

/** The bytes of a tag; empty when it is not there. */
static inline struct view tags_bytes(const struct tags *self, enum tag_index index)
{
    return tags_have(self, UINT64_C(1) << index) ? self->values[index] : (struct view){0};
}

/** The number in a tag of type U64; 0 when it is not there. */
static inline uint64_t tags_u64(const struct tags *self, enum tag_index index)
{
    return tags_have(self, UINT64_C(1) << index) ? load_u64(self->values[index].ptr) : 0;
}

/** True when at most one of the bits is set: of tags that exclude each other. */
static inline bool at_most_one_bit(uint64_t bits)
{
    return (bits & (bits - 1)) == 0;
}

/** The kind of the content in the body; BLOB when there is none. */
static inline enum satchel_kind tags_kind(const struct tags *self)
{
    if (tags_have(self, TAG_BIT(FIELDS))) {
        return SATCHEL_FIELDS;
    }
    return tags_have(self, TAG_BIT(NAMES)) ? SATCHEL_NAMES : SATCHEL_BLOB;
}

/** The content in the body; empty when there is none. */
static inline struct view tags_content(const struct tags *self)
{
    switch (tags_kind(self)) {
#define X(name, number, tag, word)                                                                 \
    case SATCHEL_##name:                                                                           \
        return tags_bytes(self, TAG_INDEX_##tag);
        SATCHEL_KINDS(X)
#undef X
    }
    return (struct view){0};
}

/** The tag that content of a kind has. */
static inline enum satchel_tag tag_of_kind(enum satchel_kind kind)
{
    switch (kind) {
#define X(name, number, tag, word)                                                                 \
    case SATCHEL_##name:                                                                           \
        return SATCHEL_TAG_##tag;
        SATCHEL_KINDS(X)
#undef X
    }
    return SATCHEL_TAG_VALUE;
}
