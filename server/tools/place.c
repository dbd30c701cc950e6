/* A data directory's files, and whether somebody uses them. */
#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/data_dir.h"
#include "tools/read_only.h"

/* The lock is only asked for: holding one would keep a store from starting. */
static enum status open_data_file(struct place *self, char *errmsg, size_t errmsg_bytes)
{
    const struct file_ops *file = &file_ops_read_only;
    self->fd = file->open(file->arg, self->data_file, O_RDONLY, 0);
    if (self->fd < 0 || fstat(self->fd, &self->data_before) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", self->data_file,
                       strerror(errno));
        return STATUS_IO;
    }
    if (file->lock(file->arg, self->fd) == 0) {
        return STATUS_OK;
    }
    if (errno != EAGAIN) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot ask for the lock of %s: %s", self->data_file,
                       strerror(errno));
        return STATUS_IO;
    }
    (void)snprintf(errmsg, errmsg_bytes,
                   "%s is in use by a running store; stop it first, or look at a copy", self->dir);
    return STATUS_LOCKED;
}

enum status place_open(struct place *self, const char *dir, char *errmsg, size_t errmsg_bytes)
{
    *self = (struct place){.fd = -1};
    self->dir = realpath(dir, NULL);
    if (self->dir == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", dir, strerror(errno));
        return STATUS_IO;
    }
    if (asprintf(&self->journal_dir, "%s/journal", self->dir) < 0) {
        self->journal_dir = NULL;
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    enum status status = data_file_locate(self->dir, self->journal_dir, &self->data_file, errmsg,
                                          errmsg_bytes);
    if (status == STATUS_CORRUPT) {
        status = STATUS_OK; /* a journal without a data file: also to be looked at */
    } else if (status == STATUS_OK) {
        status = open_data_file(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK && stat(self->journal_dir, &self->journal_before) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", self->journal_dir,
                       strerror(errno));
        status = STATUS_IO;
    }
    return status;
}

static bool is_same(const struct stat *before, const struct stat *now)
{
    return before->st_ino == now->st_ino && before->st_size == now->st_size &&
           before->st_mtim.tv_sec == now->st_mtim.tv_sec &&
           before->st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

bool place_is_unchanged(const struct place *self)
{
    struct stat now;
    if (stat(self->journal_dir, &now) != 0 || !is_same(&self->journal_before, &now)) {
        return false; /* a store that starts makes a segment first */
    }
    return self->fd < 0 || (fstat(self->fd, &now) == 0 && is_same(&self->data_before, &now) &&
                            file_ops_read_only.lock(NULL, self->fd) == 0);
}

void place_close(struct place *self)
{
    if (self->fd >= 0) {
        (void)file_ops_read_only.close(NULL, self->fd);
    }
    free(self->data_file);
    free(self->journal_dir);
    free(self->dir);
}
