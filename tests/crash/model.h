/*
 * What a session may be after a crash.
 *
 * The journal is written in order, so what comes back of a session is one of the states it went
 * through, and none older than the last that was acknowledged as durable:
 *
 *     history[0]          the last state that was acknowledged durably, or verified
 *     history[1..]        states after it: acknowledged from memory (`fast`), and the one whose
 *                         request was unanswered when the server died
 *
 * One session has one writer, with one request on the way at a time; so there is at most one of
 * the last kind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "proto/native.h"

enum { MODEL_FIELDS = 6, MODEL_HISTORY_MAX = 64, MODEL_OPS_MAX = 3 };

/* A value: which one, and how long. number 0: there is none. */
struct mark {
    uint32_t number;
    uint32_t len;
};

struct state {
    bool present;
    enum satchel_kind kind;
    struct mark blob;
    struct mark fields[MODEL_FIELDS];
    bool has_count; /* the field that is incremented */
    int64_t count;
    uint64_t version;         /* 0: nobody has said */
    uint64_t idle_ttl_ms;     /* 0: lives on */
    int64_t expires_least_ms; /* wall clock: before this it lives … */
    int64_t expires_most_ms;  /* … and from this on it does not */
};

/* What a writer asks for; the model's side of a command. */
struct model_op {
    enum satchel_opcode op; /* GET, SET, DELETE, TOUCH or PATCH */
    enum satchel_kind kind; /* SET */
    bool fast;
    bool keep_ttl;
    bool fails; /* its condition does not hold: nothing may change */
    enum condition condition;
    uint64_t condition_version;
    uint64_t idle_ttl_ms;
    struct mark blob;                 /* SET of a blob */
    struct mark fields[MODEL_FIELDS]; /* SET of fields */
    struct {
        enum satchel_field_op op; /* 0: no more */
        unsigned field;
        struct mark value;
        int64_t delta;
    } ops[MODEL_OPS_MAX]; /* PATCH */
    int64_t sent_ms;
};

struct model {
    uint32_t number; /* of the session; its id is "s" and this */
    uint32_t last_mark;
    struct state history[MODEL_HISTORY_MAX];
    unsigned count;
    uint64_t version_max; /* that was ever seen */
};

void model_init(struct model *self, uint32_t number);

/** The state that a live server has. */
static inline const struct state *model_now(const struct model *self)
{
    return &self->history[self->count - 1];
}

/** The session's id, in `out`. */
struct view model_id(const struct model *self, char out[16]);

/** The state after `op` succeeded between op->sent_ms and `until_ms`; its version is unknown. */
struct state model_after(const struct state *old, const struct model_op *op, int64_t until_ms);

/** Takes the state that was acknowledged; durable: all earlier ones are no longer allowed. */
void model_acknowledge(struct model *self, const struct state *next, bool durable);

/** Adds what may or may not have happened. */
void model_maybe(struct model *self, const struct state *next);

/** True when the session lives at `now_ms` for certain, and for some seconds more. */
bool model_surely_lives(const struct state *state, int64_t now_ms);

/** True when both have the same content. */
bool model_same_content(const struct state *a, const struct state *b);

/**
 * Compares an answer to a GET, sent at `sent_ms` and received at `now_ms`, with one state. NULL:
 * it is that state; otherwise what differs. `recovered`: the server was restarted since, so that
 * an idle time may end later (session_durable_expiry).
 */
const char *model_differs(const struct model *self, const struct state *state,
                          const struct native_reply *reply, bool recovered, int64_t sent_ms,
                          int64_t now_ms);

/**
 * After a restart: finds the state that came back, which becomes the only one. False: none of those
 * that are allowed; `why` says what came instead.
 */
bool model_verify(struct model *self, const struct native_reply *reply, int64_t sent_ms,
                  int64_t now_ms, char *why, size_t why_bytes);
