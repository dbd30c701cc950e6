/* Finding, checking and replaying the segments of earlier epochs. */
#include "store/journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"

/* ---- Listing -------------------------------------------------------------------------------- */

static int by_epoch_and_number(const void *a, const void *b)
{
    const struct journal_file *left = a;
    const struct journal_file *right = b;
    if (left->epoch != right->epoch) {
        return left->epoch < right->epoch ? -1 : 1;
    }
    return (left->number > right->number) - (left->number < right->number);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Opens one segment under its lock, reads its header and decides whether it counts. The lock stays
 * as long as the descriptor does, and there is no other one: closing any would drop it. */
static enum status read_header(struct journal_files *self, const struct journal_place *place,
                               struct journal_file *segment, char *errmsg, size_t errmsg_bytes)
{
    const struct file_ops *file = self->file;
    uint8_t bytes[SEGMENT_HEADER_BYTES + 1]; /* one more tells whether something stands behind it */
    size_t got = 0;
    segment->fd = file->open(file->arg, segment->path, O_RDWR, 0);
    enum status status = segment->fd < 0 ? status_of_errno(errno)
                                         : file_lock(file, segment->fd, place->lock_wait_ms);
    if (status == STATUS_OK) {
        status = file_pread_all(file, segment->fd, bytes, sizeof bytes, 0, &got);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read %s: %s", segment->path,
                       status == STATUS_LOCKED ? "another process still writes it"
                                               : strerror(errno));
        return status;
    }
    if (got < SEGMENT_HEADER_BYTES || (got == SEGMENT_HEADER_BYTES && all_zero(bytes, got))) {
        /* Its maker died before the header was durable, so before the first frame. */
        segment->unused_why = "never finished being made";
        log_info("unfinished journal segment ignored", "path=%s", segment->path);
        return STATUS_OK;
    }
    status = segment_decode_header(view_of(bytes, got), &segment->header);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "%s: the segment's header is %s", segment->path,
                       status == STATUS_CORRUPT ? "damaged" : "of an unknown format");
        return status;
    }
    if (place->uuid != NULL && memcmp(segment->header.uuid, place->uuid, STORE_UUID_BYTES) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "%s belongs to another store", segment->path);
        return STATUS_CORRUPT;
    }
    segment->usable = segment->header.epoch == segment->epoch &&
                      segment->header.number == segment->number;
    if (segment->header.first_lsn > self->lsn_max) {
        self->lsn_max = segment->header.first_lsn;
    }
    if (!segment->usable) {
        segment->unused_why = "caught while being recycled";
        log_info("half recycled journal segment ignored", "path=%s", segment->path);
    }
    return STATUS_OK;
}

static enum status add_file(struct journal_files *self, const char *dir, const char *name,
                            char *errmsg, size_t errmsg_bytes)
{
    struct journal_file segment = {.fd = -1};
    if (!segment_parse_name(name, &segment.epoch, &segment.number)) {
        return STATUS_OK; /* not ours */
    }
    struct journal_file *grown = realloc(self->items, (self->count + 1) * sizeof *grown);
    if (grown != NULL) {
        self->items = grown;
    }
    if (grown == NULL || asprintf(&segment.path, "%s/%s", dir, name) < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->items[self->count++] = segment;
    if (segment.epoch > self->epoch_max) {
        self->epoch_max = segment.epoch;
    }
    return STATUS_OK;
}

static enum status list_names(struct journal_files *self, const char *dir, char *errmsg,
                              size_t errmsg_bytes)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot list %s: %s", dir, strerror(errno));
        return STATUS_IO;
    }
    enum status status = STATUS_OK;
    errno = 0;
    for (const struct dirent *item = NULL; status == STATUS_OK && (item = readdir(listing)) != NULL;
         errno = 0) {
        status = add_file(self, dir, item->d_name, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK && errno != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot list %s: %s", dir, strerror(errno));
        status = STATUS_IO;
    }
    (void)closedir(listing);
    if (self->count != 0) {
        qsort(self->items, self->count, sizeof *self->items, by_epoch_and_number);
    }
    return status;
}

/* Damage ends a pass over the journal, unless somebody looks on who wants to hear of all of it. */
static enum status report(const struct journal_observer *observer, enum status status,
                          const struct journal_problem *problem)
{
    if (status != STATUS_CORRUPT || observer == NULL) {
        return status;
    }
    observer->problem(observer->arg, problem);
    return STATUS_OK;
}

static enum status list_files(struct journal_files *self, const struct journal_place *place,
                              const struct journal_observer *observer, char *errmsg,
                              size_t errmsg_bytes)
{
    *self = (struct journal_files){.file = place->file};
    enum status status = list_names(self, place->dir, errmsg, errmsg_bytes);
    for (size_t i = 0; i < self->count && status == STATUS_OK; i++) {
        struct journal_file *segment = &self->items[i];
        status = read_header(self, place, segment, errmsg, errmsg_bytes);
        if (status != STATUS_OK) {
            segment->unused_why = "not readable";
            status = report(observer, status,
                            &(struct journal_problem){.segment = segment, .what = errmsg});
        }
    }
    if (status != STATUS_OK) {
        journal_files_free(self);
    }
    return status;
}

enum status journal_files_list(struct journal_files *self, const struct journal_place *place,
                               char *errmsg, size_t errmsg_bytes)
{
    return list_files(self, place, NULL, errmsg, errmsg_bytes);
}

void journal_files_free(struct journal_files *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->items[i].fd >= 0) { /* nothing was written through it */
            (void)self->file->close(self->file->arg, self->items[i].fd);
        }
        free(self->items[i].path);
    }
    free(self->items);
    self->items = NULL;
    self->count = 0;
}

enum status journal_files_remove(struct journal_files *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->file->unlink(self->file->arg, self->items[i].path) != 0 && errno != ENOENT) {
            return status_of_errno(errno);
        }
    }
    journal_files_free(self);
    return STATUS_OK;
}

/* ---- Replaying ------------------------------------------------------------------------------ */

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

/* The segment's whole frames end at `offset`, before the change `expected`: is that as it should
 * be?
 */
static enum status check_end(struct replay *self, const struct journal_file *segment,
                             struct view bytes, uint64_t offset, uint64_t expected, char *errmsg,
                             size_t errmsg_bytes)
{
    struct view rest = view_of(bytes.ptr + offset, bytes.len - offset);
    bool is_lost = self->is_last_of_epoch && expected <= self->limit_lsn &&
                   is_damage(self, rest, segment_seed(&segment->header), expected);
    if (is_lost || (self->observer != NULL && expected <= self->known_lsn)) {
        bool is_harmless = !is_lost && self->known_lsn <= self->applied_lsn;
        (void)snprintf(errmsg, errmsg_bytes, "%s is damaged at change %" PRIu64 ", which %s",
                       segment->path, expected,
                       is_harmless ? "the rows have as well" : "was durable");
        if (expected <= self->known_lsn) { /* so that the next segment's gap is not told again */
            self->last_lsn = self->known_lsn;
        }
        return report(self->observer, STATUS_CORRUPT,
                      &(struct journal_problem){.segment = segment,
                                                .offset = offset,
                                                .lsn = expected,
                                                .harmless = is_harmless,
                                                .what = errmsg});
    }
    return STATUS_OK;
}

static enum status replay_bytes(struct replay *self, const struct journal_file *segment,
                                struct view bytes, char *errmsg, size_t errmsg_bytes)
{
    uint64_t seed = segment_seed(&segment->header);
    struct view rest = view_of(bytes.ptr + SEGMENT_HEADER_BYTES, bytes.len - SEGMENT_HEADER_BYTES);
    const struct journal_observer *observer = self->observer;
    struct frame frame;
    uint64_t expected = segment->header.first_lsn;
    uint64_t offset = SEGMENT_HEADER_BYTES;
    while (expected <= self->limit_lsn && frame_next(&rest, seed, expected, &frame) == STATUS_OK) {
        if (observer != NULL) {
            observer->frame(observer->arg, segment, offset, &frame);
        }
        enum status status = replay_frame(self, &frame);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes,
                           "%s: cannot replay the changes from %" PRIu64 ": %s", segment->path,
                           expected, status_text(status));
            status = report(observer, status,
                            &(struct journal_problem){.segment = segment,
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
        offset = (uint64_t)(rest.ptr - bytes.ptr);
    }
    if (observer != NULL) {
        const struct journal_end end = {.offset = offset,
                                        .file_bytes = bytes.len,
                                        .torn_bytes = frame_torn_bytes(rest, expected),
                                        .next_lsn = expected};
        observer->end(observer->arg, segment, &end);
    }
    return check_end(self, segment, bytes, offset, expected, errmsg, errmsg_bytes);
}

/* Reads a whole segment into memory that the caller frees, and syncs it: what a dead process left
 * in the page cache may not be on the storage yet. */
static enum status read_segment(struct journal_files *self, const struct journal_file *segment,
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
    const struct journal_file *next = usable_from(self, i + 1);
    struct stat info;
    if (next != NULL && fstat(next->fd, &info) == 0) {
        file_read_ahead(next->fd, 0, info.st_size);
    }
}

/* Finds out what the segments behind this one say about it. */
static void look_ahead(const struct journal_files *self, struct replay *replay, size_t i)
{
    const struct journal_file *segment = &self->items[i];
    const struct journal_file *follower = usable_from(self, i + 1);
    replay->is_last_of_epoch = follower == NULL || follower->epoch != segment->epoch;
    replay->limit_lsn = UINT64_MAX;
    const struct journal_file *later = follower;
    while (later != NULL && later->epoch == segment->epoch) {
        later = usable_from(self, (size_t)(later - self->items) + 1);
    }
    if (later != NULL) {
        replay->limit_lsn = later->header.follows_lsn;
    }
    /* A follower knows where this one ended; what a checkpoint has removed between them does not
     * count as missing. Behind the last one there is only what the rows have. */
    if (follower == NULL) {
        replay->known_lsn = replay->applied_lsn;
    } else {
        uint64_t number = replay->is_last_of_epoch ? 1 : segment->number + 1;
        replay->known_lsn = follower->number == number ? follower->header.follows_lsn : 0;
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
    return report(self->observer, STATUS_CORRUPT,
                  &(struct journal_problem){.segment = segment, .lsn = known + 1, .what = errmsg});
}

static enum status pass(struct journal_files *self, struct replay *replay, char *errmsg,
                        size_t errmsg_bytes)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->count && status == STATUS_OK; i++) {
        struct journal_file *segment = &self->items[i];
        if (!segment->usable) {
            continue;
        }
        look_ahead(self, replay, i);
        if (segment->header.first_lsn > replay->limit_lsn) {
            /* Never acknowledged. */
            segment->unused_why = "written behind the back of the next owner";
            continue;
        }
        status = check_gap(replay, segment, errmsg, errmsg_bytes);
        uint8_t *bytes = NULL;
        size_t len = 0;
        if (status == STATUS_OK) {
            status = read_segment(self, segment, &bytes, &len, errmsg, errmsg_bytes);
        }
        if (status == STATUS_OK) {
            fetch_next(self, i);
            status = replay_bytes(replay, segment, view_of(bytes, len), errmsg, errmsg_bytes);
        }
        if (replay->last_lsn > replay->limit_lsn) {
            replay->last_lsn = replay->limit_lsn;
        }
        free(bytes);
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
    enum status status = list_files(self, &survey->place, &survey->observer, errmsg, errmsg_bytes);
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
