/* How one attempt at a request ended: what the retry policy and the caller want to know. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/core.h"
#include "satchel/protocol.h"

enum { ATTEMPT_TEXT_BYTES = 256 };

struct attempt {
    enum satchel_status status;
    bool has_reply;                /* the server answered; `event` is its answer */
    bool sent;                     /* the whole request was handed to the system */
    uint64_t retry_after_ms;       /* as the server asked; 0 = nothing */
    struct core_event event;       /* borrowed from the connection: valid until its next use */
    char text[ATTEMPT_TEXT_BYTES]; /* without a reply: what went wrong, for people */
};

/** Writes the text and returns `status`, after setting it. */
enum satchel_status attempt_fail(struct attempt *self, enum satchel_status status,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Fails an attempt to get a connection to `server` as a CORE_EVENT_FAILED says. */
enum satchel_status attempt_fail_greeting(struct attempt *self, const char *server,
                                          const struct core_event *event);

/** A lower-case sentence about errno for the end of a message; a constant or thread-local. */
const char *attempt_errno_text(int error);
