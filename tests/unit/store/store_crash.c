/*
 * Crashes of the machine under a store: life after life of random changes, each ended by the power
 * failing in the middle of some call. What comes up is the state after some change C, no older
 * than what the store had said to be durable: every change up to C, none behind it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/fields.h"
#include "store/image.h"
#include "store/store_private.h"
#include "support/fake_disk.h"
#include "support/random.h"
#include "support/store_stand.h"

enum { IDS = 24, CHANGES_MAX = 60000, LIVES = 120, GONE = -1 };

struct past_change {
    uint64_t lsn;
    unsigned id;
    int value; /* a number of its own, or GONE */
};

static struct past_change history[CHANGES_MAX];
static size_t history_count;
static int next_value;

static void id_of(char out[32], unsigned number)
{
    (void)snprintf(out, 32, "session-%u", number);
}

/* Even sessions are blobs, set as a whole; odd ones are fields, patched. Both tell their value and
 * carry padding that follows from it. */
static void build_command(struct command *cmd, struct buf *bytes, unsigned id, int value)
{
    char number[16];
    static const char padding[6000];
    (void)snprintf(number, sizeof number, "%d", value);
    size_t pad = (size_t)value * 37 % sizeof padding;
    bytes->len = 0;
    if (id % 2 == 0) {
        cr_assert(eq(int, buf_append(bytes, view_of(number, sizeof number)), STATUS_OK));
        cr_assert(eq(int, buf_append(bytes, view_of(padding, pad)), STATUS_OK));
        *cmd = (struct command){
            .op = SATCHEL_OP_SET, .kind = SATCHEL_BLOB, .content = buf_view(bytes)};
    } else {
        const char *name = value % 3 == 0 ? "pad" : value % 3 == 1 ? "other pad" : "third pad";
        cr_assert(eq(int, ops_append(bytes, SATCHEL_FIELD_SET, view_str("value"), view_str(number)),
                     STATUS_OK));
        cr_assert(eq(int,
                     ops_append(bytes, SATCHEL_FIELD_SET, view_str(name), view_of(padding, pad)),
                     STATUS_OK));
        *cmd = (struct command){.op = SATCHEL_OP_PATCH, .ops = buf_view(bytes)};
    }
}

/* Makes one random change and notes it; false when the store does not take it any more. */
static bool change_something(struct stand *stand, struct random *random)
{
    unsigned number = (unsigned)random_below(random, IDS);
    struct answer answer = {0};
    struct buf bytes = {0};
    struct command cmd;
    char id[32];
    id_of(id, number);
    int value = random_below(random, 5) == 0 ? GONE : next_value++;
    if (value == GONE) {
        cmd = (struct command){.op = SATCHEL_OP_DELETE};
    } else {
        build_command(&cmd, &bytes, number, value);
    }
    cmd.id = view_str(id);
    uint64_t before = journal_last_lsn(stand->store->journal);
    stand_run(stand, &cmd, &stand->scratch, &answer);
    uint64_t lsn = journal_last_lsn(stand->store->journal);
    bool taken = answer.status == SATCHEL_OK || answer.status == SATCHEL_NOT_FOUND;
    if (taken && lsn != before) {
        cr_assert(lt(sz, history_count, CHANGES_MAX));
        history[history_count++] = (struct past_change){lsn, number, value};
    }
    buf_free(&bytes);
    answer_free(&answer);
    return taken;
}

struct state {
    uint64_t versions[IDS]; /* 0: not there */
    int values[IDS];
};

static void read_state(struct stand *stand, struct state *out)
{
    for (unsigned i = 0; i < IDS; i++) {
        struct answer answer = {0};
        char id[32];
        char number[16] = "";
        id_of(id, i);
        out->versions[i] = 0;
        out->values[i] = GONE;
        if (stand_get(stand, id, &answer) == SATCHEL_OK) {
            struct view value = answer.session.content;
            if (i % 2 == 1) {
                cr_assert(fields_find(answer.session.content, view_str("value"), &value));
            }
            memcpy(number, value.ptr, value.len < 15 ? value.len : 15);
            out->versions[i] = answer.session.version;
            out->values[i] = (int)strtol(number, NULL, 10);
        }
        answer_free(&answer);
    }
}

/* Compares with the state behind the first `count` changes. */
static bool is_state_after(const struct state *found, size_t count)
{
    bool matches = true;
    bool decided[IDS] = {false};
    for (size_t i = count; i-- > 0;) {
        const struct past_change *change = &history[i];
        if (!decided[change->id]) {
            decided[change->id] = true;
            matches = matches && found->values[change->id] == change->value &&
                      (change->value == GONE || found->versions[change->id] == change->lsn);
        }
    }
    for (unsigned i = 0; i < IDS; i++) {
        matches = matches && (decided[i] || found->values[i] == GONE);
    }
    return matches;
}

/* Finds the change that the state is the one behind of, and forgets what came later. */
static bool settle_history(const struct state *found, uint64_t durable_lsn)
{
    for (size_t count = history_count + 1; count-- > 0;) {
        if (is_state_after(found, count)) {
            history_count = count;
            return true;
        }
        if (count > 0 && history[count - 1].lsn <= durable_lsn) {
            break; /* durable, and not there */
        }
    }
    return false;
}

/* One life until the power fails; returns what was durable. */
static uint64_t live(struct stand *stand, struct fake_disk *disk, struct random *random)
{
    char errmsg[256];
    struct answer answer = {0};
    uint64_t durable_lsn = 0;
    fake_disk_crash_at(disk, 1 + (unsigned)random_below(random, 120));
    if (stand_try_open(stand, errmsg, sizeof errmsg) != STATUS_OK) {
        stand->store = NULL;
        return 0;
    }
    if (stand_wait_ready(stand)) {
        for (unsigned i = 0; i < 400 && change_something(stand, random); i++) {
            uint64_t choice = random_below(random, 100);
            if (choice < 20 && history_count != 0) {
                uint64_t lsn = history[history_count - 1].lsn;
                if (journal_wait_durable(stand->store->journal, lsn) != STATUS_OK) {
                    break;
                }
            } else if (choice < 22) {
                store_want_checkpoint(stand->store);
            }
        }
        fake_disk_crash(disk);
        (void)stand_set(stand, "the last straw", (struct view){0}); /* so that it is noticed */
        stand_wait_failed(stand);
        durable_lsn = journal_durable_lsn(stand->store->journal);
    }
    fake_disk_crash(disk);
    answer_free(&answer);
    (void)store_close(stand->store);
    stand->store = NULL;
    return durable_lsn;
}

/* The directory becomes what the crash left: LMDB syncs for itself, so its file is as it is. */
static void replace_journal(struct stand *stand, struct fake_disk *disk, uint64_t seed)
{
    char path[TEMP_DIR_BYTES + 16];
    char left[TEMP_DIR_BYTES];
    temp_dir_make(left);
    fake_disk_survivors(disk, left, seed);
    (void)snprintf(path, sizeof path, "%s/journal", stand->dir);
    temp_dir_remove(path);
    temp_dir_copy(left, path);
    temp_dir_remove(left);
}

Test(store_crash, what_was_durable_comes_up_and_nothing_half, .timeout = 110)
{
    struct random random = {.state = 31};
    struct stand stand;
    struct state found;
    char path[TEMP_DIR_BYTES + 16];
    size_t checked = 0;
    stand_init(&stand);
    stand.options.segment_bytes = 16 * 1024;
    stand_open(&stand); /* so that there is a directory */
    stand_close(&stand);
    (void)snprintf(path, sizeof path, "%s/journal", stand.dir);
    for (unsigned life = 0; life < LIVES; life++) {
        struct fake_disk *disk = fake_disk_new();
        uint64_t last_lsn = history_count == 0 ? 0 : history[history_count - 1].lsn;
        size_t before = history_count;
        fake_disk_adopt(disk, path);
        stand.file = fake_disk_ops(disk);
        uint64_t durable_lsn = live(&stand, disk, &random);
        cr_assert(history_count == before || history[before].lsn > last_lsn);
        replace_journal(&stand, disk, random_next(&random));
        fake_disk_free(disk);
        stand.file = &file_ops_system;
        stand_open(&stand);
        read_state(&stand, &found);
        size_t given = history_count - before;
        cr_assert(settle_history(&found, durable_lsn > last_lsn ? durable_lsn : last_lsn),
                  "life %u: %zu changes, durable up to %llu", life, given,
                  (unsigned long long)durable_lsn);
        checked += history_count - before;
        stand_close(&stand);
    }
    cr_assert(lt(sz, LIVES, checked)); /* lives were long enough to leave something */
    stand_end(&stand);
}

/* Invariant 4: while the journal waits for the disk, the rows do not have the change. */
Test(store_crash, rows_never_hold_what_the_journal_does_not_hold_durably)
{
    struct stand stand;
    struct fake_disk *disk = fake_disk_new();
    char path[TEMP_DIR_BYTES + 32];
    stand_init(&stand);
    stand.file = fake_disk_ops(disk);
    stand_open(&stand);
    (void)snprintf(path, sizeof path, "%s/data-0000000001.mdb", stand.dir);
    fake_disk_hold_syncs(disk, true);
    (void)stand_set_lsn(&stand, "a", view_str("a text found nowhere else"));
    store_want_checkpoint(stand.store);
    int64_t end_ns = clock_mono_ns(&clock_system) + 100000000;
    bool found = false;
    for (unsigned looks = 0; looks < 2 || clock_mono_ns(&clock_system) < end_ns; looks++) {
        struct buf bytes = {0};
        temp_file_read(&bytes, path);
        found = found || memmem(bytes.ptr, bytes.len, "found nowhere else", 18) != NULL;
        buf_free(&bytes);
        stand_pause(clock_mono_ns(&clock_system));
    }
    cr_assert(not(found));
    cr_assert(eq(u64, metric_counter_get(&stand.store->metrics.checkpoints), 0));
    fake_disk_hold_syncs(disk, false);
    stand_checkpoint(&stand);
    struct buf bytes = {0};
    temp_file_read(&bytes, path);
    cr_assert(ne(ptr, memmem(bytes.ptr, bytes.len, "found nowhere else", 18), NULL));
    buf_free(&bytes);
    stand_end(&stand);
    fake_disk_free(disk);
}

/* A checkpoint is written in several transactions, and only the last one moves applied_lsn. When
 * the power fails between them, rows are newer than the journal's beginning: what it tells of their
 * past must not be done to them again. */
Test(store_crash, rows_of_an_unfinished_checkpoint_are_not_replayed_upon)
{
    static uint8_t image[256];
    struct stand stand;
    struct answer answer = {0};
    struct command patch;
    struct buf ops = {0};
    char path[TEMP_DIR_BYTES + 32];
    char errmsg[256];
    stand_init(&stand);
    stand_open(&stand);
    build_command(&patch, &ops, 1, 0);
    patch.id = view_str("changed");
    stand_run(&stand, &patch, &stand.scratch, &answer);
    (void)stand_set_lsn(&stand, "removed", view_str("x"));
    stand_checkpoint(&stand); /* rows of both */
    build_command(&patch, &ops, 1, 1);
    patch.id = view_str("changed");
    stand_run(&stand, &patch, &stand.scratch, &answer);
    cr_assert(eq(int, answer.status, SATCHEL_OK));
    uint64_t version = stand_set_lsn(&stand, "changed", view_str("a blob now"));
    const struct command touch = {
        .op = SATCHEL_OP_TOUCH, .id = view_str("removed"), .idle_ttl_ms = 100000};
    stand_run(&stand, &touch, &stand.scratch, &answer);
    cr_assert(eq(int, stand_delete(&stand, "removed"), SATCHEL_OK));
    uint64_t hash = store_hash(stand.store, view_str("changed"));
    const struct slot *slot = shard_find(table_shard(&stand.store->table, hash), hash,
                                         view_str("changed"));
    struct session session = entry_session(slot->entry);
    size_t image_len = image_bytes(&session);
    cr_assert(le(sz, image_len, sizeof image));
    image_encode(image, &session, version);
    uint64_t changed = slot->entry->rowid;
    uint64_t removed = 3 - changed; /* the two of them are rows 1 and 2 */
    stand_settle(&stand);
    stand_kill(&stand);

    /* The first transaction of the checkpoint that was not finished. */
    struct rows *rows = NULL;
    struct rows_write *write = NULL;
    (void)snprintf(path, sizeof path, "%s/data-0000000001.mdb", stand.dir);
    const struct rows_options options = {.path = path,
                                         .run_dir = stand.run_dir,
                                         .map_bytes = UINT64_C(1) << 32,
                                         .file = &file_ops_system};
    cr_assert(eq(int, rows_open(&options, &rows, errmsg, sizeof errmsg), STATUS_OK));
    cr_assert(eq(int, rows_write_begin(rows, &write), STATUS_OK));
    cr_assert(eq(int, rows_put(write, changed, view_of(image, image_len)), STATUS_OK));
    cr_assert(eq(int, rows_delete(write, removed), STATUS_OK));
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    rows_close(rows);

    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "changed", &answer), SATCHEL_OK));
    cr_assert(eq(u64, answer.session.version, version));
    cr_assert(view_equal(answer.session.content, view_str("a blob now")));
    cr_assert(eq(int, stand_get(&stand, "removed", &answer), SATCHEL_NOT_FOUND));
    answer_free(&answer);
    buf_free(&ops);
    stand_end(&stand);
}
