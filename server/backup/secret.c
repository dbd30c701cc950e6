/* Memory for secrets. */
#include "backup/secret.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The session tokens of AWS have 400 bytes and more, a secret key has 40. Keys are in libraries'
 * memory for microseconds, but a token stays in libcurl's buffers from one request to the next. */
enum { LARGE_BYTES = 256 };

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

/* Who is large has pages of its own, so that they can be left out of core dumps without a word
 * about others; as malloc gave them, malloc takes them back. */
static void *new_pages(size_t bytes)
{
    size_t len = whole_pages(bytes);
    if (len < bytes) {
        return NULL;
    }
    void *ptr = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), len);
    if (ptr != NULL && madvise(ptr, len, MADV_DONTDUMP) != 0) {
        free(ptr);
        ptr = NULL;
    }
    return ptr;
}

static bool has_pages(const void *ptr, size_t usable)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (uintptr_t)ptr % page == 0 && usable >= page;
}

void *secret_heap_malloc(size_t bytes)
{
    return bytes < LARGE_BYTES ? malloc(bytes) : new_pages(bytes);
}

void *secret_heap_calloc(size_t count, size_t bytes)
{
    size_t all;
    if (__builtin_mul_overflow(count, bytes, &all)) {
        return NULL;
    }
    void *ptr = secret_heap_malloc(all);
    return ptr != NULL ? memset(ptr, 0, all) : NULL;
}

/* realloc() may move the bytes and leave the old ones behind as they are. */
void *secret_heap_realloc(void *ptr, size_t bytes)
{
    size_t had = malloc_usable_size(ptr);
    bool stays = has_pages(ptr, had) == (bytes >= LARGE_BYTES);
    if (ptr != NULL && stays && bytes <= had && bytes > had / 2) {
        return ptr;
    }
    void *moved = secret_heap_malloc(bytes == 0 ? 1 : bytes);
    if (moved != NULL && ptr != NULL) {
        memcpy(moved, ptr, bytes < had ? bytes : had);
        secret_heap_free(ptr);
    }
    return moved;
}

char *secret_heap_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = secret_heap_malloc(bytes);
    return copy != NULL ? memcpy(copy, text, bytes) : NULL;
}

void secret_heap_free(void *ptr)
{
    if (ptr != NULL) {
        size_t usable = malloc_usable_size(ptr);
        explicit_bzero(ptr, usable);
        if (has_pages(ptr, usable)) { /* whoever gets them next may be dumped */
            size_t page = (size_t)sysconf(_SC_PAGESIZE);
            (void)madvise(ptr, usable / page * page, MADV_DODUMP);
        }
        free(ptr);
    }
}
