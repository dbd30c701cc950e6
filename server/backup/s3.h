/*
 * A client of one bucket in an object storage that speaks S3: Amazon's own, Ceph's radosgw,
 * OpenStack Swift's s3api and their like.
 *
 * All calls block, on a thread that may: never a worker or the main one. A `struct s3` has one
 * connection and belongs to one thread at a time; who wants several transfers at once opens
 * several, which share the credentials. Keys are texts of at most S3_KEY_BYTES_MAX bytes together
 * with the prefix of the URL, which is put before every key here and taken off every key in a list.
 *
 * Each call makes up to `attempts_max` attempts, with pauses that double and vary by chance, each
 * signed anew; which statuses are tried again stands in s3_status.h. A clock that differs is
 * corrected once by the server's, credentials that are refused are fetched anew once. Every body is
 * hashed and its hash signed.
 *
 * A call that changes something and fails, or answers EXISTS after several attempts, may have done
 * its work in an attempt whose reply was lost: s3_last_error()->maybe_done tells.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/credentials.h"
#include "backup/s3_http.h"
#include "backup/s3_status.h"
#include "backup/s3_xml.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/metric.h"

#define S3_METRICS(X)                                                                              \
    X(counter, requests, "satchel_s3_requests_total", "", "Requests sent to the object storage.")  \
    X(counter, failures, "satchel_s3_failures_total", "",                                          \
      "Requests to the object storage that failed, before they were tried again.")                 \
    X(counter, sent_bytes, "satchel_s3_sent_bytes_total", "",                                      \
      "Bytes of bodies sent to the object storage.")                                               \
    X(counter, received_bytes, "satchel_s3_received_bytes_total", "",                              \
      "Bytes of objects received from the object storage.")
METRIC_STRUCT(s3_metrics, S3_METRICS)
METRIC_TABLE_DECLARE(s3_metrics)

struct s3; /* opaque */

struct s3_options {
    const char *url;      /* s3://BUCKET[/PREFIX] */
    const char *endpoint; /* http[s]://HOST[:PORT]; NULL: https://s3.REGION.amazonaws.com */
    const char *region;   /* "eu-central-1" */
    /* HOST/BUCKET/KEY rather than BUCKET.HOST/KEY: what most but Amazon want, and what a bucket
     * with a dot in its name needs, since no certificate covers such a host. */
    bool path_style;
    unsigned attempts_max;   /* of one call; 0: 6 */
    uint64_t pause_ms_first; /* before the second attempt, on average; 0: 100 ms */
    uint64_t pause_ms_max;   /* 0: 10 s */
};

/* Time and chance; a test has its own. */
struct s3_timing {
    const struct clock *clock;
    uint64_t (*random)(void *arg);
    /* Waits; true: the process is stopping, so give up. */
    bool (*pause)(void *arg, uint64_t ms);
    void *arg;
};

/** The system's clock and chance, and pauses that `stop` ends (borrowed by the result). */
struct s3_timing s3_timing_system(struct stop *stop);

/* Borrowed for the client's life, but the transport, which is taken over. */
struct s3_deps {
    struct s3_transport transport;
    struct credentials *credentials;
    struct s3_timing timing;
    struct s3_metrics *metrics; /* may be shared by several clients; NULL: none */
};

/** OK; INVALID with one line in `errmsg`: url, endpoint or region cannot be used; NO_MEMORY.
 * Nothing is sent. The transport is closed by s3_close(), and here when this fails. */
enum status s3_open(const struct s3_options *options, const struct s3_deps *deps, struct s3 **out,
                    char *errmsg, size_t errmsg_bytes) MUST_CHECK;

/** NULL is fine. */
void s3_close(struct s3 *self);

/* What is known about a call that failed. No member holds a secret. */
struct s3_error {
    enum s3_status status; /* of the last attempt */
    unsigned attempts;     /* that were made */
    unsigned http_code;    /* 0: no reply */
    bool maybe_done;       /* some attempt may have changed something */
    char code[S3_CODE_BYTES];
    char message[S3_MESSAGE_BYTES]; /* of the storage, or ours */
    char request_id[S3_REQUEST_ID_BYTES];
};

/** About the last call; valid until the next one. Never NULL. */
const struct s3_error *s3_last_error(const struct s3 *self);

/** The last error as one line: "access denied (403 AccessDenied: …), 1 attempt". */
void s3_describe_error(const struct s3 *self, char *out, size_t out_bytes);

/** The time by the storage's clock, as its last reply that told it did: milliseconds since 1970, in
 *  whole seconds; 0: none has. Ages of objects are to be measured with this. */
int64_t s3_storage_ms(const struct s3 *self);

/* ---- Objects ---- */

struct s3_object {
    uint64_t bytes;
    int64_t modified_ms;      /* wall clock of the storage; whole seconds from HEAD and GET */
    char etag[S3_ETAG_BYTES]; /* without quotes; "" in lists */
};

enum s3_put_flags {
    S3_PUT_IF_ABSENT = 1, /* S3_EXISTS instead of overwriting, where the storage honours it */
};

/** Stores an object of at most 5 GiB. `flags`: of s3_put_flags. */
enum s3_status s3_put(struct s3 *self, const char *key, struct view body,
                      unsigned flags) MUST_CHECK;

struct s3_range {
    uint64_t offset;
    uint64_t bytes; /* 0: to the end */
};

/**
 * Reads an object, or the part of it that `range` (NULL: everything) tells, into `sink`, in order
 * and each byte once: what a broken connection has not brought is asked for again, and if the
 * object was replaced meanwhile the answer is S3_CHANGED. `out` (may be NULL) tells what came:
 * `bytes` is their number, less than asked for when the object ends before. A range that begins
 * behind the end is S3_REFUSED. When the sink answers anything but OK: S3_STOPPED.
 */
enum s3_status s3_get(struct s3 *self, const char *key, const struct s3_range *range,
                      s3_sink_fn sink, void *sink_arg, struct s3_object *out) MUST_CHECK;

/** S3_OK or S3_NOT_FOUND; also when the bucket is missing, since HEAD has no body that could say.
 */
enum s3_status s3_head(struct s3 *self, const char *key, struct s3_object *out) MUST_CHECK;

/** S3_OK also when there was none. */
enum s3_status s3_delete(struct s3 *self, const char *key) MUST_CHECK;

enum { S3_DELETE_MAX = 1000 }; /* keys in one request: S3's own limit */

/**
 * Deletes `count` (at most S3_DELETE_MAX) objects, each named once, in one request, or one by one
 * where the storage does not implement that. S3_OK: none of them is there any more. Otherwise some
 * may be gone, whichever; the error tells about the first that is not. An empty list is fine.
 */
enum s3_status s3_delete_many(struct s3 *self, const char *const *keys, size_t count) MUST_CHECK;

/* ---- Lists ---- */

/** Told each key in ascending order of bytes; both valid during the call. False: enough. */
typedef bool (*s3_list_fn)(void *arg, const char *key, const struct s3_object *object);

struct s3_list_options {
    const char *prefix;      /* behind the URL's; NULL: "" */
    const char *start_after; /* only keys greater than this one; NULL: all */
    unsigned page_keys;      /* asked for in one request; 0: 1000, the most */
};

/** Lists keys, in as many requests as it takes. When it fails in the middle, those that were told
 *  are right and others are missing. `options` may be NULL. */
enum s3_status s3_list(struct s3 *self, const struct s3_list_options *options, s3_list_fn each,
                       void *arg) MUST_CHECK;

/* ---- Large objects in parts: 5 MiB to 5 GiB each but the last, at most 10,000 ---- */

enum { S3_PARTS_MAX = 10000 };

struct s3_upload {
    char key[S3_KEY_BYTES_MAX + 1];
    char id[S3_UPLOAD_ID_BYTES];
};

struct s3_part {
    char etag[S3_ETAG_BYTES];
};

/** Begins an upload, which has to end by complete or abort: its parts cost money until then. */
enum s3_status s3_upload_begin(struct s3 *self, const char *key, struct s3_upload *out) MUST_CHECK;

/** Sends part `number`, from 1. Other clients of the same bucket may send other parts meanwhile. */
enum s3_status s3_upload_part(struct s3 *self, const struct s3_upload *upload, unsigned number,
                              struct view body, struct s3_part *out) MUST_CHECK;

/**
 * Makes the object of parts 1 to `count`. S3_NO_UPLOAD with maybe_done: an earlier attempt may have
 * made it; s3_head() tells. `etag` (S3_ETAG_BYTES) may be NULL.
 */
enum s3_status s3_upload_complete(struct s3 *self, const struct s3_upload *upload,
                                  const struct s3_part *parts, unsigned count,
                                  char *etag) MUST_CHECK;

/** Throws the parts away. S3_OK also when there is no such upload. */
enum s3_status s3_upload_abort(struct s3 *self, const struct s3_upload *upload) MUST_CHECK;

/** Told each upload that was begun and has not ended; valid during the call. */
typedef void (*s3_uploads_fn)(void *arg, const struct s3_upload *upload, int64_t begun_ms);

/** Lists uploads whose keys begin with `prefix` (behind the URL's), a thousand at most: who ends
 *  those that are told finds others the next time. `each` may use the client. */
enum s3_status s3_list_uploads(struct s3 *self, const char *prefix, s3_uploads_fn each,
                               void *arg) MUST_CHECK;

/* ---- Conditions ---- */

enum s3_conditions {
    S3_CONDITIONS_SUPPORTED, /* S3_PUT_IF_ABSENT never overwrites */
    S3_CONDITIONS_IGNORED,   /* it does */
    S3_CONDITIONS_REFUSED,   /* every such request is refused */
};

/**
 * Finds out whether the storage honours S3_PUT_IF_ABSENT, by two small objects of one name under
 * "probe/". S3_OK: `*out` is known. `*removed` tells how removing the object went: DENIED means
 * that nothing can ever be deleted with these credentials.
 */
enum s3_status s3_probe_conditions(struct s3 *self, enum s3_conditions *out,
                                   enum s3_status *removed) MUST_CHECK;
