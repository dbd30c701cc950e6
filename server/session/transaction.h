/*
 * Several sessions that are read and changed as one.
 *
 *     transaction_begin ─▶ transaction_name … ─▶ the store locks their shards and fills in what is
 *     there ─▶ the body: find, put, patch, set times, delete ─▶ the store commits what is staged
 *
 * What the body does is staged here, so it sees its own changes, and nothing is changed until all
 * of it is: the records of a transaction are one piece of one frame, replayed whole or not at all.
 * However often a session is changed, one record is written.
 *
 * Pure, like everything in this folder. A transaction belongs to one thread at a time; it keeps its
 * memory from one use to the next.
 */
#pragma once

#include "session/session.h"

struct entry; /* the store's */

enum { TRANSACTION_KEYS_MAX = 65536 };

/* One session of a transaction. The body reads it through transaction_find(). */
struct transaction_key {
    struct view id; /* borrowed until the transaction is over */
    uint64_t hash;  /* of the id, the store's */
    bool has_old;   /* there is a live session: `old`, valid while the body runs */
    bool is_stale;  /* none is live, but an expired one is still stored */
    struct session old;
    uint64_t gate_lsn;     /* of what was there: a reply that shows it waits for this */
    enum change_kind kind; /* staged; NONE: nothing */
    struct entry *fresh;   /* the store's, while it commits */
    struct session next;   /* staged, when kind is PUT, PATCH or TOUCH */
    struct buf content;    /* owned: staged content */
    struct buf delta;      /* owned: of a PATCH */
};

struct transaction {
    struct transaction_key *keys; /* owned; `cap` of them, those behind `count` keep memory only */
    size_t count;
    size_t cap;
    uint32_t *slots; /* owned: finds a key by its hash; place + 1, 0 = free; at most half full */
    size_t slot_count;
    int64_t now_ms;
    bool needs_content;    /* the body looks at what sessions hold, or changes their times */
    bool is_out_of_memory; /* something could not be staged: the transaction fails */
};

/** Empties it; zeroed before the first use. The body runs at `now_ms`; it needs content. */
void transaction_begin(struct transaction *self, int64_t now_ms);

/**
 * Names a session, whose `hash` is the store's; one that is named already gets the same number,
 * which goes to `*index`. OK, NO_MEMORY, or TOO_LARGE: there are TRANSACTION_KEYS_MAX already. Not
 * in the body.
 */
enum status transaction_name(struct transaction *self, struct view id, uint64_t hash,
                             size_t *index) MUST_CHECK;

/** The session as the body sees it now, its own changes included; NULL: there is none. The version
 *  is that of the last committed state. Valid until that session is changed. */
const struct session *transaction_find(const struct transaction *self, size_t index);

/**
 * The session becomes `next`: its kind, times and content, which is copied unless it is the whole
 * of what transaction_find() gave; it must not be a part of that. The rest stays as it is, or is
 * that of a new session. Without memory the whole transaction fails, and the body need not care.
 */
void transaction_put(struct transaction *self, size_t index, const struct session *next);

/** The session `to` becomes like `from`, which is there: content, times, owner. What `from` becomes
 *  later in the transaction does not matter to it. Memory as with transaction_put(). */
void transaction_copy(struct transaction *self, size_t to, size_t from);

/**
 * Patches the fields of a session of this kind, or makes one of them when there is none. `returned`
 * may be NULL. Otherwise than OK (see fields_patch()) nothing has changed.
 */
enum satchel_status transaction_patch(struct transaction *self, size_t index,
                                      enum satchel_kind kind, struct view ops,
                                      uint64_t content_bytes_max, struct buf *returned);

/** Changes the times of a session that is there: `expires_ms` 0 = lives on. */
void transaction_set_times(struct transaction *self, size_t index, int64_t expires_ms,
                           uint64_t idle_ttl_ms);

/** Deletes a session; nothing happens when there is none. */
void transaction_delete(struct transaction *self, size_t index);

/** What is staged for a key as a change to be journalled; kind NONE: nothing. Views borrow from the
 *  transaction. */
struct change transaction_change(const struct transaction *self, size_t index);

/** Takes back all that was staged. */
void transaction_undo(struct transaction *self);

/** Gives the memory back; the transaction is zeroed. */
void transaction_free(struct transaction *self);
