/*
 * Holds: small objects that keep retention away from what a restore is about to read.
 *
 *     hold/<first seq, 16 hex digits>-<nonce, 16>
 *
 * Who restores puts one before it looks at the archive, with first seq 0: everything is held. It is
 * written anew every few minutes, so that it looks young, and deleted at the end. Retention deletes
 * no slot from `first seq` on, and no snapshot whose next_seq is not before it, while such a hold
 * is there. It has to look at the holds after it has decided what to delete, and again at times
 * while it deletes: a restore that begins in between finds that objects are gone, and begins again.
 *
 * One that was not written anew for an hour is void: its process has died. Ages are counted on the
 * storage's clock alone: when it says an object was written, and what time it says it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backup/s3.h"
#include "backup/stop.h"

enum {
    HOLD_NAME_BYTES = 5 + 16 + 1 + 16 + 1,
    HOLD_VOID_MS = 60 * 60 * 1000,
    HOLD_RENEW_MS = 5 * 60 * 1000,
};

/** Writes the name, with "hold/" before it. */
void hold_name(char out[static HOLD_NAME_BYTES], uint64_t first_seq, uint64_t nonce);

/** Reads such a name; false when it is none. */
bool hold_parse_name(const char *name, uint64_t *first_seq, uint64_t *nonce);

/* ---- Holding ---- */

struct hold; /* opaque */

struct hold_options {
    struct s3 *s3;     /* borrowed: the hold's alone until hold_end() */
    struct s3 *first;  /* borrowed for hold_begin(): what it uses itself, since somebody may want to
                          stop that, and have the object deleted nevertheless; NULL: the same */
    uint64_t renew_ms; /* 0: HOLD_RENEW_MS */
};

/**
 * Puts a hold on everything and begins to renew it, on a thread of its own. OK; or the archive
 * stays unprotected, `*out` is NULL, and `errmsg` says why: INVALID: these credentials may not
 * write, IO: the storage failed, AGAIN: the client was stopped, NO_MEMORY. Blocks.
 */
enum status hold_begin(const struct hold_options *options, struct hold **out, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;

/** Deletes the object, as far as the storage can be reached, and frees the hold. NULL is fine.
 *  Blocks. The client may have been stopped: then the object stays, and is void after an hour. */
void hold_end(struct hold *self);

/* ---- Looking at holds ---- */

struct hold_found {
    const char *key; /* valid during the call */
    uint64_t first_seq;
    int64_t age_ms; /* 0 when the storage does not say what time it is */
    bool is_void;   /* it protects nothing any more, and may be deleted */
};

/** Told each hold; false: enough. */
typedef bool (*hold_fn)(void *arg, const struct hold_found *found);

/** Lists the holds of an archive. Statuses are those of s3_list(). */
enum s3_status hold_list(struct s3 *s3, hold_fn each, void *arg) MUST_CHECK;
