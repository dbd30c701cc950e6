/* Several flushes at a time, as on slow storage: what is durable has no gap whichever ends first,
 * whatever fails, and wherever the power does. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "journal_kit.h"
#include "store/journal.h"
#include "support/store_stand.h"

enum { SLOW_NS = 3000000, CROWD = 6 };

static struct replayed found; /* too large for the stack */

static void wait_for_syncs(struct fake_disk *disk, unsigned count)
{
    for (int64_t began = clock_mono_ns(&clock_system); fake_disk_waiting_syncs(disk) != count;) {
        stand_pause(began);
    }
}

static uint64_t put_crowd(struct kit *kit)
{
    uint64_t lsn = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        lsn = kit_put(kit, 1000); /* in all more than EFS charges at least */
    }
    return lsn;
}

/* A journal that has found its disk slow. Returns the last change. */
static uint64_t open_slow(struct kit *kit, struct fake_disk *disk)
{
    kit_init(kit);
    kit->file = fake_disk_ops(disk);
    kit_open(kit, 1, 0, 1);
    fake_disk_delay_syncs(disk, SLOW_NS);
    return kit_put_durable(kit, 100);
}

/* One flush is under way and held, then another beside it. Returns the last change. */
static uint64_t fly_two(struct kit *kit, struct fake_disk *disk)
{
    fake_disk_hold_syncs(disk, true);
    (void)kit_put(kit, 100);
    wait_for_syncs(disk, 1);
    uint64_t lsn = put_crowd(kit);
    wait_for_syncs(disk, 2);
    return lsn;
}

static void end(struct kit *kit, struct fake_disk *disk)
{
    kit_end(kit);
    fake_disk_free(disk);
}

Test(journal_lanes, slow_storage_gets_as_many_flushes_at_a_time_as_there_are_lanes)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    uint64_t before = open_slow(&kit, disk);
    (void)fly_two(&kit, disk);
    for (unsigned lane = 2; lane < SEGMENT_LANES; lane++) {
        (void)put_crowd(&kit);
        wait_for_syncs(disk, lane + 1);
    }
    uint64_t lsn = put_crowd(&kit); /* one more has to wait */
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    for (unsigned lane = 0; lane < SEGMENT_LANES; lane++) {
        char ending[16];
        (void)snprintf(ending, sizeof ending, "-%u.jnl", lane);
        cr_assert(eq(uint, temp_dir_count(kit.dir, ending), 1));
    }
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
    kit_close(&kit);
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(sz, found.count, lsn));
    end(&kit, disk);
}

/* A few do not get a flush of their own: EFS would charge it as if they were many. */
Test(journal_lanes, a_few_wait_for_what_is_under_way)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    (void)open_slow(&kit, disk);
    fake_disk_hold_syncs(disk, true);
    (void)kit_put(&kit, 100);
    wait_for_syncs(disk, 1);
    uint64_t lsn = kit_put(&kit, 100);
    const struct timespec moment = {.tv_nsec = 3 * SLOW_NS};
    (void)nanosleep(&moment, NULL); /* longer than any pause between two flushes */
    cr_assert(eq(uint, fake_disk_waiting_syncs(disk), 1));
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
    end(&kit, disk);
}

static int64_t no_time_passes(void *arg)
{
    (void)arg;
    return 1;
}

Test(journal_lanes, fast_storage_gets_one)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    const struct clock stopped = {.wall_ms = clock_system.wall_ms, .mono_ns = no_time_passes};
    kit_init(&kit);
    kit.clock = &stopped;
    kit.file = fake_disk_ops(disk);
    kit_open(&kit, 1, 0, 1);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(eq(int, journal_wait_durable(kit.journal, put_crowd(&kit)), STATUS_OK));
    }
    cr_assert(eq(uint, temp_dir_count(kit.dir, "-1.jnl"), 0));
    end(&kit, disk);
}

/* The second flush ends while the first is still under way: nothing of it counts yet. */
Test(journal_lanes, what_is_durable_has_no_gap)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    uint64_t before = open_slow(&kit, disk);
    fake_disk_delay_syncs(disk, 200000000);
    (void)kit_put(&kit, 100);
    wait_for_syncs(disk, 1);
    fake_disk_delay_syncs(disk, 0);
    unsigned syncs = fake_disk_count(disk, FAKE_FDATASYNC);
    uint64_t lsn = put_crowd(&kit);
    /* The header of the new file, and the flush. */
    for (int64_t began = clock_mono_ns(&clock_system);
         fake_disk_count(disk, FAKE_FDATASYNC) < syncs + 2 || fake_disk_waiting_syncs(disk) > 1;) {
        stand_pause(began);
    }
    cr_assert(eq(uint, fake_disk_waiting_syncs(disk), 1));
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    fake_disk_crash(disk);
    kit_check_survivors(disk, 1, 0, before);
    cr_assert(ne(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    (void)journal_close(kit.journal);
    kit.journal = NULL;
    end(&kit, disk);
}

static void wait_for_space(struct kit *kit, bool has_space)
{
    for (int64_t began = clock_mono_ns(&clock_system);
         journal_has_space(kit->journal) != has_space;) {
        stand_pause(began);
    }
}

/* The disk was full and has space again: all is found, in order and once, also what comes now. */
static void check_all_is_saved(struct kit *kit, struct fake_disk *disk, uint64_t lsn)
{
    wait_for_space(kit, true);
    cr_assert(eq(int, journal_wait_durable(kit->journal, lsn), STATUS_OK));
    lsn = kit_put_durable(kit, 100);
    kit_close(kit);
    fake_disk_crash(disk);
    kit_check_survivors(disk, lsn, 0, lsn);
    end(kit, disk);
}

Test(journal_lanes, two_flushes_that_find_the_disk_full_are_saved)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    (void)open_slow(&kit, disk);
    uint64_t lsn = fly_two(&kit, disk);
    fake_disk_fill(disk, FAKE_FDATASYNC, true);
    fake_disk_hold_syncs(disk, false);
    wait_for_space(&kit, false);
    fake_disk_fill(disk, FAKE_FDATASYNC, false);
    check_all_is_saved(&kit, disk, lsn);
}

Test(journal_lanes, a_younger_flush_that_finds_the_disk_full_is_saved)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    (void)open_slow(&kit, disk);
    uint64_t lsn = fly_two(&kit, disk);
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
    fake_disk_hold_syncs(disk, true);
    fake_disk_fail(disk, FAKE_FDATASYNC, 2, ENOSPC);
    (void)kit_put(&kit, 100);
    wait_for_syncs(disk, 1);
    lsn = put_crowd(&kit);
    wait_for_space(&kit, false);
    fake_disk_hold_syncs(disk, false);
    check_all_is_saved(&kit, disk, lsn);
}

/* The younger one has been written and synced, but it stands behind a gap. */
Test(journal_lanes, an_older_flush_that_finds_the_disk_full_takes_the_younger_along)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    uint64_t before = open_slow(&kit, disk);
    fake_disk_delay_syncs(disk, 200000000);
    (void)kit_put(&kit, 100);
    wait_for_syncs(disk, 1);
    fake_disk_delay_syncs(disk, 0);
    unsigned syncs = fake_disk_count(disk, FAKE_FDATASYNC);
    uint64_t lsn = put_crowd(&kit);
    for (int64_t began = clock_mono_ns(&clock_system);
         fake_disk_count(disk, FAKE_FDATASYNC) < syncs + 2;) {
        stand_pause(began);
    }
    wait_for_syncs(disk, 1);
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    fake_disk_fill(disk, FAKE_FDATASYNC, true);
    wait_for_space(&kit, false);
    fake_disk_fill(disk, FAKE_FDATASYNC, false);
    check_all_is_saved(&kit, disk, lsn);
}

static bool crash_at(unsigned nth)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    struct random random = {.state = nth};
    kit_init(&kit);
    kit.file = fake_disk_ops(disk);
    kit.segment_bytes = 64 * 1024;
    char errmsg[256];
    uint64_t durable = 0;
    uint64_t applied = 0;
    fake_disk_crash_at(disk, nth);
    if (kit_try_open(&kit, 1, 0, 1, errmsg, sizeof errmsg) == STATUS_OK) {
        fake_disk_delay_syncs(disk, 1200000);
        uint64_t lsn = 0;
        for (unsigned i = 0; i < 20 && !atomic_load(&kit.has_failed); i++) {
            for (uint64_t burst = 5 + random_below(&random, 20); burst > 0; burst--) {
                lsn = kit_put(&kit, random_below(&random, 1500));
            }
            /* Not all: the next ones come while these are under way. */
            uint64_t awaited = lsn - random_below(&random, 20);
            if (lsn < 20 || journal_wait_durable(kit.journal, awaited) != STATUS_OK) {
                continue;
            }
            if (i % 4 == 3) {
                applied = journal_durable_lsn(kit.journal) - random_below(&random, 4);
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
    kit_check_survivors(disk, nth, applied, durable);
    end(&kit, disk);
    return crashed;
}

Test(journal_lanes, what_was_durable_survives_a_crash_at_every_call, .timeout = 110)
{
    unsigned nth = 1;
    while (crash_at(nth)) {
        nth++;
    }
    cr_assert(lt(uint, 40, nth)); /* that many calls were there to be hit */
}

/* One bit of each byte of either file: what was durable is refused, and the file is named. */
Test(journal_lanes, damage_in_either_file_is_found, .timeout = 60)
{
    struct kit kit;
    struct fake_disk *disk = fake_disk_new();
    (void)open_slow(&kit, disk);
    uint64_t lsn = fly_two(&kit, disk);
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
    lsn = kit_put_durable(&kit, 100); /* knows that all before it is durable */
    kit_close(&kit);
    for (unsigned lane = 0; lane < 2; lane++) {
        char name[SEGMENT_NAME_BYTES];
        char path[256];
        struct buf bytes = {0};
        segment_name(name, 1, 1, lane);
        (void)snprintf(path, sizeof path, "%s/%s", kit.dir, name);
        temp_file_read(&bytes, path);
        size_t refused = 0;
        for (size_t at = 0; at < bytes.len; at++) {
            bytes.ptr[at] ^= (uint8_t)(1U << at % 8);
            temp_file_write(path, buf_view(&bytes));
            bytes.ptr[at] ^= (uint8_t)(1U << at % 8);
            kit_replay(kit.dir, 0, &found);
            if (found.status == STATUS_CORRUPT) {
                cr_assert(ne(ptr, strstr(found.errmsg, name), NULL), "byte %zu of %s: %s", at, name,
                          found.errmsg);
                refused++;
            } else { /* the last frame of all, and the empty end of a file */
                cr_assert(eq(int, found.status, STATUS_OK), "byte %zu: %s", at, found.errmsg);
                cr_assert(eq(u64, found.last_lsn, lsn - 1), "byte %zu of %s", at, name);
            }
        }
        cr_assert(lt(sz, bytes.len / 2, refused), "%s: %zu of %zu", name, refused, bytes.len);
        temp_file_write(path, buf_view(&bytes));
        buf_free(&bytes);
    }
    kit_replay(kit.dir, 0, &found);
    cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
    cr_assert(eq(u64, found.last_lsn, lsn));
    end(&kit, disk);
}

/* Without one of the files its changes are missing, and the other one knows that they were there.
 */
Test(journal_lanes, a_missing_file_is_noticed)
{
    for (unsigned lane = 0; lane < 2; lane++) {
        struct kit kit;
        struct fake_disk *disk = fake_disk_new();
        (void)open_slow(&kit, disk);
        uint64_t lsn = fly_two(&kit, disk);
        fake_disk_hold_syncs(disk, false);
        cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_OK));
        (void)kit_put_durable(&kit, 100);
        kit_close(&kit);
        char name[SEGMENT_NAME_BYTES];
        char path[256];
        segment_name(name, 1, 1, lane);
        (void)snprintf(path, sizeof path, "%s/%s", kit.dir, name);
        cr_assert(eq(int, unlink(path), 0));
        kit_replay(kit.dir, 0, &found);
        cr_assert(eq(int, found.status, STATUS_CORRUPT), "lane %u", lane);
        end(&kit, disk);
    }
}
