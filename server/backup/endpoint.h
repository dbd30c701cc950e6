/*
 * Where a service listens: http://HOST[:PORT] or https://…, taken apart once and strictly, because
 * the host is signed and decides whether secrets may be sent there. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { ENDPOINT_HOST_BYTES = 256 };

struct endpoint {
    bool is_tls;
    char host[ENDPOINT_HOST_BYTES]; /* in lower case; an IPv6 address in its brackets */
    /* As the Host header has it: with the port unless that is the scheme's own. */
    char authority[ENDPOINT_HOST_BYTES + 8];
    char path[1024]; /* with the query, still encoded; "/" when there was none */
};

/** OK, or INVALID with one line in `errmsg`: another scheme, a user, a fragment, an odd host. */
enum status endpoint_parse(const char *url, struct endpoint *out, char *errmsg,
                           size_t errmsg_bytes) MUST_CHECK;

/** Is the host an address of this machine, or the name "localhost"? */
bool endpoint_is_loopback(const struct endpoint *self);

/** Is it one of the addresses at which ECS and EKS hand out credentials? */
bool endpoint_is_metadata(const struct endpoint *self);
