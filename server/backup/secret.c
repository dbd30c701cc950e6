/* Memory for secrets. */
#include "backup/secret.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

void *secret_new(size_t bytes)
{
    size_t len = whole_pages(bytes);
    void *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED) {
        return NULL;
    }
    if (madvise(ptr, len, MADV_DONTDUMP) != 0) {
        (void)munmap(ptr, len);
        return NULL;
    }
    /* Containers often allow little locked memory, and have no swap: good to have, not needed. */
    (void)mlock(ptr, len);
    return ptr;
}

void secret_free(void *ptr, size_t bytes)
{
    if (ptr != NULL) {
        explicit_bzero(ptr, bytes);
        (void)munmap(ptr, whole_pages(bytes));
    }
}

void *secret_heap_malloc(size_t bytes)
{
    return malloc(bytes);
}

void *secret_heap_calloc(size_t count, size_t bytes)
{
    return calloc(count, bytes);
}

/* realloc() may move the bytes and leave the old ones behind as they are. */
void *secret_heap_realloc(void *ptr, size_t bytes)
{
    size_t had = malloc_usable_size(ptr);
    if (ptr != NULL && bytes <= had && bytes > had / 2) {
        return ptr;
    }
    void *moved = malloc(bytes == 0 ? 1 : bytes);
    if (moved != NULL && ptr != NULL) {
        memcpy(moved, ptr, bytes < had ? bytes : had);
        secret_heap_free(ptr);
    }
    return moved;
}

char *secret_heap_strdup(const char *text)
{
    return strdup(text);
}

void secret_heap_free(void *ptr)
{
    if (ptr != NULL) {
        explicit_bzero(ptr, malloc_usable_size(ptr));
        free(ptr);
    }
}
