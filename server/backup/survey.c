/* Looking an archive over. */
#include "backup/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *survey_state_word(enum survey_state state)
{
    static const char *const words[] = {
#define X(name, word, text) [SURVEY_##name] = word,
        SURVEY_STATES(X)
#undef X
    };
    return words[state];
}

static const char *state_text(enum survey_state state)
{
    static const char *const texts[] = {
#define X(name, word, text) [SURVEY_##name] = text,
        SURVEY_STATES(X)
#undef X
    };
    return texts[state];
}

void survey_init(struct survey *self, struct gather *gather)
{
    *self = (struct survey){.gather = gather, .slots_from_seq = UINT64_MAX};
}

void survey_close(struct survey *self)
{
    free(self->snapshots);
    free(self->slots);
    *self = (struct survey){0};
}

static enum status say(struct survey *self, enum status status, const char *text)
{
    (void)snprintf(self->errmsg, sizeof self->errmsg, "%s", text);
    return status;
}

/* What a list came to. `kept`: what the callback that ended it early says, or OK. */
static enum status end_list(struct survey *self, enum s3_status listed, enum status kept,
                            const char *what)
{
    const struct s3 *client = gather_client(self->gather);
    char line[96];
    self->storage_ms = s3_storage_ms(client);
    if (kept == STATUS_NO_MEMORY) {
        return say(self, kept, "out of memory");
    }
    if (kept == STATUS_TOO_LARGE) {
        (void)snprintf(line, sizeof line, "there are too many %s to look at: delete old ones",
                       what);
        return say(self, kept, line);
    }
    (void)snprintf(line, sizeof line, "list the %s", what);
    return listed == S3_OK ? STATUS_OK
                           : gather_failed(client, line, self->errmsg, sizeof self->errmsg);
}

/* Room for one more of `count`; NULL: out of memory. */
static void *grow(void *array, size_t *cap, size_t count, size_t item_bytes)
{
    if (count < *cap) {
        return array;
    }
    size_t wanted = *cap != 0 ? *cap * 2 : 64;
    void *grown = reallocarray(array, wanted, item_bytes);
    *cap = grown != NULL ? wanted : *cap;
    return grown;
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

struct listing {
    struct survey *survey;
    enum status kept; /* why the list is ended early */
    /* Of slots that are listed in front of those that are known: */
    struct survey_slot *slots; /* owned */
    size_t slot_count;
    size_t slot_cap;
    uint64_t end_seq;
};

static bool is_same(const struct snapshot_id *a, const struct snapshot_id *b)
{
    return a->from_lsn == b->from_lsn && a->epoch == b->epoch && a->nonce == b->nonce;
}

/* Both objects of a snapshot stand beside each other in the list. */
static struct survey_snapshot *find_or_add(struct listing *self, const struct snapshot_id *id)
{
    struct survey *survey = self->survey;
    size_t count = survey->snapshot_count;
    if (count != 0 && is_same(&survey->snapshots[count - 1].id, id)) {
        return &survey->snapshots[count - 1];
    }
    if (count == SURVEY_SNAPSHOTS_MAX) {
        self->kept = STATUS_TOO_LARGE;
        return NULL;
    }
    void *grown = grow(survey->snapshots, &survey->snapshot_cap, count, sizeof *survey->snapshots);
    if (grown == NULL) {
        self->kept = STATUS_NO_MEMORY;
        return NULL;
    }
    survey->snapshots = grown;
    survey->snapshots[count] = (struct survey_snapshot){.id = *id};
    survey->snapshot_count++;
    return &survey->snapshots[count];
}

static bool note_snapshot(void *arg, const char *key, const struct s3_object *object)
{
    struct listing *self = arg;
    struct snapshot_id id;
    enum snapshot_object which;
    if (!snapshot_parse_name(key, &id, &which)) {
        return true; /* none of ours */
    }
    struct survey_snapshot *snapshot = find_or_add(self, &id);
    if (snapshot == NULL) {
        return false;
    }
    if (which == SNAPSHOT_MANIFEST) {
        snapshot->has_manifest = true;
        snapshot->manifest_bytes = object->bytes;
        snapshot->manifest_modified_ms = object->modified_ms;
    } else {
        snapshot->has_rows = true;
        snapshot->rows_bytes = object->bytes;
        snapshot->rows_modified_ms = object->modified_ms;
    }
    return true;
}

static void judge(struct survey_snapshot *snapshot, enum survey_state state)
{
    snapshot->state = state;
    (void)snprintf(snapshot->why, sizeof snapshot->why, "%s", state_text(state));
}

static void want_manifest(void *arg, size_t index, struct gather_want *want)
{
    const struct survey *self = arg;
    snapshot_name(want->key, &self->snapshots[index].id, SNAPSHOT_MANIFEST);
    want->bytes_max = MANIFEST_BYTES_MAX;
}

/* OK or NO_MEMORY, which is nothing that is wrong with the manifest. */
static enum status decode(struct survey_snapshot *snapshot, struct view json)
{
    struct manifest *manifest = &snapshot->manifest;
    enum status status = manifest_decode(json, manifest, snapshot->why);
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK) {
        *manifest = (struct manifest){0};
        snapshot->state = status == STATUS_UNSUPPORTED ? SURVEY_NEWER : SURVEY_DAMAGED;
    } else if (!is_same(&manifest->id, &snapshot->id)) {
        *manifest = (struct manifest){0};
        snapshot->state = SURVEY_DAMAGED;
        (void)snprintf(snapshot->why, sizeof snapshot->why, "it is the one of another snapshot");
    } else if (!snapshot->has_rows) {
        judge(snapshot, SURVEY_NO_ROWS);
    } else if (snapshot->rows_bytes != manifest->stored_bytes) {
        snapshot->state = SURVEY_WRONG_SIZE;
        (void)snprintf(snapshot->why, sizeof snapshot->why,
                       "its rows are %" PRIu64 " bytes, not %" PRIu64 " as its manifest says",
                       snapshot->rows_bytes, manifest->stored_bytes);
    } else {
        snapshot->state = SURVEY_GOOD;
        snapshot->why[0] = '\0';
    }
    return STATUS_OK;
}

static enum status take_manifest(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct survey *self = arg;
    struct survey_snapshot *snapshot = &self->snapshots[index];
    switch (got) {
    case S3_OK:
        return decode(snapshot, bytes);
    case S3_NOT_FOUND:
        /* Without having been listed that is no news. */
        judge(snapshot, snapshot->has_manifest ? SURVEY_GONE : SURVEY_UNFINISHED);
        self->is_gone = self->is_gone || snapshot->has_manifest;
        break;
    default:
        snapshot->state = SURVEY_DAMAGED;
        (void)snprintf(snapshot->why, sizeof snapshot->why, "its manifest: %s",
                       s3_status_text(got));
        break;
    }
    return STATUS_OK;
}

enum status survey_snapshots(struct survey *self)
{
    struct listing listing = {.survey = self};
    self->snapshot_count = 0;
    enum s3_status listed = s3_list(gather_client(self->gather),
                                    &(struct s3_list_options){.prefix = "snap/"}, note_snapshot,
                                    &listing);
    enum status status = end_list(self, listed, listing.kept, "snapshots");
    const struct gather_job job = {
        .count = self->snapshot_count, .want = want_manifest, .take = take_manifest, .arg = self};
    if (status == STATUS_OK) {
        status = gather_run(self->gather, &job);
        if (status != STATUS_OK) {
            (void)say(self, status, self->gather->errmsg);
        }
    }
    if (status != STATUS_OK) {
        self->snapshot_count = 0; /* half of it would look like all */
    }
    return status;
}

/* ---- The log -------------------------------------------------------------------------------- */

static bool note_slot(void *arg, const char *key, const struct s3_object *object)
{
    struct listing *self = arg;
    uint64_t seq;
    if (!slot_parse_name(key, &seq)) {
        return true; /* none of ours */
    }
    if (seq >= self->end_seq) {
        return false; /* from here on all are known */
    }
    if (self->survey->slot_count + self->slot_count >= SURVEY_SLOTS_MAX) {
        self->kept = STATUS_TOO_LARGE;
        return false;
    }
    void *grown = grow(self->slots, &self->slot_cap, self->slot_count, sizeof *self->slots);
    if (grown == NULL) {
        self->kept = STATUS_NO_MEMORY;
        return false;
    }
    self->slots = grown;
    int64_t modified_s = object->modified_ms / 1000;
    self->slots[self->slot_count++] = (struct survey_slot){
        .seq = seq,
        .bytes = object->bytes < UINT32_MAX ? (uint32_t)object->bytes : UINT32_MAX,
        .modified_s = modified_s > 0 && modified_s < UINT32_MAX ? (uint32_t)modified_s : 0};
    return true;
}

/* Puts what was listed in front of what is known. */
static enum status prepend(struct survey *self, struct listing *listing)
{
    while (self->slot_cap < self->slot_count + listing->slot_count) {
        void *grown = grow(self->slots, &self->slot_cap, self->slot_cap, sizeof *self->slots);
        if (grown == NULL) {
            return say(self, STATUS_NO_MEMORY, "out of memory");
        }
        self->slots = grown;
    }
    if (listing->slot_count != 0) {
        memmove(self->slots + listing->slot_count, self->slots,
                self->slot_count * sizeof *self->slots);
        memcpy(self->slots, listing->slots, listing->slot_count * sizeof *self->slots);
        self->slot_count += listing->slot_count;
    }
    return STATUS_OK;
}

enum status survey_log(struct survey *self, uint64_t from_seq)
{
    char after[SLOT_NAME_BYTES];
    struct listing listing = {.survey = self, .end_seq = self->slots_from_seq};
    struct s3_list_options options = {.prefix = "log/"};
    if (from_seq >= self->slots_from_seq) {
        return STATUS_OK;
    }
    if (from_seq > 0) {
        slot_name(after, from_seq - 1);
        options.start_after = after;
    }
    enum s3_status listed = s3_list(gather_client(self->gather), &options, note_slot, &listing);
    enum status status = end_list(self, listed, listing.kept, "slots of the log");
    if (status == STATUS_OK) {
        status = prepend(self, &listing);
    }
    if (status == STATUS_OK) {
        self->slots_from_seq = from_seq;
    }
    free(listing.slots);
    return status;
}

size_t survey_find_slot(const struct survey *self, uint64_t seq)
{
    size_t begin = 0;
    size_t end = self->slot_count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (self->slots[middle].seq < seq) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

bool survey_next_hole(const struct survey *self, uint64_t *seq, uint64_t *first_seq,
                      uint64_t *end_seq)
{
    for (size_t i = survey_find_slot(self, *seq); i < self->slot_count; i++) {
        if (self->slots[i].seq > *seq) {
            *first_seq = *seq;
            *end_seq = self->slots[i].seq;
            *seq = *end_seq;
            return true;
        }
        *seq = self->slots[i].seq + 1;
    }
    return false;
}

/* ---- Headers -------------------------------------------------------------------------------- */

struct header_reading {
    struct survey *survey;
    size_t begin;
    survey_header_fn each;
    void *arg;
};

static void want_header(void *arg, size_t index, struct gather_want *want)
{
    const struct header_reading *self = arg;
    slot_name(want->key, self->survey->slots[self->begin + index].seq);
    want->range.bytes = SLOT_HEADER_BYTES;
    want->bytes_max = SLOT_HEADER_BYTES;
}

static enum status take_header(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct header_reading *self = arg;
    char why[SLOT_ERRMSG_BYTES];
    struct survey_header found = {.index = self->begin + index, .why = why};
    uint64_t seq = self->survey->slots[found.index].seq;
    found.is_gone = got == S3_NOT_FOUND;
    found.is_damaged = got != S3_OK && !found.is_gone;
    if (got != S3_OK) {
        (void)snprintf(why, sizeof why, "%s",
                       found.is_gone ? state_text(SURVEY_GONE) : s3_status_text(got));
        self->survey->is_gone = self->survey->is_gone || found.is_gone;
    } else if (slot_read_header(bytes, &found.header, why) != STATUS_OK) {
        found.is_damaged = true;
    } else if (found.header.seq != seq) {
        found.is_damaged = true;
        (void)snprintf(why, sizeof why, "it is slot %" PRIu64 " under this name", found.header.seq);
    }
    return self->each(self->arg, &found);
}

enum status survey_headers(struct survey *self, size_t begin, size_t end, survey_header_fn each,
                           void *arg)
{
    struct header_reading reading = {.survey = self, .begin = begin, .each = each, .arg = arg};
    const struct gather_job job = {
        .count = end - begin, .want = want_header, .take = take_header, .arg = &reading};
    self->gather->errmsg[0] = '\0';
    enum status status = gather_run(self->gather, &job);
    if (self->gather->errmsg[0] != '\0') {
        (void)say(self, status, self->gather->errmsg);
    }
    return status;
}
