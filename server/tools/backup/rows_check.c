/* Reading the rows of a snapshot without keeping them. */
#include "tools/backup/rows_check.h"

#include <stdio.h>
#include <string.h>

#include "backup/compress.h"
#include "backup/rows_stream.h"

enum { PART_BYTES = 8 * 1024 * 1024 };

struct checking {
    const struct manifest *manifest;
    struct decompressor *decompressor;
    struct rows_stream_reader rows;
    rows_check_fn each;
    void *arg;
    char *why;
};

static enum status complain(const struct checking *self, const char *text)
{
    (void)snprintf(self->why, ROWS_CHECK_TEXT_BYTES, "%s", text);
    return STATUS_CORRUPT;
}

static void want_part(void *arg, size_t index, struct gather_want *want)
{
    const struct checking *self = arg;
    uint64_t offset = (uint64_t)index * PART_BYTES;
    uint64_t left = self->manifest->stored_bytes - offset;
    snapshot_name(want->key, &self->manifest->id, SNAPSHOT_ROWS);
    want->range = (struct s3_range){offset, left < PART_BYTES ? left : PART_BYTES};
    want->bytes_max = (size_t)want->range.bytes;
}

/* The stream's reader has decoded it already. */
static enum status pass_row(void *arg, struct view image, const struct session *session)
{
    (void)arg;
    (void)image;
    (void)session;
    return STATUS_OK;
}

static enum status take_raw(void *arg, struct view raw)
{
    struct checking *self = arg;
    return rows_stream_read(&self->rows, raw, pass_row, self);
}

static enum status take_part(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct checking *self = arg;
    if (got == S3_NOT_FOUND) {
        return STATUS_NOT_FOUND;
    }
    if (got != S3_OK) {
        return complain(self, s3_status_text(got));
    }
    enum status status = decompressor_read(self->decompressor, bytes, take_raw, self);
    if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        return complain(self, self->rows.errmsg[0] != '\0'
                                  ? self->rows.errmsg
                                  : decompressor_error(self->decompressor));
    }
    self->each(self->arg, (uint64_t)index * PART_BYTES + bytes.len);
    return status;
}

/* All has come. */
static enum status check_end(struct checking *self)
{
    const struct manifest *manifest = self->manifest;
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

enum status rows_check(struct gather *gather, const struct manifest *manifest, rows_check_fn each,
                       void *arg, char why[static ROWS_CHECK_TEXT_BYTES])
{
    struct checking self = {.manifest = manifest, .each = each, .arg = arg, .why = why};
    const struct gather_job job = {
        .count = (size_t)((manifest->stored_bytes + PART_BYTES - 1) / PART_BYTES),
        .want = want_part,
        .take = take_part,
        .arg = &self};
    why[0] = '\0';
    self.decompressor = decompressor_new(manifest->raw_bytes);
    if (self.decompressor == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = gather_run(gather, &job);
    if (status == STATUS_OK) {
        status = check_end(&self);
    }
    decompressor_free(self.decompressor);
    rows_stream_close(&self.rows);
    return status;
}
