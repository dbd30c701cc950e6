/*
 * What clients asked of sessions and what they were told, with the times: the record from which
 * support/linearizable.h decides whether one session that changes at one moment for each operation
 * could have given these answers.
 *
 * Contents are small numbers, so that a state fits a few words: a blob is one number, fields are
 * up to three of them. history_content_encode() and history_content_decode() turn them into what
 * travels.
 *
 * A run is one life of a serving process: from when it began to serve until it was killed, or its
 * successor took the directory over. Between two runs there is a crash.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "session/session.h"

enum {
    HISTORY_FIELDS = 3,  /* named "a", "b" and "c" */
    HISTORY_OPS_MAX = 3, /* operations in one PATCH */
};

/* Numbers from here on travel as text that INCREMENT refuses. */
#define HISTORY_TEXT_LEAST (INT64_C(1) << 40)

#define HISTORY_NEVER INT64_MAX /* the return time of what was not answered */

struct history_content {
    enum satchel_kind kind;         /* 0: none */
    bool there[HISTORY_FIELDS];     /* FIELDS: which are there; BLOB: only the first counts */
    int64_t values[HISTORY_FIELDS]; /* 0 where nothing is there */
};

struct history_field_op {
    enum satchel_field_op op;
    unsigned field; /* below HISTORY_FIELDS */
    int64_t value;  /* of SET and SET_IF_ABSENT; by how much INCREMENT counts */
};

enum history_outcome {
    HISTORY_UNKNOWN,  /* no answer: it happened between its invocation and the end of the run, or
                         never */
    HISTORY_ANSWERED, /* `status` and what follows are the answer */
    HISTORY_REFUSED,  /* BUSY, NO_SPACE, LOADING, STOPPING: it did not happen */
};

/* One attempt of one client. */
struct history_op {
    uint32_t session;
    uint16_t client;
    uint16_t run;      /* counted from 0; of the process that it was sent to */
    int64_t invoke_ns; /* monotonic: before it was sent */
    int64_t return_ns; /* monotonic: after its answer was there; or HISTORY_NEVER */
    int64_t invoke_ms; /* since 1970, not after the server can have looked at its clock */
    int64_t return_ms; /* likewise, not before; when unknown: when the run was over */

    enum satchel_opcode op; /* GET, SET, DELETE, TOUCH or PATCH */
    bool fast;              /* acknowledged from memory: a crash may undo it */
    enum condition condition;
    uint64_t condition_version;
    bool keep_ttl;       /* SET */
    bool touch;          /* GET */
    bool return_content; /* PATCH */
    uint64_t ttl_ms;
    uint64_t idle_ttl_ms;
    uint32_t owner;                 /* SET: 0 = none; PATCH: 0 = as it is */
    struct history_content content; /* SET */
    unsigned ops_count;             /* PATCH */
    struct history_field_op ops[HISTORY_OPS_MAX];

    enum history_outcome outcome;
    enum satchel_status status;
    uint64_t version;       /* 0: there is none */
    uint64_t expires_in_ms; /* 0: it lives on */
    bool has_content;
    struct history_content answer; /* while has_content */
    uint32_t answer_owner;         /* GET */
};

/* Operations, in any order. A zeroed one is empty. */
struct history {
    struct history_op *ops; /* owned */
    size_t count;
    size_t cap;
};

/** Appends a copy. Memory that is not there ends the test. */
void history_add(struct history *self, const struct history_op *op);
void history_free(struct history *self);

/** Sorts by session, and within a session by invocation. */
void history_sort(struct history *self);

/** Appends what a SET of this content carries. Texts are `padding` bytes long (at most 4096), so
 * that values have the size that the caller wants. Memory that is not there ends the test. */
void history_content_encode(const struct history_content *content, unsigned padding,
                            struct buf *to);

/** Appends the operations of a PATCH, as session/fields.h says; otherwise likewise. */
void history_ops_encode(const struct history_op *op, unsigned padding, struct buf *to);

/** Reads content back; false when no client can have written it. */
bool history_content_decode(enum satchel_kind kind, struct view content,
                            struct history_content *out);

/** True when they hold the same. */
bool history_content_equal(const struct history_content *a, const struct history_content *b);

/** Writes the content as people read it, cut at `bytes`. */
void history_content_text(const struct history_content *content, char *out, size_t bytes);

/** Writes the operation and its outcome in one line without its end, cut at `bytes`. Times are
 *  milliseconds since `origin_ns`. */
void history_op_text(const struct history_op *op, int64_t origin_ns, char *out, size_t bytes);

/**
 * A version is the number of one change, so it belongs to one session. Looks through a history of
 * many sessions; false: two have the same one, `*one` and `*other` (borrowed) tell where it was
 * seen.
 */
bool history_versions_are_unique(const struct history *self, const struct history_op **one,
                                 const struct history_op **other);
