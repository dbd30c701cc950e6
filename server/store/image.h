/*
 * The after-image of a session: the bytes that stand for it in the journal and in LMDB.
 *
 *      0        1        2                 4        5                 8
 *     +--------+--------+-----------------+--------+-----------------+
 *     | format |  kind  |    id length    | owner  |    reserved     |
 *     |   = 1  |        |                 | length |       = 0       |
 *     +--------+--------+-----------------+--------+-----------------+
 *     |          content length           |        reserved = 0      |
 *     +-----------------------------------+--------------------------+
 *     |                           version                            |
 *     |                          created ms                          |
 *     |         expiry ms (rounded: session_durable_expiry)          |
 *     |                         idle time ms                         |
 *     +--------------------------------------------------------------+
 *     | id | owner | content                       48 bytes before it
 *
 * Little-endian. Not checksummed itself: the frame or the row around it is.
 */
#pragma once

#include "base/bytes.h"
#include "session/session.h"

enum { IMAGE_HEADER_BYTES = 48, IMAGE_FORMAT = 1 };

/** How many bytes image_encode writes. */
static inline size_t image_bytes(const struct session *session)
{
    return IMAGE_HEADER_BYTES + session->id.len + session->owner.len + session->content.len;
}

/** Writes image_bytes(session) bytes with `version` for the session's own, and the durable expiry
 * for its exact one. */
void image_encode(uint8_t *to, const struct session *session, uint64_t version);

/** Reads an image that fills `bytes` exactly; the session borrows from them. INVALID when lengths,
 *  kind or times are impossible, UNSUPPORTED for another format. */
enum status image_decode(struct view bytes, struct session *out) MUST_CHECK;
