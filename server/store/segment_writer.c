/* Starting, filling, closing and recycling journal segments; the picture is in segment_writer.h. */
#include "store/segment_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 4096 };

static void segment_path(const struct segment_writer *self, uint64_t number, uint32_t lane,
                         char out[PATH_BYTES])
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(name, self->options.epoch, number, lane);
    (void)snprintf(out, PATH_BYTES, "%s/%s", self->options.dir, name);
}

/* ---- Closed segments ------------------------------------------------------------------------ */

static enum status remember_closed(struct segment_writer *self, struct closed_segment segment)
{
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->lock);
    if (self->closed_count == self->closed_cap) {
        size_t cap = self->closed_cap == 0 ? 16 : self->closed_cap * 2;
        struct closed_segment *grown = realloc(self->closed, cap * sizeof *grown);
        if (grown == NULL) {
            status = STATUS_NO_MEMORY;
        } else {
            self->closed = grown;
            self->closed_cap = cap;
        }
    }
    if (status == STATUS_OK) {
        self->closed[self->closed_count++] = segment;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

/* Takes a covered file of the lane; false when there is none. */
static bool take_spare(struct segment_writer *self, uint32_t lane, struct closed_segment *spare)
{
    bool found = false;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < self->closed_count && !found; i++) {
        if (self->closed[i].spare && self->closed[i].lane == lane) {
            *spare = self->closed[i];
            self->closed[i] = self->closed[--self->closed_count];
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return found;
}

enum status segment_writer_drop_covered(struct segment_writer *self, uint64_t lsn)
{
    const struct file_ops *file = self->options.file;
    enum status status = STATUS_OK;
    (void)pthread_mutex_lock(&self->lock);
    uint64_t spare_bytes = 0;
    for (size_t i = 0; i < self->closed_count; i++) {
        spare_bytes += self->closed[i].spare ? self->closed[i].bytes : 0;
    }
    for (size_t i = 0; i < self->closed_count && status == STATUS_OK;) {
        struct closed_segment *segment = &self->closed[i];
        if (segment->spare || segment->last_lsn > lsn) {
            i++;
        } else if (spare_bytes + segment->bytes <= self->options.spare_bytes) {
            segment->spare = true;
            spare_bytes += segment->bytes;
            i++;
        } else {
            char path[PATH_BYTES];
            segment_path(self, segment->number, segment->lane, path);
            if (file->unlink(file->arg, path) != 0 && errno != ENOENT) {
                status = status_of_errno(errno);
            } else {
                self->closed[i] = self->closed[--self->closed_count];
            }
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

/* ---- The open segment ----------------------------------------------------------------------- */

/* Opens a spare file under its old name, or makes a new one. */
static enum status open_file(struct segment_writer *self, const char *path, bool is_spare, int *fd)
{
    const struct file_ops *file = self->options.file;
    *fd = file->open(file->arg, path, is_spare ? O_RDWR : O_RDWR | O_CREAT | O_EXCL, 0600);
    if (*fd < 0) {
        return status_of_errno(errno);
    }
    if (file->lock(file->arg, *fd) != 0) {
        return errno == EAGAIN || errno == EACCES ? STATUS_LOCKED : STATUS_IO;
    }
    return STATUS_OK;
}

/* Header, sync, name, directory: in this order, so that a crash leaves a file that recovery knows.
 */
static enum status make_durable(struct segment_writer *self, int fd,
                                const struct segment_header *header, const char *rename_from,
                                const char *path)
{
    const struct file_ops *file = self->options.file;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_encode_header(bytes, header);
    enum status status = file_pwrite_all(file, fd, view_of(bytes, sizeof bytes), 0);
    if (status == STATUS_OK && file->fdatasync(file->arg, fd) != 0) {
        status = status_of_errno(errno);
    }
    if (status == STATUS_OK && rename_from != NULL &&
        file->rename(file->arg, rename_from, path) != 0) {
        status = status_of_errno(errno);
    }
    return status == STATUS_OK ? file_sync_dir(file, self->options.dir) : status;
}

/* Begins the file of a lane. */
static enum status start_lane(struct segment_writer *self, uint32_t lane)
{
    const struct file_ops *file = self->options.file;
    struct segment_header header = self->header;
    header.lane = lane;
    struct closed_segment spare = {0};
    bool is_spare = take_spare(self, lane, &spare);
    char path[PATH_BYTES];
    char spare_path[PATH_BYTES];
    int fd = -1;
    segment_path(self, header.number, lane, path);
    segment_path(self, spare.number, lane, spare_path);
    enum status status = open_file(self, is_spare ? spare_path : path, is_spare, &fd);
    if (status == STATUS_OK) {
        status = make_durable(self, fd, &header, is_spare ? spare_path : NULL, path);
    }
    /* A client whose locks the server has dropped may take new ones on new files: only a write
     * under a lock that was held all the time shows that this one is worth something. */
    if (status == STATUS_OK) {
        status = ownership_confirm(self->options.owner, self->options.epoch);
    }
    if (status != STATUS_OK) {
        int error = errno;
        if (fd >= 0) {
            (void)file->close(file->arg, fd);
            if (!is_spare) { /* without frames it would only be in the way */
                (void)file->unlink(file->arg, path);
            }
        }
        errno = error;
        return status;
    }
    self->lanes[lane] = (struct segment_lane){.fd = fd,
                                              .seed = segment_seed(&header),
                                              .offset = SEGMENT_HEADER_BYTES,
                                              .allocated_bytes = spare.bytes};
    return STATUS_OK;
}

/* The segment's number is used up even if this fails: its file may be there, half made. */
static enum status start(struct segment_writer *self, uint64_t follows_lsn, uint64_t first_lsn)
{
    self->header.number++;
    self->header.follows_lsn = follows_lsn;
    self->header.first_lsn = first_lsn;
    atomic_store_explicit(&self->bytes, 0, memory_order_relaxed);
    enum status status = start_lane(self, 0);
    self->started += status == STATUS_OK;
    return status;
}

/* The last lsn in the open segment. */
static uint64_t last_lsn(const struct segment_writer *self)
{
    uint64_t last = self->header.first_lsn - 1;
    for (uint32_t lane = 0; lane < SEGMENT_LANES; lane++) {
        const struct segment_lane *file = &self->lanes[lane];
        last = file->fd >= 0 && file->last_lsn > last ? file->last_lsn : last;
    }
    return last;
}

static uint64_t allocated_bytes(const struct segment_lane *file)
{
    return file->offset > file->allocated_bytes ? file->offset : file->allocated_bytes;
}

/* Closing gives a file's lock up; nobody writes it any more. */
static enum status close_open_segment(struct segment_writer *self)
{
    const struct file_ops *file = self->options.file;
    const uint64_t last = last_lsn(self);
    enum status status = STATUS_OK;
    self->header.lanes_before = 0;
    for (uint32_t lane = 0; lane < SEGMENT_LANES; lane++) {
        int fd = self->lanes[lane].fd;
        self->lanes[lane].fd = -1; /* closed also when that fails */
        if (fd < 0) {
            continue;
        }
        self->header.lanes_before++;
        const struct closed_segment closed = {.number = self->header.number,
                                              .last_lsn = last,
                                              .bytes = allocated_bytes(&self->lanes[lane]),
                                              .lane = lane};
        enum status done = file->close(file->arg, fd) == 0 ? remember_closed(self, closed)
                                                           : status_of_errno(errno);
        if (status == STATUS_OK || status == STATUS_NO_SPACE) { /* of two failures the worse one */
            status = done == STATUS_OK ? status : done;
        }
    }
    return status;
}

/* What was written to the old segment has to be durable before a new one begins: recovery takes a
 * segment's successor as the proof that it is whole. In the other lanes everything is. */
static enum status rotate(struct segment_writer *self)
{
    enum status status = segment_writer_sync(self, 0);
    const uint64_t last = last_lsn(self);
    if (status == STATUS_OK) {
        status = close_open_segment(self);
    }
    return status == STATUS_OK ? start(self, last, last + 1) : status;
}

enum status segment_writer_open(struct segment_writer *self,
                                const struct segment_writer_options *options, uint64_t follows_lsn,
                                uint64_t first_lsn)
{
    *self = (struct segment_writer){.options = *options,
                                    .follows_lsn = follows_lsn,
                                    .first_lsn = first_lsn,
                                    .header.epoch = options->epoch};
    memcpy(self->header.uuid, options->uuid, STORE_UUID_BYTES);
    for (uint32_t lane = 0; lane < SEGMENT_LANES; lane++) {
        self->lanes[lane].fd = -1;
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    enum status status = start(self, follows_lsn, first_lsn);
    if (status != STATUS_OK) {
        (void)pthread_mutex_destroy(&self->lock);
    }
    return status;
}

bool segment_writer_has_room(const struct segment_writer *self, uint64_t bytes)
{
    /* Relaxed: two who ask at once may make the segment a little longer than it should be. */
    return atomic_load_explicit(&self->bytes, memory_order_relaxed) + bytes <=
           self->options.segment_bytes;
}

enum status segment_writer_make_room(struct segment_writer *self, uint64_t bytes)
{
    bool is_empty = atomic_load_explicit(&self->bytes, memory_order_relaxed) == 0;
    return is_empty || segment_writer_has_room(self, bytes) ? STATUS_OK : rotate(self);
}

enum status segment_writer_append(struct segment_writer *self, unsigned lane, uint8_t *at,
                                  const struct frame *frame)
{
    struct segment_lane *file = &self->lanes[lane];
    size_t len = FRAME_HEADER_BYTES + frame->records.len;
    enum status status = file->fd < 0 ? start_lane(self, lane) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    frame_seal(at, frame, file->seed);
    file->last_lsn = frame->first_lsn + frame->count - 1;
    status = file_pwrite_all(self->options.file, file->fd, view_of(at, len), (off_t)file->offset);
    file->offset += len;
    atomic_fetch_add_explicit(&self->bytes, len, memory_order_relaxed);
    return status;
}

enum status segment_writer_sync(struct segment_writer *self, unsigned lane)
{
    const struct file_ops *file = self->options.file;
    return file->fdatasync(file->arg, self->lanes[lane].fd) == 0 ? STATUS_OK
                                                                 : status_of_errno(errno);
}

enum status segment_writer_note_durable(struct segment_writer *self, uint64_t durable_lsn)
{
    struct segment_lane *file = &self->lanes[0];
    uint8_t at[FRAME_HEADER_BYTES];
    const struct frame frame = {.first_lsn = last_lsn(self) + 1, .durable_lsn = durable_lsn};
    frame_seal(at, &frame, file->seed);
    enum status status = file_pwrite_all(self->options.file, file->fd, view_of(at, sizeof at),
                                         (off_t)file->offset);
    if (status == STATUS_OK) {
        file->offset += sizeof at;
        atomic_fetch_add_explicit(&self->bytes, sizeof at, memory_order_relaxed);
    }
    return status == STATUS_NO_SPACE ? STATUS_OK : status;
}

enum status segment_writer_restart(struct segment_writer *self, uint64_t durable_lsn)
{
    enum status status = close_open_segment(self);
    if (status == STATUS_NO_SPACE) {
        status =
            STATUS_OK; /* NFS says so at close as well, and what it was about is written again */
    }
    /* As long as nothing is durable the new segment is the epoch's first: it has to bridge the gap
     * that recovery left before the epoch, or it would seem that changes are missing there. */
    uint64_t follows_lsn = durable_lsn < self->first_lsn ? self->follows_lsn : durable_lsn;
    return status == STATUS_OK ? start(self, follows_lsn, durable_lsn + 1) : status;
}

enum status segment_writer_close(struct segment_writer *self)
{
    const struct file_ops *file = self->options.file;
    enum status status = STATUS_OK;
    for (uint32_t lane = 0; lane < SEGMENT_LANES; lane++) {
        int fd = self->lanes[lane].fd;
        if (fd >= 0 && file->close(file->arg, fd) != 0) {
            status = status_of_errno(errno);
        }
    }
    free(self->closed);
    (void)pthread_mutex_destroy(&self->lock);
    return status;
}
