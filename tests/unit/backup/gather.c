/* Many objects at a time, in order. */
#include "backup/gather.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "unit/backup/bucket.h"

enum { CLIENTS = 4, OBJECTS = 300 };

static struct bucket_client clients[CLIENTS];
static struct gather gather;

static void begin(size_t window_bytes)
{
    struct s3 *list[CLIENTS];
    bucket_open();
    for (size_t i = 0; i < CLIENTS; i++) {
        bucket_client_open(&clients[i], 1);
        list[i] = clients[i].s3;
    }
    gather_init(&gather, list, CLIENTS, window_bytes);
}

static void end(void)
{
    gather_close(&gather);
    for (size_t i = 0; i < CLIENTS; i++) {
        bucket_client_close(&clients[i]);
    }
    bucket_close();
}

/* Object i is i bytes of its number. */
static void fill(void)
{
    static uint8_t body[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "object-%03zu", i);
        memset(body, (int)(i % 251), i);
        bucket_put(key, view_of(body, i));
    }
}

struct taking {
    struct s3_range range;
    size_t bytes_max;
    size_t next;
    size_t stop_at;
    enum s3_status expected; /* of every object whose number is a multiple of `strange` */
    size_t strange;          /* 0: none is */
};

static void want(void *arg, size_t index, struct gather_want *out)
{
    const struct taking *taking = arg;
    (void)snprintf(out->key, sizeof out->key, "object-%03zu", index);
    out->range = taking->range;
    out->bytes_max = taking->bytes_max != 0 ? taking->bytes_max : index;
}

static enum status take(void *arg, size_t index, enum s3_status got, struct view bytes)
{
    struct taking *taking = arg;
    cr_assert(eq(sz, index, taking->next));
    taking->next++;
    if (taking->strange != 0 && index % taking->strange == 0) {
        cr_assert(eq(int, got, taking->expected), "object %zu", index);
        cr_assert(eq(sz, bytes.len, 0));
    } else if (taking->range.bytes == 0) {
        cr_assert(eq(int, got, S3_OK), "object %zu", index);
        cr_assert(eq(sz, bytes.len, index));
        cr_assert(index == 0 || bytes.ptr[index - 1] == index % 251);
    }
    return index + 1 == taking->stop_at ? STATUS_END : STATUS_OK;
}

static enum status run(struct taking *taking)
{
    const struct gather_job job = {.count = OBJECTS, .want = want, .take = take, .arg = taking};
    return gather_run(&gather, &job);
}

Test(gather, every_object_is_taken_once_and_in_order_however_small_the_window)
{
    static const size_t windows[] = {1, 300, 3000, 1 << 20};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        begin(windows[i]);
        fill();
        struct taking taking = {0};
        size_t before = bucket_requests();
        cr_assert(eq(int, run(&taking), STATUS_OK), "%s", gather.errmsg);
        cr_assert(eq(sz, taking.next, OBJECTS));
        cr_assert(eq(sz, bucket_requests() - before, OBJECTS));
        end();
    }
}

Test(gather, what_is_missing_or_too_large_is_told_in_its_place)
{
    begin(0);
    fill();
    for (size_t i = 0; i < OBJECTS; i += 7) {
        char key[32];
        (void)snprintf(key, sizeof key, "object-%03zu", i);
        bucket_remove(key);
    }
    struct taking taking = {.expected = S3_NOT_FOUND, .strange = 7};
    cr_assert(eq(int, run(&taking), STATUS_OK));
    cr_assert(eq(sz, taking.next, OBJECTS));
    end();
    begin(0);
    fill();
    static uint8_t large[OBJECTS + 1];
    for (size_t i = 0; i < OBJECTS; i += 7) {
        char key[32];
        (void)snprintf(key, sizeof key, "object-%03zu", i);
        bucket_put(key, view_of(large, sizeof large));
    }
    taking = (struct taking){.expected = S3_TOO_LARGE, .strange = 7};
    cr_assert(eq(int, run(&taking), STATUS_OK));
    end();
}

Test(gather, a_range_is_as_long_as_the_object_allows)
{
    begin(0);
    fill();
    struct taking taking = {
        .range = {0, 10}, .bytes_max = 10, .expected = S3_REFUSED, .strange = 300};
    cr_assert(eq(int, run(&taking), STATUS_OK)); /* object 0 is empty: no byte of it can be had */
    end();
}

Test(gather, the_first_failure_in_order_is_told_and_ends_it)
{
    for (unsigned i = 0; i < 20; i++) {
        begin(0);
        fill();
        struct taking taking = {0};
        bucket_add_fault("GET", FAULT_REFUSE, 20, 1000);
        cr_assert(eq(int, run(&taking), STATUS_IO));
        cr_assert(le(sz, taking.next, 20)); /* so many were answered, whichever */
        char name[64];
        (void)snprintf(name, sizeof name, "cannot read object-%03zu: access denied", taking.next);
        cr_assert(strncmp(gather.errmsg, name, strlen(name)) == 0, "%s", gather.errmsg);
        bucket_clear_faults();
        taking = (struct taking){0};
        cr_assert(eq(int, run(&taking), STATUS_OK)); /* and it can be used again */
        end();
    }
}

Test(gather, who_has_enough_ends_it)
{
    begin(0);
    fill();
    struct taking taking = {.stop_at = 5};
    size_t before = bucket_requests();
    cr_assert(eq(int, run(&taking), STATUS_END));
    cr_assert(eq(sz, taking.next, 5));
    cr_assert(eq(str, gather.errmsg, ""));
    cr_assert(lt(sz, bucket_requests() - before, 5 + 64 + CLIENTS + 1));
    taking = (struct taking){.stop_at = 1};
    cr_assert(eq(int, run(&taking), STATUS_END));
    end();
}

static void stop_all(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < CLIENTS; i++) {
        stop_request(&clients[i].stop);
    }
}

Test(gather, a_stop_ends_it_as_soon_as_a_client_would_wait)
{
    begin(0);
    fill();
    for (size_t i = 0; i < CLIENTS; i++) {
        bucket_client_close(&clients[i]);
        bucket_client_open(&clients[i], 3);
        gather.clients[i] = clients[i].s3;
    }
    struct taking taking = {0};
    bucket_add_meanwhile("GET", stop_all, NULL);
    bucket_add_fault("GET", FAULT_BUSY, 30, 1000);
    cr_assert(eq(int, run(&taking), STATUS_AGAIN), "%s", gather.errmsg);
    cr_assert(lt(sz, taking.next, OBJECTS));
    end();
}

Test(gather, nothing_is_wanted_of_nothing)
{
    begin(0);
    const struct gather_job job = {.count = 0, .want = want, .take = take};
    cr_assert(eq(int, gather_run(&gather, &job), STATUS_OK));
    end();
}
