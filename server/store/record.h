/*
 * Journal records: what one change looks like in the journal. A frame holds a sequence of them;
 * the n-th record of a frame has the lsn `first lsn + n`.
 *
 *     | length u32 | type u8 | reserved u8 = 0 | id length u16 | body |      length counts all of
 * it
 *
 *     PUT     body = image (image.h)                       the session is this now
 *     PATCH   body = id | ops (SET and DELETE only)        these fields changed
 *     TOUCH   body = id | expiry ms u64 | idle time u64    these times changed
 *     DELETE  body = id                                    the session is gone
 *
 * In a PUT the id length is 0: the image has its own.
 */
#pragma once

#include "base/bytes.h"
#include "session/session.h"

enum { RECORD_HEADER_BYTES = 8 };

enum record_type { RECORD_PUT = 1, RECORD_PATCH = 2, RECORD_TOUCH = 3, RECORD_DELETE = 4 };

struct record {
    enum record_type type;
    struct session session; /* PUT: everything but the version; others: the id; TOUCH: and times */
    struct view ops;        /* PATCH */
    struct view bytes;      /* all of the record, header included */
};

/** The record type for this kind of change. */
enum record_type record_type_of(enum change_kind kind);

/** How many bytes record_encode writes for a change. */
size_t record_bytes(enum record_type type, const struct change *change);

/** Writes the record of a change that gets the number `lsn`. */
void record_encode(uint8_t *to, enum record_type type, const struct change *change, uint64_t lsn);

/** Takes the next record off the front of `*rest`; borrows from it. OK, END, INVALID, or
 * UNSUPPORTED: an image of another format. */
enum status record_next(struct view *rest, struct record *out) MUST_CHECK;
