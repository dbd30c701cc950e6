/*
 * Where credentials come from, in this order:
 *
 *     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN     fixed, for tests and by hand
 *     AWS_CONTAINER_CREDENTIALS_RELATIVE_URI                          http://169.254.170.2 + URI
 *     AWS_CONTAINER_CREDENTIALS_FULL_URI                              https, or http to this
 * machine or a metadata address
 *
 * The latter two are the container provider of ECS and EKS, which is asked again before what it
 * gave expires. With AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read again for each request) or
 * AWS_CONTAINER_AUTHORIZATION_TOKEN the request carries an Authorization header. Source: "Container
 * credential provider", AWS SDKs and Tools reference guide.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/s3_http.h"
#include "backup/sigv4.h"

enum {
    CREDENTIALS_KEY_ID_MAX = 256,
    CREDENTIALS_TOKEN_MAX = 8192, /* AWS's have one to two thousand characters */
    CREDENTIALS_URL_BYTES = 1200,
};

/* Only ever in memory from secret_new(). */
struct credentials_keys {
    char key_id[CREDENTIALS_KEY_ID_MAX + 1];
    char secret[SIGV4_SECRET_MAX + 1];
    char token[CREDENTIALS_TOKEN_MAX + 1]; /* "": permanent credentials */
    int64_t expires_ms;                    /* on the wall clock; INT64_MAX: never */
    uint64_t generation;                   /* counts what was fetched; from 1 */
};

/* Immutable after opening. Texts are borrowed from the environment. */
struct credentials_source {
    bool is_fixed; /* keys from the environment: asking again gives the same */
    const char *key_id;
    const char *secret;
    const char *token;               /* NULL: none */
    const char *authorization;       /* NULL: none */
    const char *authorization_file;  /* NULL: none */
    char url[CREDENTIALS_URL_BYTES]; /* of the container provider */
};

/**
 * Looks at the environment through `environ_get` (getenv or a test's own). OK, or with one line in
 * `errmsg`: NOT_FOUND, there is nothing; INVALID, what is there cannot be used. Main thread.
 */
enum status credentials_source_open(char *(*environ_get)(const char *name),
                                    struct credentials_source *out, char *errmsg,
                                    size_t errmsg_bytes) MUST_CHECK;

/**
 * Gets credentials once: from the environment, or by one request, which blocks. All of `out` but
 * the generation is written when S3_OK. Otherwise `errmsg` has one line without secrets; the
 * statuses are those of an exchange, DENIED and the like for the provider's own answers, BAD_REPLY
 * when it is not what is expected. Nothing secret stays in memory but in `out`. One thread at a
 * time.
 */
enum s3_status credentials_source_fetch(const struct credentials_source *self,
                                        const struct s3_transport *transport,
                                        struct credentials_keys *out, char *errmsg,
                                        size_t errmsg_bytes) MUST_CHECK;
