/* Taking a snapshot; snapshot.h has the picture. */
#include "backup/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "backup/compress.h"
#include "backup/rows_stream.h"
#include "base/random.h"

enum {
    EXPORT_BYTES = 64 * 1024, /* some ten microseconds of the checkpoint thread's */
    PART_BYTES = 8 * 1024 * 1024,
};

struct snapshot {
    const struct snapshot_job *job;
    struct manifest manifest;      /* as far as it is known */
    struct compressor *compressor; /* owned, as all below */
    struct buf raw;                /* a part of the stream */
    struct buf part;               /* compressed, not sent yet */
    struct s3_part *parts;
    struct s3_upload upload;
    bool is_uploading;
    struct snapshot_progress progress;
    char *errmsg; /* borrowed: SNAPSHOT_ERRMSG_BYTES */
};

/* ---- What went wrong ------------------------------------------------------------------------ */

static enum status out_of_memory(struct snapshot *self)
{
    (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES, "out of memory");
    return STATUS_NO_MEMORY;
}

static enum status storage_failed(struct snapshot *self, const char *what)
{
    char why[SNAPSHOT_ERRMSG_BYTES / 2];
    enum s3_status status = s3_last_error(self->job->s3)->status;
    s3_describe_error(self->job->s3, why, sizeof why);
    (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES, "cannot %s: %s", what, why);
    return status == S3_CANCELLED   ? STATUS_AGAIN
           : status == S3_NO_MEMORY ? STATUS_NO_MEMORY
                                    : STATUS_IO;
}

static void tell_progress(const struct snapshot *self)
{
    if (self->job->progress != NULL) {
        self->job->progress(self->job->arg, &self->progress);
    }
}

/* ---- Bytes to parts ------------------------------------------------------------------------- */

static enum status send_part(struct snapshot *self)
{
    struct manifest *manifest = &self->manifest;
    if (manifest->parts == MANIFEST_PARTS_MAX) {
        (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES,
                       "the sessions are too large for one object of %d parts", MANIFEST_PARTS_MAX);
        return STATUS_TOO_LARGE;
    }
    struct view bytes = buf_view(&self->part);
    if (s3_upload_part(self->job->s3, &self->upload, manifest->parts + 1, bytes,
                       &self->parts[manifest->parts]) != S3_OK) {
        return storage_failed(self, "send a part of the snapshot");
    }
    manifest->parts++;
    self->progress.sent_bytes += bytes.len;
    tell_progress(self);
    self->part.len = 0;
    return STATUS_OK;
}

/* Compresses what is in `raw`, and sends a part when there is enough for one. */
static enum status compress(struct snapshot *self)
{
    if (compressor_write(self->compressor, buf_view(&self->raw), &self->part) != STATUS_OK) {
        return out_of_memory(self);
    }
    self->raw.len = 0;
    return self->part.len >= PART_BYTES ? send_part(self) : STATUS_OK;
}

/* The end of the stream, and the last part. */
static enum status finish(struct snapshot *self)
{
    struct manifest *manifest = &self->manifest;
    if (rows_stream_put_end(&self->raw, manifest->sessions) != STATUS_OK ||
        compressor_write(self->compressor, buf_view(&self->raw), &self->part) != STATUS_OK ||
        compressor_finish(self->compressor, &self->part) != STATUS_OK) {
        return out_of_memory(self);
    }
    manifest->raw_bytes = compressor_raw_bytes(self->compressor);
    manifest->stored_bytes = compressor_stored_bytes(self->compressor);
    compressor_hash(self->compressor, manifest->hash);
    return send_part(self);
}

/* ---- Rows ----------------------------------------------------------------------------------- */

/* How many rows there are in what the store appended: each is its length and its image. */
static uint64_t count_rows(struct view rows)
{
    uint64_t count = 0;
    for (size_t at = 0; at < rows.len; at += 4 + load_u32(rows.ptr + at)) {
        count++;
    }
    return count;
}

static enum status export_failed(struct snapshot *self, enum status status)
{
    (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES, "cannot read the data file: %s",
                   status == STATUS_AGAIN ? "the store is closing" : status_text(status));
    return status;
}

/* All changes that the rows may have are durable by now. A life begins with a jump of lsns, and
 * until its first change what lies in between is no state that slots could lead to. */
static uint64_t newest_lsn(const struct store *store)
{
    struct store_identity identity;
    store_identify(store, &identity);
    uint64_t durable_lsn = store_durable_lsn(store);
    return durable_lsn >= identity.first_lsn ? durable_lsn : identity.last_lsn;
}

/* The store's rows are the stream's: lengths and images. */
static enum status send_rows(struct snapshot *self)
{
    const struct snapshot_job *job = self->job;
    struct store_export state = {0};
    enum status status;
    /* The first part comes after a checkpoint, so the rows have what the log has until now. */
    do {
        size_t before = self->raw.len;
        status = store_export_part(job->store, &state, EXPORT_BYTES, &self->raw);
        if (status != STATUS_OK && status != STATUS_END) {
            return export_failed(self, status);
        }
        if (state.applied_lsn < job->from_lsn) {
            (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES,
                           "no checkpoint could be written: is the disk full?");
            return STATUS_NO_SPACE;
        }
        self->manifest.sessions += count_rows(
            view_of(self->raw.ptr + before, self->raw.len - before));
        self->progress.sessions = self->manifest.sessions;
        tell_progress(self);
        enum status sent = compress(self);
        if (sent != STATUS_OK) {
            return sent;
        }
    } while (status == STATUS_OK);
    self->manifest.through_lsn = newest_lsn(job->store);
    self->manifest.time_ms = clock_wall_ms(job->clock);
    return finish(self);
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum status prepare(struct snapshot *self)
{
    const struct snapshot_job *job = self->job;
    struct store_identity identity;
    store_identify(job->store, &identity);
    self->manifest = (struct manifest){
        .id = {.from_lsn = job->from_lsn,
               .epoch = (uint32_t)identity.epoch,
               .nonce = (uint32_t)random_u64()},
        .version = SATCHEL_VERSION_TEXT,
        .hash_seed = identity.hash_seed,
        .next_seq = job->next_seq,
    };
    memcpy(self->manifest.uuid, identity.uuid, sizeof self->manifest.uuid);
    self->progress.sessions_about = store_session_count(job->store);
    tell_progress(self);
    self->compressor = compressor_new();
    self->parts = calloc(MANIFEST_PARTS_MAX, sizeof *self->parts);
    bool is_ready = self->compressor != NULL && self->parts != NULL &&
                    rows_stream_put_header(&self->raw, identity.uuid, identity.hash_seed) ==
                        STATUS_OK;
    return is_ready ? STATUS_OK : out_of_memory(self);
}

static enum status upload_rows(struct snapshot *self)
{
    struct s3 *s3 = self->job->s3;
    char key[SNAPSHOT_NAME_BYTES];
    snapshot_name(key, &self->manifest.id, SNAPSHOT_ROWS);
    if (s3_upload_begin(s3, key, &self->upload) != S3_OK) {
        return storage_failed(self, "begin a snapshot");
    }
    self->is_uploading = true;
    enum status status = send_rows(self);
    if (status != STATUS_OK) {
        return status;
    }
    if (s3_upload_complete(s3, &self->upload, self->parts, self->manifest.parts, NULL) != S3_OK) {
        /* An attempt whose reply was lost may have done it; then the upload is gone. */
        struct s3_object object;
        if (s3_last_error(s3)->status != S3_NO_UPLOAD || s3_head(s3, key, &object) != S3_OK ||
            object.bytes != self->manifest.stored_bytes) {
            return storage_failed(self, "complete a snapshot");
        }
    }
    self->is_uploading = false;
    return STATUS_OK;
}

static enum status put_manifest(struct snapshot *self)
{
    struct s3 *s3 = self->job->s3;
    char key[SNAPSHOT_NAME_BYTES];
    snapshot_name(key, &self->manifest.id, SNAPSHOT_MANIFEST);
    self->raw.len = 0;
    enum status status = manifest_encode(&self->manifest, &self->raw);
    if (status != STATUS_OK) {
        (void)snprintf(self->errmsg, SNAPSHOT_ERRMSG_BYTES, "the manifest: %s",
                       status_text(status));
        return status;
    }
    enum s3_status put = s3_put(s3, key, buf_view(&self->raw), S3_PUT_IF_ABSENT);
    if (put == S3_UNSUPPORTED) { /* a storage without conditions; the name is random enough */
        put = s3_put(s3, key, buf_view(&self->raw), 0);
    }
    /* An earlier attempt of ours may have stored it. */
    bool is_ours = put == S3_EXISTS && s3_last_error(s3)->maybe_done;
    return put == S3_OK || is_ours ? STATUS_OK : storage_failed(self, "store the manifest");
}

enum status snapshot_take(const struct snapshot_job *job, struct manifest *out,
                          char errmsg[static SNAPSHOT_ERRMSG_BYTES])
{
    struct snapshot self = {.job = job, .errmsg = errmsg};
    enum status status = prepare(&self);
    if (status == STATUS_OK) {
        status = upload_rows(&self);
    }
    if (status == STATUS_OK) {
        status = put_manifest(&self);
    }
    if (self.is_uploading) {
        /* If this fails, the bucket's own rule about unfinished uploads has to see to it. */
        enum s3_status aborted = s3_upload_abort(job->s3, &self.upload);
        (void)aborted;
    }
    *out = self.manifest;
    compressor_free(self.compressor);
    free(self.parts);
    buf_free(&self.raw);
    buf_free(&self.part);
    return status;
}
