/*
 * Memory for secrets: pages that no core dump contains, and a heap that forgets.
 */
#pragma once

#include <stddef.h>

/**
 * `bytes` of zeroed memory on pages of its own that are left out of core dumps and, where the limit
 * permits, not swapped. NULL: out of memory, or the kernel refuses. Any thread.
 */
void *secret_new(size_t bytes);

/** Wipes and frees what secret_new() gave for the same `bytes`; NULL is fine. Any thread. */
void secret_free(void *ptr, size_t bytes);

/*
 * malloc and its kin, but memory is wiped before it is given back, and what is large enough for a
 * session token (256 bytes) is left out of core dumps: for libraries through which secrets pass
 * (libcurl, jansson). Interchangeable with malloc's own memory. Any thread.
 */
void *secret_heap_malloc(size_t bytes);
void *secret_heap_calloc(size_t count, size_t bytes);
void *secret_heap_realloc(void *ptr, size_t bytes);
char *secret_heap_strdup(const char *text);
void secret_heap_free(void *ptr);
