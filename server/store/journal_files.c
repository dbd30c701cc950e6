/* Finding the segments of earlier epochs; journal_replay.c reads them. */
#include "store/journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/journal_files_private.h"

/* ---- Listing -------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct journal_file *left = a;
    const struct journal_file *right = b;
    if (left->epoch != right->epoch) {
        return left->epoch < right->epoch ? -1 : 1;
    }
    if (left->number != right->number) {
        return left->number < right->number ? -1 : 1;
    }
    return (left->lane > right->lane) - (left->lane < right->lane);
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
                      segment->header.number == segment->number &&
                      segment->header.lane == segment->lane;
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
    if (!segment_parse_name(name, &segment.epoch, &segment.number, &segment.lane)) {
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
        qsort(self->items, self->count, sizeof *self->items, by_place);
    }
    return status;
}

enum status journal_files_list_all(struct journal_files *self, const struct journal_place *place,
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
            const struct journal_problem problem = {.segment = segment, .what = errmsg};
            status = journal_problem_report(observer, status, &problem);
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
    return journal_files_list_all(self, place, NULL, errmsg, errmsg_bytes);
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
