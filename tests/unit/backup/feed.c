/* The feed between the store and the shipper. */
#include "backup/feed.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdlib.h>

enum { MIB = 1024 * 1024 };

static struct feed_metrics metrics;
static struct feed *feed;
static uint8_t *ones; /* 3 MiB */

static void open_feed(size_t bytes_max)
{
    const struct feed_options options = {.bytes_max = bytes_max, .metrics = &metrics};
    cr_assert(eq(int, feed_open(&options, &feed), STATUS_OK));
    ones = malloc((size_t)3 * MIB);
    cr_assert_not_null(ones);
    memset(ones, 1, (size_t)3 * MIB);
}

static void close_feed(void)
{
    feed_close(feed);
    free(ones);
}

/* Gives `count` changes from first_lsn on, of `bytes` together. */
static void give(uint64_t first_lsn, uint32_t count, uint64_t time_ms, size_t bytes)
{
    feed_changes(feed, &(struct store_changes){.follows_lsn = first_lsn - 1,
                                               .first_lsn = first_lsn,
                                               .time_ms = time_ms,
                                               .count = count,
                                               .records = view_of(ones, bytes)});
}

static struct feed_taken take(size_t bytes_max)
{
    struct feed_taken taken;
    feed_take(feed, bytes_max, &taken);
    return taken;
}

/* What is taken has to consist of these batches, each of `bytes`, and is returned. */
static void demand_batches(struct feed_taken taken, size_t count, const uint64_t *first_lsns,
                           const uint32_t *counts, size_t bytes)
{
    struct feed_cursor cursor = {0};
    struct store_changes batch;
    for (size_t i = 0; i < count; i++) {
        cr_assert(feed_next(&taken, &cursor, &batch), "batch %zu", i);
        cr_assert(eq(u64, batch.first_lsn, first_lsns[i]));
        cr_assert(eq(u64, batch.follows_lsn, first_lsns[i] - 1));
        cr_assert(eq(u32, batch.count, counts[i]));
        cr_assert(eq(sz, batch.records.len, bytes));
        cr_assert(view_equal(batch.records, view_of(ones, bytes)));
    }
    cr_assert_not(feed_next(&taken, &cursor, &batch));
    feed_return(feed, &taken);
    cr_assert_null(taken.chunks);
}

Test(feed, what_is_given_is_taken_once_in_order)
{
    open_feed(0);
    cr_assert_null(take(MIB).chunks);
    cr_assert(eq(u64, feed_oldest_ms(feed), 0));
    give(1, 2, 1000, 50);
    give(3, 1, 1001, 50);
    give(4, 7, 1002, 50);
    cr_assert(eq(u64, feed_oldest_ms(feed), 1000));
    cr_assert(lt(i64, 150, metric_gauge_get(&metrics.bytes)));
    struct feed_taken taken = take(MIB);
    cr_assert(eq(u64, taken.oldest_ms, 1000));
    cr_assert(eq(u64, taken.gap.changes, 0));
    demand_batches(taken, 3, (uint64_t[]){1, 3, 4}, (uint32_t[]){2, 1, 7}, 50);
    cr_assert_null(take(MIB).chunks);
    cr_assert(eq(u64, feed_oldest_ms(feed), 0));
    cr_assert(eq(i64, metric_gauge_get(&metrics.bytes), 0));
    give(11, 1, 1003, 50);
    demand_batches(take(MIB), 1, (uint64_t[]){11}, (uint32_t[]){1}, 50);
    close_feed();
}

Test(feed, batches_of_one_millisecond_without_a_gap_become_one)
{
    struct feed_cursor cursor = {0};
    struct store_changes batch;
    open_feed(0);
    give(1, 2, 1000, 50);
    give(3, 4, 1000, 60);
    give(7, 1, 1001, 50); /* later */
    give(9, 1, 1001, 50); /* and the one before is missing */
    feed_changes(feed, &(struct store_changes){.follows_lsn = 9,
                                               .first_lsn = 20, /* numbers that were never given */
                                               .time_ms = 1001,
                                               .count = 1,
                                               .records = view_of(ones, 50)});
    struct feed_taken taken = take(MIB);
    cr_assert(feed_next(&taken, &cursor, &batch));
    cr_assert(eq(u64, batch.follows_lsn, 0));
    cr_assert(eq(u64, batch.first_lsn, 1));
    cr_assert(eq(u32, batch.count, 6));
    cr_assert(view_equal(batch.records, view_of(ones, 110)));
    cr_assert(feed_next(&taken, &cursor, &batch));
    cr_assert(eq(u64, batch.first_lsn, 7));
    cr_assert(eq(u32, batch.count, 1));
    cr_assert(feed_next(&taken, &cursor, &batch));
    cr_assert(eq(u64, batch.first_lsn, 9));
    cr_assert(feed_next(&taken, &cursor, &batch));
    cr_assert(eq(u64, batch.follows_lsn, 9));
    cr_assert(eq(u64, batch.first_lsn, 20));
    cr_assert_not(feed_next(&taken, &cursor, &batch));
    feed_return(feed, &taken);
    close_feed();
}

Test(feed, a_take_is_bounded_and_what_is_larger_than_a_chunk_comes_alone)
{
    open_feed(0);
    give(1, 1, 1, 700000);
    give(2, 1, 2, 700000);
    give(3, 1, 3, 700000);
    cr_assert(eq(u64, feed_oldest_ms(feed), 1));
    demand_batches(take(1500000), 2, (uint64_t[]){1, 2}, (uint32_t[]){1, 1}, 700000);
    cr_assert(eq(u64, feed_oldest_ms(feed), 3));
    demand_batches(take(1), 1, (uint64_t[]){3}, (uint32_t[]){1}, 700000);
    give(4, 1, 4, (size_t)3 * MIB);
    give(5, 1, 5, (size_t)3 * MIB);
    demand_batches(take(1), 1, (uint64_t[]){4}, (uint32_t[]){1}, (size_t)3 * MIB);
    demand_batches(take((size_t)9 * MIB), 1, (uint64_t[]){5}, (uint32_t[]){1}, (size_t)3 * MIB);
    close_feed();
}

Test(feed, above_the_limit_the_oldest_are_dropped_and_the_gap_is_told_once)
{
    open_feed((size_t)2 * MIB);
    for (uint64_t lsn = 10; lsn < 16; lsn += 2) {
        give(lsn, 2, 5000 + lsn, 900000); /* the third one is too much */
    }
    cr_assert(eq(u64, metric_counter_get(&metrics.overflows), 1));
    cr_assert(eq(u64, metric_counter_get(&metrics.dropped), 2));
    for (uint64_t lsn = 16; lsn < 20; lsn += 2) {
        give(lsn, 2, 5000 + lsn, 900000);
    }
    cr_assert(eq(u64, metric_counter_get(&metrics.overflows), 1)); /* it is still the same one */
    cr_assert(eq(u64, metric_counter_get(&metrics.dropped), 6));
    cr_assert(eq(u64, feed_oldest_ms(feed), 5010)); /* the dropped ones are not shipped either */
    cr_assert(le(i64, metric_gauge_get(&metrics.bytes), 2 * MIB));
    struct feed_taken taken = take((size_t)9 * MIB);
    cr_assert(eq(u64, taken.oldest_ms, 5010));
    cr_assert(eq(u64, taken.gap.changes, 6));
    cr_assert(eq(u64, taken.gap.first_lsn, 10));
    cr_assert(eq(u64, taken.gap.last_lsn, 15));
    demand_batches(taken, 2, (uint64_t[]){16, 18}, (uint32_t[]){2, 2}, 900000);
    give(20, 1, 6000, 50);
    taken = take(MIB);
    cr_assert(eq(u64, taken.gap.changes, 0));
    demand_batches(taken, 1, (uint64_t[]){20}, (uint32_t[]){1}, 50);
    for (uint64_t lsn = 21; lsn < 27; lsn += 2) {
        give(lsn, 2, 7000, 900000);
    }
    cr_assert(eq(u64, metric_counter_get(&metrics.overflows), 2));
    close_feed();
}

Test(feed, what_is_larger_than_all_that_waits_drops_as_much_as_it_needs)
{
    open_feed((size_t)4 * MIB);
    for (uint64_t lsn = 1; lsn <= 4; lsn++) {
        give(lsn, 1, lsn, 900000);
    }
    give(5, 1, 5, (size_t)2 * MIB); /* in the place of two */
    struct feed_taken taken = take((size_t)9 * MIB);
    cr_assert(eq(u64, taken.gap.changes, 2));
    struct feed_cursor cursor = {0};
    struct store_changes batch;
    for (uint64_t lsn = 3; lsn <= 5; lsn++) {
        cr_assert(feed_next(&taken, &cursor, &batch));
        cr_assert(eq(u64, batch.first_lsn, lsn));
    }
    feed_return(feed, &taken);
    close_feed();
}

Test(feed, what_is_larger_than_the_limit_gets_through_when_nothing_waits)
{
    open_feed(MIB);
    give(1, 1, 1, (size_t)3 * MIB);
    demand_batches(take(MIB), 1, (uint64_t[]){1}, (uint32_t[]){1}, (size_t)3 * MIB);
    give(2, 1, 2, 50);
    give(3, 1, 3, (size_t)3 * MIB);
    struct feed_taken taken = take(MIB);
    cr_assert(eq(u64, taken.gap.changes, 1));
    demand_batches(taken, 1, (uint64_t[]){3}, (uint32_t[]){1}, (size_t)3 * MIB);
    close_feed();
}

/* ---- Threads -------------------------------------------------------------------------------- */

enum { LONG_MS = 60000 };

static void *give_two_mib(void *arg)
{
    give(1, 1, 1, MIB / 2);
    give(2, 1, 2, MIB / 2);
    return arg;
}

static void *wake(void *arg)
{
    feed_wake(feed);
    return arg;
}

Test(feed, a_wait_ends_by_a_mib_by_a_wake_or_by_time, .timeout = 30)
{
    pthread_t thread;
    open_feed(0);
    feed_wait(feed, 1);
    cr_assert(eq(int, pthread_create(&thread, NULL, give_two_mib, NULL), 0));
    feed_wait(feed, LONG_MS);
    cr_assert(eq(u64, feed_oldest_ms(feed), 1));
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    feed_wait(feed, LONG_MS); /* there is still as much */
    feed_pause(feed, 1);
    cr_assert(eq(int, pthread_create(&thread, NULL, wake, NULL), 0));
    feed_pause(feed, LONG_MS);
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    feed_wake(feed); /* before there is a wait */
    feed_pause(feed, LONG_MS);
    close_feed();
}

enum { MANY = 200000 };

static void *give_many(void *arg)
{
    for (uint64_t lsn = 1; lsn <= MANY; lsn++) {
        give(lsn, 1, lsn / 64 + 1, lsn % 300);
    }
    return arg;
}

Test(feed, while_one_thread_gives_another_takes_all_of_it_in_order, .timeout = 60)
{
    pthread_t thread;
    uint64_t next_lsn = 1;
    open_feed((size_t)1 << 30);
    cr_assert(eq(int, pthread_create(&thread, NULL, give_many, NULL), 0));
    while (next_lsn <= MANY) {
        struct feed_taken taken = take(MIB);
        struct feed_cursor cursor = {0};
        struct store_changes batch;
        while (feed_next(&taken, &cursor, &batch)) {
            cr_assert(eq(u64, batch.first_lsn, next_lsn));
            next_lsn += batch.count;
        }
        feed_return(feed, &taken);
        feed_wait(feed, 1);
    }
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    cr_assert(eq(u64, next_lsn, MANY + 1));
    cr_assert(eq(u64, metric_counter_get(&metrics.overflows), 0));
    close_feed();
}
