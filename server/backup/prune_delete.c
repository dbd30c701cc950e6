/* Deleting what was decided on, and what others have left behind. */
#include <stdio.h>
#include <stdlib.h>

#include "backup/hold.h"
#include "backup/prune_private.h"

static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;

struct batch {
    char keys[S3_DELETE_MAX][SNAPSHOT_NAME_BYTES];
    const char *at[S3_DELETE_MAX];
};

_Static_assert((int)SLOT_NAME_BYTES <= (int)SNAPSHOT_NAME_BYTES, "one array for all keys");

static void name_doomed(const struct prune *self, const struct doomed *doomed,
                        char out[static SNAPSHOT_NAME_BYTES])
{
    const struct survey_snapshot *snapshots = self->look.survey.snapshots;
    switch (doomed->kind) {
    case DOOMED_MANIFEST:
        snapshot_name(out, &snapshots[doomed->number].id, SNAPSHOT_MANIFEST);
        break;
    case DOOMED_ROWS:
        snapshot_name(out, &snapshots[doomed->number].id, SNAPSHOT_ROWS);
        break;
    case DOOMED_SLOT:
        slot_name(out, doomed->number);
        break;
    }
}

/* How many from `begin` on go with one request: of one kind, so that they go in order. */
static size_t batch_count(const struct prune *self, size_t begin)
{
    size_t count = 1;
    while (count < S3_DELETE_MAX && begin + count < self->doomed_count &&
           self->doomed[begin + count].kind == self->doomed[begin].kind) {
        count++;
    }
    return count;
}

static void count_gone(struct prune *self, const struct doomed *doomed)
{
    struct prune_report *report = self->report;
    report->objects_gone++;
    report->bytes_gone += doomed->bytes;
    switch (doomed->kind) {
    case DOOMED_MANIFEST:
        report->snapshots_gone++;
        break;
    case DOOMED_ROWS:
        report->orphans_gone += !self->look.survey.snapshots[doomed->number].has_manifest;
        break;
    case DOOMED_SLOT:
        report->slots_gone++;
        break;
    }
}

static enum status delete_batch(struct prune *self, struct batch *batch, size_t begin, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        name_doomed(self, &self->doomed[begin + i], batch->keys[i]);
        batch->at[i] = batch->keys[i];
    }
    return s3_delete_many(self->s3, batch->at, count) == S3_OK
               ? STATUS_OK
               : prune_storage_failed(self, "delete what is too old");
}

/* END: a restore has begun meanwhile, and what is left has to stay for now. */
static enum status check_holds(struct prune *self)
{
    uint64_t hold_seq = 0;
    enum status status = prune_find_holds(self, &hold_seq);
    if (status == STATUS_OK && hold_seq < self->input.hold_seq) {
        (void)snprintf(self->report->nothing, sizeof self->report->nothing,
                       "a restore has begun meanwhile: the rest stays until the next time");
        return STATUS_END;
    }
    return status;
}

enum status prune_delete(struct prune *self)
{
    enum status status = STATUS_OK;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return prune_say(self, STATUS_NO_MEMORY, "out of memory");
    }
    for (size_t begin = 0; begin < self->doomed_count && status == STATUS_OK;) {
        size_t count = batch_count(self, begin);
        prune_show(self, PRUNE_DELETING, begin, self->doomed_count);
        if (!self->job->is_dry) {
            status = check_holds(self);
        }
        if (status == STATUS_OK && !self->job->is_dry) {
            status = delete_batch(self, batch, begin, count);
        }
        for (size_t i = 0; i < count && status == STATUS_OK; i++) {
            count_gone(self, &self->doomed[begin + i]);
        }
        begin += count;
    }
    free(batch);
    return status;
}

/* ---- What was left behind ------------------------------------------------------------------- */

/* A hold whose restore has died. */
static bool count_void_hold(void *arg, const struct hold_found *found)
{
    struct prune *self = arg;
    self->report->holds_gone += found->is_void;
    return true;
}

struct void_hold {
    char key[HOLD_NAME_BYTES];
    bool is_found;
};

static bool keep_void_hold(void *arg, const struct hold_found *found)
{
    struct void_hold *hold = arg;
    hold->is_found = found->is_void;
    (void)snprintf(hold->key, sizeof hold->key, "%s", found->key);
    return !hold->is_found;
}

/* They are few, so one is looked for and deleted after the other. */
static enum status delete_void_holds(struct prune *self)
{
    if (self->job->is_dry) {
        return hold_list(self->s3, count_void_hold, self) == S3_OK
                   ? STATUS_OK
                   : prune_storage_failed(self, "list holds");
    }
    for (;;) {
        struct void_hold hold = {0};
        if (hold_list(self->s3, keep_void_hold, &hold) != S3_OK) {
            return prune_storage_failed(self, "list holds");
        }
        if (!hold.is_found) {
            return STATUS_OK;
        }
        if (s3_delete(self->s3, hold.key) != S3_OK) {
            return prune_storage_failed(self, "delete a hold");
        }
        self->report->holds_gone++;
    }
}

static void end_upload(void *arg, const struct s3_upload *upload, int64_t begun_ms)
{
    struct prune *self = arg;
    struct snapshot_id id;
    enum snapshot_object object;
    bool is_ours = snapshot_parse_name(upload->key, &id, &object) && object == SNAPSHOT_ROWS;
    if (is_ours && begun_ms != 0 && self->input.now_ms - begun_ms >= day_ms &&
        (self->job->is_dry || s3_upload_abort(self->s3, upload) == S3_OK)) {
        self->report->uploads_gone++;
    }
}

/* Listing them needs a permission of its own; without it the bucket's own rules have to do. */
static enum status end_uploads(struct prune *self)
{
    switch (s3_list_uploads(self->s3, "snap/", end_upload, self)) {
    case S3_OK:
    case S3_DENIED:
    case S3_UNSUPPORTED:
    case S3_REFUSED:
    case S3_NOT_FOUND:
        return STATUS_OK;
    default:
        return prune_storage_failed(self, "list unfinished uploads");
    }
}

enum status prune_sweep(struct prune *self)
{
    enum status status = delete_void_holds(self);
    return status == STATUS_OK ? end_uploads(self) : status;
}
