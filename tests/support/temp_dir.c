/* Temporary directories and whole files. */
#include "support/temp_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/require.h"

void temp_dir_make(char out[TEMP_DIR_BYTES])
{
    (void)snprintf(out, TEMP_DIR_BYTES, "/tmp/satchel-test-XXXXXX");
    REQUIRE(mkdtemp(out) != NULL);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

void temp_dir_remove(const char *path)
{
    REQUIRE(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static bool read_open_file(struct buf *out, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = 0;
    do {
        REQUIRE(buf_reserve(out, 64 * 1024) == STATUS_OK);
        got = read(fd, out->ptr + out->len, out->cap - out->len);
        REQUIRE(got >= 0);
        out->len += (size_t)got;
    } while (got > 0);
    REQUIRE(close(fd) == 0);
    return true;
}

void temp_file_read(struct buf *out, const char *path)
{
    REQUIRE(read_open_file(out, path));
}

void temp_file_write(const char *path, struct view bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    for (size_t at = 0; at < bytes.len;) {
        ssize_t done = write(fd, bytes.ptr + at, bytes.len - at);
        REQUIRE(done > 0);
        at += (size_t)done;
    }
    REQUIRE(close(fd) == 0);
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

void temp_dir_copy(const char *from, const char *to)
{
    (void)mkdir(to, 0700);
    DIR *listing = opendir(from);
    REQUIRE(listing != NULL);
    for (const struct dirent *item = NULL; (item = readdir(listing)) != NULL;) {
        char path[4096];
        struct stat info;
        (void)snprintf(path, sizeof path, "%s/%s", from, item->d_name);
        if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
            continue;
        }
        struct buf bytes = {0};
        if (read_open_file(&bytes, path)) {
            (void)snprintf(path, sizeof path, "%s/%s", to, item->d_name);
            temp_file_write(path, buf_view(&bytes));
        }
        buf_free(&bytes);
    }
    (void)closedir(listing);
}

unsigned temp_dir_count(const char *path, const char *suffix)
{
    unsigned count = 0;
    DIR *listing = opendir(path);
    REQUIRE(listing != NULL);
    for (const struct dirent *item = NULL; (item = readdir(listing)) != NULL;) {
        count += ends_in(item->d_name, suffix);
    }
    (void)closedir(listing);
    return count;
}
