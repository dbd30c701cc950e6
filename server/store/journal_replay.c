/* Reading the segments of earlier epochs: what is replayed, where it ends, and whether it should.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/journal_files.h"
#include "store/journal_files_private.h"

/* ---- Changes -------------------------------------------------------------------------------- */

struct replay {
    uint64_t applied_lsn;
    uint64_t last_lsn;  /* of the change that was seen last */
    uint64_t limit_lsn; /* the next epoch began here: what lies above in this one does not count */
    uint64_t known_lsn; /* the last change that is known to have been in this segment; 0: none is */
    bool is_last_of_epoch;
    journal_replay_fn visit; /* NULL: nobody wants the changes */
    void *arg;
    const struct journal_observer *observer; /* NULL: the first problem ends the pass */
};

static enum status replay_frame(struct replay *self, const struct frame *frame)
{
    struct view rest = frame->records;
    struct record record;
    uint64_t lsn = frame->first_lsn;
    enum status status = STATUS_OK;
    /* After a full disk a segment begins with what the one before it may hold already: the same
     * changes with the same numbers. Each counts once, and what was seen stays seen. */
    uint64_t seen_lsn = self->last_lsn > self->applied_lsn ? self->last_lsn : self->applied_lsn;
    uint64_t last_lsn = frame->first_lsn + frame->count - 1;
    if (last_lsn > self->last_lsn) {
        self->last_lsn = last_lsn;
    }
    if (last_lsn > seen_lsn || self->observer != NULL) {
        for (; (status = record_next(&rest, &record)) == STATUS_OK; lsn++) {
            if (self->visit != NULL && lsn > seen_lsn && lsn <= self->limit_lsn) {
                status = self->visit(self->arg, lsn, frame->time_ms, &record);
                if (status != STATUS_OK) {
                    return status;
                }
            }
        }
        if (status != STATUS_END || lsn != frame->first_lsn + frame->count) {
            return status == STATUS_UNSUPPORTED ? status : STATUS_CORRUPT;
        }
    }
    return STATUS_OK;
}

/* The whole frames end at `expected`, and `rest` is what stands behind: was that change, or one
 * behind it which is not in the rows, durable once? See segment.h. */
static bool is_damage(const struct replay *self, struct view rest, uint64_t seed, uint64_t expected)
{
    struct frame frame;
    while (frame_find(&rest, seed, &frame)) {
        bool is_lacking = frame.first_lsn + frame.count - 1 > self->applied_lsn &&
                          frame.first_lsn <= self->limit_lsn;
        if (expected > self->applied_lsn ? frame.durable_lsn >= expected : is_lacking) {
            return true;
        }
    }
    return false;
}

/* ---- A segment ------------------------------------------------------------------------------ */

/* A file of the segment that is replayed. */
struct open_file {
    const struct journal_file *file;
    struct view bytes; /* owned */
    struct view rest;  /* what has not been replayed */
    uint64_t seed;
};

struct open_segment {
    struct open_file files[SEGMENT_LANES];
    size_t count;
};

static uint64_t offset_in(const struct open_file *self)
{
    return (uint64_t)(self->rest.ptr - self->bytes.ptr);
}

/* Takes the next frame from whichever file has it; NULL when none does. */
static const struct open_file *take_frame(struct open_segment *self, uint64_t expected,
                                          uint64_t *offset, struct frame *out)
{
    for (size_t i = 0; i < self->count; i++) {
        struct open_file *file = &self->files[i];
        *offset = offset_in(file);
        if (frame_next(&file->rest, file->seed, expected, out) == STATUS_OK) {
            return file;
        }
    }
    return NULL;
}

/* The file that the missing change was in, as far as can be seen: one with frames behind something
 * that is none, or else one that does not go on with a frame. */
static const struct open_file *broken_file(const struct open_segment *self)
{
    const struct open_file *ended = NULL;
    for (size_t i = 0; i < self->count; i++) {
        const struct open_file *file = &self->files[i];
        struct view rest = file->rest;
        struct frame frame;
        bool is_followed = frame_find(&rest, file->seed, &frame);
        bool is_whole = is_followed && rest.ptr == file->rest.ptr + 1;
        if (is_followed && !is_whole) {
            return file;
        }
        ended = ended == NULL && !is_followed ? file : ended;
    }
    return ended == NULL ? &self->files[0] : ended;
}

/* The segment's frames end before the change `expected`: is that as it should be? */
static enum status check_end(struct replay *self, const struct open_segment *segment,
                             uint64_t expected, char *errmsg, size_t errmsg_bytes)
{
    bool is_lost = false;
    for (size_t i = 0; i < segment->count; i++) {
        const struct open_file *file = &segment->files[i];
        is_lost = is_lost || is_damage(self, file->rest, file->seed, expected);
    }
    is_lost = is_lost && self->is_last_of_epoch && expected <= self->limit_lsn;
    if (is_lost || (self->observer != NULL && expected <= self->known_lsn)) {
        const struct open_file *broken = broken_file(segment);
        bool is_harmless = !is_lost && self->known_lsn <= self->applied_lsn;
        (void)snprintf(errmsg, errmsg_bytes, "%s is damaged at change %" PRIu64 ", which %s",
                       broken->file->path, expected,
                       is_harmless ? "the rows have as well" : "was durable");
        if (expected <= self->known_lsn) { /* so that the next segment's gap is not told again */
            self->last_lsn = self->known_lsn;
        }
        return journal_problem_report(self->observer, STATUS_CORRUPT,
                                      &(struct journal_problem){.segment = broken->file,
                                                                .offset = offset_in(broken),
                                                                .lsn = expected,
                                                                .harmless = is_harmless,
                                                                .what = errmsg});
    }
    return STATUS_OK;
}

static void show_ends(const struct journal_observer *observer, const struct open_segment *segment,
                      uint64_t expected)
{
    for (size_t i = 0; i < segment->count; i++) {
        const struct open_file *file = &segment->files[i];
        const struct journal_end end = {.offset = offset_in(file),
                                        .file_bytes = file->bytes.len,
                                        .torn_bytes = frame_torn_bytes(file->rest, expected),
                                        .next_lsn = expected};
        observer->end(observer->arg, file->file, &end);
    }
}

static enum status replay_segment(struct replay *self, struct open_segment *segment, char *errmsg,
                                  size_t errmsg_bytes)
{
    const struct journal_observer *observer = self->observer;
    const struct open_file *file = NULL;
    struct frame frame;
    assert(segment->count != 0);
    uint64_t expected = segment->files[0].file->header.first_lsn;
    uint64_t offset = 0;
    while (expected <= self->limit_lsn &&
           (file = take_frame(segment, expected, &offset, &frame)) != NULL) {
        if (observer != NULL) {
            observer->frame(observer->arg, file->file, offset, &frame);
        }
        enum status status = replay_frame(self, &frame);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes,
                           "%s: cannot replay the changes from %" PRIu64 ": %s", file->file->path,
                           expected, status_text(status));
            status = journal_problem_report(
                observer, status,
                &(struct journal_problem){.segment = file->file,
                                          .offset = offset,
                                          .lsn = expected,
                                          .harmless = expected + frame.count - 1 <=
                                                      self->applied_lsn,
                                          .what = errmsg});
        }
        if (status != STATUS_OK) {
            return status;
        }
        expected += frame.count;
    }
    if (observer != NULL) {
        show_ends(observer, segment, expected);
    }
    return check_end(self, segment, expected, errmsg, errmsg_bytes);
}

/* ---- All of them ---------------------------------------------------------------------------- */

/* Behind the last file of the segment that the file at `i` belongs to. */
static size_t segment_end(const struct journal_files *self, size_t i)
{
    const struct journal_file *segment = &self->items[i];
    while (i < self->count && self->items[i].epoch == segment->epoch &&
           self->items[i].number == segment->number) {
        i++;
    }
    return i;
}

/* Reads a whole file into memory that the caller frees, and syncs it: what a dead process left in
 * the page cache may not be on the storage yet. */
static enum status read_file(struct journal_files *self, const struct journal_file *segment,
                             uint8_t **bytes, size_t *len, char *errmsg, size_t errmsg_bytes)
{
    const struct file_ops *file = self->file;
    struct stat info;
    enum status status = STATUS_OK;
    if (fstat(segment->fd, &info) != 0) {
        status = status_of_errno(errno);
    } else {
        file_read_ahead(segment->fd, 0, info.st_size);
        *bytes = malloc((size_t)info.st_size);
        status = *bytes == NULL
                     ? STATUS_NO_MEMORY
                     : file_pread_all(file, segment->fd, *bytes, (size_t)info.st_size, 0, len);
    }
    if (status == STATUS_OK && *len < SEGMENT_HEADER_BYTES) {
        status = STATUS_IO; /* its header was read a moment ago */
        errno = EIO;
    }
    if (status == STATUS_OK && file->fdatasync(file->arg, segment->fd) != 0) {
        status = status_of_errno(errno);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read %s: %s: %s", segment->path,
                       status_text(status), strerror(errno));
    }
    return status;
}

static void close_segment(struct open_segment *segment)
{
    for (size_t i = 0; i < segment->count; i++) {
        free((void *)(uintptr_t)segment->files[i].bytes.ptr);
    }
}

/* Reads all usable files of the segment that the file at `i` belongs to. */
static enum status open_segment(struct journal_files *self, size_t i, struct open_segment *out,
                                char *errmsg, size_t errmsg_bytes)
{
    *out = (struct open_segment){0};
    enum status status = STATUS_OK;
    const size_t end = segment_end(self, i);
    for (; i < end && status == STATUS_OK; i++) {
        const struct journal_file *file = &self->items[i];
        uint8_t *bytes = NULL;
        size_t len = 0;
        if (!file->usable) {
            continue;
        }
        status = read_file(self, file, &bytes, &len, errmsg, errmsg_bytes);
        struct open_file *opened = &out->files[out->count++];
        *opened = (struct open_file){
            .file = file, .bytes = view_of(bytes, len), .seed = segment_seed(&file->header)};
        if (status == STATUS_OK) {
            opened->rest = view_of(bytes + SEGMENT_HEADER_BYTES, len - SEGMENT_HEADER_BYTES);
        }
    }
    return status;
}

/* The first usable segment from `i` on; NULL: none. */
static const struct journal_file *usable_from(const struct journal_files *self, size_t i)
{
    while (i < self->count && !self->items[i].usable) {
        i++;
    }
    return i < self->count ? &self->items[i] : NULL;
}

/* Lets the segment after this one come from the storage while this one is being replayed. */
static void fetch_next(const struct journal_files *self, size_t i)
{
    const size_t next = segment_end(self, i);
    for (i = next; i < self->count && i < segment_end(self, next); i++) {
        struct stat info;
        if (self->items[i].usable && fstat(self->items[i].fd, &info) == 0) {
            file_read_ahead(self->items[i].fd, 0, info.st_size);
        }
    }
}

/* Whether no file of the segment at `i` is missing, as far as the next one knows. Those of earlier
 * epochs are removed in their order, lane 0 first. */
static bool has_all_files(const struct journal_files *self, size_t i,
                          const struct journal_file *next)
{
    uint32_t usable = 0;
    for (size_t at = i; at < segment_end(self, i); at++) {
        usable += self->items[at].usable;
    }
    return self->items[i].lane == 0 &&
           (next->header.lanes_before == 0 || usable == next->header.lanes_before);
}

/* Finds out what the segments behind this one say about it. */
static void look_ahead(const struct journal_files *self, struct replay *replay, size_t i)
{
    const struct journal_file *segment = &self->items[i];
    const struct journal_file *follower = usable_from(self, segment_end(self, i));
    replay->is_last_of_epoch = follower == NULL || follower->epoch != segment->epoch;
    replay->limit_lsn = UINT64_MAX;
    const struct journal_file *later = follower;
    while (later != NULL && later->epoch == segment->epoch) {
        later = usable_from(self, (size_t)(later - self->items) + 1);
    }
    if (later != NULL) {
        replay->limit_lsn = later->header.follows_lsn;
    }
    /* A follower knows where this one ended; what a checkpoint has removed between them, or of this
     * one, does not count as missing. Behind the last one there is only what the rows have. */
    if (follower == NULL) {
        replay->known_lsn = replay->applied_lsn;
    } else {
        uint64_t number = replay->is_last_of_epoch ? 1 : segment->number + 1;
        bool is_next = follower->number == number && has_all_files(self, i, follower);
        replay->known_lsn = is_next ? follower->header.follows_lsn : 0;
    }
}

static enum status check_gap(struct replay *self, const struct journal_file *segment, char *errmsg,
                             size_t errmsg_bytes)
{
    uint64_t known = self->last_lsn > self->applied_lsn ? self->last_lsn : self->applied_lsn;
    if (segment->header.follows_lsn <= known) {
        return STATUS_OK;
    }
    (void)snprintf(errmsg, errmsg_bytes,
                   "changes %" PRIu64 " to %" PRIu64
                   " are missing: the journal before %s is incomplete or damaged",
                   known + 1, segment->header.follows_lsn, segment->path);
    return journal_problem_report(
        self->observer, STATUS_CORRUPT,
        &(struct journal_problem){.segment = segment, .lsn = known + 1, .what = errmsg});
}

/* Replays the segment that the usable file at `i` belongs to. */
static enum status pass_segment(struct journal_files *self, struct replay *replay, size_t i,
                                char *errmsg, size_t errmsg_bytes)
{
    look_ahead(self, replay, i);
    if (self->items[i].header.first_lsn > replay->limit_lsn) { /* never acknowledged */
        for (const size_t end = segment_end(self, i); i < end; i++) {
            self->items[i].unused_why = "written behind the back of the next owner";
        }
        return STATUS_OK;
    }
    struct open_segment segment = {0};
    enum status status = check_gap(replay, &self->items[i], errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = open_segment(self, i, &segment, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        fetch_next(self, i);
        status = replay_segment(replay, &segment, errmsg, errmsg_bytes);
    }
    if (replay->last_lsn > replay->limit_lsn) {
        replay->last_lsn = replay->limit_lsn;
    }
    close_segment(&segment);
    return status;
}

static enum status pass(struct journal_files *self, struct replay *replay, char *errmsg,
                        size_t errmsg_bytes)
{
    enum status status = STATUS_OK;
    const struct journal_file *file = usable_from(self, 0);
    while (file != NULL && status == STATUS_OK) {
        size_t i = (size_t)(file - self->items);
        status = pass_segment(self, replay, i, errmsg, errmsg_bytes);
        file = usable_from(self, segment_end(self, i));
    }
    return status;
}

static uint64_t last_found(const struct replay *replay)
{
    return replay->last_lsn > replay->applied_lsn ? replay->last_lsn : replay->applied_lsn;
}

enum status journal_files_replay(struct journal_files *self, uint64_t applied_lsn,
                                 journal_replay_fn visit, void *arg, uint64_t *last_lsn,
                                 char *errmsg, size_t errmsg_bytes)
{
    struct replay replay = {
        .applied_lsn = applied_lsn, .last_lsn = applied_lsn, .visit = visit, .arg = arg};
    enum status status = pass(self, &replay, errmsg, errmsg_bytes);
    *last_lsn = last_found(&replay);
    return status;
}

enum status journal_files_survey(struct journal_files *self, const struct journal_survey *survey,
                                 uint64_t *last_lsn, char *errmsg, size_t errmsg_bytes)
{
    enum status status = journal_files_list_all(self, &survey->place, &survey->observer, errmsg,
                                                errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    const struct journal_file *first = usable_from(self, 0);
    struct replay replay = {.observer = &survey->observer};
    if (survey->applied_lsn != NULL) {
        replay.applied_lsn = *survey->applied_lsn;
    } else if (first != NULL) { /* then nothing that came before the journal counts as missing */
        replay.applied_lsn = first->header.follows_lsn;
    }
    replay.last_lsn = replay.applied_lsn;
    status = pass(self, &replay, errmsg, errmsg_bytes);
    *last_lsn = last_found(&replay);
    if (status != STATUS_OK) {
        journal_files_free(self);
    }
    return status;
}
