/* Opening, owning, failing: what a store says before it serves, when it may not, and when it cannot
 * go on; and that a version is never given out twice, whatever happened to the last life. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_private.h"
#include "support/fake_disk.h"
#include "support/store_stand.h"

static int64_t now_ns(void)
{
    return clock_mono_ns(&clock_system);
}

Test(store_life, a_second_store_on_the_directory_is_refused_in_one_line)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    uint64_t lsn = stand_set_lsn(&stand, "a", view_str("kept"));
    pid_t child = fork(); /* locks are per process */
    cr_assert(ge(int, child, 0));
    if (child == 0) {
        struct stand other;
        char errmsg[512] = "";
        char owner[32];
        stand_init(&other);
        memcpy(other.dir, stand.dir, sizeof other.dir);
        enum status status = stand_try_open(&other, errmsg, sizeof errmsg);
        (void)snprintf(owner, sizeof owner, "process %ld", (long)getppid());
        bool clear = status == STATUS_LOCKED && strstr(errmsg, stand.dir) != NULL &&
                     strstr(errmsg, owner) != NULL && strchr(errmsg, '\n') == NULL;
        temp_dir_remove(other.run_dir);
        _exit(clear ? 0 : 1);
    }
    int status = 0;
    cr_assert(eq(int, waitpid(child, &status, 0), child));
    cr_assert(eq(int, status, 0));
    stand_wait_durable(&stand, lsn); /* the first one goes on */
    stand_close(&stand);
    stand_open(&stand);
    stand_end(&stand);
}

/* Not a copy of the directory: the real thing, a process that is gone in the middle of its work. */
Test(store_life, what_was_acknowledged_before_sigkill_is_there, .timeout = 60)
{
    enum { LIVES = 5, ACKNOWLEDGED = 200 };
    struct stand stand;
    char id[32];
    stand_init(&stand);
    stand.options.checkpoint_ms = 10; /* die in the middle of checkpoints, too */
    uint64_t version_max = 0;
    for (unsigned life = 0; life < LIVES; life++) {
        int acks[2];
        cr_assert(eq(int, pipe(acks), 0));
        pid_t child = fork();
        cr_assert(ge(int, child, 0));
        if (child == 0) {
            stand_open(&stand);
            for (unsigned i = 0;; i++) {
                (void)snprintf(id, sizeof id, "%u-%u", life, i);
                uint64_t lsn = stand_set_lsn(&stand, id, view_str(id));
                stand_wait_durable(&stand, lsn);
                if (write(acks[1], &lsn, sizeof lsn) != sizeof lsn) {
                    _exit(1);
                }
            }
        }
        uint64_t versions[ACKNOWLEDGED];
        for (unsigned i = 0; i < ACKNOWLEDGED; i++) {
            cr_assert(
                eq(int, (int)read(acks[0], &versions[i], sizeof versions[i]), sizeof versions[i]));
        }
        int status = 0;
        cr_assert(eq(int, kill(child, SIGKILL), 0));
        cr_assert(eq(int, waitpid(child, &status, 0), child));
        (void)close(acks[0]);
        (void)close(acks[1]);
        stand_open(&stand);
        for (unsigned i = 0; i < ACKNOWLEDGED; i++) {
            struct answer answer = {0};
            (void)snprintf(id, sizeof id, "%u-%u", life, i);
            cr_assert(eq(int, stand_get(&stand, id, &answer), SATCHEL_OK), "%s", id);
            cr_assert(eq(u64, answer.session.version, versions[i]));
            cr_assert(view_equal(answer.session.content, view_str(id)));
            cr_assert(lt(u64, version_max, answer.session.version));
            version_max = answer.session.version;
            answer_free(&answer);
        }
        stand_close(&stand);
    }
    stand_end(&stand);
}

/* The last change that the meta row of the closed store tells of; `next`, unless it is 0, takes its
 * place. */
static uint64_t last_change(const struct stand *stand, uint64_t next)
{
    struct rows *rows = NULL;
    struct rows_write *write = NULL;
    struct rows_meta meta;
    char path[TEMP_DIR_BYTES + 32];
    char errmsg[256];
    (void)snprintf(path, sizeof path, "%s/data-0000000001.mdb", stand->dir);
    const struct rows_options options = {.path = path,
                                         .run_dir = stand->run_dir,
                                         .map_bytes = UINT64_C(1) << 32,
                                         .file = &file_ops_system};
    cr_assert(eq(int, rows_open(&options, &rows, errmsg, sizeof errmsg), STATUS_OK));
    cr_assert(eq(int, rows_read_meta(rows, &meta), STATUS_OK));
    uint64_t last = meta.last_lsn;
    if (next != 0) {
        meta.applied_lsn = meta.last_lsn = next;
        cr_assert(eq(int, rows_write_begin(rows, &write), STATUS_OK));
        cr_assert(eq(int, rows_put_meta(write, &meta), STATUS_OK));
        cr_assert(eq(int, rows_commit(write), STATUS_OK));
    }
    rows_close(rows);
    return last;
}

/* The last life may have shown numbers that never became durable: as many as fit into what may be
 * waiting. The next one begins behind all of them. */
Test(store_life, versions_go_on_behind_everything_that_may_have_been_seen)
{
    const uint64_t gap_least = 512 * 1024 * 1024 / 9;
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    uint64_t seen = stand_set_lsn(&stand, "a", view_str("1"));
    for (unsigned life = 0; life < 4; life++) {
        if (life % 2 == 0) {
            stand_settle(&stand);
            stand_kill(&stand);
        } else {
            stand_close(&stand);
        }
        stand_open(&stand);
        uint64_t first = stand_set_lsn(&stand, "b", view_str("2"));
        cr_assert(lt(u64, seen + gap_least, first));
        seen = first;
    }
    /* A life of more changes than the gap, told by its meta row: the next number is as far away. */
    uint64_t last = 0;
    for (unsigned i = 0; i < 3; i++) {
        stand_close(&stand);
        last = (last_change(&stand, 0) | ((1 << 26) - 1)) - i; /* the end of a block of the gap */
        (void)last_change(&stand, last);
        stand_open(&stand);
        cr_assert(lt(u64, last + gap_least, stand_set_lsn(&stand, "c", view_str("3"))));
    }
    stand_end(&stand);
}

/* Half of the numbers that a session's header can hold are left for the life that begins. */
Test(store_life, a_store_whose_numbers_are_used_up_does_not_start)
{
    struct stand stand;
    char errmsg[256];
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("1"));
    stand_close(&stand);
    (void)last_change(&stand, SESSION_VERSION_MAX / 2);
    stand_open(&stand);
    uint64_t version = stand_set_lsn(&stand, "a", view_str("2"));
    cr_assert(lt(u64, SESSION_VERSION_MAX / 2, version));
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    cr_assert(eq(u64, answer.session.version, version));
    answer_free(&answer);
    stand_close(&stand);
    cr_assert(eq(int, stand_try_open(&stand, errmsg, sizeof errmsg), STATUS_OK));
    cr_assert(not(stand_wait_ready(&stand)));
    cr_assert_not_null(strstr(stand.why, "the numbers of changes in "), "%s", stand.why);
    stand_end(&stand);
}

/* A life that gave out numbers and wrote none of them, twice in a row. */
Test(store_life, numbers_that_were_never_written_are_not_given_out_again)
{
    struct stand stand;
    struct fake_disk *disk = fake_disk_new();
    uint64_t seen = 0;
    stand_init(&stand);
    for (unsigned life = 0; life < 3; life++) {
        stand.file = fake_disk_ops(disk);
        stand_open(&stand);
        fake_disk_fail(disk, FAKE_PWRITE, 1, EIO);
        uint64_t lsn = stand_set_lsn(&stand, "a", view_str("shown to an ack of `fast`"));
        cr_assert(lt(u64, seen, lsn));
        seen = lsn;
        stand_wait_failed(&stand);
        cr_assert(ne(int, store_close(stand.store), STATUS_OK));
        stand.store = NULL;
    }
    stand_open(&stand);
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_NOT_FOUND));
    answer_free(&answer);
    stand_end(&stand);
    fake_disk_free(disk);
}

Test(store_life, until_recovery_is_done_the_answer_is_loading)
{
    struct stand stand;
    struct answer answer = {0};
    struct fake_disk *disk = fake_disk_new();
    char errmsg[256];
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("there"));
    uint64_t hash = store_hash(stand.store, view_str("a"));
    stand_settle(&stand);
    stand_kill(&stand);
    stand.file = fake_disk_ops(disk);
    fake_disk_hold_syncs(disk, true); /* recovery syncs what it reads */
    cr_assert(eq(int, stand_try_open(&stand, errmsg, sizeof errmsg), STATUS_OK));
    /* A hash that is computed now is good for a command that runs later. */
    cr_assert(eq(u64, store_hash(stand.store, view_str("a")), hash));
    for (int64_t began = now_ns(); fake_disk_waiting_syncs(disk) == 0;) {
        stand_pause(began);
    }
    cr_assert(eq(int, store_state(stand.store), STORE_LOADING));
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_LOADING));
    cr_assert(eq(int, stand_get(&stand, "b", &answer), SATCHEL_LOADING));
    cr_assert(eq(int, stand_set(&stand, "b", view_str("")), SATCHEL_LOADING));
    cr_assert(eq(u64, store_durable_lsn(stand.store), 0));
    fake_disk_hold_syncs(disk, false);
    cr_assert(stand_wait_ready(&stand));
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    cr_assert(eq(int, stand_get(&stand, "b", &answer), SATCHEL_NOT_FOUND));
    answer_free(&answer);
    stand_end(&stand);
    fake_disk_free(disk);
}

Test(store_life, closing_while_it_loads_waits_and_loses_nothing)
{
    struct stand stand;
    struct answer answer = {0};
    char errmsg[256];
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("there"));
    stand_settle(&stand);
    stand_kill(&stand);
    cr_assert(eq(int, stand_try_open(&stand, errmsg, sizeof errmsg), STATUS_OK));
    stand_close(&stand);
    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    answer_free(&answer);
    stand_end(&stand);
}

Test(store_life, changes_are_busy_while_too_much_waits_for_the_disk)
{
    struct stand stand;
    struct answer answer = {0};
    struct fake_disk *disk = fake_disk_new();
    struct buf value = {0};
    char id[32];
    stand_init(&stand);
    stand.file = fake_disk_ops(disk);
    stand.options.undurable_pause_bytes = 2 << 20;
    stand.options.undurable_busy_bytes = 4 << 20;
    cr_assert(eq(int, buf_reserve(&value, 1 << 19), STATUS_OK));
    value.len = 1 << 19;
    memset(value.ptr, 'v', value.len);
    stand_open(&stand);
    fake_disk_hold_syncs(disk, true);
    unsigned taken = 0;
    for (; taken < 100; taken++) {
        (void)snprintf(id, sizeof id, "%u", taken);
        enum satchel_status status = stand_set(&stand, id, buf_view(&value));
        if (status != SATCHEL_OK) {
            cr_assert(eq(int, status, SATCHEL_BUSY));
            break;
        }
        cr_assert(eq(int, store_pressure(stand.store), taken < 3 ? PRESSURE_NONE : PRESSURE_PAUSE),
                  "after %u", taken);
        if (taken == 6) {
            break; /* a little more and it is over */
        }
    }
    for (; taken < 100 && stand_set(&stand, id, buf_view(&value)) == SATCHEL_OK; taken++) {
    }
    cr_assert(le(uint, taken, 10));
    cr_assert(eq(int, store_pressure(stand.store), PRESSURE_BUSY));
    cr_assert(eq(int, stand_delete(&stand, "0"), SATCHEL_BUSY));
    cr_assert(eq(int, stand_get(&stand, "0", &answer), SATCHEL_OK)); /* reads go on, and wait */
    cr_assert(lt(u64, store_durable_lsn(stand.store), answer.gate_lsn));
    cr_assert(eq(int, stand_get(&stand, "nobody", &answer), SATCHEL_NOT_FOUND));
    cr_assert(eq(u64, answer.gate_lsn, 0));
    fake_disk_hold_syncs(disk, false);
    stand_settle(&stand);
    cr_assert(eq(int, store_pressure(stand.store), PRESSURE_NONE));
    cr_assert(eq(int, stand_set(&stand, id, buf_view(&value)), SATCHEL_OK));
    answer_free(&answer);
    buf_free(&value);
    stand_end(&stand);
    fake_disk_free(disk);
}

/* The smallest limits the options allow; what may be sent at all must be storable at some time. */
Test(store_life, the_largest_value_passes_the_smallest_limits)
{
    struct stand stand;
    struct buf value = {0};
    stand_init(&stand);
    stand.options.undurable_pause_bytes = 64 * 1024;
    stand.options.undurable_busy_bytes = 64 * 1024;
    cr_assert(eq(int, buf_reserve(&value, SATCHEL_VALUE_BYTES_MAX), STATUS_OK));
    value.len = SATCHEL_VALUE_BYTES_MAX;
    memset(value.ptr, 'v', value.len);
    stand_open(&stand);
    stand_wait_durable(&stand, stand_set_lsn(&stand, "large", buf_view(&value)));
    buf_free(&value);
    stand_end(&stand);
}

Test(store_life, a_gate_opens_when_the_disk_has_it)
{
    struct stand stand;
    struct answer answer = {0};
    struct fake_disk *disk = fake_disk_new();
    const struct command fast = {.op = SATCHEL_OP_SET,
                                 .kind = SATCHEL_BLOB,
                                 .ack = ACK_FAST,
                                 .id = view_str("fast"),
                                 .content = view_str("1")};
    stand_init(&stand);
    stand.file = fake_disk_ops(disk);
    stand_open(&stand);
    fake_disk_hold_syncs(disk, true);
    uint64_t lsn = stand_set_lsn(&stand, "a", view_str("1"));
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    cr_assert(eq(u64, answer.gate_lsn, lsn));
    cr_assert(lt(u64, store_durable_lsn(stand.store), lsn));
    stand_run(&stand, &fast, &stand.scratch, &answer);
    cr_assert(eq(u64, answer.gate_lsn, 0));
    cr_assert(eq(int, stand_get(&stand, "fast", &answer), SATCHEL_OK)); /* asked durably */
    cr_assert(eq(u64, answer.gate_lsn, answer.session.version));
    cr_assert(eq(int, stand_delete(&stand, "a"), SATCHEL_OK));
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_NOT_FOUND));
    cr_assert(lt(u64, lsn, answer.gate_lsn)); /* "not found" is a state, too */
    fake_disk_hold_syncs(disk, false);
    stand_wait_durable(&stand, answer.gate_lsn);
    answer_free(&answer);
    stand_end(&stand);
    fake_disk_free(disk);
}

/* The first failed write ends it: it says so once, and acknowledges nothing any more. */
Test(store_life, after_a_failed_sync_nothing_is_acknowledged)
{
    const struct {
        enum fake_call call;
        int error;
    } cases[] = {{FAKE_FDATASYNC, EIO}, {FAKE_PWRITE, EIO}, {FAKE_FDATASYNC, ESTALE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand;
        struct answer answer = {0};
        struct fake_disk *disk = fake_disk_new();
        stand_init(&stand);
        stand.file = fake_disk_ops(disk);
        stand_open(&stand);
        stand_wait_durable(&stand, stand_set_lsn(&stand, "a", view_str("durable")));
        fake_disk_fail(disk, cases[i].call, 1, cases[i].error);
        uint64_t lsn = stand_set_lsn(&stand, "a", view_str("lost"));
        stand_wait_failed(&stand);
        cr_assert(ne(ptr, strstr(stand.why, stand.dir), NULL), "%s", stand.why);
        cr_assert(lt(u64, store_durable_lsn(stand.store), lsn));
        cr_assert(eq(int, store_state(stand.store), STORE_FAILED));
        cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_STOPPING));
        cr_assert(eq(int, stand_set(&stand, "a", view_str("")), SATCHEL_STOPPING));
        cr_assert(ne(int, store_close(stand.store), STATUS_OK));
        stand.store = NULL;
        stand.file = &file_ops_system;
        stand_open(&stand);
        cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
        bool was_synced_only = cases[i].call == FAKE_FDATASYNC; /* its bytes may be there */
        cr_assert(was_synced_only || view_equal(answer.session.content, view_str("durable")));
        answer_free(&answer);
        stand_end(&stand);
        fake_disk_free(disk);
    }
}

static void set_when_there_is_space(struct stand *stand, const char *id)
{
    int64_t began_ns = clock_mono_ns(&clock_system);
    while (stand_set(stand, id, view_str("later")) == SATCHEL_NO_SPACE) {
        stand_pause(began_ns);
    }
}

Test(store_life, on_a_full_disk_reads_go_on_and_changes_return_with_the_space)
{
    const enum fake_call calls[] = {FAKE_PWRITE, FAKE_FDATASYNC};
    for (size_t i = 0; i < 2 * sizeof calls / sizeof calls[0]; i++) {
        enum fake_call call = calls[i / 2];
        bool killed = i % 2 == 1;
        struct stand stand;
        struct answer answer = {0};
        struct fake_disk *disk = fake_disk_new();
        stand_init(&stand);
        stand.file = fake_disk_ops(disk);
        stand_open(&stand);
        (void)stand_set_lsn(&stand, "kept", view_str("kept"));
        stand_settle(&stand);
        fake_disk_fill(disk, call, true);
        uint64_t lsn = stand_set_lsn(&stand, "waiting", view_str("waits"));
        int64_t began_ns = clock_mono_ns(&clock_system);
        while (stand_set(&stand, "refused", view_str("?")) != SATCHEL_NO_SPACE) {
            stand_pause(began_ns);
        }
        cr_assert(lt(u64, store_durable_lsn(stand.store), lsn));
        cr_assert(eq(int, store_state(stand.store), STORE_SERVING));
        cr_assert(eq(int, stand_get(&stand, "kept", &answer), SATCHEL_OK));
        cr_assert(le(u64, answer.gate_lsn, store_durable_lsn(stand.store)));
        fake_disk_fill(disk, call, false);
        if (!killed) {
            stand_wait_durable(&stand, lsn);
            set_when_there_is_space(&stand, "later");
            stand_settle(&stand);
        }
        stand_kill(&stand);
        stand.file = &file_ops_system;
        stand_open(&stand);
        cr_assert(eq(int, stand_get(&stand, "kept", &answer), SATCHEL_OK));
        enum satchel_status waiting = stand_get(&stand, "waiting", &answer);
        cr_assert(killed ? waiting == SATCHEL_OK || waiting == SATCHEL_NOT_FOUND
                         : waiting == SATCHEL_OK);
        cr_assert(killed || stand_get(&stand, "later", &answer) == SATCHEL_OK);
        answer_free(&answer);
        stand_end(&stand);
        fake_disk_free(disk);
    }
}

/* Every call that recovery makes, failing in its turn: the store says so and changes nothing. */
Test(store_life, a_failing_disk_at_start_is_told_and_does_no_harm, .timeout = 60)
{
    struct stand stand;
    char errmsg[512];
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("kept"));
    stand_settle(&stand);
    stand_kill(&stand);
    const enum fake_call calls[] = {FAKE_OPEN, FAKE_PWRITE, FAKE_FDATASYNC, FAKE_FSYNC, FAKE_LOCK};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        unsigned nth = 1;
        for (bool failed = true; failed; nth++) {
            struct fake_disk *disk = fake_disk_new();
            struct answer answer = {0};
            stand.file = fake_disk_ops(disk);
            fake_disk_fail(disk, calls[i], nth, EIO);
            enum status status = stand_try_open(&stand, errmsg, sizeof errmsg);
            failed = status != STATUS_OK || !stand_wait_ready(&stand);
            const char *why = status != STATUS_OK ? errmsg : stand.why;
            cr_assert(strstr(failed ? why : stand.dir, stand.dir) != NULL, "%s", why);
            if (status == STATUS_OK) {
                (void)store_close(stand.store);
                stand.store = NULL;
            }
            stand.file = &file_ops_system;
            stand_open(&stand);
            cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK), "call %zu.%u", i, nth);
            stand_checkpoint(&stand); /* the journals of all those lives go */
            (void)stand_set_lsn(&stand, "a", view_str("kept"));
            stand_settle(&stand);
            stand_kill(&stand);
            answer_free(&answer);
            fake_disk_free(disk);
        }
        cr_assert(lt(uint, 2, nth), "call %zu never failed", i);
    }
    stand_end(&stand);
}

Test(store_life, a_journal_without_its_data_file_is_refused)
{
    struct stand stand;
    char errmsg[512] = "";
    char path[TEMP_DIR_BYTES + 32];
    stand_init(&stand);
    stand_open(&stand);
    (void)stand_set_lsn(&stand, "a", view_str("kept"));
    stand_settle(&stand);
    stand_kill(&stand);
    (void)snprintf(path, sizeof path, "%s/data-0000000001.mdb", stand.dir);
    cr_assert(eq(int, unlink(path), 0));
    cr_assert(eq(int, stand_try_open(&stand, errmsg, sizeof errmsg), STATUS_CORRUPT));
    cr_assert(ne(ptr, strstr(errmsg, stand.dir), NULL), "%s", errmsg);
    temp_file_write(path, (struct view){0}); /* nor does an empty one make it the journal's */
    if (stand_try_open(&stand, errmsg, sizeof errmsg) == STATUS_OK) {
        cr_assert(not(stand_wait_ready(&stand)));
    }
    stand_end(&stand);
}

/* As many as there are times `checkpoint_bytes` in the journal, although it goes on being flushed
 * while one is written. */
Test(store_life, so_many_bytes_are_one_checkpoint)
{
    enum { VALUE_BYTES = 64 * 1024, SETS = 128 };
    struct stand stand;
    struct buf value = {0};
    stand_init(&stand);
    stand.options.checkpoint_ms = 3600 * 1000;
    stand.options.checkpoint_bytes = 1024 * 1024;
    stand_open(&stand);
    cr_assert(eq(int, buf_reserve(&value, VALUE_BYTES), STATUS_OK));
    value.len = VALUE_BYTES;
    memset(value.ptr, 'v', value.len);
    for (unsigned i = 0; i < SETS; i++) {
        stand_wait_durable(&stand, stand_set_lsn(&stand, "a", buf_view(&value)));
    }
    for (int64_t began = clock_mono_ns(&clock_system);
         metric_counter_get(&stand.store->metrics.checkpoints) == 0;) {
        stand_pause(began);
    }
    uint64_t most = journal_total_bytes(stand.store->journal) / stand.options.checkpoint_bytes;
    cr_assert(le(u64, metric_counter_get(&stand.store->metrics.checkpoints), most));
    buf_free(&value);
    stand_end(&stand);
}

/* Segments go when a checkpoint covers them, also those of earlier lives; as much as comes between
 * two checkpoints is kept to be used again. */
Test(store_life, the_journal_does_not_grow_for_ever)
{
    enum { SEGMENT = 64 * 1024, BETWEEN_CHECKPOINTS = 512 * 1024 };
    struct stand stand;
    struct buf value = {0};
    char path[TEMP_DIR_BYTES + 32];
    stand_init(&stand);
    stand.options.segment_bytes = SEGMENT;
    stand.options.checkpoint_bytes = BETWEEN_CHECKPOINTS;
    cr_assert(eq(int, buf_reserve(&value, 10000), STATUS_OK));
    value.len = 10000;
    memset(value.ptr, 'v', value.len);
    for (unsigned life = 0; life < 3; life++) {
        stand_open(&stand);
        (void)snprintf(path, sizeof path, "%s/journal", stand.dir);
        for (unsigned i = 0; i < 100; i++) {
            stand_wait_durable(&stand, stand_set_lsn(&stand, "a", buf_view(&value)));
        }
        stand_checkpoint(&stand);
        cr_assert(le(uint, temp_dir_count(path, ".jnl"), BETWEEN_CHECKPOINTS / SEGMENT + 1));
        cr_assert(ge(uint, temp_dir_count(path, ".jnl"), BETWEEN_CHECKPOINTS / SEGMENT / 2));
        for (unsigned i = 0; i < 20; i++) {
            stand_wait_durable(&stand, stand_set_lsn(&stand, "a", buf_view(&value)));
        }
        stand_kill(&stand);
    }
    buf_free(&value);
    stand_end(&stand);
}
