/* Deleting what retention gives up; prune.h has the picture. */
#include "backup/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/hold.h"
#include "backup/look.h"

static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;

enum doomed_kind { DOOMED_MANIFEST, DOOMED_ROWS, DOOMED_SLOT };

/* An object that goes. */
struct doomed {
    enum doomed_kind kind;
    uint64_t number; /* of a snapshot: its index in the survey; of a slot: its seq */
    uint64_t bytes;
};

struct prune {
    const struct prune_job *job;
    struct prune_report *report;
    struct s3 *s3; /* lists and deletes */
    struct gather gather;
    struct look look;
    struct retention_input input; /* its arrays are owned */
    struct retention_snapshot *snapshots;
    struct retention_slot *slots;
    uint64_t *slot_bytes; /* owned; of each of them */
    size_t slot_cap;
    struct retention decided;
    struct doomed *doomed; /* owned; in the order in which they go */
    size_t doomed_count;
};

/* ---- Failing -------------------------------------------------------------------------------- */

static enum status say(struct prune *self, enum status status, const char *text)
{
    (void)snprintf(self->report->text, sizeof self->report->text, "%s", text);
    return status;
}

static enum status no_memory(struct prune *self)
{
    return say(self, STATUS_NO_MEMORY, "out of memory");
}

static enum status storage_failed(struct prune *self, const char *doing)
{
    return gather_failed(self->s3, doing, self->report->text, sizeof self->report->text);
}

static void show(const struct prune *self, enum prune_stage stage, uint64_t done, uint64_t total)
{
    if (self->job->progress != NULL) {
        self->job->progress(self->job->arg, stage, done, total);
    }
}

/* ---- What there is -------------------------------------------------------------------------- */

static enum retention_kind kind_of(enum survey_state state)
{
    switch (state) {
    case SURVEY_GOOD:
        return RETENTION_GOOD;
    case SURVEY_NEWER:
        return RETENTION_UNKNOWN;
    case SURVEY_DAMAGED:
    case SURVEY_NO_ROWS:
    case SURVEY_WRONG_SIZE:
        return RETENTION_DAMAGED;
    case SURVEY_UNFINISHED:
    case SURVEY_GONE: /* somebody else prunes */
        break;
    }
    return RETENTION_ORPHAN;
}

static enum status take_snapshots(struct prune *self)
{
    const struct survey *survey = &self->look.survey;
    const struct manifest *first = NULL;
    self->snapshots = calloc(survey->snapshot_count + 1, sizeof *self->snapshots);
    if (self->snapshots == NULL) {
        return no_memory(self);
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        const struct survey_snapshot *from = &survey->snapshots[i];
        struct retention_snapshot *to = &self->snapshots[i];
        bool is_read = survey_has_manifest(from);
        *to = (struct retention_snapshot){.kind = kind_of(from->state),
                                          .next_seq = is_read ? from->manifest.next_seq
                                                              : UINT64_MAX,
                                          .through_lsn = from->manifest.through_lsn,
                                          .stored_ms = from->rows_modified_ms};
        if (from->manifest_modified_ms > to->stored_ms) {
            to->stored_ms = from->manifest_modified_ms;
        }
        if (is_read && first == NULL) {
            first = &from->manifest;
        }
        self->input.has_many_stores = self->input.has_many_stores ||
                                      (is_read && memcmp(first->uuid, from->manifest.uuid,
                                                         sizeof first->uuid) != 0);
    }
    self->input.snapshots = self->snapshots;
    self->input.snapshot_count = survey->snapshot_count;
    return STATUS_OK;
}

/* Finds with which snapshot a restore of the latest state would begin. */
static enum status find_latest(struct prune *self)
{
    static const struct target latest = {.kind = TARGET_LATEST};
    struct look *look = &self->look;
    struct plan plan = {0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !plan.is_settled) {
        status = look_back(look, &latest);
        if (status == STATUS_OK) {
            plan_free(&plan);
            status = look_plan(look, &latest, &plan);
        }
    }
    self->input.latest = SIZE_MAX;
    for (size_t i = 0; i < look->survey.snapshot_count && plan.is_found; i++) {
        const struct snapshot_id *id = &look->manifests[plan.manifest].id;
        if (memcmp(&look->survey.snapshots[i].id, id, sizeof *id) == 0) {
            self->input.latest = i;
        }
    }
    plan_free(&plan);
    return status == STATUS_OK || status == STATUS_END ? STATUS_OK : say(self, status, look->text);
}

static bool note_hold(void *arg, const struct hold_found *found)
{
    uint64_t *hold_seq = arg;
    if (!found->is_void && found->first_seq < *hold_seq) {
        *hold_seq = found->first_seq;
    }
    return true;
}

/* The first slot that is held; UINT64_MAX: none is. */
static enum status find_holds(struct prune *self, uint64_t *hold_seq)
{
    *hold_seq = UINT64_MAX;
    return hold_list(self->s3, note_hold, hold_seq) == S3_OK
               ? STATUS_OK
               : storage_failed(self, "look for restores that are running");
}

/* ---- The log: no more of it than may go ----------------------------------------------------- */

static enum status make_room(struct prune *self)
{
    if (self->input.slot_count < self->slot_cap) {
        return STATUS_OK;
    }
    size_t cap = self->slot_cap == 0 ? 4096 : self->slot_cap * 2;
    struct retention_slot *slots = reallocarray(self->slots, cap, sizeof *slots);
    self->slots = slots != NULL ? slots : self->slots;
    uint64_t *bytes = reallocarray(self->slot_bytes, cap, sizeof *bytes);
    self->slot_bytes = bytes != NULL ? bytes : self->slot_bytes;
    if (slots == NULL || bytes == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->slot_cap = cap;
    return STATUS_OK;
}

struct listing {
    struct prune *prune;
    enum status status;
};

static bool note_slot(void *arg, const char *key, const struct s3_object *object)
{
    struct listing *listing = arg;
    struct prune *self = listing->prune;
    uint64_t seq = 0;
    if (!slot_parse_name(key, &seq)) {
        return true; /* none of ours */
    }
    listing->status = make_room(self);
    if (listing->status != STATUS_OK) {
        return false;
    }
    self->slot_bytes[self->input.slot_count] = object->bytes;
    self->slots[self->input.slot_count++] = (struct retention_slot){seq, object->modified_ms};
    return seq < self->decided.keep_seq; /* the next one tells that these are not the last */
}

static enum status list_log(struct prune *self)
{
    struct listing listing = {.prune = self};
    const struct s3_list_options options = {.prefix = "log/"};
    enum s3_status listed = s3_list(self->s3, &options, note_slot, &listing);
    if (listing.status != STATUS_OK) {
        return no_memory(self);
    }
    self->input.slots = self->slots;
    return listed == S3_OK ? STATUS_OK : storage_failed(self, "list the log");
}

/* ---- Deciding ------------------------------------------------------------------------------- */

static enum status decide_once(struct prune *self)
{
    retention_free(&self->decided);
    return retention_decide(&self->input, &self->decided) == STATUS_OK ? STATUS_OK
                                                                       : no_memory(self);
}

/* First what becomes of the snapshots, which tells how far the log has to be listed. */
static enum status decide(struct prune *self)
{
    self->input.policy = self->job->policy;
    self->input.now_ms = s3_storage_ms(self->s3);
    enum status status = decide_once(self);
    if (status == STATUS_OK && self->decided.nothing == NULL) {
        status = list_log(self);
        if (status == STATUS_OK) {
            status = decide_once(self);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct prune_report *report = self->report;
    report->keep_seq = self->decided.keep_seq;
    report->is_useless = self->input.latest == SIZE_MAX;
    if (self->decided.nothing != NULL && report->nothing[0] == '\0') {
        (void)snprintf(report->nothing, sizeof report->nothing, "%s", self->decided.nothing);
    }
    for (size_t i = 0; i < self->input.snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &self->look.survey.snapshots[i];
        const char *reason = self->decided.reasons[i];
        if (reason != NULL) {
            report->snapshots_kept += snapshot->has_manifest;
            report->bytes_kept += snapshot->manifest_bytes + snapshot->rows_bytes;
        }
        if (self->job->snapshot != NULL) {
            self->job->snapshot(self->job->arg, snapshot, reason);
        }
    }
    return STATUS_OK;
}

static void doom(struct prune *self, enum doomed_kind kind, uint64_t number, uint64_t bytes)
{
    self->doomed[self->doomed_count++] = (struct doomed){kind, number, bytes};
}

/* Writes down what goes, in order. */
static enum status doom_all(struct prune *self)
{
    const struct survey *survey = &self->look.survey;
    const char *const *reasons = self->decided.reasons;
    self->doomed = calloc(2 * survey->snapshot_count + self->decided.slots_gone + 1,
                          sizeof *self->doomed);
    if (self->doomed == NULL) {
        return no_memory(self);
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        if (reasons[i] == NULL && survey->snapshots[i].has_manifest) {
            doom(self, DOOMED_MANIFEST, i, survey->snapshots[i].manifest_bytes);
        }
    }
    for (size_t i = 0; i < survey->snapshot_count; i++) {
        if (reasons[i] == NULL && survey->snapshots[i].has_rows) {
            doom(self, DOOMED_ROWS, i, survey->snapshots[i].rows_bytes);
        }
    }
    for (size_t i = 0; i < self->decided.slots_gone; i++) {
        doom(self, DOOMED_SLOT, self->slots[i].seq, self->slot_bytes[i]);
    }
    return STATUS_OK;
}

/* ---- Deleting ------------------------------------------------------------------------------- */

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
               : storage_failed(self, "delete what is too old");
}

/* END: a restore has begun meanwhile, and what is left has to stay for now. */
static enum status check_holds(struct prune *self)
{
    uint64_t hold_seq = 0;
    enum status status = find_holds(self, &hold_seq);
    if (status == STATUS_OK && hold_seq < self->input.hold_seq) {
        (void)snprintf(self->report->nothing, sizeof self->report->nothing,
                       "a restore has begun meanwhile: the rest stays until the next time");
        return STATUS_END;
    }
    return status;
}

static enum status delete_all(struct prune *self)
{
    enum status status = STATUS_OK;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return no_memory(self);
    }
    for (size_t begin = 0; begin < self->doomed_count && status == STATUS_OK;) {
        size_t count = batch_count(self, begin);
        show(self, PRUNE_DELETING, begin, self->doomed_count);
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
                   : storage_failed(self, "list holds");
    }
    for (;;) {
        struct void_hold hold = {0};
        if (hold_list(self->s3, keep_void_hold, &hold) != S3_OK) {
            return storage_failed(self, "list holds");
        }
        if (!hold.is_found) {
            return STATUS_OK;
        }
        if (s3_delete(self->s3, hold.key) != S3_OK) {
            return storage_failed(self, "delete a hold");
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
        return storage_failed(self, "list unfinished uploads");
    }
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum status survey_archive(struct prune *self)
{
    show(self, PRUNE_LOOKING, 0, 0);
    enum status status = look_begin(&self->look, &self->gather);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
        (void)snprintf(self->report->nothing, sizeof self->report->nothing, "%s", self->look.text);
    } else if (status != STATUS_OK) {
        return say(self, status, self->look.text);
    }
    status = status == STATUS_OK ? find_latest(self) : STATUS_OK;
    return status == STATUS_OK ? take_snapshots(self) : status;
}

static enum status run(struct prune *self)
{
    enum status status = survey_archive(self);
    if (status == STATUS_OK) {
        status = find_holds(self, &self->input.hold_seq);
    }
    if (status == STATUS_OK) {
        status = decide(self);
    }
    if (status != STATUS_OK || self->decided.nothing != NULL) {
        return status;
    }
    status = doom_all(self);
    if (status == STATUS_OK) {
        status = delete_all(self);
    }
    if (status == STATUS_OK) {
        status = delete_void_holds(self);
    }
    if (status == STATUS_OK) {
        status = end_uploads(self);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

enum status prune_run(const struct prune_job *job, struct prune_report *out)
{
    struct prune self = {.job = job, .report = out, .s3 = job->archive->s3};
    *out = (struct prune_report){0};
    self.input.hold_seq = UINT64_MAX;
    self.input.latest = SIZE_MAX;
    enum status status = STATUS_OK;
    if (job->place == NULL) {
        gather_init(&self.gather, &self.s3, 1, 0);
    } else {
        status = gather_open(&self.gather, job->place, job->stop, 0, 0, out->text,
                             sizeof out->text);
    }
    if (status == STATUS_OK) {
        status = run(&self);
    }
    look_close(&self.look);
    gather_close(&self.gather);
    retention_free(&self.decided);
    free(self.snapshots);
    free(self.slots);
    free(self.slot_bytes);
    free(self.doomed);
    return status;
}
