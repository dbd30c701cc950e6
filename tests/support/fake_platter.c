/* Durable bytes and names of segments. */
#include "support/fake_platter.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/random.h"
#include "support/require.h"

enum { SECTOR_BYTES = 512 };

static bool is_segment(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".jnl") == 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct platter_file *file_named(struct fake_platter *self, const char *path)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->files[i].name, name_of(path)) == 0) {
            return &self->files[i];
        }
    }
    return NULL;
}

static void set_name(char out[PLATTER_NAME_BYTES], const char *name)
{
    REQUIRE(snprintf(out, PLATTER_NAME_BYTES, "%s", name) < PLATTER_NAME_BYTES);
}

static void write_into(struct buf *to, const struct platter_write *write, size_t from, size_t len)
{
    size_t end = write->offset + from + len;
    if (end > to->len) {
        REQUIRE(buf_reserve(to, end - to->len) == STATUS_OK);
        memset(to->ptr + to->len, 0, end - to->len);
        to->len = end;
    }
    memcpy(to->ptr + write->offset + from, write->bytes + from, len);
}

void platter_opened(struct fake_platter *self, int fd, const char *path)
{
    REQUIRE(fd < PLATTER_FDS);
    self->fd_files[fd] = 0;
    if (!is_segment(path)) {
        return;
    }
    struct platter_file *file = file_named(self, path);
    if (file == NULL) {
        REQUIRE(self->count < PLATTER_FILES_MAX);
        file = &self->files[self->count++];
        set_name(file->name, name_of(path));
        struct stat info;
        REQUIRE(fstat(fd, &info) == 0);
        if (info.st_size != 0) { /* from before this disk's time */
            set_name(file->durable_name, file->name);
            REQUIRE(buf_reserve(&file->durable, (size_t)info.st_size) == STATUS_OK);
            REQUIRE(pread(fd, file->durable.ptr, (size_t)info.st_size, 0) == info.st_size);
            file->durable.len = (size_t)info.st_size;
        }
    }
    self->fd_files[fd] = (size_t)(file - self->files) + 1;
}

void platter_closed(struct fake_platter *self, int fd)
{
    self->fd_files[fd] = 0;
}

bool platter_knows(const struct fake_platter *self, int fd)
{
    return self->fd_files[fd] != 0;
}

void platter_written(struct fake_platter *self, int fd, struct view bytes, off_t offset)
{
    if (!platter_knows(self, fd)) {
        return;
    }
    struct platter_write *write = malloc(sizeof *write + bytes.len);
    REQUIRE(write != NULL);
    *write = (struct platter_write){.offset = (size_t)offset, .len = bytes.len};
    memcpy(write->bytes, bytes.ptr, bytes.len);
    struct platter_write **at = &self->files[self->fd_files[fd] - 1].pending;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = write;
}

void platter_synced(struct fake_platter *self, int fd)
{
    if (!platter_knows(self, fd)) {
        for (size_t i = 0; i < self->count; i++) {
            set_name(self->files[i].durable_name, self->files[i].name);
        }
        return;
    }
    struct platter_file *file = &self->files[self->fd_files[fd] - 1];
    while (file->pending != NULL) {
        struct platter_write *write = file->pending;
        file->pending = write->next;
        write_into(&file->durable, write, 0, write->len);
        free(write);
    }
}

void platter_renamed(struct fake_platter *self, const char *from, const char *to)
{
    struct platter_file *file = file_named(self, from);
    if (file == NULL) {
        return; /* never opened, so nothing is known of it */
    }
    REQUIRE(to == NULL || file_named(self, to) == NULL);
    set_name(file->name, to == NULL ? "" : name_of(to));
}

static void write_survivor(const struct platter_file *file, const char *into, const char *name,
                           struct random *random)
{
    struct buf left = {0};
    REQUIRE(buf_append(&left, buf_view(&file->durable)) == STATUS_OK);
    /* All, nothing, or any of the pieces. */
    uint64_t manner = random_below(random, 3);
    for (const struct platter_write *write = file->pending; write != NULL; write = write->next) {
        for (size_t at = 0; at < write->len;) {
            size_t in_sector = SECTOR_BYTES - (write->offset + at) % SECTOR_BYTES;
            size_t len = write->len - at < in_sector ? write->len - at : in_sector;
            if (manner == 1 || (manner == 2 && random_below(random, 2) == 0)) {
                write_into(&left, write, at, len);
            }
            at += len;
        }
    }
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", into, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(left.len == 0 || write(fd, left.ptr, left.len) == (ssize_t)left.len);
    REQUIRE(close(fd) == 0);
    buf_free(&left);
}

void platter_survivors(const struct fake_platter *self, const char *into, uint64_t seed)
{
    struct random random = {.state = seed};
    for (size_t i = 0; i < self->count; i++) {
        const struct platter_file *file = &self->files[i];
        const char *name = random_below(&random, 2) == 0 ? file->name : file->durable_name;
        if (name[0] != '\0') {
            write_survivor(file, into, name, &random);
        }
    }
}

void platter_free(struct fake_platter *self)
{
    for (size_t i = 0; i < self->count; i++) {
        buf_free(&self->files[i].durable);
        while (self->files[i].pending != NULL) {
            struct platter_write *next = self->files[i].pending->next;
            free(self->files[i].pending);
            self->files[i].pending = next;
        }
    }
}
