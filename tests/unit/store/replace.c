/* A store in the place of another: killed after any of the calls that this takes, there is the old
 * one, the new one, or none that starts; never an empty one, and never a mixture. */
#include "store/replace.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "store/import.h"
#include "store/record.h"
#include "support/store_stand.h"

static unsigned calls_left; /* that work; afterwards the process is as good as dead */

static bool is_alive(void)
{
    if (calls_left == 0) {
        errno = EIO;
        return false;
    }
    calls_left--;
    return true;
}

static int rename_while_alive(void *arg, const char *from, const char *to)
{
    return is_alive() ? file_ops_system.rename(arg, from, to) : -1;
}

static int unlink_while_alive(void *arg, const char *path)
{
    return is_alive() ? file_ops_system.unlink(arg, path) : -1;
}

static int fsync_while_alive(void *arg, int fd)
{
    return is_alive() ? file_ops_system.fsync(arg, fd) : -1;
}

/* The old store has "old" in its data file and "late" in its journal alone. */
static void make_old(struct stand *stand)
{
    stand_open(stand);
    cr_assert(eq(int, stand_set(stand, "old", view_str("1")), SATCHEL_OK));
    stand_checkpoint(stand);
    cr_assert(eq(int, stand_set(stand, "late", view_str("1")), SATCHEL_OK));
    stand_settle(stand);
    stand_kill(stand);
}

static void put_change(struct store_import *import)
{
    uint8_t record[256];
    const struct change change = {.kind = CHANGE_PUT,
                                  .next = {.id = view_str("new"),
                                           .created_ms = 1800000000000,
                                           .kind = SATCHEL_BLOB,
                                           .content = view_str("1")}};
    size_t bytes = record_bytes(RECORD_PUT, &change);
    cr_assert(le(sz, bytes, sizeof record));
    record_encode(record, RECORD_PUT, &change, 7);
    const struct store_changes changes = {.follows_lsn = 6,
                                          .first_lsn = 7,
                                          .time_ms = 1800000000000,
                                          .count = 1,
                                          .records = view_of(record, bytes)};
    cr_assert(eq(int, store_import_changes(import, &changes), STATUS_OK));
}

/* The new one has "new", in its journal if it has one. */
static void make_new(const char *dir, const struct stand *stand, bool has_journal)
{
    struct store_import *import;
    char errmsg[256];
    const struct store_import_options options = {.data_dir = dir,
                                                 .run_dir = stand->run_dir,
                                                 .map_bytes = UINT64_C(1) << 30,
                                                 .uuid = "another store",
                                                 .epoch = 30,
                                                 .applied_lsn = 6,
                                                 .last_lsn = 100,
                                                 .file = &file_ops_system};
    cr_assert(eq(int, store_import_begin(&options, &import, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
    if (has_journal) {
        put_change(import);
    }
    cr_assert(eq(int, store_import_finish(import, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
}

static bool has(struct stand *stand, const char *id)
{
    struct answer answer = {0};
    enum satchel_status status = stand_get(stand, id, &answer);
    answer_free(&answer);
    return status == SATCHEL_OK;
}

enum found { FOUND_OLD, FOUND_NEW, FOUND_NONE };

static enum found look(struct stand *stand, bool has_journal)
{
    char errmsg[512];
    stand->options.data_dir = stand->dir;
    if (stand_try_open(stand, errmsg, sizeof errmsg) != STATUS_OK) {
        cr_assert(strstr(errmsg, "cut short") != NULL, "%s", errmsg);
        return FOUND_NONE;
    }
    cr_assert(stand_wait_ready(stand), "%s", stand->why);
    bool is_old = has(stand, "old");
    cr_assert(eq(int, has(stand, "late"), is_old));
    cr_assert(eq(int, has(stand, "new"), !is_old && has_journal));
    return is_old ? FOUND_OLD : FOUND_NEW;
}

static void run(bool has_journal)
{
    unsigned counts[3] = {0};
    enum found before = FOUND_OLD;
    bool is_through = false;
    for (unsigned n = 0; !is_through; n++) {
        struct stand stand;
        struct replacing *replacing;
        char errmsg[512];
        char foreign[128];
        struct file_ops file = file_ops_system;
        file.rename = rename_while_alive;
        file.unlink = unlink_while_alive;
        file.fsync = fsync_while_alive;
        stand_init(&stand);
        make_old(&stand);
        (void)snprintf(foreign, sizeof foreign, "%s/notes.txt", stand.dir);
        temp_file_write(foreign, view_str("not ours"));
        calls_left = 1000;
        const struct replace_options options = {.data_dir = stand.dir, .file = &file};
        cr_assert(eq(int, replace_begin(&options, &replacing, errmsg, sizeof errmsg), STATUS_OK),
                  "%s", errmsg);
        make_new(replace_dir(replacing), &stand, has_journal);
        calls_left = n;
        enum status status = replace_finish(replacing, errmsg, sizeof errmsg);
        is_through = calls_left > 0;
        cr_assert(status == STATUS_OK || !is_through, "%s", errmsg);
        replace_close(replacing);
        cr_assert(eq(int, access(foreign, F_OK), 0));
        enum found found = look(&stand, has_journal);
        cr_assert(status != STATUS_OK || found == FOUND_NEW);
        cr_assert(found == before || found != FOUND_OLD, "after %u calls", n);
        cr_assert(before != FOUND_NEW || found == FOUND_NEW, "after %u calls", n);
        before = found;
        counts[found]++;
        stand_end(&stand);
    }
    cr_assert(counts[FOUND_OLD] > 1 && counts[FOUND_NEW] > 1 && counts[FOUND_NONE] > 1);
}

Test(replace, a_kill_leaves_the_old_or_the_new_store_or_none_that_starts)
{
    run(true);
}

Test(replace, a_new_store_without_a_journal_is_no_exception)
{
    run(false);
}

Test(replace, an_import_that_was_cut_short_is_no_store_to_begin_anew_on)
{
    struct stand stand;
    char path[128];
    stand_init(&stand);
    (void)snprintf(path, sizeof path, "%s/data-0000000030.mdb.new", stand.dir);
    temp_file_write(path, view_str("half"));
    cr_assert(eq(int, look(&stand, false), FOUND_NONE));
    (void)unlink(path);
    stand_end(&stand);
}
