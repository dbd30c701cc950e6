/* What the files of the S3 client share: the client itself, and one call. Nobody else includes it.
 */
#pragma once

#include "backup/endpoint.h"
#include "backup/s3.h"
#include "backup/sigv4.h"

enum {
    S3_BUCKET_BYTES = 64, /* 3 to 63 characters */
    S3_PATH_BYTES = S3_BUCKET_BYTES + S3_KEY_BYTES_MAX + 3,
    S3_CALL_PAIRS_MAX = 6,
};

struct s3 {
    struct s3_deps deps;      /* the transport is owned */
    struct s3_options limits; /* only attempts_max and pause_ms_…, with their defaults */
    char *region;             /* owned */
    char bucket[S3_BUCKET_BYTES];
    char prefix[S3_KEY_BYTES_MAX + 1];                           /* "" or with a slash at its end */
    char path_before[S3_BUCKET_BYTES + 2];                       /* "/BUCKET" or "" */
    char url_before[ENDPOINT_HOST_BYTES + S3_BUCKET_BYTES + 24]; /* "https://HOST:PORT" */
    char host[ENDPOINT_HOST_BYTES + S3_BUCKET_BYTES + 12];       /* "HOST:PORT" */
    int64_t clock_behind_ms;       /* how much the storage's clock is ahead of ours */
    int64_t storage_ms;            /* what it showed last; 0: not known */
    bool deletes_singly;           /* the storage does not take several keys at once */
    struct credentials_keys *keys; /* owned, secret; a copy for the attempt */
    struct sigv4_signed signature; /* owned */
    struct buf url;                /* owned; of the attempt */
    struct buf lines;              /* owned, of the secret heap; its headers, wiped after it */
    struct s3_http_reply reply;    /* owned; of the last attempt */
    struct s3_list_page page;      /* owned */
    struct s3_error error;
};

/* One call, whatever number of attempts it takes. All borrowed. */
struct s3_call {
    const char *method;
    const char *key; /* behind the prefix; NULL: the bucket itself */
    struct sigv4_pair query[S3_CALL_PAIRS_MAX];
    struct sigv4_pair header[S3_CALL_PAIRS_MAX];
    size_t query_count;
    size_t header_count;
    bool has_body;
    struct view body;
    uint64_t idle_ms_max; /* 0: the transport's */
    s3_sink_fn sink;
    /* Called before each attempt, to change the headers; NULL: nothing to do. */
    void (*prepare)(struct s3_call *self);
    /* Called for a reply 200-299, which it reads from client->reply; it may still find it wanting,
     * and then says what in client->error. NULL: nothing to read. */
    enum s3_status (*read)(struct s3 *client, struct s3_call *self);
    /* Called with what an attempt that failed came to; may know better. NULL: nobody does. */
    enum s3_status (*mend)(const struct s3_call *self, enum s3_status status);
    void *arg; /* of sink and the functions */
};

/** Makes the call; the error of the client tells about it. INVALID when the key is too long. */
enum s3_status s3_call_run(struct s3 *self, struct s3_call *call) MUST_CHECK;

/** Notes in the error what a reply's <Error> says. Its status follows from that and `http_code`. */
enum s3_status s3_note_error(struct s3 *self, unsigned http_code, const struct s3_xml_error *error);

/** Notes our own message and returns BAD_REPLY, TOO_LARGE or NO_MEMORY for what a decoder said. */
enum s3_status s3_note_decoded(struct s3 *self, enum status status, const char *what);
