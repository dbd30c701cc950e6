/* Searching our own memory; see kit.h. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/secret.h"
#include "unit/backup/kit.h"

/* The kernel reads it for us, so that a sanitizer has nothing to say. */
bool kit_is_in_memory(const char *text)
{
    enum { CHUNK_BYTES = 1 << 20 };
    static const uintptr_t region_bytes_max = UINT64_C(1) << 28; /* a sanitizer's own are larger */
    char line[1000];
    char rights[8] = "";
    uintptr_t begin = 0;
    uintptr_t end = 0;
    bool found = false;
    char *chunk = secret_new(CHUNK_BYTES);
    FILE *maps = fopen("/proc/self/smaps", "r");
    int memory = open("/proc/self/mem", O_RDONLY);
    cr_assert(chunk != NULL && maps != NULL && memory >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strchr(line, '-') != NULL && strchr(line, '-') < strchr(line, ' ')) {
            cr_assert(
                eq(int, sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, rights), 3));
        }
        if (strncmp(line, "VmFlags:", 8) != 0 || strstr(line, " dd") != NULL ||
            strncmp(rights, "rw", 2) != 0 || end - begin > region_bytes_max) {
            continue;
        }
        size_t overlap = strlen(text) - 1; /* one that lies across two chunks */
        for (uintptr_t at = begin; at < end; at += CHUNK_BYTES - overlap) {
            size_t len = end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES;
            ssize_t got = pread(memory, chunk, len, (off_t)at);
            found = found || (got > 0 && memmem(chunk, (size_t)got, text, strlen(text)) != NULL);
        }
    }
    (void)close(memory);
    (void)fclose(maps);
    secret_free(chunk, CHUNK_BYTES);
    return found;
}
