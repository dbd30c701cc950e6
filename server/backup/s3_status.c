/* Statuses, and what replies mean. */
#include "backup/s3_status.h"

#include <stddef.h>
#include <string.h>

struct description {
    const char *text;
    enum s3_retry retry;
    bool maybe_done;
};

static const struct description descriptions[] = {
#define X(name, retry, maybe_done, text) {text, S3_RETRY_##retry, maybe_done},
    S3_STATUS_TABLE(X)
#undef X
};

const char *s3_status_text(enum s3_status status)
{
    return descriptions[status].text;
}

enum s3_retry s3_status_retry(enum s3_status status)
{
    return descriptions[status].retry;
}

bool s3_status_maybe_done(enum s3_status status)
{
    return descriptions[status].maybe_done;
}

/* Codes that say more than the number they come with. ("Error responses", Amazon S3 API reference;
 * radosgw and Swift use the same names.) */
static const struct {
    const char *code;
    enum s3_status status;
} named[] = {
    {"NoSuchKey", S3_NOT_FOUND},
    {"NoSuchBucket", S3_NO_BUCKET},
    {"NoSuchUpload", S3_NO_UPLOAD},
    {"PreconditionFailed", S3_EXISTS},
    {"NotImplemented", S3_UNSUPPORTED},
    {"RequestTimeTooSkewed", S3_CLOCK},
    {"ExpiredToken", S3_EXPIRED},
    {"InvalidToken", S3_EXPIRED},
    {"TokenRefreshRequired", S3_EXPIRED},
    /* The provider has replaced the keys before their time. */
    {"InvalidAccessKeyId", S3_EXPIRED},
    {"ConditionalRequestConflict", S3_CONFLICT},
    {"OperationAborted", S3_CONFLICT},
    {"RequestTimeout", S3_TIMED_OUT},
    {"SlowDown", S3_BUSY},
    {"ServiceUnavailable", S3_BUSY},
    {"InternalError", S3_SERVER_ERROR},
};

enum s3_status s3_status_of_reply(unsigned http_code, const char *s3_code)
{
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (strcmp(s3_code, named[i].code) == 0) {
            return named[i].status;
        }
    }
    switch (http_code) {
    case 401:
    case 403:
        return S3_DENIED;
    case 404:
        return S3_NOT_FOUND;
    case 405:
    case 501:
        return S3_UNSUPPORTED;
    case 408:
        return S3_TIMED_OUT;
    case 409:
        return S3_CONFLICT;
    case 412:
        return S3_EXISTS;
    case 429:
    case 503:
        return S3_BUSY;
    default:
        break;
    }
    if (http_code >= 500 && http_code < 600) {
        return S3_SERVER_ERROR;
    }
    /* Redirects are not followed: they mean another region, which the operator has to set. */
    return http_code >= 300 && http_code < 500 ? S3_REFUSED : S3_BAD_REPLY;
}
