/* From the object of a snapshot to its rows. */
#include "backup/rows_fetch.h"

#include <stdio.h>
#include <string.h>

#include "backup/compress.h"
#include "backup/rows_stream.h"

enum { PART_BYTES = 8 * 1024 * 1024 };

struct fetching {
    const struct rows_fetch_job *job;
    struct decompressor *decompressor; /* owned, as the next one */
    struct rows_stream_reader rows;
    enum status refused; /* by job->row; OK: not yet */
    char *why;
};

static enum status complain(const struct fetching *self, const char *text)
{
    (void)snprintf(self->why, ROWS_FETCH_TEXT_BYTES, "%s", text);
    return STATUS_CORRUPT;
}

static void want_part(void *arg, size_t index, struct gather_want *want)
{
    const struct fetching *self = arg;
    const struct manifest *manifest = self->job->manifest;
    uint64_t offset = (uint64_t)index * PART_BYTES;
    uint64_t left = manifest->stored_bytes - offset;
    snapshot_name(want->key, &manifest->id, SNAPSHOT_ROWS);
    want->range = (struct s3_range){offset, left < PART_BYTES ? left : PART_BYTES};
    want->bytes_max = (size_t)want->range.bytes;
}

static enum status take_row(void *arg, struct view image, const struct session *session)
{
    struct fetching *self = arg;
    (void)session;
    if (self->job->row != NULL) {
        self->refused = self->job->row(self->job->arg, image);
    }
    return self->refused;
}

static enum status take_raw(void *arg, struct view raw)
{
    struct fetching *self = arg;
    return rows_stream_read(&self->rows, raw, take_row, self);
}

static enum status take_part(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct fetching *self = arg;
    if (got == S3_NOT_FOUND) {
        return STATUS_NOT_FOUND;
    }
    if (got != S3_OK) {
        return complain(self, s3_status_text(got));
    }
    enum status status = decompressor_read(self->decompressor, bytes, take_raw, self);
    if (self->refused != STATUS_OK || status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK) {
        return complain(self, self->rows.errmsg[0] != '\0'
                                  ? self->rows.errmsg
                                  : decompressor_error(self->decompressor));
    }
    self->job->progress(self->job->arg, (uint64_t)index * PART_BYTES + bytes.len);
    return STATUS_OK;
}

/* All has come. */
static enum status check_end(struct fetching *self)
{
    const struct manifest *manifest = self->job->manifest;
    uint8_t hash[HASH128_BYTES];
    decompressor_hash(self->decompressor, hash);
    if (decompressor_finish(self->decompressor) != STATUS_OK) {
        return complain(self, decompressor_error(self->decompressor));
    }
    if (rows_stream_finish(&self->rows) != STATUS_OK) {
        return complain(self, self->rows.errmsg);
    }
    if (memcmp(hash, manifest->hash, sizeof hash) != 0) {
        return complain(self, "its bytes are not those that were stored: another XXH3-128");
    }
    if (self->rows.rows != manifest->sessions ||
        decompressor_stored_bytes(self->decompressor) != manifest->stored_bytes ||
        memcmp(self->rows.uuid, manifest->uuid, sizeof manifest->uuid) != 0) {
        return complain(self, "it is not what its manifest says");
    }
    return STATUS_OK;
}

enum status rows_fetch(const struct rows_fetch_job *job, char why[static ROWS_FETCH_TEXT_BYTES])
{
    struct fetching self = {.job = job, .why = why};
    const struct gather_job gathering = {
        .count = (size_t)((job->manifest->stored_bytes + PART_BYTES - 1) / PART_BYTES),
        .want = want_part,
        .take = take_part,
        .arg = &self};
    why[0] = '\0';
    job->gather->errmsg[0] = '\0';
    self.decompressor = decompressor_new(job->manifest->raw_bytes);
    if (self.decompressor == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = gather_run(job->gather, &gathering);
    if (status == STATUS_OK) {
        status = check_end(&self);
    }
    decompressor_free(self.decompressor);
    rows_stream_close(&self.rows);
    return status;
}
