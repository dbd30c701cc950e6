/*
 * Deleting many objects with one request:
 *
 *     POST /?delete    Content-MD5: …
 *     <Delete><Quiet>true</Quiet><Object><Key>…</Key></Object> … </Delete>
 *
 * The request has to have a checksum besides its signed hash, and MD5 is the one that S3, radosgw
 * and Swift take all ("DeleteObjects", Amazon S3 API reference). Quiet: the reply names only what
 * could not be deleted.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "backup/s3_private.h"

enum { MD5_BYTES = 16, MD5_TEXT_BYTES = 28 };

/* Deleting a thousand objects takes a storage seconds in which it says nothing. */
enum { DELETE_IDLE_MS_MAX = 2 * 60 * 1000 };

static enum s3_status read_deleted(struct s3 *client, struct s3_call *call)
{
    struct s3_undeleted first;
    size_t undeleted = 0;
    (void)call;
    enum status decoded = s3_xml_deleted(buf_view(&client->reply.body), &undeleted, &first);
    if (decoded != STATUS_OK) {
        return s3_note_decoded(client, decoded, "the reply to deleting cannot be read");
    }
    if (undeleted == 0) {
        return S3_OK;
    }
    struct s3_xml_error error = first.error;
    int len = snprintf(error.message, sizeof error.message, "%.100s", first.key);
    (void)snprintf(error.message + len, sizeof error.message - (size_t)len, ": %.100s",
                   first.error.message);
    /* Keys have codes and no status of their own. */
    unsigned code = strcmp(error.code, "AccessDenied") == 0 ? 403 : 500;
    return s3_note_error(client, code, &error);
}

static enum status append_escaped(struct buf *out, const char *text)
{
    enum status status = STATUS_OK;
    for (; *text != '\0' && status == STATUS_OK; text++) {
        bool is_plain = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                        (*text >= 'A' && *text <= 'Z') || strchr("/._- ", *text) != NULL ||
                        (*text & 0x80) != 0;
        status = is_plain ? buf_append(out, view_of(text, 1))
                          : buf_printf(out, "&#%u;", (unsigned char)*text);
    }
    return status;
}

static enum status write_keys(const struct s3 *self, const char *const *keys, size_t count,
                              struct buf *out)
{
    enum status status = buf_printf(out, "<Delete><Quiet>true</Quiet>");
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = buf_printf(out, "<Object><Key>");
        status = status == STATUS_OK ? append_escaped(out, self->prefix) : status;
        status = status == STATUS_OK ? append_escaped(out, keys[i]) : status;
        status = status == STATUS_OK ? buf_printf(out, "</Key></Object>") : status;
    }
    return status == STATUS_OK ? buf_printf(out, "</Delete>") : status;
}

/* False: this libcrypto has no MD5, as where only approved algorithms are allowed. */
static bool write_md5(struct view body, char out[static MD5_TEXT_BYTES])
{
    unsigned char digest[MD5_BYTES];
    size_t len = 0;
    if (EVP_Q_digest(NULL, "MD5", NULL, body.ptr, body.len, digest, &len) != 1 ||
        len != sizeof digest) {
        return false;
    }
    (void)EVP_EncodeBlock((unsigned char *)out, digest, MD5_BYTES);
    return true;
}

static enum s3_status delete_singly(struct s3 *self, const char *const *keys, size_t count)
{
    enum s3_status status = S3_OK;
    for (size_t i = 0; i < count && status == S3_OK; i++) {
        status = s3_delete(self, keys[i]);
    }
    return status;
}

static enum s3_status delete_at_once(struct s3 *self, const char *md5, struct view body)
{
    struct s3_call call = {.method = "POST",
                           .query = {{"delete", ""}},
                           .query_count = 1,
                           .header = {{"Content-MD5", md5}, {"Content-Type", "application/xml"}},
                           .header_count = 2,
                           .has_body = true,
                           .body = body,
                           .idle_ms_max = DELETE_IDLE_MS_MAX,
                           .read = read_deleted};
    return s3_call_run(self, &call);
}

enum s3_status s3_delete_many(struct s3 *self, const char *const *keys, size_t count)
{
    char md5[MD5_TEXT_BYTES];
    struct buf body = {0};
    self->error = (struct s3_error){0};
    if (count > S3_DELETE_MAX) {
        self->error.status = S3_INVALID;
        return S3_INVALID;
    }
    if (count <= 1 || self->deletes_singly) {
        return delete_singly(self, keys, count);
    }
    enum s3_status status = S3_NO_MEMORY;
    self->error.status = status;
    if (write_keys(self, keys, count, &body) == STATUS_OK) {
        status = write_md5(buf_view(&body), md5) ? delete_at_once(self, md5, buf_view(&body))
                                                 : S3_UNSUPPORTED;
    }
    buf_free(&body);
    /* Who does not know the request may also find something wrong with it. */
    if (status == S3_UNSUPPORTED || status == S3_REFUSED) {
        self->deletes_singly = true;
        status = delete_singly(self, keys, count);
    }
    return status;
}
