/* Putting a store in the place of another; replace.h says in which order, and why. */
#include "store/replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "store/data_dir.h"
#include "store/import.h"
#include "store/segment.h"

enum { ASIDE_MAX = 1000, PATH_BYTES = 4096 };

struct replacing {
    const struct file_ops *file; /* borrowed */
    char *dir;                   /* owned, as all below */
    char *journal;
    char *fresh; /* where the new store is made */
    char *fresh_journal;
    char *aside; /* where the old one goes; NULL: nothing has gone there yet */
    char *aside_journal;
    int *locks; /* descriptors of the old store's files, locked */
    size_t lock_count;
    bool is_trial;
};

/* ---- Files by their names ------------------------------------------------------------------- */

/* What a name is to a store. */
enum kind { KIND_FOREIGN, KIND_WHOLE, KIND_UNFINISHED, KIND_SEGMENT };

static enum kind kind_of(const char *name)
{
    uint64_t epoch;
    uint64_t number;
    uint32_t lane;
    bool is_whole;
    if (segment_parse_name(name, &epoch, &number, &lane)) {
        return KIND_SEGMENT;
    }
    if (data_file_parse_name(name, &epoch, &is_whole)) {
        return is_whole ? KIND_WHOLE : KIND_UNFINISHED;
    }
    return KIND_FOREIGN;
}

/* Answers anything but OK to end the walk. */
typedef enum status (*each_fn)(void *arg, const char *path, const char *name, enum kind kind);

/* Tells the files of a store in `dir`; a directory that is not there has none. IO: errno is set. */
static enum status walk(const char *dir, each_fn each, void *arg)
{
    DIR *listing = opendir(dir);
    if (listing == NULL) {
        return errno == ENOENT ? STATUS_OK : STATUS_IO;
    }
    enum status status = STATUS_OK;
    errno = 0;
    for (const struct dirent *item = NULL; status == STATUS_OK && (item = readdir(listing)) != NULL;
         errno = 0) {
        char path[PATH_BYTES];
        enum kind kind = kind_of(item->d_name);
        (void)snprintf(path, sizeof path, "%s/%s", dir, item->d_name);
        status = kind != KIND_FOREIGN ? each(arg, path, item->d_name, kind) : STATUS_OK;
    }
    int error = errno;
    (void)closedir(listing);
    errno = error;
    return status == STATUS_OK && error != 0 ? STATUS_IO : status;
}

struct moving {
    struct replacing *self;
    const char *to;
    enum kind kind;   /* only these */
    const char *stay; /* a name that does not go; NULL: none */
};

static enum status move_one(void *arg, const char *path, const char *name, enum kind kind)
{
    const struct moving *moving = arg;
    const struct file_ops *file = moving->self->file;
    char target[PATH_BYTES];
    if (kind != moving->kind || (moving->stay != NULL && strcmp(name, moving->stay) == 0)) {
        return STATUS_OK;
    }
    (void)snprintf(target, sizeof target, "%s/%s", moving->to, name);
    return file->rename(file->arg, path, target) == 0 ? STATUS_OK : status_of_errno(errno);
}

static enum status move_all(struct replacing *self, const char *from, const char *to,
                            enum kind kind, const char *stay)
{
    struct moving moving = {.self = self, .to = to, .kind = kind, .stay = stay};
    return walk(from, move_one, &moving);
}

static enum status remove_one(void *arg, const char *path, const char *name, enum kind kind)
{
    const struct file_ops *file = arg;
    (void)name;
    (void)kind;
    return file->unlink(file->arg, path) == 0 || errno == ENOENT ? STATUS_OK : STATUS_IO;
}

/* Removes a directory that has nothing but a store's files. */
static void remove_dir(const struct replacing *self, const char *dir, const char *journal)
{
    if (walk(journal, remove_one, (void *)(uintptr_t)self->file) != STATUS_OK ||
        (rmdir(journal) != 0 && errno != ENOENT) ||
        walk(dir, remove_one, (void *)(uintptr_t)self->file) != STATUS_OK ||
        (rmdir(dir) != 0 && errno != ENOENT)) {
        log_warn("what is of no use any more is left behind", "dir=%s why=\"%s\"", dir,
                 strerror(errno));
    }
}

/* ---- Locks ---------------------------------------------------------------------------------- */

struct locking {
    struct replacing *self;
    char *errmsg;
    size_t errmsg_bytes;
};

static enum status lock_one(void *arg, const char *path, const char *name, enum kind kind)
{
    const struct locking *locking = arg;
    struct replacing *self = locking->self;
    const struct file_ops *file = self->file;
    (void)name;
    if (kind == KIND_UNFINISHED) {
        return STATUS_OK; /* of nobody who lives */
    }
    int *grown = reallocarray(self->locks, self->lock_count + 1, sizeof *grown);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->locks = grown;
    int fd = file->open(file->arg, path, O_RDWR, 0);
    if (fd < 0) {
        enum status status = errno == ENOENT ? STATUS_OK : STATUS_IO;
        (void)snprintf(locking->errmsg, locking->errmsg_bytes, "cannot open %s: %s", path,
                       strerror(errno));
        return status;
    }
    self->locks[self->lock_count++] = fd;
    enum status status = file_lock(file, fd, 0);
    (void)snprintf(locking->errmsg, locking->errmsg_bytes, "%s is in use by a running store: %s",
                   self->dir, path);
    return status;
}

static enum status lock_store(struct replacing *self, char *errmsg, size_t errmsg_bytes)
{
    struct locking locking = {.self = self, .errmsg = errmsg, .errmsg_bytes = errmsg_bytes};
    (void)snprintf(errmsg, errmsg_bytes, "cannot list %s: %s", self->dir, strerror(errno));
    enum status status = walk(self->dir, lock_one, &locking);
    return status == STATUS_OK ? walk(self->journal, lock_one, &locking) : status;
}

/* ---- Beginning and ending ------------------------------------------------------------------- */

static enum status make_fresh(struct replacing *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = dir_make(self->fresh_journal, errmsg, errmsg_bytes);
    if (status == STATUS_OK) { /* one that was cut short may have left something */
        status = store_import_clear(self->fresh, self->file, errmsg, errmsg_bytes);
    }
    return status;
}

static bool name_all(struct replacing *self, const char *dir)
{
    self->dir = strdup(dir);
    return self->dir != NULL && asprintf(&self->journal, "%s/journal", dir) >= 0 &&
           asprintf(&self->fresh, "%s/restoring", dir) >= 0 &&
           asprintf(&self->fresh_journal, "%s/restoring/journal", dir) >= 0;
}

enum status replace_begin(const struct replace_options *options, struct replacing **out,
                          char *errmsg, size_t errmsg_bytes)
{
    struct replacing *self = calloc(1, sizeof *self);
    enum status status = STATUS_NO_MEMORY;
    (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    if (self == NULL) {
        return status;
    }
    self->file = options->file;
    self->is_trial = options->is_trial;
    if (name_all(self, options->data_dir)) {
        status = lock_store(self, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK && !options->is_trial) {
        status = make_fresh(self, errmsg, errmsg_bytes);
    }
    if (status != STATUS_OK) {
        replace_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

const char *replace_dir(const struct replacing *self)
{
    return self->fresh;
}

void replace_close(struct replacing *self)
{
    if (self == NULL) {
        return;
    }
    bool is_made = !self->is_trial && self->fresh != NULL && self->fresh_journal != NULL &&
                   access(self->fresh, F_OK) == 0;
    if (is_made) {
        remove_dir(self, self->fresh, self->fresh_journal);
    }
    for (size_t i = 0; i < self->lock_count; i++) {
        (void)self->file->close(self->file->arg, self->locks[i]);
    }
    free(self->locks);
    free(self->dir);
    free(self->journal);
    free(self->fresh);
    free(self->fresh_journal);
    free(self->aside);
    free(self->aside_journal);
    free(self);
}

/* ---- Replacing ------------------------------------------------------------------------------ */

/* A directory for the old store; an earlier attempt may have left some behind. */
static enum status make_aside(struct replacing *self, char *errmsg, size_t errmsg_bytes)
{
    for (unsigned i = 1; i < ASIDE_MAX; i++) {
        free(self->aside);
        self->aside = NULL;
        if (asprintf(&self->aside, "%s/replaced-%u", self->dir, i) < 0) {
            self->aside = NULL;
            return STATUS_NO_MEMORY;
        }
        if (access(self->aside, F_OK) != 0) {
            break;
        }
    }
    if (asprintf(&self->aside_journal, "%s/journal", self->aside) < 0) {
        self->aside_journal = NULL;
        return STATUS_NO_MEMORY;
    }
    return dir_make(self->aside_journal, errmsg, errmsg_bytes);
}

/* Steps 1 to 5; IO: errno is set. */
static enum status swap(struct replacing *self, const char *fresh_file, const char *unfinished,
                        const char *whole)
{
    const struct file_ops *file = self->file;
    if (file->rename(file->arg, fresh_file, unfinished) != 0) {
        return status_of_errno(errno);
    }
    enum status status = file_sync_dir(file, self->dir);
    if (status == STATUS_OK) {
        status = move_all(self, self->dir, self->aside, KIND_WHOLE, NULL);
    }
    if (status == STATUS_OK) {
        status = move_all(self, self->dir, self->aside, KIND_UNFINISHED,
                          strrchr(unfinished, '/') + 1);
    }
    if (status == STATUS_OK) {
        status = file_sync_dir(file, self->dir);
    }
    if (status == STATUS_OK) {
        status = move_all(self, self->journal, self->aside_journal, KIND_SEGMENT, NULL);
    }
    if (status == STATUS_OK) {
        status = move_all(self, self->fresh_journal, self->journal, KIND_SEGMENT, NULL);
    }
    if (status == STATUS_OK) {
        status = file_sync_dir(file, self->journal);
    }
    return status == STATUS_OK ? data_file_publish(self->dir, unfinished, whole, file) : status;
}

enum status replace_finish(struct replacing *self, char *errmsg, size_t errmsg_bytes)
{
    char *fresh_file = NULL;
    char *unfinished = NULL;
    char *whole = NULL;
    uint64_t epoch = 0;
    bool is_whole = false;
    enum status status = data_file_locate(self->fresh, self->fresh_journal, &fresh_file, errmsg,
                                          errmsg_bytes);
    if (status == STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        (void)data_file_parse_name(strrchr(fresh_file, '/') + 1, &epoch, &is_whole);
        unfinished = data_file_path(self->dir, epoch, false);
        whole = data_file_path(self->dir, epoch, true);
        status = unfinished != NULL && whole != NULL ? make_aside(self, errmsg, errmsg_bytes)
                                                     : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        status = swap(self, fresh_file, unfinished, whole);
        (void)snprintf(
            errmsg, errmsg_bytes,
            "cannot put the new store into %s: %s; what has gone of the old one is in %s",
            self->dir, strerror(errno), self->aside);
    }
    if (status == STATUS_OK) {
        remove_dir(self, self->aside, self->aside_journal);
    }
    free(fresh_file);
    free(unfinished);
    free(whole);
    return status;
}
