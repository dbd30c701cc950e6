/* Memory for secrets. */
#include "backup/secret.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the kernel leave the page at `ptr` out of core dumps? */
static int is_left_out_of_dumps(const void *ptr)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[1000];
    uintptr_t begin = 0;
    uintptr_t end = 0;
    int found = 0;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t first;
        uintptr_t behind;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &behind) == 2) {
            begin = first;
            end = behind;
        }
        if (strncmp(line, "VmFlags:", 8) == 0 && (uintptr_t)ptr >= begin && (uintptr_t)ptr < end) {
            found = strstr(line, " dd") != NULL;
        }
    }
    (void)fclose(maps);
    return found;
}

Test(secret, its_pages_are_left_out_of_core_dumps_and_begin_as_zeros)
{
    static const size_t sizes[] = {1, 4096, 4097, 100000};
    int ordinary = 0;
    cr_assert(not(is_left_out_of_dumps(&ordinary)));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *ptr = secret_new(sizes[i]);
        cr_assert_not_null(ptr);
        cr_assert(is_left_out_of_dumps(ptr));
        cr_assert(is_left_out_of_dumps(ptr + sizes[i] - 1));
        for (size_t k = 0; k < sizes[i]; k++) {
            cr_assert(eq(chr, ptr[k], 0));
        }
        memset(ptr, 's', sizes[i]);
        secret_free(ptr, sizes[i]);
    }
    secret_free(NULL, 5);
}

Test(secret, the_heap_keeps_what_it_holds)
{
    char *text = secret_heap_strdup("secret");
    cr_assert(eq(str, text, "secret"));
    for (size_t bytes = 7; bytes < 100000; bytes = bytes * 3 / 2) {
        text = secret_heap_realloc(text, bytes);
        cr_assert(eq(str, text, "secret"));
        memset(text + 7, 'x', bytes - 7);
    }
    text = secret_heap_realloc(text, 7);
    cr_assert(eq(str, text, "secret"));
    secret_heap_free(text);
    char *zeroed = secret_heap_calloc(3, 5);
    for (size_t i = 0; i < 15; i++) {
        cr_assert(eq(chr, zeroed[i], 0));
    }
    zeroed = secret_heap_realloc(zeroed, 0);
    cr_assert_not_null(zeroed);
    secret_heap_free(zeroed);
    secret_heap_free(secret_heap_realloc(NULL, 5));
    secret_heap_free(NULL);
}

/* What may hold a session token, however it came to be so large. */
Test(secret, what_is_large_on_the_heap_is_left_out_of_core_dumps_until_it_is_given_back)
{
    char *small = secret_heap_strdup("a key");
    cr_assert(not(is_left_out_of_dumps(small)));
    char *grown = secret_heap_realloc(small, 300);
    cr_assert(is_left_out_of_dumps(grown));
    cr_assert(eq(str, grown, "a key"));
    char *cleared = secret_heap_calloc(3, 5000);
    cr_assert(is_left_out_of_dumps(cleared + 14999));
    char text[1000];
    memset(text, 't', sizeof text);
    text[999] = '\0';
    char *copy = secret_heap_strdup(text);
    cr_assert(is_left_out_of_dumps(copy));
    cr_assert(eq(str, copy, text));
    char *shrunk = secret_heap_realloc(copy, 10);
    cr_assert(not(is_left_out_of_dumps(shrunk)));
    secret_heap_free(shrunk);
    cr_assert_null(secret_heap_calloc(SIZE_MAX, 2));
    cr_assert_null(secret_heap_malloc(SIZE_MAX));
    /* What malloc gives out next is ordinary memory. */
    secret_heap_free(cleared);
    secret_heap_free(grown);
    char *next[64];
    for (size_t i = 0; i < 64; i++) {
        next[i] = malloc(4000);
        cr_assert(not(is_left_out_of_dumps(next[i])));
    }
    for (size_t i = 0; i < 64; i++) {
        free(next[i]);
    }
}
