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

/* Reads one header and decides whether the segment counts. */
static enum status read_header(struct journal_files *self, struct journal_file *segment,
                               const uint8_t uuid[STORE_UUID_BYTES], char *errmsg,
                               size_t errmsg_bytes)
{
    const struct file_ops *file = self->file;
    int fd = file->open(file->arg, segment->path, O_RDONLY, 0);
    if (fd < 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", segment->path, strerror(errno));
        return status_of_errno(errno);
    }
    uint8_t bytes[SEGMENT_HEADER_BYTES + 1]; /* one more tells whether something stands behind it */
    size_t got = 0;
    enum status status = file_pread_all(file, fd, bytes, sizeof bytes, 0, &got);
    (void)file->close(file->arg, fd);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read %s: %s", segment->path, strerror(errno));
        return status;
    }
    if (got < SEGMENT_HEADER_BYTES || (got == SEGMENT_HEADER_BYTES && all_zero(bytes, got))) {
        /* Its maker died before the header was durable, so before the first frame. */
        log_info("unfinished journal segment ignored", "path=%s", segment->path);
        return STATUS_OK;
    }
    status = segment_decode_header(view_of(bytes, got), &segment->header);
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "%s: the segment's header is %s", segment->path,
                       status == STATUS_CORRUPT ? "damaged" : "of an unknown format");
        return status;
    }
    if (memcmp(segment->header.uuid, uuid, STORE_UUID_BYTES) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "%s belongs to another store", segment->path);
        return STATUS_CORRUPT;
    }
    segment->usable = segment->header.epoch == segment->epoch &&
                      segment->header.number == segment->number;
    if (segment->header.first_lsn > self->lsn_max) {
        self->lsn_max = segment->header.first_lsn;
    }
    if (!segment->usable) {
        log_info("half recycled journal segment ignored", "path=%s", segment->path);
    }
    return STATUS_OK;
}

static enum status add_file(struct journal_files *self, const char *dir, const char *name,
                            char *errmsg, size_t errmsg_bytes)
{
    struct journal_file segment = {0};
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

enum status journal_files_list(struct journal_files *self, const char *dir,
                               const uint8_t uuid[STORE_UUID_BYTES], const struct file_ops *file,
                               char *errmsg, size_t errmsg_bytes)
{
    *self = (struct journal_files){.file = file};
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
    for (size_t i = 0; i < self->count && status == STATUS_OK; i++) {
        status = read_header(self, &self->items[i], uuid, errmsg, errmsg_bytes);
    }
    if (status != STATUS_OK) {
        journal_files_free(self);
    }
    return status;
}

void journal_files_free(struct journal_files *self)
{
    for (size_t i = 0; i < self->count; i++) {
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
    journal_replay_fn visit;
    void *arg;
};

static enum status replay_frame(struct replay *self, const struct frame *frame)
{
    struct view rest = frame->records;
    struct record record;
    uint64_t lsn = frame->first_lsn;
    enum status status = STATUS_OK;
    if (frame->first_lsn + frame->count - 1 > self->applied_lsn) {
        for (; (status = record_next(&rest, &record)) == STATUS_OK; lsn++) {
            if (lsn > self->applied_lsn && lsn <= self->limit_lsn) {
                status = self->visit(self->arg, lsn, &record);
                if (status != STATUS_OK) {
                    return status;
                }
            }
        }
        if (status != STATUS_END || lsn != frame->first_lsn + frame->count) {
            return status == STATUS_UNSUPPORTED ? status : STATUS_CORRUPT;
        }
    }
    self->last_lsn = frame->first_lsn + frame->count - 1;
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

static enum status replay_bytes(struct replay *self, const struct journal_file *segment,
                                struct view bytes, bool is_last_of_epoch, char *errmsg,
                                size_t errmsg_bytes)
{
    uint64_t seed = segment_seed(&segment->header);
    struct view rest = view_of(bytes.ptr + SEGMENT_HEADER_BYTES, bytes.len - SEGMENT_HEADER_BYTES);
    struct frame frame;
    uint64_t expected = segment->header.first_lsn;
    while (expected <= self->limit_lsn && frame_next(&rest, seed, expected, &frame) == STATUS_OK) {
        enum status status = replay_frame(self, &frame);
        if (status != STATUS_OK) {
            (void)snprintf(errmsg, errmsg_bytes,
                           "%s: cannot replay the changes from %" PRIu64 ": %s", segment->path,
                           expected, status_text(status));
            return status;
        }
        expected += frame.count;
    }
    if (is_last_of_epoch && expected <= self->limit_lsn && is_damage(self, rest, seed, expected)) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "%s is damaged at change %" PRIu64 ", which was durable", segment->path,
                       expected);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* Reads a whole segment into memory that the caller frees, under its lock, and syncs it. */
static enum status read_segment(struct journal_files *self, const struct journal_file *segment,
                                uint8_t **bytes, size_t *len, char *errmsg, size_t errmsg_bytes)
{
    const struct file_ops *file = self->file;
    int fd = file->open(file->arg, segment->path, O_RDWR, 0);
    struct stat info;
    enum status status = STATUS_OK;
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = status_of_errno(errno);
    } else if (file->lock(file->arg, fd) != 0) {
        status = errno == EAGAIN || errno == EACCES ? STATUS_LOCKED : STATUS_IO;
    } else {
        *bytes = malloc((size_t)info.st_size);
        status = *bytes == NULL ? STATUS_NO_MEMORY
                                : file_pread_all(file, fd, *bytes, (size_t)info.st_size, 0, len);
    }
    if (status == STATUS_OK && file->fdatasync(file->arg, fd) != 0) {
        status = status_of_errno(errno);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read %s: %s: %s", segment->path,
                       status_text(status), strerror(errno));
    }
    if (fd >= 0) {
        (void)file->close(file->arg, fd);
    }
    return status;
}

enum status journal_files_replay(struct journal_files *self, uint64_t applied_lsn,
                                 journal_replay_fn visit, void *arg, uint64_t *last_lsn,
                                 char *errmsg, size_t errmsg_bytes)
{
    struct replay replay = {
        .applied_lsn = applied_lsn, .last_lsn = applied_lsn, .visit = visit, .arg = arg};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < self->count && status == STATUS_OK; i++) {
        const struct journal_file *segment = &self->items[i];
        if (!segment->usable) {
            continue;
        }
        size_t next = i + 1;
        while (next < self->count && !self->items[next].usable) {
            next++;
        }
        bool is_last_of_epoch = next == self->count || self->items[next].epoch != segment->epoch;
        replay.limit_lsn = UINT64_MAX;
        for (size_t later = next; later < self->count; later++) {
            if (self->items[later].usable && self->items[later].epoch != segment->epoch) {
                replay.limit_lsn = self->items[later].header.follows_lsn;
                break;
            }
        }
        if (segment->header.first_lsn > replay.limit_lsn) {
            continue; /* written behind the next owner's back: never acknowledged */
        }
        uint64_t known = replay.last_lsn > applied_lsn ? replay.last_lsn : applied_lsn;
        if (segment->header.follows_lsn > known) {
            (void)snprintf(errmsg, errmsg_bytes,
                           "changes %" PRIu64 " to %" PRIu64
                           " are missing: the journal before %s is incomplete or damaged",
                           known + 1, segment->header.follows_lsn, segment->path);
            return STATUS_CORRUPT;
        }
        uint8_t *bytes = NULL;
        size_t len = 0;
        status = read_segment(self, segment, &bytes, &len, errmsg, errmsg_bytes);
        if (status == STATUS_OK) {
            status = replay_bytes(&replay, segment, view_of(bytes, len), is_last_of_epoch, errmsg,
                                  errmsg_bytes);
        }
        if (replay.last_lsn > replay.limit_lsn) {
            replay.last_lsn = replay.limit_lsn;
        }
        free(bytes);
    }
    *last_lsn = replay.last_lsn > applied_lsn ? replay.last_lsn : applied_lsn;
    return status;
}
