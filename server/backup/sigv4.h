/*
 * AWS Signature Version 4 for S3: a request and a secret give the Authorization header. Pure, no
 * I/O, no clock; any thread.
 *
 * A signature covers method, path, query, the named headers and the hash of the body, each in a
 * canonical form. The server puts the request that it received into that form again, so what is
 * sent has to be what was signed: sigv4_sign() therefore also makes the encoded path and query, and
 * the caller sends those letter by letter.
 *
 * The form is S3's: the path is encoded once and not normalised ("a//b/../c" is a key like any
 * other), and the hash of the body is itself a signed header. Source: "Signature Calculations for
 * the Authorization Header", Amazon S3 API reference.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    SIGV4_HEX_BYTES = 65,   /* a SHA-256 in hex and the terminating zero */
    SIGV4_DATE_BYTES = 17,  /* 20130524T000000Z and the terminating zero */
    SIGV4_PAIRS_MAX = 32,   /* headers, and also query parameters, of one request */
    SIGV4_SECRET_MAX = 256, /* bytes of a secret; AWS's own have 40 */
};

/** Stands in for the hash of a body that is not signed. */
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* A query parameter or header, not encoded. Both borrowed, neither NULL. */
struct sigv4_pair {
    const char *name;
    const char *value;
};

/* All borrowed. */
struct sigv4_keys {
    const char *key_id;
    const char *secret;
    const char *token; /* of temporary credentials; NULL: permanent ones */
};

/* All borrowed for the call. Text is UTF-8 and neither encoded nor escaped. */
struct sigv4_request {
    const char *method;              /* "GET" */
    const char *host;                /* as the Host header has it: with ":port" unless standard */
    const char *path;                /* begins with "/" */
    const struct sigv4_pair *query;  /* `query_count` parameters, in any order */
    const struct sigv4_pair *header; /* `header_count` headers to be signed beside the standard
                                        ones; each name once, without line feeds in values */
    size_t query_count;              /* at most SIGV4_PAIRS_MAX */
    size_t header_count;             /* at most SIGV4_PAIRS_MAX - 4 */
    const char *payload_hash;        /* sigv4_hash() of the body, or SIGV4_UNSIGNED_PAYLOAD */
    const char *region;              /* "eu-central-1" */
    const char *service;             /* "s3" */
    int64_t time_s;                  /* since 1970; the server allows 15 minutes of difference */
};

/*
 * What the caller sends: `target` behind the host in the URL, the headers of the request, and
 *
 *     Authorization: <authorization>
 *     x-amz-date: <date>
 *     x-amz-content-sha256: <the request's payload_hash>
 *     x-amz-security-token: <the keys' token, if there is one>
 *
 * Zeroed before first use; may be used again, which replaces what it held.
 */
struct sigv4_signed {
    struct buf target;        /* owned; zero-terminated */
    struct buf authorization; /* owned; zero-terminated; holds no secret */
    char date[SIGV4_DATE_BYTES];
};

/**
 * Signs a request. OK; INVALID: the secret or the time cannot be used; NO_MEMORY. `out` is to be
 * freed in any case. What was derived from the secret is wiped.
 */
enum status sigv4_sign(const struct sigv4_request *request, const struct sigv4_keys *keys,
                       struct sigv4_signed *out) MUST_CHECK;

/** Frees what it owns; it is zeroed afterwards. */
void sigv4_signed_free(struct sigv4_signed *self);

/** SHA-256 of `body` in hex. OK or NO_MEMORY. Calls thread_breathe(). */
enum status sigv4_hash(struct view body, char out[static SIGV4_HEX_BYTES]) MUST_CHECK;
