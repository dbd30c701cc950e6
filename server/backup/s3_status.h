/*
 * What a call to the object storage answers, and what may be done about it.
 */
#pragma once

#include <stdbool.h>

/* What another attempt needs to have a chance. */
enum s3_retry {
    S3_RETRY_NEVER, /* the answer would be the same */
    S3_RETRY_LATER, /* time */
    S3_RETRY_KEYS,  /* other credentials */
    S3_RETRY_CLOCK, /* the server's time */
};

/*
 * name, retry, whether the request may nevertheless have been carried out, text
 *
 * The third column is about requests that change something: where it says true, nobody knows.
 */
#define S3_STATUS_TABLE(X)                                                                         \
    X(OK, NEVER, true, "ok")                                                                       \
    X(NOT_FOUND, NEVER, false, "no such object")                                                   \
    X(NO_BUCKET, NEVER, false, "no such bucket")                                                   \
    X(NO_UPLOAD, NEVER, false, "no such multipart upload")                                         \
    X(EXISTS, NEVER, false, "an object of that name exists already")                               \
    X(DENIED, NEVER, false, "access denied")                                                       \
    X(UNSUPPORTED, NEVER, false, "the storage does not implement this")                            \
    X(REFUSED, NEVER, false, "the storage refuses the request")                                    \
    X(CHANGED, NEVER, false, "the object changed while it was read")                               \
    X(CLOCK, CLOCK, false, "our clock differs too much from the storage's")                        \
    X(EXPIRED, KEYS, false, "the credentials have expired or are not known")                       \
    X(NO_CREDENTIALS, LATER, false, "there are no credentials")                                    \
    X(CONFLICT, LATER, false, "in conflict with another request")                                  \
    X(BUSY, LATER, true, "the storage asks for fewer requests")                                    \
    X(SERVER_ERROR, LATER, true, "the storage failed")                                             \
    X(UNREACHABLE, LATER, false, "no connection to the storage")                                   \
    X(TIMED_OUT, LATER, true, "the storage did not answer in time")                                \
    X(CUT, LATER, true, "the connection broke in the middle")                                      \
    X(BAD_REPLY, LATER, true, "the reply makes no sense")                                          \
    X(UNTRUSTED, NEVER, false, "the certificate of the storage is not trusted")                    \
    X(CANCELLED, NEVER, true, "given up because the process is stopping")                          \
    X(STOPPED, NEVER, false, "given up by its receiver")                                           \
    X(TOO_LARGE, NEVER, true, "over a limit")                                                      \
    X(INVALID, NEVER, false, "the request cannot be made")                                         \
    X(NO_MEMORY, NEVER, true, "out of memory")

enum s3_status {
#define X(name, retry, maybe_done, text) S3_##name,
    S3_STATUS_TABLE(X)
#undef X
};

/** One line about a status; a string constant, never NULL. Any thread. */
const char *s3_status_text(enum s3_status status);

/** What another attempt needs. Any thread. */
enum s3_retry s3_status_retry(enum s3_status status);

/** May a request that ended like this have changed something? Any thread. */
bool s3_status_maybe_done(enum s3_status status);

/**
 * What an HTTP status outside 200-299 means, together with the error's code from its body ("" when
 * there was none). Codes decide where the number says too little. Any thread.
 */
enum s3_status s3_status_of_reply(unsigned http_code, const char *s3_code);
