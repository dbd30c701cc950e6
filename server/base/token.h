/*
 * The shared secret of a store and its clients: in a file (--token-file), or in the variable
 * SATCHEL_TOKEN, as ECS hands out secrets. It is no option of the command line, where every process
 * of the machine could read it.
 */
#pragma once

#include "base/bytes.h"
#include "base/status.h"

enum { TOKEN_BYTES_LEAST = 16, TOKEN_BYTES_MAX = 4096 };

/**
 * Whether there is one place where the secret is: `file` (NULL: none), or the variable, which must
 * then have a usable length; an empty one counts as none. OK, also with neither, or INVALID with
 * one line in `errmsg`, which never has the secret in it. Main thread, before others are started.
 */
enum status token_check(const char *file, char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/**
 * Reads the secret from `file`, without final line ends, or else from the variable; with neither
 * `*out` stays empty. The variable is then wiped and gone: neither /proc/PID/environ nor a process
 * that this one starts has it. `*out` is an empty buffer, for token_free() whatever is returned.
 * OK, or INVALID (as token_check(), or a file whose length is not usable), IO, NO_MEMORY with one
 * line in `errmsg`. Main thread, before others are started.
 */
enum status token_read(const char *file, struct buf *out, char *errmsg,
                       size_t errmsg_bytes) MUST_CHECK;

/** Wipes and frees it. */
void token_free(struct buf *token);
