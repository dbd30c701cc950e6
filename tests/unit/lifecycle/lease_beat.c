/* Keeping the lease and losing it: the clock, and beats that fail, hang or come too late. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lease_kit.h"

TestSuite(lease_beat, .timeout = 60); /* what waits for ever is a failure */

static struct lease_kit kit;

static void open_kit(void)
{
    kit_init(&kit);
    cr_assert(eq(int, kit_open(&kit), STATUS_OK), "%s", kit.errmsg);
}

/* Holds the next beat in its sync. */
static void hold_beat(void)
{
    int64_t began_ns = clock_mono_ns(&clock_system);
    fake_disk_hold_syncs(kit.disk, true);
    while (fake_disk_waiting_syncs(kit.disk) == 0) {
        kit_pause(began_ns);
    }
}

Test(lease_beat, as_long_as_beats_arrive_it_is_ours)
{
    open_kit();
    uint64_t heartbeats = kit_record(&kit).heartbeats;
    for (unsigned i = 0; i < 20; i++) {
        kit_wait_beats(&kit, 1);
        kit_advance_ms(&kit, KIT_LEASE_MS - 1);
        cr_assert(ownership_holds(&kit.owner));
    }
    cr_assert(ge(u64, kit_record(&kit).heartbeats, heartbeats + 20));
    cr_assert(eq(uint, kit.lost, 0));
    kit_end(&kit);
}

Test(lease_beat, confirming_writes_the_epoch_before_it_returns)
{
    kit_init(&kit);
    kit.options.lease_ms = 3600 * 1000; /* no beat comes by itself */
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    unsigned syncs = fake_disk_count(kit.disk, FAKE_FDATASYNC);
    for (uint64_t epoch = 5; epoch < 8; epoch++) {
        cr_assert(eq(int, ownership_confirm(&kit.owner, epoch), STATUS_OK));
        cr_assert(eq(u64, kit_record(&kit).epoch, epoch));
        cr_assert(eq(uint, fake_disk_count(kit.disk, FAKE_FDATASYNC), ++syncs));
    }
    kit_end(&kit);
}

static void *confirm_epoch(void *arg)
{
    enum status *out = arg;
    *out = ownership_confirm(&kit.owner, 9);
    return NULL;
}

/* A lock that was taken while a beat was under way is not what that beat has proven. */
Test(lease_beat, a_beat_that_began_before_confirms_nothing)
{
    pthread_t thread;
    enum status status = STATUS_END;
    open_kit();
    hold_beat();
    cr_assert(eq(int, pthread_create(&thread, NULL, confirm_epoch, &status), 0));
    /* Later beats are held as well, so that it is this one's end that it could take for its own. */
    for (int64_t began_ns = clock_mono_ns(&clock_system);
         clock_mono_ns(&clock_system) - began_ns < 50000000;) {
        kit_pause(began_ns);
    }
    fake_disk_hold_syncs(kit.disk, false);
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    cr_assert(eq(int, status, STATUS_OK));
    cr_assert(eq(u64, kit_record(&kit).epoch, 9));
    kit_end(&kit);
}

Test(lease_beat, a_beat_that_fails_loses_it_at_once)
{
    static const struct {
        enum fake_call call;
        int error;
    } cases[] = {{FAKE_PWRITE, EIO},
                 {FAKE_PWRITE, ESTALE},
                 {FAKE_PWRITE, EBADF},
                 {FAKE_FDATASYNC, EIO},
                 {FAKE_FDATASYNC, ESTALE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_kit();
        fake_disk_fail(kit.disk, cases[i].call, 1, cases[i].error);
        kit_wait_lost(&kit); /* the clock has not moved */
        cr_assert(ne(ptr, strstr(kit.why, kit.dir), NULL), "%s", kit.why);
        cr_assert(ne(ptr, strstr(kit.why, strerror(cases[i].error)), NULL), "%s", kit.why);
        cr_assert(not(ownership_holds(&kit.owner)));
        cr_assert(eq(u64, lease_left_ms(kit.lease), 0));
        unsigned writes = fake_disk_count(kit.disk, FAKE_PWRITE);
        cr_assert(eq(int, ownership_confirm(&kit.owner, 3), STATUS_IO));
        cr_assert(eq(int, kit_close(&kit, true), STATUS_OK));
        cr_assert(eq(uint, fake_disk_count(kit.disk, FAKE_PWRITE), writes)); /* never again */
        cr_assert(not(kit_record(&kit).is_released));
        kit_end(&kit);
    }
}

/* Who deletes or moves the directory of a store lets another process become its owner. */
Test(lease_beat, a_lease_that_is_not_there_any_more_is_lost)
{
    char path[600];
    char moved[600];
    for (int how = 0; how < 3; how++) {
        open_kit();
        (void)snprintf(path, sizeof path, "%s/lease", kit.dir);
        (void)snprintf(moved, sizeof moved, "%s/moved", kit.dir);
        cr_assert(eq(int, how == 0 ? unlink(path) : rename(path, moved), 0));
        if (how == 2) { /* another one takes its place */
            int fd = open(path, O_CREAT | O_WRONLY, 0600);
            cr_assert(ge(int, fd, 0));
            (void)close(fd);
        }
        kit_wait_lost(&kit);
        cr_assert(ne(ptr, strstr(kit.why, "is not there any more"), NULL), "%s", kit.why);
        cr_assert(not(ownership_holds(&kit.owner)));
        cr_assert(eq(int, kit_close(&kit, false), STATUS_OK));
        (void)unlink(moved);
        kit_end(&kit);
    }
}

/* The storage has looked at our lock before it looked for room. */
Test(lease_beat, a_full_disk_is_an_answer)
{
    static const enum fake_call calls[] = {FAKE_PWRITE, FAKE_FDATASYNC};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        open_kit();
        fake_disk_fill(kit.disk, calls[i], true);
        int64_t began_ns = clock_mono_ns(&clock_system);
        for (unsigned beats = 0; beats < 5; beats++) {
            unsigned count = fake_disk_count(kit.disk, calls[i]);
            while (fake_disk_count(kit.disk, calls[i]) < count + 3) {
                kit_pause(began_ns);
            }
            kit_advance_ms(&kit, KIT_LEASE_MS - 1);
            cr_assert(ownership_holds(&kit.owner));
        }
        cr_assert(eq(uint, kit.lost, 0));
        fake_disk_fill(kit.disk, calls[i], false);
        cr_assert(eq(int, ownership_confirm(&kit.owner, 4), STATUS_OK));
        cr_assert(eq(int, kit_close(&kit, true), STATUS_OK));
        cr_assert(kit_record(&kit).is_released);
        kit_end(&kit);
    }
}

Test(lease_beat, while_a_beat_hangs_it_runs_out_in_time_and_is_not_taken_up_again)
{
    open_kit();
    hold_beat();
    kit_advance_ms(&kit, KIT_LEASE_MS - 1);
    cr_assert(ownership_holds(&kit.owner));
    cr_assert(eq(u64, lease_left_ms(kit.lease), 1));
    kit_advance_ms(&kit, 1);
    cr_assert(not(ownership_holds(&kit.owner)));
    cr_assert(eq(u64, lease_left_ms(kit.lease), 0));
    cr_assert(eq(uint, kit.lost, 0)); /* its own thread cannot say so: it hangs */
    fake_disk_hold_syncs(kit.disk, false);
    kit_wait_lost(&kit);
    cr_assert(ne(ptr, strstr(kit.why, "ran out"), NULL), "%s", kit.why);
    cr_assert(not(ownership_holds(&kit.owner)));
    cr_assert(eq(int, ownership_confirm(&kit.owner, 3), STATUS_IO));
    kit_end(&kit);
}

/* Who waits for a confirmation is let go when there can be none. */
Test(lease_beat, a_confirmation_that_hangs_fails_with_the_beat)
{
    pthread_t thread;
    enum status status = STATUS_END;
    open_kit();
    hold_beat();
    cr_assert(eq(int, pthread_create(&thread, NULL, confirm_epoch, &status), 0));
    kit_advance_ms(&kit, KIT_LEASE_MS);
    fake_disk_hold_syncs(kit.disk, false);
    cr_assert(eq(int, pthread_join(thread, NULL), 0));
    cr_assert(eq(int, status, STATUS_IO));
    kit_wait_lost(&kit);
    kit_end(&kit);
}

static int64_t sync_ms; /* how long each sync takes on the kit's clock */
static int (*fast_sync)(void *arg, int fd);

static int slow_sync(void *arg, int fd)
{
    int rc = fast_sync(arg, fd);
    kit_advance_ms(&kit, sync_ms);
    return rc;
}

/* What a beat proves is true of its beginning: when the server had looked at our locks, and not
 * when its answer had come. */
Test(lease_beat, its_time_counts_from_the_beginning_of_a_beat)
{
    const int64_t eighth_ms = KIT_LEASE_MS / 8;
    kit_init(&kit);
    struct file_ops *file = (struct file_ops *)(uintptr_t)fake_disk_ops(kit.disk);
    fast_sync = file->fdatasync;
    file->fdatasync = slow_sync;
    sync_ms = 3 * eighth_ms;
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    uint64_t longest_ms = 0;
    for (unsigned i = 0; i < 500; i++) {
        uint64_t left_ms = lease_left_ms(kit.lease);
        longest_ms = left_ms > longest_ms ? left_ms : longest_ms;
        kit_pause(clock_mono_ns(&clock_system));
    }
    cr_assert(eq(u64, longest_ms, (uint64_t)(5 * eighth_ms))); /* right after a beat */
    cr_assert(eq(uint, kit.lost, 0));
    kit_end(&kit);
}

/* As after a machine was suspended: nobody has run, and the time is over. */
Test(lease_beat, a_clock_that_jumps_over_its_end_ends_it)
{
    static const int64_t jumps_ms[] = {KIT_LEASE_MS, 3600 * 1000, INT64_C(400) * 24 * 3600 * 1000};
    for (size_t i = 0; i < sizeof jumps_ms / sizeof jumps_ms[0]; i++) {
        open_kit();
        kit_wait_beats(&kit, 1);
        hold_beat(); /* one that began before, so that it cannot be in time */
        kit_advance_ms(&kit, jumps_ms[i]);
        cr_assert(not(ownership_holds(&kit.owner)));
        fake_disk_hold_syncs(kit.disk, false);
        kit_wait_lost(&kit);
        cr_assert(not(ownership_holds(&kit.owner)));
        kit_end(&kit);
    }
}

/* The same between two beats: the next one is not written any more, for somebody else's record may
 * stand there. */
Test(lease_beat, after_its_end_nothing_is_written)
{
    kit_init(&kit);
    kit.options.lease_ms = 3600 * 1000; /* no beat comes by itself */
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    cr_assert(eq(int, ownership_confirm(&kit.owner, 3), STATUS_OK));
    unsigned writes = fake_disk_count(kit.disk, FAKE_PWRITE);
    kit_advance_ms(&kit, 3600 * 1000);
    cr_assert(eq(int, ownership_confirm(&kit.owner, 4), STATUS_IO)); /* which wants a beat */
    kit_wait_lost(&kit);
    cr_assert(ne(ptr, strstr(kit.why, "ran out"), NULL), "%s", kit.why);
    cr_assert(eq(uint, fake_disk_count(kit.disk, FAKE_PWRITE), writes));
    cr_assert(eq(u64, kit_record(&kit).epoch, 3));
    kit_end(&kit);
}

Test(lease_beat, the_time_of_day_does_not_matter)
{
    open_kit();
    static const int64_t jumps_ms[] = {INT64_C(315360000000), -INT64_C(630720000000)};
    for (size_t i = 0; i < sizeof jumps_ms / sizeof jumps_ms[0]; i++) {
        atomic_fetch_add(&kit.wall_ms, jumps_ms[i]);
        kit_wait_beats(&kit, 3);
        cr_assert(ownership_holds(&kit.owner));
        cr_assert(eq(u64, lease_left_ms(kit.lease), KIT_LEASE_MS));
        cr_assert(eq(i64, kit_record(&kit).at_ms, atomic_load(&kit.wall_ms)));
    }
    cr_assert(eq(uint, kit.lost, 0));
    kit_end(&kit);
}

/* ---- Releasing ------------------------------------------------------------------------------ */

Test(lease_beat, a_release_that_cannot_be_written_is_told)
{
    static const struct {
        enum fake_call call;
        int error;
        enum status status;
    } cases[] = {{FAKE_PWRITE, EIO, STATUS_IO},
                 {FAKE_PWRITE, ENOSPC, STATUS_NO_SPACE},
                 {FAKE_FDATASYNC, EIO, STATUS_IO},
                 {FAKE_CLOSE, EIO, STATUS_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_init(&kit);
        kit.options.lease_ms = 3600 * 1000;
        cr_assert(eq(int, kit_open(&kit), STATUS_OK));
        fake_disk_fail(kit.disk, cases[i].call, 1, cases[i].error);
        cr_assert(eq(int, kit_close(&kit, true), cases[i].status), "case %zu", i);
        if (cases[i].call == FAKE_PWRITE) {
            cr_assert(not(kit_record(&kit).is_released));
        }
        kit_end(&kit);
    }
}

/* Its files may have been copied already, and the record may be another's. */
Test(lease_beat, what_has_run_out_is_not_released)
{
    kit_init(&kit);
    kit.options.lease_ms = 3600 * 1000; /* so that no beat finds out before */
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    kit_advance_ms(&kit, 3600 * 1000);
    unsigned writes = fake_disk_count(kit.disk, FAKE_PWRITE);
    cr_assert(eq(int, kit_close(&kit, true), STATUS_LOCKED));
    cr_assert(eq(uint, fake_disk_count(kit.disk, FAKE_PWRITE), writes));
    cr_assert(not(kit_record(&kit).is_released));
    kit_end(&kit);
}

Test(lease_beat, no_lease_is_closed_as_well)
{
    cr_assert(eq(int, lease_close(NULL, true), STATUS_OK));
}

struct figures {
    double left_s;
    double epoch;
    double heartbeats;
};

static void note_figure(void *arg, const struct metric_sample *sample)
{
    struct figures *self = arg;
    if (strcmp(sample->desc->name, "satchel_lease_left_seconds") == 0) {
        self->left_s = sample->value;
    } else if (strcmp(sample->desc->name, "satchel_epoch") == 0) {
        self->epoch = sample->value;
    } else if (strcmp(sample->desc->name, "satchel_lease_heartbeats_total") == 0) {
        self->heartbeats = sample->value;
    }
}

Test(lease_beat, its_metrics_say_how_long_it_lasts)
{
    static struct metric_registry registry;
    struct figures figures = {.left_s = -1};
    kit_init(&kit);
    kit.options.lease_ms = 3600 * 1000;
    cr_assert(eq(int, kit_open(&kit), STATUS_OK));
    cr_assert(eq(int, ownership_confirm(&kit.owner, 3), STATUS_OK));
    cr_assert(eq(int, lease_register_metrics(kit.lease, &registry), STATUS_OK));
    kit_advance_ms(&kit, 600 * 1000);
    metric_visit(&registry, note_figure, &figures);
    cr_assert(eq(int, (int)figures.left_s, 3000));
    cr_assert(eq(int, (int)figures.epoch, 3));
    cr_assert(eq(int, (int)figures.heartbeats, 1));
    kit_end(&kit);
}
