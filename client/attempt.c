/* Texts about attempts that failed. */
#include "client/attempt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum satchel_status attempt_fail(struct attempt *self, enum satchel_status status,
                                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(self->text, sizeof self->text, format, args);
    va_end(args);
    self->status = status;
    return status;
}

enum satchel_status attempt_fail_greeting(struct attempt *self, const char *server,
                                          const struct core_event *event)
{
    const struct native_reply *reply = &event->reply;
    const char *said = satchel_status_text_of(reply->status);
    int said_len = (int)strlen(said);
    if (reply->message.len > 0 && reply->message.len < sizeof self->text) {
        said = (const char *)reply->message.ptr;
        said_len = (int)reply->message.len;
    }
    self->retry_after_ms = reply->retry_after_ms;
    if (reply->status == SATCHEL_BAD_REPLY) {
        return attempt_fail(self, reply->status, "cannot use %s: %.*s", server, said_len, said);
    }
    return attempt_fail(self, reply->status, "%s refused the connection: %.*s", server, said_len,
                        said);
}

const char *attempt_errno_text(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection refused";
    case EHOSTUNREACH:
        return "no route to the host";
    case ENETUNREACH:
        return "the network is unreachable";
    case ETIMEDOUT:
        return "no answer";
    case ECONNRESET:
    case EPIPE:
        return "the server closed the connection";
    default:
        return strerror(error);
    }
}
