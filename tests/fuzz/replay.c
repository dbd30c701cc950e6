/* Runs a fuzz target once on every file of a directory: `replay_NAME DIRECTORY`. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The copy has exactly the file's size, so that a sanitizer sees a read behind it. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    size_t len = (size_t)info.st_size;
    uint8_t *bytes = malloc(len == 0 ? 1 : len);
    int failed = bytes == NULL || fread(bytes, 1, len, file) != len;
    if (failed) {
        (void)fprintf(stderr, "%s: cannot read it\n", path);
    } else {
        (void)LLVMFuzzerTestOneInput(bytes, len);
    }
    free(bytes);
    (void)fclose(file);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    struct dirent **entries = NULL;
    int count = scandir(argv[1], &entries, is_visible, alphasort);
    int failures = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        failures += len < 0 || (size_t)len >= sizeof path || run_file(path) != 0;
        free(entries[i]);
    }
    free(entries);
    if (count <= 0) {
        (void)fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 1;
    }
    (void)printf("%d inputs\n", count);
    return failures == 0 ? 0 : 1;
}
