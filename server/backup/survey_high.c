/*
 * The highest lsn and epoch of an archive, without reading every header: a process writes its slots
 * one behind the other, with lsns that only grow, so its last slot has its highest. Between two
 * slots of one process there is nothing to look at; between slots of two processes the border is
 * looked for in the middle, for all pairs at a time.
 *
 *     A A A A A A A A B B B B B C        first and last slot: A … C
 *     A ········ A ── B ········ C       the middle, and again: borders are where neighbours differ
 */
#include <stdlib.h>
#include <string.h>

#include "backup/survey.h"

/* A slot whose header was asked for. */
struct mark {
    uint64_t seq;
    bool is_known; /* it could be read */
    struct slot_header header;
};

struct search {
    struct survey *survey;
    struct mark *marks; /* owned; by ascending seq */
    struct mark *next;  /* owned; the same with those between: there are fewer than twice as many */
    size_t count;
    size_t *asked; /* owned; which of `next` are to be read */
    size_t asked_count;
    uint64_t *epoch; /* borrowed; as is lsn */
    uint64_t *lsn;
};

static void want_mark(void *arg, size_t index, struct gather_want *want)
{
    const struct search *self = arg;
    slot_name(want->key, self->next[self->asked[index]].seq);
    want->range.bytes = SLOT_HEADER_BYTES;
    want->bytes_max = SLOT_HEADER_BYTES;
}

static enum status take_mark(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    const struct search *self = arg;
    struct mark *mark = &self->next[self->asked[index]];
    char why[SLOT_ERRMSG_BYTES];
    mark->is_known = got == S3_OK && slot_read_header(bytes, &mark->header, why) == STATUS_OK;
    if (mark->is_known) {
        const struct slot_header *header = &mark->header;
        *self->epoch = header->epoch > *self->epoch ? header->epoch : *self->epoch;
        *self->lsn = header->last_lsn > *self->lsn ? header->last_lsn : *self->lsn;
    }
    return STATUS_OK;
}

/* May there be a process between two marks, or the end of the first one's? Where neither can be
 * read there is a hole, and nothing to be found. */
static bool is_border(const struct mark *a, const struct mark *b)
{
    bool is_same = a->is_known && b->is_known &&
                   memcmp(a->header.nonce, b->header.nonce, SLOT_NONCE_BYTES) == 0;
    return b->seq - a->seq > 1 && !is_same && (a->is_known || b->is_known);
}

/* Room for twice as many. */
static enum status make_room(struct search *self)
{
    struct mark *next = calloc(self->count * 2, sizeof *next);
    size_t *asked = calloc(self->count * 2, sizeof *asked);
    free(self->next);
    free(self->asked);
    self->next = next;
    self->asked = asked;
    return next != NULL && asked != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status read_asked(struct search *self)
{
    struct survey *survey = self->survey;
    const struct gather_job job = {
        .count = self->asked_count, .want = want_mark, .take = take_mark, .arg = self};
    enum status status = gather_run(survey->gather, &job);
    if (status != STATUS_OK) {
        memcpy(survey->errmsg, survey->gather->errmsg, sizeof survey->errmsg);
    }
    return status;
}

/* Reads the middle of every pair that has a border between them. */
static enum status halve(struct search *self)
{
    enum status status = make_room(self);
    size_t count = 0;
    self->asked_count = 0;
    for (size_t i = 0; status == STATUS_OK && i < self->count; i++) {
        const struct mark *mark = &self->marks[i];
        self->next[count++] = *mark;
        if (i + 1 < self->count && is_border(mark, mark + 1)) {
            self->asked[self->asked_count++] = count;
            self->next[count++] = (struct mark){.seq = mark->seq + (mark[1].seq - mark->seq) / 2};
        }
    }
    status = status == STATUS_OK ? read_asked(self) : status;
    struct mark *marks = self->marks;
    self->marks = self->next;
    self->next = marks;
    self->count = count;
    return status;
}

static enum status search(struct search *self, uint64_t first_seq, uint64_t last_seq)
{
    self->count = 2;
    enum status status = make_room(self);
    self->marks = calloc(2, sizeof *self->marks);
    if (status != STATUS_OK || self->marks == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->next[0].seq = first_seq;
    self->next[1].seq = last_seq;
    self->asked[0] = 0;
    self->asked[1] = 1;
    self->asked_count = 2;
    status = read_asked(self);
    memcpy(self->marks, self->next, 2 * sizeof *self->marks);
    while (status == STATUS_OK && self->asked_count != 0) {
        status = halve(self);
    }
    return status;
}

static bool note_first(void *arg, const char *key, const struct s3_object *object)
{
    uint64_t *seq = arg;
    (void)object;
    return !slot_parse_name(key, seq);
}

enum status survey_highest(struct survey *self, uint64_t *epoch, uint64_t *lsn)
{
    uint64_t first_seq = UINT64_MAX;
    for (size_t i = 0; i < self->snapshot_count; i++) {
        const struct survey_snapshot *snapshot = &self->snapshots[i];
        uint64_t through_lsn = survey_has_manifest(snapshot) ? snapshot->manifest.through_lsn
                                                             : snapshot->id.from_lsn;
        *epoch = snapshot->id.epoch > *epoch ? snapshot->id.epoch : *epoch;
        *lsn = through_lsn > *lsn ? through_lsn : *lsn;
    }
    const struct s3_list_options options = {.prefix = "log/", .page_keys = 10};
    if (s3_list(gather_client(self->gather), &options, note_first, &first_seq) != S3_OK) {
        return gather_failed(gather_client(self->gather), "list the log", self->errmsg,
                             sizeof self->errmsg);
    }
    if (first_seq == UINT64_MAX || self->slot_count == 0) {
        return STATUS_OK;
    }
    struct search found = {.survey = self, .epoch = epoch, .lsn = lsn};
    enum status status = search(&found, first_seq, self->slots[self->slot_count - 1].seq);
    if (status == STATUS_NO_MEMORY) {
        memcpy(self->errmsg, "out of memory", sizeof "out of memory");
    }
    free(found.marks);
    free(found.next);
    free(found.asked);
    return status;
}
