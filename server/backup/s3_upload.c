/* Large objects in parts. */
#include <stdio.h>
#include <string.h>

#include "backup/s3_private.h"

/* Joining the parts of a large object takes the storage minutes, in which it says little. */
enum { COMPLETE_IDLE_MS_MAX = 5 * 60 * 1000 };

static enum s3_status read_begun(struct s3 *client, struct s3_call *call)
{
    struct s3_upload *upload = call->arg;
    enum status decoded = s3_xml_upload_id(buf_view(&client->reply.body), upload->id);
    return decoded == STATUS_OK ? S3_OK
                                : s3_note_decoded(client, decoded, "no id of the upload came");
}

enum s3_status s3_upload_begin(struct s3 *self, const char *key, struct s3_upload *out)
{
    struct s3_call call = {.method = "POST",
                           .key = key,
                           .query = {{"uploads", ""}},
                           .query_count = 1,
                           .has_body = true,
                           .read = read_begun,
                           .arg = out};
    *out = (struct s3_upload){0};
    (void)snprintf(out->key, sizeof out->key, "%s", key);
    return s3_call_run(self, &call);
}

static enum s3_status read_part(struct s3 *client, struct s3_call *call)
{
    struct s3_part *part = call->arg;
    memcpy(part->etag, client->reply.etag, sizeof part->etag);
    return part->etag[0] != '\0'
               ? S3_OK
               : s3_note_decoded(client, STATUS_CORRUPT, "no ETag of the part came");
}

enum s3_status s3_upload_part(struct s3 *self, const struct s3_upload *upload, unsigned number,
                              struct view body, struct s3_part *out)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", number);
    struct s3_call call = {.method = "PUT",
                           .key = upload->key,
                           .query = {{"partNumber", text}, {"uploadId", upload->id}},
                           .query_count = 2,
                           .has_body = true,
                           .body = body,
                           .read = read_part,
                           .arg = out};
    *out = (struct s3_part){0};
    return s3_call_run(self, &call);
}

static enum s3_status read_complete(struct s3 *client, struct s3_call *call)
{
    struct s3_xml_error error;
    char *etag = call->arg;
    enum status decoded = s3_xml_complete(buf_view(&client->reply.body), etag, &error);
    if (decoded != STATUS_OK) {
        return s3_note_decoded(client, decoded, "the reply to joining the parts cannot be read");
    }
    /* The status was sent before the work began; what went wrong in it counts as a 500. */
    return etag[0] != '\0' ? S3_OK : s3_note_error(client, 500, &error);
}

/* <CompleteMultipartUpload>; ETags hold nothing that XML would need escaped. */
static enum status write_parts(const struct s3_part *parts, unsigned count, struct buf *out)
{
    enum status status = buf_printf(out, "<CompleteMultipartUpload>");
    for (unsigned i = 0; i < count && status == STATUS_OK; i++) {
        if (strpbrk(parts[i].etag, "<>&\"") != NULL) {
            return STATUS_INVALID;
        }
        status = buf_printf(out, "<Part><PartNumber>%u</PartNumber><ETag>\"%s\"</ETag></Part>",
                            i + 1, parts[i].etag);
    }
    return status == STATUS_OK ? buf_printf(out, "</CompleteMultipartUpload>") : status;
}

enum s3_status s3_upload_complete(struct s3 *self, const struct s3_upload *upload,
                                  const struct s3_part *parts, unsigned count, char *etag)
{
    char ignored[S3_ETAG_BYTES];
    struct buf body = {0};
    enum status written = count >= 1 && count <= S3_PARTS_MAX ? write_parts(parts, count, &body)
                                                              : STATUS_INVALID;
    enum s3_status status = written == STATUS_NO_MEMORY ? S3_NO_MEMORY : S3_INVALID;
    if (written == STATUS_OK) {
        struct s3_call call = {.method = "POST",
                               .key = upload->key,
                               .query = {{"uploadId", upload->id}},
                               .query_count = 1,
                               .has_body = true,
                               .body = buf_view(&body),
                               .idle_ms_max = COMPLETE_IDLE_MS_MAX,
                               .read = read_complete,
                               .arg = etag != NULL ? etag : ignored};
        status = s3_call_run(self, &call);
    } else {
        self->error = (struct s3_error){.status = status, .message = "the parts cannot be listed"};
    }
    buf_free(&body);
    return status;
}

enum s3_status s3_upload_abort(struct s3 *self, const struct s3_upload *upload)
{
    struct s3_call call = {.method = "DELETE",
                           .key = upload->key,
                           .query = {{"uploadId", upload->id}},
                           .query_count = 1};
    enum s3_status status = s3_call_run(self, &call);
    return status == S3_NO_UPLOAD || status == S3_NOT_FOUND ? S3_OK : status;
}

static enum s3_status read_uploads(struct s3 *client, struct s3_call *call)
{
    enum status decoded = s3_xml_uploads(buf_view(&client->reply.body), call->arg);
    return decoded == STATUS_OK
               ? S3_OK
               : s3_note_decoded(client, decoded, "the list of uploads cannot be read");
}

enum s3_status s3_list_uploads(struct s3 *self, const char *prefix, s3_uploads_fn each, void *arg)
{
    char whole[2 * S3_KEY_BYTES_MAX];
    struct s3_upload_page page = {0};
    size_t prefix_len = strlen(self->prefix);
    (void)snprintf(whole, sizeof whole, "%s%s", self->prefix, prefix);
    /* No encoding-type: radosgw encodes keys then, and does not say so. */
    struct s3_call call = {.method = "GET",
                           .query = {{"uploads", ""}, {"prefix", whole}},
                           .query_count = 2,
                           .read = read_uploads,
                           .arg = &page};
    enum s3_status status = s3_call_run(self, &call);
    for (size_t i = 0; i < page.count && status == S3_OK; i++) {
        struct s3_upload upload;
        /* A storage may pass the prefix over. */
        if (strncmp(page.entries[i].key, whole, strlen(whole)) == 0) {
            (void)snprintf(upload.key, sizeof upload.key, "%s", page.entries[i].key + prefix_len);
            (void)snprintf(upload.id, sizeof upload.id, "%s", page.entries[i].id);
            each(arg, &upload, page.entries[i].begun_ms);
        }
    }
    s3_upload_page_free(&page);
    return status;
}
