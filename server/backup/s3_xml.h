/*
 * Replies of the object storage that are XML. Whoever sits at the other end may be broken or
 * hostile: nesting, the length of a text and the number of entries are bounded, and a document that
 * declares a DTD (and so entities) is refused. Pure; any thread.
 *
 * All decoders: OK; CORRUPT: not the XML that was expected; TOO_LARGE: over a limit; NO_MEMORY.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/s3_http.h"
#include "base/bytes.h"

enum {
    S3_CODE_BYTES = 64,
    S3_MESSAGE_BYTES = 256,
    S3_UPLOAD_ID_BYTES = 1024, /* AWS's own have about 130 characters */
    S3_TOKEN_BYTES = 4096,
    S3_KEY_BYTES_MAX = 1024, /* of a whole key, S3's own limit */
    S3_LIST_ENTRIES_MAX = 1000,
};

/* <Error>. Members are "" where the reply does not say; long texts are cut. */
struct s3_xml_error {
    char code[S3_CODE_BYTES];
    char message[S3_MESSAGE_BYTES];
    char request_id[S3_REQUEST_ID_BYTES];
};

enum status s3_xml_error(struct view xml, struct s3_xml_error *out) MUST_CHECK;

struct s3_list_entry {
    size_t key_at; /* where in `keys` the zero-terminated key begins */
    uint64_t bytes;
    int64_t modified_ms;
};

/* <ListBucketResult> of ListObjectsV2. Zeroed before first use; may be used again. */
struct s3_list_page {
    struct buf keys;               /* owned */
    struct s3_list_entry *entries; /* owned, `count` of them */
    size_t count;
    size_t capacity;
    bool is_truncated;               /* there is more, behind `next_token` */
    char next_token[S3_TOKEN_BYTES]; /* "" when there is none */
};

enum status s3_xml_list(struct view xml, struct s3_list_page *out) MUST_CHECK;

/** The key of an entry; valid until the page is used again or freed. */
static inline const char *s3_list_key(const struct s3_list_page *self, size_t i)
{
    return (const char *)self->keys.ptr + self->entries[i].key_at;
}

void s3_list_page_free(struct s3_list_page *self);

/** <InitiateMultipartUploadResult>. */
enum status s3_xml_upload_id(struct view xml, char out[static S3_UPLOAD_ID_BYTES]) MUST_CHECK;

/**
 * <CompleteMultipartUploadResult>, or <Error> in spite of a good HTTP status: the storage sends the
 * status before it begins. OK: `etag` is set, or, when it is "", `error` is.
 */
enum status s3_xml_complete(struct view xml, char etag[static S3_ETAG_BYTES],
                            struct s3_xml_error *error) MUST_CHECK;

/* <Error> of one key in a <DeleteResult>. */
struct s3_undeleted {
    char key[S3_KEY_BYTES_MAX + 1]; /* cut when it is longer */
    struct s3_xml_error error;
};

/** <DeleteResult>: how many keys could not be deleted, and the first of them. */
enum status s3_xml_deleted(struct view xml, size_t *undeleted,
                           struct s3_undeleted *first) MUST_CHECK;

struct s3_upload_entry {
    char key[S3_KEY_BYTES_MAX + 1];
    char id[S3_UPLOAD_ID_BYTES];
    int64_t begun_ms;
};

/* <ListMultipartUploadsResult>. Zeroed before first use; may be used again. */
struct s3_upload_page {
    struct s3_upload_entry *entries; /* owned, `count` of them */
    size_t count;
    size_t capacity;
};

enum status s3_xml_uploads(struct view xml, struct s3_upload_page *out) MUST_CHECK;

void s3_upload_page_free(struct s3_upload_page *self);
