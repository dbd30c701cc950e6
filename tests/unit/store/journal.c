/* The journal while it runs, on a disk that fails or loses power: whatever it said was durable is
 * found again, and nothing that is found was not written. */
#include "store/journal.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "journal_kit.h"
#include "support/store_stand.h"

static struct replayed found; /* too large for the stack */

Test(journal, numbers_are_consecutive_and_durable_in_their_order)
{
    struct kit kit;
    kit_init(&kit);
    kit_open(&kit, 1, 40, 100);
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), 99));
    cr_assert(eq(u64, journal_last_lsn(kit.journal), 99));
    for (uint64_t lsn = 100; lsn < 150; lsn++) {
        cr_assert(eq(u64, kit_put(&kit, 100), lsn));
    }
    cr_assert(eq(u64, journal_last_lsn(kit.journal), 149));
    cr_assert(eq(int, journal_wait_durable(kit.journal, 149), STATUS_OK));
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), 149));
    cr_assert(eq(u64, journal_undurable_bytes(kit.journal), 0));
    cr_assert(eq(u64, metric_counter_get(&kit.metrics.records), 50));
    kit_end(&kit);
}

/* Many changes, one sync: what comes during a flush goes with the next one. */
Test(journal, what_comes_during_a_flush_is_one_flush)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit_open(&kit, 1, 0, 1);
    fake_disk_hold_syncs(disk, true);
    (void)kit_put(&kit, 100);
    for (int64_t began = clock_mono_ns(&clock_system); fake_disk_waiting_syncs(disk) == 0;) {
        stand_pause(began);
    }
    unsigned syncs = fake_disk_count(disk, FAKE_FDATASYNC);
    unsigned writes = fake_disk_count(disk, FAKE_PWRITE);
    for (unsigned i = 0; i < 200; i++) {
        (void)kit_put(&kit, 100);
    }
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), 0));
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, 201), STATUS_OK));
    cr_assert(eq(uint, fake_disk_count(disk, FAKE_FDATASYNC), syncs + 1));
    cr_assert(eq(uint, fake_disk_count(disk, FAKE_PWRITE), writes + 1));
    kit_end(&kit);
    fake_disk_free(disk);
}

/* By this clock each sync of the disk has taken 8 ms. */
static int64_t slow_mono_ns(void *arg)
{
    return clock_mono_ns(&clock_system) + INT64_C(8000000) * fake_disk_count(arg, FAKE_FDATASYNC);
}

/* A flush of fifty changes. */
static void let_fifty_go(struct kit *kit, struct fake_disk *disk)
{
    fake_disk_hold_syncs(disk, true);
    (void)kit_put(kit, 100);
    for (int64_t began = clock_mono_ns(&clock_system); fake_disk_waiting_syncs(disk) == 0;) {
        stand_pause(began);
    }
    uint64_t lsn = 0;
    for (unsigned i = 0; i < 50; i++) {
        lsn = kit_put(kit, 100);
    }
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit->journal, lsn), STATUS_OK));
}

/* One that somebody waits for, and a moment later 49 others. Returns how many syncs it took. */
static unsigned flush_fifty(struct kit *kit, struct fake_disk *disk)
{
    const struct timespec moment = {.tv_nsec = 100000};
    unsigned before = fake_disk_count(disk, FAKE_FDATASYNC);
    (void)kit_put(kit, 100);
    journal_flush(kit->journal, true);
    (void)nanosleep(&moment, NULL);
    for (unsigned i = 0; i < 49; i++) {
        (void)kit_put(kit, 100);
    }
    journal_flush(kit->journal, true);
    cr_assert(
        eq(int, journal_wait_durable(kit->journal, journal_last_lsn(kit->journal)), STATUS_OK));
    return fake_disk_count(disk, FAKE_FDATASYNC) - before;
}

/* After a flush that let many go, the next one waits for as many. Only most of the time, since a
 * busy machine may make them late. */
Test(journal, a_crowd_that_comes_back_is_one_flush)
{
    enum { TRIES = 40 };
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    const struct clock slow = {
        .wall_ms = clock_system.wall_ms, .mono_ns = slow_mono_ns, .arg = disk};
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit.clock = &slow;
    kit_open(&kit, 1, 0, 1);
    unsigned together = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        let_fifty_go(&kit, disk);
        together += flush_fifty(&kit, disk) == 1;
    }
    cr_assert(ge(uint, together, TRIES / 4));
    kit_end(&kit);
    fake_disk_free(disk);
}

Test(journal, a_short_write_is_finished)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit_open(&kit, 1, 0, 1);
    fake_disk_cut_write(disk, 1);
    (void)kit_put_durable(&kit, 1000);
    cr_assert(eq(uint, fake_disk_count(disk, FAKE_PWRITE), 3)); /* header, and the frame in two */
    kit_close(&kit);
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(sz, found.count, 1));
    kit_end(&kit);
    fake_disk_free(disk);
}

Test(journal, records_larger_than_chunk_and_segment_pass)
{
    struct kit kit;
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 5; i++) {
        (void)kit_put_durable(&kit, 10);
        (void)kit_put(&kit, (1 << 20) - 100 + i * 50); /* around the chunk's size */
        (void)kit_put_durable(&kit, 1 << 21);
    }
    kit_close(&kit);
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(sz, found.count, 15));
    kit_end(&kit);
}

Test(journal, a_segment_that_cannot_be_started_is_told)
{
    const enum fake_call calls[] = {FAKE_OPEN,      FAKE_LOCK,  FAKE_PWRITE,
                                    FAKE_FDATASYNC, FAKE_FSYNC, FAKE_CLOSE};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct kit kit;
        char errmsg[256] = "";
        struct fake_disk *disk = fake_disk_new();
        kit_init(&kit);
        kit.file = fake_disk_ops(disk);
        fake_disk_fail(disk, calls[i], 1, EIO);
        cr_assert(eq(int, kit_try_open(&kit, 1, 0, 1, errmsg, sizeof errmsg), STATUS_IO),
                  "call %zu", i);
        cr_assert(ne(ptr, strstr(errmsg, kit.dir), NULL), "%s", errmsg);
        kit.journal = NULL;
        kit_end(&kit);
        fake_disk_free(disk);
    }
}

/* The n-th call of a kind fails, for every n of a run with rotation and recycling. What was durable
 * before is found; the failure is told; nothing is durable afterwards. */
static bool run_with_failure(enum fake_call call, unsigned nth, int error)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    uint64_t applied = 0;
    uint64_t durable = 0;
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit.segment_bytes = 4096;
    kit_open(&kit, 1, 0, 1);
    fake_disk_fail(disk, call, nth, error);
    for (unsigned i = 1; i <= 60 && !atomic_load(&kit.has_failed); i++) {
        uint64_t lsn = kit_put(&kit, 500);
        if (lsn == 0 || journal_wait_durable(kit.journal, lsn) != STATUS_OK) {
            break;
        }
        durable = lsn;
        if (i % 48 == 0) { /* more segments than are kept to be used again */
            applied = lsn - 2;
            if (journal_drop_covered(kit.journal, applied) != STATUS_OK) {
                break;
            }
        }
    }
    bool failed = durable < 60;
    if (failed && call != FAKE_UNLINK) {
        cr_assert(eq(u64, kit_put(&kit, 500), 0)); /* it takes no more */
        cr_assert(ne(int, journal_wait_durable(kit.journal, durable + 1), STATUS_OK));
        cr_assert(eq(u64, journal_durable_lsn(kit.journal), durable));
    }
    enum status closed = journal_close(kit.journal);
    kit.journal = NULL;
    if (failed && call != FAKE_UNLINK) {
        cr_assert(ne(int, closed, STATUS_OK));
        cr_assert(atomic_load(&kit.has_failed));
        cr_assert(ne(ptr, strstr(kit.why, kit.dir), NULL), "%s", kit.why);
    }
    kit_replay(kit.dir, applied, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "call %d.%u: %s", call, nth, found.errmsg);
    cr_assert(ge(u64, found.last_lsn, durable), "call %d.%u", call, nth);
    cr_assert(le(u64, found.last_lsn, durable + 1));
    cr_assert(eq(sz, found.count, found.last_lsn - applied));
    kit_end(&kit);
    fake_disk_free(disk);
    return failed;
}

Test(journal, whatever_fails_nothing_acknowledged_is_lost, .timeout = 60)
{
    const struct {
        enum fake_call call;
        int error;
    } cases[] = {{FAKE_PWRITE, EIO},       {FAKE_PWRITE, ENOSPC}, {FAKE_FDATASYNC, EIO},
                 {FAKE_FDATASYNC, EDQUOT}, {FAKE_OPEN, EMFILE},   {FAKE_RENAME, EIO},
                 {FAKE_FSYNC, EIO},        {FAKE_LOCK, EAGAIN},   {FAKE_UNLINK, EIO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned nth = 1;
        while (run_with_failure(cases[i].call, nth, cases[i].error)) {
            nth++;
        }
        cr_assert(lt(uint, 1, nth), "case %zu", i);
    }
}

/* The power fails in the middle of each changing call in turn. What may be left is decided by
 * seeds: everything synced, and any part of what was not. */
static bool run_with_crash(unsigned nth, uint64_t seed, unsigned steps, size_t len_max)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    struct random random = {.state = seed};
    uint64_t applied = 0;
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit.segment_bytes = 4096;
    fake_disk_crash_at(disk, nth);
    char errmsg[256];
    uint64_t durable = 0;
    if (kit_try_open(&kit, 1, 0, 1, errmsg, sizeof errmsg) == STATUS_OK) {
        for (unsigned i = 0; i < steps; i++) {
            /* Now and then several of them on their way at once. */
            uint64_t lsn = 0;
            for (uint64_t burst = 1 + random_below(&random, 4); burst > 0; burst--) {
                lsn = kit_put(&kit, random_below(&random, len_max));
            }
            if (lsn != 0 && random_below(&random, 3) != 0 &&
                journal_wait_durable(kit.journal, lsn) == STATUS_OK && i % 5 == 0) {
                applied = journal_durable_lsn(kit.journal) - random_below(&random, 3);
                if (journal_drop_covered(kit.journal, applied) != STATUS_OK) {
                    break;
                }
            }
        }
        if (journal_wait_durable(kit.journal, journal_last_lsn(kit.journal)) != STATUS_OK) {
            cr_assert(fake_disk_is_crashed(disk));
        }
        durable = journal_durable_lsn(kit.journal);
        (void)journal_close(kit.journal);
    }
    kit.journal = NULL;
    bool crashed = fake_disk_is_crashed(disk);
    fake_disk_crash(disk);
    kit_check_survivors(disk, seed, applied, durable);
    kit_end(&kit);
    fake_disk_free(disk);
    return crashed;
}

Test(journal, what_was_durable_survives_a_crash_at_every_call, .timeout = 110)
{
    unsigned nth = 1;
    while (run_with_crash(nth, nth * 7919, 60, 1500)) {
        nth++;
    }
    cr_assert(lt(uint, 100, nth)); /* that many calls were there to be hit */
}

/* Several frames in one flush, each in a segment of its own. */
Test(journal, large_changes_survive_a_crash_at_every_call, .timeout = 110)
{
    unsigned nth = 1;
    while (run_with_crash(nth, nth * 7919, 8, 1 << 20)) {
        nth++;
    }
    cr_assert(lt(uint, 30, nth));
}

/* The disk is full in the middle of a flush: a part of its frames stands in the old segment, and
 * the power fails at each of the calls with which everything is written again. */
Test(journal, what_was_durable_survives_a_crash_after_a_full_disk, .timeout = 110)
{
    for (unsigned round = 0; round < 24; round++) {
        struct kit kit;
        struct fake_disk *disk = fake_disk_new();
        kit_init(&kit);
        kit.file = fake_disk_ops(disk);
        kit_open(&kit, 1, 0, 1);
        uint64_t durable = kit_put_durable(&kit, 100);
        fake_disk_hold_syncs(disk, true); /* so that the next flush has several frames */
        (void)kit_put(&kit, 100);
        for (int64_t began = clock_mono_ns(&clock_system); fake_disk_waiting_syncs(disk) == 0;) {
            stand_pause(began);
        }
        uint64_t lsn = 0;
        for (unsigned i = 0; i < 3; i++) {
            lsn = kit_put(&kit, 700 * 1024);
        }
        fake_disk_cut_write(disk, 1 + round % 3);
        fake_disk_fail(disk, FAKE_PWRITE, 2 + round % 3, round % 2 == 0 ? ENOSPC : EDQUOT);
        fake_disk_hold_syncs(disk, false);
        for (int64_t began = clock_mono_ns(&clock_system); journal_has_space(kit.journal);) {
            stand_pause(began);
        }
        durable++;
        cr_assert(eq(u64, journal_durable_lsn(kit.journal), durable));
        cr_assert(eq(u64, kit_put(&kit, 10), 0)); /* nothing new is taken */
        if (round < 18) {
            fake_disk_crash_at(disk, 1 + round / 2);
        }
        for (int64_t began = clock_mono_ns(&clock_system);
             !journal_has_space(kit.journal) && !atomic_load(&kit.has_failed);) {
            stand_pause(began);
        }
        if (round >= 18) { /* no crash: all of it is durable again, and it goes on */
            cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
            durable = kit_put_durable(&kit, 10);
        }
        cr_assert(ge(u64, journal_durable_lsn(kit.journal), durable));
        durable = journal_durable_lsn(kit.journal);
        (void)journal_close(kit.journal);
        kit.journal = NULL;
        fake_disk_crash(disk);
        kit_check_survivors(disk, round, 0, durable);
        kit_end(&kit);
        fake_disk_free(disk);
    }
}

/* Nothing is in the epoch's first segment then, and lsns were skipped before it. */
Test(journal, a_full_disk_at_the_first_change_of_an_epoch_leaves_no_gap)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    struct replayed *found = calloc(1, sizeof *found);
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit_open(&kit, 1, 0, 1);
    uint64_t before = kit_put_durable(&kit, 100);
    kit_close(&kit);
    kit_open(&kit, 2, before, 1000);
    fake_disk_fail(disk, FAKE_PWRITE, 1, ENOSPC);
    cr_assert(eq(u64, kit_put(&kit, 100), 1000));
    for (int64_t began = clock_mono_ns(&clock_system); journal_has_space(kit.journal);) {
        stand_pause(began);
    }
    for (int64_t began = clock_mono_ns(&clock_system); journal_durable_lsn(kit.journal) < 1000;) {
        stand_pause(began);
    }
    kit_close(&kit);
    kit_replay(kit.dir, 0, found);
    cr_assert(eq(int, found->status, STATUS_OK), "%s", found->errmsg);
    cr_assert(eq(sz, found->count, 2));
    cr_assert(eq(u64, found->last_lsn, 1000));
    kit_end(&kit);
    fake_disk_free(disk);
    free(found);
}

struct writers {
    struct kit *kit;
};

static void *write_many(void *arg)
{
    struct writers *self = arg;
    for (unsigned i = 0; i < 500; i++) {
        (void)kit_put_durable(self->kit, i % 50);
    }
    return NULL;
}

Test(journal, writers_from_many_threads_wait_for_their_own)
{
    struct kit kit;
    struct writers writers = {.kit = &kit};
    pthread_t threads[4];
    kit_init(&kit);
    kit_open(&kit, 1, 0, 1);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(eq(int, pthread_create(&threads[i], NULL, write_many, &writers), 0));
    }
    for (size_t i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    kit_close(&kit);
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(sz, found.count, 2000));
    kit_end(&kit);
}
