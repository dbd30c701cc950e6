/* A data directory's files, who uses them, and whether they change. */
#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lifecycle/lease_record.h"
#include "store/data_dir.h"
#include "store/pages.h"
#include "tools/read_only.h"

static int open_for_reading(const char *path)
{
    return file_ops_read_only.open(NULL, path, O_RDONLY, 0);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)file_ops_read_only.close(NULL, fd);
    }
}

/* ---- Who uses it ---------------------------------------------------------------------------- */

/* Only asks. False with errno: the storage does not answer. */
static bool ask_lock(int fd, bool *is_held)
{
    struct flock other = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &other) != 0) {
        return false;
    }
    *is_held = other.l_type != F_UNLCK;
    return true;
}

/* The record is rewritten in place a few times in each lease time, so one may be caught half. */
static void read_owner(struct place *self)
{
    enum { TRIES = 5 };
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/lease", self->dir);
    for (unsigned i = 0; i < TRIES && self->owner[0] == '\0'; i++) {
        char bytes[LEASE_RECORD_BYTES] = {0};
        struct lease_record record;
        size_t got = 0;
        int fd = open_for_reading(path);
        if (fd >= 0 &&
            file_pread_all(&file_ops_read_only, fd, bytes, sizeof bytes, 0, &got) == STATUS_OK &&
            lease_record_decode(bytes, &record) == STATUS_OK && !record.is_released) {
            (void)snprintf(self->owner, sizeof self->owner, "%s%s%s", record.owner,
                           record.address[0] != '\0' ? ", " : "", record.address);
        }
        close_fd(fd);
    }
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enum status ask_users(struct place *self, char *errmsg, size_t errmsg_bytes)
{
    if (!ask_lock(self->fd, &self->is_used)) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot ask for the lock of %s: %s", self->data_file,
                       strerror(errno));
        return STATUS_IO;
    }
    if (self->is_used) {
        read_owner(self);
    }
    return STATUS_OK;
}

/* The transaction that counts. A damaged meta page has none, for as long as it is damaged. */
static enum status read_txnid(int fd, uint64_t *txnid)
{
    enum status status = pages_txnid(&file_ops_read_only, fd, txnid);
    return status == STATUS_CORRUPT || status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status open_data_file(struct place *self, char *errmsg, size_t errmsg_bytes)
{
    self->fd = open_for_reading(self->data_file);
    if (self->fd < 0 || fstat(self->fd, &self->data_before) != 0) {
        enum status status = errno == ENOENT ? STATUS_AGAIN : STATUS_IO;
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", self->data_file,
                       strerror(errno));
        return status;
    }
    if (read_txnid(self->fd, &self->txnid_before) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read %s: %s", self->data_file,
                       strerror(errno));
        return STATUS_IO;
    }
    return ask_users(self, errmsg, errmsg_bytes);
}

/* A store that starts after one that did not end in order makes a new data file and removes the one
 * that was just found. */
static enum status find_data_file(struct place *self, char *errmsg, size_t errmsg_bytes)
{
    enum { TRIES = 5 };
    enum status status = STATUS_AGAIN;
    for (unsigned i = 0; i < TRIES && status == STATUS_AGAIN; i++) {
        free(self->data_file);
        self->data_file = NULL;
        status = data_file_locate(self->dir, self->journal_dir, &self->data_file, errmsg,
                                  errmsg_bytes);
        if (status == STATUS_OK) {
            status = open_data_file(self, errmsg, errmsg_bytes);
        } else if (status == STATUS_CORRUPT) {
            return STATUS_OK; /* a journal without a data file: also to be looked at */
        }
    }
    return status;
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
    enum status status = find_data_file(self, errmsg, errmsg_bytes);
    if (status == STATUS_OK && stat(self->journal_dir, &self->journal_before) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot open %s: %s", self->journal_dir,
                       strerror(errno));
        status = STATUS_IO;
    }
    return status;
}

/* ---- Changes -------------------------------------------------------------------------------- */

static bool is_same(const struct stat *before, const struct stat *now)
{
    return before->st_ino == now->st_ino && before->st_size == now->st_size &&
           before->st_mtim.tv_sec == now->st_mtim.tv_sec &&
           before->st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

/* The data file as it is now, opened anew as `fd`. */
static enum place_change data_file_change(const struct place *self, int fd, bool is_journal_same)
{
    struct stat now;
    uint64_t txnid = 0;
    bool is_held = false;
    if (fstat(fd, &now) != 0 || now.st_ino != self->data_before.st_ino ||
        read_txnid(fd, &txnid) != STATUS_OK || !ask_lock(fd, &is_held)) {
        return PLACE_CHANGED;
    }
    if (is_journal_same && !self->is_used && !is_held && is_same(&self->data_before, &now)) {
        return PLACE_AT_REST;
    }
    return txnid == self->txnid_before       ? PLACE_SAME_ROWS
           : txnid == self->txnid_before + 1 ? PLACE_NEXT_ROWS
                                             : PLACE_CHANGED;
}

enum place_change place_change(const struct place *self)
{
    char *data_file = NULL;
    char errmsg[600];
    struct stat now;
    enum place_change change = PLACE_CHANGED;
    enum status status = data_file_locate(self->dir, self->journal_dir, &data_file, errmsg,
                                          sizeof errmsg);
    /* Whoever starts a store makes a segment first. */
    bool is_journal_same = stat(self->journal_dir, &now) == 0 &&
                           is_same(&self->journal_before, &now);
    if (self->data_file == NULL) {
        change = status == STATUS_CORRUPT && is_journal_same ? PLACE_AT_REST : PLACE_CHANGED;
    } else if (status == STATUS_OK && strcmp(data_file, self->data_file) == 0) {
        int fd = open_for_reading(data_file);
        change = fd < 0 ? PLACE_CHANGED : data_file_change(self, fd, is_journal_same);
        close_fd(fd);
    }
    free(data_file);
    return change;
}

void place_close(struct place *self)
{
    close_fd(self->fd);
    free(self->data_file);
    free(self->journal_dir);
    free(self->dir);
}
