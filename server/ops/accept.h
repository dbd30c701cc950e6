/* What a client says it can read: the Accept header (RFC 9110, 12.5.1). Pure functions, any
 * thread. */
#pragma once

#include "base/bytes.h"

/* How closely the client named a media type; a closer name outweighs a wider one. */
enum accept_match {
    ACCEPT_NOTHING,  /* it wants other types only */
    ACCEPT_ANY,      /* by a range of everything, or because there is no Accept header */
    ACCEPT_TYPE,     /* "text" and any kind of it */
    ACCEPT_NAMED,    /* "text/plain" */
    ACCEPT_VERSIONED /* "text/plain;version=0.0.4" */
};

struct media_type {
    const char *type;
    const char *subtype;
    const char *version; /* of its parameter "version" */
};

struct accepted {
    enum accept_match match;
    unsigned quality; /* of the closest match, in thousandths: 0 (refused) to 1000; 0 when there is
                         no match */
};

/**
 * How much the client wants `type`. `headers` are the header lines of its request; several Accept
 * headers count as one. A range with another version is no match, parameters besides version and q
 * are not looked at, and a range whose q is no weight is as good as not there.
 */
struct accepted accept_find(struct view headers, const struct media_type *type);
