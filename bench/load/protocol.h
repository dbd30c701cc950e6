/*
 * The three protocols behind one struct of functions: requests to bytes, bytes to answers. No I/O,
 * no state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "load/mix.h"
#include "load/options.h"
#include "session/fields.h"

/* A session of fields holds this many values, each checkable by itself, and one counter. */
enum { ITEM_COUNT = 4 };
extern const struct view item_names[ITEM_COUNT];
extern const struct view counter_name;

/* What is the same for all requests of a run. */
struct dialect {
    uint64_t idle_ttl_ms; /* 0: none */
    bool has_fields;      /* sessions of fields */
    bool ack_fast;        /* native */
};

/* One operation. */
struct request {
    enum operation operation; /* all but CONNECT */
    unsigned item;            /* PATCH: which */
    uint64_t id;              /* comes back with the answer, if answers may come in any order */
    struct view key;
    struct view values[ITEM_COUNT]; /* SET of fields: all; SET of a value, PATCH: the first */
};

enum answer_kind {
    ANSWER_DONE,
    ANSWER_NUMBER,
    ANSWER_VALUE,   /* content: the value */
    ANSWER_FIELDS,  /* content: for next_field() */
    ANSWER_MISSING, /* there is no such session */
    ANSWER_REFUSED, /* text: why */
    ANSWER_PUSHED,  /* belongs to no request */
};

/* One answer; views point into the bytes it was read from. */
struct answer {
    enum answer_kind kind;
    uint64_t id; /* of the request, if answers may come in any order */
    int64_t number;
    struct view content;
    struct view text;
};

enum reading {
    READING_DONE, /* the answer is filled */
    READING_MORE, /* it is not all there */
    READING_BAD,  /* this is not the protocol; answer->text says why */
};

struct protocol {
    const char *name;
    bool answers_in_order;
    bool has_fields;
    /* Appends what opens a connection, with the shared secret unless that is empty; it gets one
     * answer, DONE when the server is ready. OK or NO_MEMORY. */
    enum status (*greet)(struct view token, struct buf *to);
    /* Appends a request. Returns how many answers it gets, 0 when memory runs out. */
    unsigned (*encode)(const struct dialect *dialect, const struct request *request,
                       struct buf *to);
    /* Reads the answer at the front of `bytes` (at least one). DONE sets `*used` to its length. */
    enum reading (*decode)(struct view bytes, struct answer *out, size_t *used);
    /* Takes the next field off an answer of FIELDS; false at the end. NULL without fields. */
    bool (*next_field)(struct view *rest, struct field *out);
};

extern const struct protocol protocol_native;
extern const struct protocol protocol_resp;
extern const struct protocol protocol_memcache;

const struct protocol *protocol_named(enum protocol_name name);
