/* Who is not the owner any more acknowledges nothing, commits nothing and removes nothing. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "journal_kit.h"
#include "store/data_dir.h"
#include "store/store_private.h"
#include "support/fake_disk.h"
#include "support/store_stand.h"

TestSuite(owner, .timeout = 60); /* what waits for ever is a failure */

/* What the lease would answer. */
struct fake_lease {
    _Atomic bool is_lost;
    _Atomic int questions_left; /* until it is lost; below 0: it stays */
    _Atomic unsigned confirmations;
    _Atomic unsigned confirmations_max; /* more fail */
    _Atomic uint64_t epoch;             /* of the last one */
};

static bool fake_holds(void *arg)
{
    struct fake_lease *self = arg;
    if (atomic_load(&self->questions_left) >= 0 &&
        atomic_fetch_sub(&self->questions_left, 1) == 0) {
        atomic_store(&self->is_lost, true);
    }
    return !atomic_load(&self->is_lost);
}

static enum status fake_confirm(void *arg, uint64_t epoch)
{
    struct fake_lease *self = arg;
    atomic_store(&self->epoch, epoch);
    if (atomic_fetch_add(&self->confirmations, 1) >= atomic_load(&self->confirmations_max)) {
        errno = EIO;
        return STATUS_IO;
    }
    return STATUS_OK;
}

static struct ownership make_owner(struct fake_lease *lease)
{
    *lease = (struct fake_lease){.questions_left = -1, .confirmations_max = UINT32_MAX};
    return (struct ownership){.holds = fake_holds, .confirm = fake_confirm, .arg = lease};
}

static struct replayed found; /* too large for the stack */

/* ---- The journal ---------------------------------------------------------------------------- */

/* The sync worked, and came back too late: the next owner may have read the journal without it. */
Test(owner, what_a_late_sync_covers_is_not_durable)
{
    struct kit kit;
    struct fake_lease lease;
    struct fake_disk *disk = fake_disk_new();
    kit_init(&kit);
    kit.owner = make_owner(&lease);
    kit.file = fake_disk_ops(disk);
    kit_open(&kit, 1, 0, 1);
    uint64_t before = kit_put_durable(&kit, 100);
    fake_disk_hold_syncs(disk, true);
    uint64_t lsn = kit_put(&kit, 100);
    int64_t began_ns = clock_mono_ns(&clock_system);
    while (fake_disk_waiting_syncs(disk) == 0) {
        stand_pause(began_ns);
    }
    atomic_store(&lease.is_lost, true);
    fake_disk_hold_syncs(disk, false);
    cr_assert(eq(int, journal_wait_durable(kit.journal, lsn), STATUS_IO));
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    while (!atomic_load(&kit.has_failed)) {
        stand_pause(began_ns);
    }
    cr_assert(ne(ptr, strstr(kit.why, "the lease is lost"), NULL), "%s", kit.why);
    /* Coming back to life changes nothing. */
    atomic_store(&lease.is_lost, false);
    cr_assert(eq(u64, kit_put(&kit, 100), 0));
    cr_assert(eq(u64, journal_durable_lsn(kit.journal), before));
    cr_assert(eq(int, journal_close(kit.journal), STATUS_IO));
    kit.journal = NULL;
    kit_end(&kit);
    fake_disk_free(disk);
}

/* A client whose locks the server has dropped may lock a new file: only a write under a lock that
 * was held all the time shows that what goes into the new one counts. */
Test(owner, every_new_segment_is_confirmed)
{
    struct kit kit;
    struct fake_lease lease;
    kit_init(&kit);
    kit.owner = make_owner(&lease);
    kit_open(&kit, 5, 0, 1);
    cr_assert(eq(uint, atomic_load(&lease.confirmations), 1));
    cr_assert(eq(u64, atomic_load(&lease.epoch), 5));
    for (unsigned i = 0; i < 100; i++) {
        (void)kit_put_durable(&kit, 5000);
    }
    uint64_t segments = metric_counter_get(&kit.metrics.segments);
    cr_assert(ge(u64, segments, 7));
    kit_close(&kit);
    cr_assert(eq(u64, atomic_load(&lease.confirmations), segments));
    kit_end(&kit);
}

Test(owner, a_segment_that_cannot_be_confirmed_is_not_written)
{
    for (unsigned segments = 0; segments < 3; segments++) {
        struct kit kit;
        struct fake_lease lease;
        char path[256];
        char errmsg[256];
        uint64_t durable = 0;
        kit_init(&kit);
        kit.owner = make_owner(&lease);
        atomic_store(&lease.confirmations_max, segments);
        if (segments == 0) {
            cr_assert(eq(int, kit_try_open(&kit, 1, 0, 1, errmsg, sizeof errmsg), STATUS_IO));
            cr_assert(ne(ptr, strstr(errmsg, kit.dir), NULL), "%s", errmsg);
            kit.journal = NULL;
        } else {
            kit_open(&kit, 1, 0, 1);
            uint64_t lsn = 0;
            while ((lsn = kit_put(&kit, 5000)) != 0 &&
                   journal_wait_durable(kit.journal, lsn) == STATUS_OK) {
                durable = lsn;
                cr_assert(lt(u64, lsn, 1000), "it never failed");
            }
            cr_assert(lt(u64, 10, durable));
            cr_assert(eq(u64, journal_durable_lsn(kit.journal), durable));
            cr_assert(eq(int, journal_close(kit.journal), STATUS_IO));
            kit.journal = NULL;
        }
        kit_path(path, kit.dir, 1, segments + 1);
        cr_assert(ne(int, access(path, F_OK), 0)); /* nothing stands in the next owner's way */
        kit_replay(kit.dir, 0, &found);
        cr_assert(eq(int, found.status, STATUS_OK), "%s", found.errmsg);
        cr_assert(eq(u64, found.last_lsn, durable));
        kit_end(&kit);
    }
}

/* ---- Checkpoints ---------------------------------------------------------------------------- */

struct files {
    struct buf data_file;
    unsigned segments;
};

static struct files look(const struct stand *stand)
{
    struct files files = {0};
    char *path = data_file_path(stand->dir, 1, true);
    char journal[TEMP_DIR_BYTES + 16];
    temp_file_read(&files.data_file, path);
    (void)snprintf(journal, sizeof journal, "%s/journal", stand->dir);
    files.segments = temp_dir_count(journal, ".jnl");
    free(path);
    return files;
}

/* A store with changes in many segments, of this owner and of the one before. */
static void open_stand(struct stand *stand, struct fake_lease *lease)
{
    static const uint8_t content[10000];
    char id[32];
    stand_init(stand);
    stand->owner = make_owner(lease);
    stand->options.segment_bytes = 64 * 1024;
    for (unsigned life = 0; life < 2; life++) {
        stand_open(stand);
        for (unsigned i = 0; i < 30; i++) {
            (void)snprintf(id, sizeof id, "%u-%u", life, i);
            stand_wait_durable(stand, stand_set_lsn(stand, id, view_of(content, sizeof content)));
        }
        if (life == 0) {
            stand_kill(stand);
        }
    }
}

static void check_recovered(struct stand *stand)
{
    (void)store_close(stand->store);
    stand->owner = (struct ownership){0};
    stand_open(stand);
    cr_assert(eq(u64, store_session_count(stand->store), 60));
    stand_checkpoint(stand);
    cr_assert(eq(u64, store_session_count(stand->store), 60));
}

Test(owner, who_has_lost_the_lease_commits_no_checkpoint)
{
    struct stand stand;
    struct fake_lease lease;
    open_stand(&stand, &lease);
    struct files before = look(&stand);
    cr_assert(ge(uint, before.segments, 8));
    atomic_store(&lease.is_lost, true);
    store_want_checkpoint(stand.store);
    stand_wait_failed(&stand);
    struct files after = look(&stand);
    cr_assert(view_equal(buf_view(&after.data_file), buf_view(&before.data_file)));
    cr_assert(eq(uint, after.segments, before.segments));
    buf_free(&before.data_file);
    buf_free(&after.data_file);
    check_recovered(&stand);
    stand_end(&stand);
}

/* Lost between the commit and what follows from it. */
Test(owner, who_has_lost_the_lease_drops_no_segment)
{
    struct stand stand;
    struct fake_lease lease;
    open_stand(&stand, &lease);
    struct files before = look(&stand);
    atomic_store(&lease.questions_left, 1); /* the commit's is the first */
    store_want_checkpoint(stand.store);
    stand_wait_failed(&stand);
    struct files after = look(&stand);
    cr_assert(not(view_equal(buf_view(&after.data_file), buf_view(&before.data_file))));
    cr_assert(eq(uint, after.segments, before.segments));
    buf_free(&before.data_file);
    buf_free(&after.data_file);
    check_recovered(&stand);
    stand_end(&stand);
}

Test(owner, who_has_lost_the_lease_renews_no_data_file)
{
    struct stand stand;
    struct fake_lease lease;
    open_stand(&stand, &lease);
    stand_kill(&stand);
    stand.released_epoch = 0;
    stand_open(&stand);
    atomic_store(&lease.is_lost, true);
    store_want_checkpoint(stand.store);
    stand_wait_failed(&stand);
    char *path = data_file_path(stand.dir, 1, true);
    cr_assert(eq(int, access(path, F_OK), 0));
    free(path);
    cr_assert(eq(uint, temp_dir_count(stand.dir, ".mdb"), 1));
    check_recovered(&stand);
    cr_assert(eq(uint, temp_dir_count(stand.dir, ".mdb"), 1));
    stand_end(&stand);
}
