/*
 * One session as a register: what each operation does to it, and which answers it may give.
 *
 * This is written from include/satchel/protocol.h, on purpose without server/session, so that the
 * two can disagree. What a history cannot tell stands in the state as a range: when exactly a
 * session expires, and which version a change got whose answer was lost.
 */
#pragma once

#include "support/history.h"

struct session_model {
    struct history_content content; /* kind 0: there is no session */
    uint64_t version;         /* 0: not known, because the answer of the last change was lost */
    uint64_t above;           /* while it is not known: it is above this */
    uint64_t floor;           /* every new version is above this */
    int64_t expires_least_ms; /* 0: it lives on; else it expires at some time in this range, */
    int64_t expires_most_ms;  /* both ends included */
    uint64_t idle_ttl_ms;
    uint32_t owner;
};

enum { SESSION_MODEL_NEXT_MAX = 2, SESSION_MODEL_KEY_WORDS = 7 + HISTORY_FIELDS };

/* All of a state, in words without gaps: to be hashed and compared. */
struct session_model_key {
    uint64_t words[SESSION_MODEL_KEY_WORDS];
};

/**
 * Carries out `op` on `before`. Returns in how many ways the session can go on from there
 * (0 to SESSION_MODEL_NEXT_MAX, in `next`): more than one when it may or may not have expired. 0:
 * the operation cannot have given its answer here, and `*why` (static) says what does not fit; or
 * it has no answer and would do nothing. A refused operation must not be passed.
 */
unsigned session_model_step(const struct session_model *before, const struct history_op *op,
                            struct session_model next[SESSION_MODEL_NEXT_MAX], const char **why);

void session_model_key(const struct session_model *self, struct session_model_key *out);

/** What a crash does to a state that survives it: the expiry of a sliding session is rounded up. */
void session_model_crash(struct session_model *self);

/** Writes the state as people read it, cut at `bytes`. */
void session_model_text(const struct session_model *self, char *out, size_t bytes);
