/*
 * What a session is, and what a command does to it.
 *
 * Everything here is a pure function of its arguments: no clock, no lock, no I/O, no memory that is
 * not the caller's. The store decides how to run it atomically (under a shard lock); another engine
 * could run the same function as read, apply, conditional write.
 *
 * All times are milliseconds since 1970; `expires_ms` 0 means "lives on".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "satchel/protocol.h"

/* Versions have 53 bits: a million changes a second for 285 years, and languages whose numbers are
 * doubles read them exactly. */
#define SESSION_VERSION_BITS 53
#define SESSION_VERSION_MAX ((UINT64_C(1) << SESSION_VERSION_BITS) - 1)

/* A session as the functions see it: borrowed from the table, a row, a journal record or a frame.
 */
struct session {
    struct view id;
    uint64_t version; /* lsn of the last CHANGE_PUT or CHANGE_PATCH; a touch leaves it */
    int64_t created_ms;
    int64_t expires_ms;   /* 0 = never */
    uint64_t idle_ttl_ms; /* sliding: a touch moves expires_ms to now + this; 0 = fixed */
    struct view owner;    /* may be empty */
    enum satchel_kind kind;
    struct view content; /* BLOB: the bytes; FIELDS, NAMES: encoded as session/fields.h says */
};

enum ack { ACK_DURABLE, ACK_FAST };

enum condition { CONDITION_NONE, CONDITION_VERSION, CONDITION_ABSENT, CONDITION_PRESENT };

/* One decoded command on one session, from whatever protocol; every view is borrowed and checked
 * against the limits (session_check_command), fields and ops are well-formed. */
struct command {
    enum satchel_opcode op; /* GET, SET, DELETE, TOUCH or PATCH */
    enum ack ack;
    enum condition condition;
    bool keep_ttl;       /* SET */
    bool touch;          /* GET */
    bool return_content; /* PATCH */
    bool has_owner; /* SET, PATCH: the owner becomes `owner`; otherwise SET clears, PATCH keeps */
    enum satchel_kind kind;     /* SET */
    uint64_t condition_version; /* CONDITION_VERSION */
    uint64_t content_bytes_max; /* PATCH: what the content may grow to; 0 = the format's limit */
    uint64_t ttl_ms;            /* 0 = not given; at most one of the two is given */
    uint64_t idle_ttl_ms;       /* 0 = not given */
    struct view id;
    struct view owner;
    struct view content; /* SET */
    struct view ops;     /* PATCH, encoded as session/fields.h says */
};

enum change_kind {
    CHANGE_NONE,  /* nothing to store */
    CHANGE_PUT,   /* `next` replaces the session */
    CHANGE_PATCH, /* `next` replaces it, and `delta` is enough for the journal */
    CHANGE_TOUCH, /* only expires_ms and idle_ttl_ms moved; `journal_touch` tells if it must be kept
                   */
    CHANGE_DELETE,
};

/* Memory that session_apply may use for what it builds; the caller keeps it between calls. */
struct session_scratch {
    struct buf content;  /* owned */
    struct buf delta;    /* owned */
    struct buf returned; /* owned */
};

/* What a command does. Views point into the old session, the command or the scratch. */
struct change {
    enum satchel_status status; /* for the client */
    enum change_kind kind;
    bool journal_touch;
    struct session next;  /* after the command: for the table (when kind is not NONE) and the reply;
                             next.version is the old one, the store replaces it by the lsn. After
                             a DELETE or when there is no session, next.version is 0 */
    struct view delta;    /* CHANGE_PATCH: SET and DELETE ops only, with final values */
    struct view returned; /* PATCH: FIELDS of incremented / set-if-absent fields (unless
                             return_content, then the reply carries next.content) */
};

/**
 * Decides what `cmd` does to `old` (NULL: there is no session; an expired one counts as none, see
 * session_is_expired) at `now_ms`. Never fails to fill `out`; when memory for the scratch runs
 * out the status is SATCHEL_BUSY and nothing changes. Any thread; touches only its arguments.
 */
void session_apply(const struct session *old, const struct command *cmd, int64_t now_ms,
                   struct session_scratch *scratch, struct change *out);

/**
 * Checks ids, sizes, times and the combination of members against the protocol's limits and
 * `value_bytes_max`. Returns SATCHEL_OK, BAD_REQUEST or TOO_LARGE with a text in `*why` (static).
 */
enum satchel_status session_check_command(const struct command *cmd, uint64_t value_bytes_max,
                                          const char **why);

/** True when `expires_ms` is set and not after now. */
static inline bool session_is_expired(int64_t expires_ms, int64_t now_ms)
{
    return expires_ms != 0 && expires_ms <= now_ms;
}

/**
 * The expiry to write to the journal and to LMDB for a session that expires at `expires_ms`.
 * For a sliding session it is rounded up to the next multiple of max(1 s, idle_ttl/16), so a
 * touch needs the journal only when the rounded value moves; after a crash such a session lives
 * up to that much longer, never shorter. A fixed expiry is exact. Rounding what was rounded changes
 * nothing, so a session that recovery brought back counts from what the journal has.
 */
int64_t session_durable_expiry(int64_t expires_ms, uint64_t idle_ttl_ms);

/** Gives the scratch's memory back. */
void session_scratch_free(struct session_scratch *self);
