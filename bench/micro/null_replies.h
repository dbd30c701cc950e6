/*
 * The replies of the null server over the native protocol that are the same every time, made once.
 * The floor server (floor.h) sends them too, where it has nothing of its own to say.
 */
#pragma once

#include "proto/native.h"

enum { NULL_VALUE_BYTES = 512 }; /* of the value that every GET gets */

/* Immutable once it is made: any worker may read it. */
struct null_replies {
    struct buf hello; /* all owned */
    struct buf ok;
    struct buf value;
};

/** Makes the replies. OK or NO_MEMORY; null_replies_free() is due either way. */
enum status null_replies_init(struct null_replies *self) MUST_CHECK;

void null_replies_free(struct null_replies *self);

/** Appends the reply to a request with this header: OK, with a value for a GET. OK or NO_MEMORY
 *  (the buffer is as before). Any thread. */
enum status null_replies_append(const struct null_replies *self, const struct native_header *header,
                                struct buf *out) MUST_CHECK;
