/*
 * One HTTP exchange: a request with its body in memory, a reply of bounded size. The client talks
 * to this struct of functions, so that a test can script the replies; s3_http_open() makes the one
 * that uses libcurl.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/s3_status.h"
#include "backup/stop.h"
#include "base/bytes.h"

enum {
    S3_ETAG_BYTES = 80,       /* without quotes; S3's own have 32 to 38 characters */
    S3_REQUEST_ID_BYTES = 80, /* what the storage's support asks for */
};

/** Receives the body of a good reply piece by piece, on the thread of the call; `bytes` is valid
 *  during it. Anything but OK ends the transfer with S3_STOPPED. */
typedef enum status (*s3_sink_fn)(void *arg, struct view bytes);

/* All borrowed for the exchange. */
struct s3_http_request {
    const char *method;         /* "GET" */
    const char *url;            /* with the path as it has to be sent */
    const char *const *headers; /* `header_count` lines "Name: value" */
    size_t header_count;
    bool has_body;    /* PUT, POST: `body` follows, with its Content-Length, also when empty */
    bool has_secrets; /* in the reply: a connection of its own that leaves nothing behind */
    struct view body;
    size_t reply_bytes_max; /* a longer body, unless it goes to the sink: S3_TOO_LARGE */
    uint64_t idle_ms_max; /* without a byte in either direction: S3_TIMED_OUT; 0: the transport's */
    s3_sink_fn sink;      /* for bodies of replies 200-299; NULL: they stay in the reply */
    void *sink_arg;
};

/* Filled as it comes: a sink may look at the head. Zeroed before first use, body freed by the
 * caller; an exchange replaces what was in it. */
struct s3_http_reply {
    unsigned code;                        /* 200; 0: none came */
    struct buf body;                      /* owned */
    uint64_t bytes;                       /* Content-Length; of HEAD too; 0: not said */
    int64_t date_ms;                      /* Date, of the server; 0: not said */
    int64_t modified_ms;                  /* Last-Modified; 0: not said */
    char etag[S3_ETAG_BYTES];             /* "": not said */
    char request_id[S3_REQUEST_ID_BYTES]; /* x-amz-request-id; "": not said */
};

struct s3_transport {
    /* Blocks. S3_OK: a reply of whatever code is there. Otherwise UNREACHABLE, UNTRUSTED,
     * TIMED_OUT, CUT, BAD_REPLY, TOO_LARGE, STOPPED, CANCELLED, INVALID or NO_MEMORY, with one line
     * in `errmsg` that holds no secret. One thread at a time. */
    enum s3_status (*exchange)(void *arg, const struct s3_http_request *request,
                               struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes);
    void (*close)(void *arg); /* NULL: nothing to do */
    void *arg;                /* owned by whoever closes */
};

struct s3_http_options {
    const char *ca_file;     /* PEM; copied; NULL: the system's authorities */
    uint64_t connect_ms_max; /* name, connection and TLS; 0: 5 s */
    uint64_t idle_ms_max;    /* 0: 30 s; counted in whole seconds */
    const struct stop *stop; /* borrowed; ends transfers within a second; NULL: nothing does */
};

/**
 * A transport over libcurl: HTTP/1.1, one connection that is kept, certificates verified, redirects
 * not followed, the proxy of the environment except to this machine and link-local addresses. OK,
 * or NO_MEMORY or INVALID (the CA file cannot be read) with one line in `errmsg`.
 */
enum status s3_http_open(const struct s3_http_options *options, struct s3_transport *out,
                         char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** Closes any transport; a zeroed one is fine. It is zeroed afterwards. */
void s3_transport_close(struct s3_transport *self);
