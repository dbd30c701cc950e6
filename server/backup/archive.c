/* Slots and manifests as objects. */
#include "backup/archive.h"

#include "backup/manifest.h"
#include "backup/slot.h"

/* ---- Reading and writing objects ------------------------------------------------------------ */

struct bounded {
    struct buf *out; /* borrowed */
    size_t bytes_max;
    enum status status;
};

static enum status take_bytes(void *arg, struct view bytes)
{
    struct bounded *self = arg;
    self->status = STATUS_TOO_LARGE;
    if (bytes.len <= self->bytes_max - self->out->len) {
        self->status = buf_append(self->out, bytes);
    }
    return self->status;
}

static enum s3_status get(struct archive *self, const char *key, size_t bytes_max, struct buf *out)
{
    struct bounded bounded = {.out = out, .bytes_max = bytes_max};
    out->len = 0;
    enum s3_status status = s3_get(self->s3, key, NULL, take_bytes, &bounded, NULL);
    if (status == S3_STOPPED) {
        return bounded.status == STATUS_NO_MEMORY ? S3_NO_MEMORY : S3_TOO_LARGE;
    }
    return status;
}

/* Without conditions looking first is the best that can be done. */
static enum s3_status put_new(struct archive *self, const char *key, struct view bytes)
{
    if (self->is_conditional) {
        return s3_put(self->s3, key, bytes, S3_PUT_IF_ABSENT);
    }
    struct s3_object object;
    enum s3_status status = s3_head(self->s3, key, &object);
    switch (status) {
    case S3_OK:
        return S3_EXISTS;
    case S3_NOT_FOUND:
        return s3_put(self->s3, key, bytes, 0);
    default:
        return status;
    }
}

/* ---- Slots ---------------------------------------------------------------------------------- */

enum s3_status archive_put_slot(struct archive *self, uint64_t seq, struct view bytes)
{
    char key[SLOT_NAME_BYTES];
    slot_name(key, seq);
    return put_new(self, key, bytes);
}

enum s3_status archive_get_slot(struct archive *self, uint64_t seq, struct buf *out)
{
    char key[SLOT_NAME_BYTES];
    slot_name(key, seq);
    return get(self, key, SLOT_BYTES_MAX, out);
}

static bool note_slot(void *arg, const char *key, const struct s3_object *object)
{
    struct archive_tail *tail = arg;
    uint64_t seq;
    (void)object;
    if (!slot_parse_name(key, &seq)) {
        return true; /* not ours */
    }
    if (tail->count == 0) {
        tail->first_seq = seq;
        tail->hole_seq = seq;
    }
    tail->hole_seq += tail->hole_seq == seq ? 1 : 0;
    tail->last_seq = seq;
    tail->count++;
    return true;
}

enum s3_status archive_find_tail(struct archive *self, uint64_t from_seq, struct archive_tail *out)
{
    char after[SLOT_NAME_BYTES];
    struct s3_list_options options = {.prefix = "log/"};
    *out = (struct archive_tail){0};
    if (from_seq > 0) {
        slot_name(after, from_seq - 1);
        options.start_after = after;
    }
    return s3_list(self->s3, &options, note_slot, out);
}

/* ---- Manifests ------------------------------------------------------------------------------ */

struct manifests {
    archive_manifest_fn each;
    void *arg;
};

static bool tell_manifest(void *arg, const char *key, const struct s3_object *object)
{
    const struct manifests *self = arg;
    struct snapshot_id id;
    enum snapshot_object which;
    (void)object;
    bool is_manifest = snapshot_parse_name(key, &id, &which) && which == SNAPSHOT_MANIFEST;
    return !is_manifest || self->each(self->arg, key, &id);
}

enum s3_status archive_list_manifests(struct archive *self, archive_manifest_fn each, void *arg)
{
    struct manifests manifests = {.each = each, .arg = arg};
    return s3_list(self->s3, &(struct s3_list_options){.prefix = "snap/"}, tell_manifest,
                   &manifests);
}

enum s3_status archive_get_manifest(struct archive *self, const char *key, struct buf *out)
{
    return get(self, key, MANIFEST_BYTES_MAX, out);
}

static bool keep_last(void *arg, const char *key, const struct snapshot_id *id)
{
    struct manifest *newest = arg;
    (void)key;
    newest->id = *id;
    return true;
}

enum s3_status archive_find_newest(struct archive *self, struct manifest *out, bool *is_found)
{
    char key[SNAPSHOT_NAME_BYTES];
    char errmsg[MANIFEST_ERRMSG_BYTES];
    struct manifest newest = {.id.from_lsn = UINT64_MAX};
    struct buf json = {0};
    *is_found = false;
    enum s3_status status = archive_list_manifests(self, keep_last, &newest);
    if (status != S3_OK || newest.id.from_lsn == UINT64_MAX) {
        return status;
    }
    snapshot_name(key, &newest.id, SNAPSHOT_MANIFEST);
    status = archive_get_manifest(self, key, &json);
    if (status == S3_OK && manifest_decode(buf_view(&json), out, errmsg) == STATUS_OK) {
        *is_found = true;
    }
    buf_free(&json);
    /* What is gone or damaged is no help, but no obstacle either. */
    return status == S3_NOT_FOUND || status == S3_TOO_LARGE ? S3_OK : status;
}

enum s3_status archive_put_manifest(struct archive *self, const char *key, struct view bytes)
{
    return put_new(self, key, bytes);
}

enum s3_status archive_delete(struct archive *self, const char *key)
{
    return s3_delete(self->s3, key);
}
