/*
 * What a fallible function inside Satchel answers. These are for code, not for clients: what a
 * client sees is `enum satchel_status` (include/satchel/protocol.h); proto/ maps one to the other.
 */
#pragma once

#define MUST_CHECK __attribute__((warn_unused_result))

/* name, text */
#define STATUS_TABLE(X)                                                                            \
    X(OK, "ok")                                                                                    \
    X(AGAIN, "not yet: more input or another attempt is needed")                                   \
    X(END, "no more")                                                                              \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "exists already")                                                                    \
    X(INVALID, "invalid input")                                                                    \
    X(TOO_LARGE, "over a limit")                                                                   \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(NO_SPACE, "no space left on the storage")                                                    \
    X(IO, "input/output error")                                                                    \
    X(CORRUPT, "damaged data")                                                                     \
    X(LOCKED, "owned by another process")                                                          \
    X(UNSUPPORTED, "unsupported format or version")

enum status {
#define X(name, text) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};

/** The text of a status, never NULL; a string constant. Any thread. */
const char *status_text(enum status status);
