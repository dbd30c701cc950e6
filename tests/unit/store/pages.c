/* The account of pages: right after whatever LMDB does, and wrong where LMDB itself notices
 * nothing. */
#include "store/pages.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/image.h"
#include "store/rows.h"
#include "support/random.h"
#include "support/temp_dir.h"

enum { PAGE = 4096, CONTENT_BYTES = 1500, COMMITS = 400 };

struct rig {
    char dir[TEMP_DIR_BYTES];
    char path[TEMP_DIR_BYTES + 16];
    struct rows *rows;
};

static void rig_open(struct rig *self)
{
    char errmsg[256] = "";
    const struct rows_options options = {
        .path = self->path, .run_dir = self->dir, .map_bytes = 64 << 20, .file = &file_ops_system};
    enum status status = rows_open(&options, &self->rows, errmsg, sizeof errmsg);
    cr_assert(eq(int, status, STATUS_OK), "%s", errmsg);
}

static void rig_init(struct rig *self)
{
    temp_dir_make(self->dir);
    (void)snprintf(self->path, sizeof self->path, "%s/data.mdb", self->dir);
    temp_file_write(self->path, (struct view){0});
    rig_open(self);
}

static void rig_end(struct rig *self)
{
    rows_close(self->rows);
    temp_dir_remove(self->dir);
}

static struct rows_write *begin(struct rig *self)
{
    struct rows_write *write = NULL;
    cr_assert(eq(int, rows_write_begin(self->rows, &write), STATUS_OK));
    return write;
}

static void put(struct rows_write *write, uint64_t rowid, uint64_t version, size_t len)
{
    static uint8_t content[40000];
    static uint8_t image[sizeof content + 256];
    char id[32];
    (void)snprintf(id, sizeof id, "row %u", (unsigned)rowid);
    struct session session = {.id = view_str(id),
                              .kind = SATCHEL_BLOB,
                              .created_ms = 1,
                              .content = view_of(content, len)};
    image_encode(image, &session, version);
    cr_assert(eq(int, rows_put(write, rowid, view_of(image, image_bytes(&session))), STATUS_OK));
}

/* ---- Right ---------------------------------------------------------------------------------- */

static void on_problem(void *arg, uint64_t offset, const char *what)
{
    (void)arg;
    cr_fatal("at %llu: %s", (unsigned long long)offset, what);
}

/* Every page has to have its place: none may be lost either. */
static void check_account(int fd, uint64_t *free_pages)
{
    struct pages_count count;
    cr_assert(eq(int, pages_check(&file_ops_system, fd, &count, on_problem, NULL), STATUS_OK));
    cr_assert(eq(u64, count.lost, 0));
    *free_pages = count.free;
}

/* A transaction with bursts of new rows and changes of old ones; from time to time most of them go.
 */
static void change_some(struct rig *rig, struct random *random, uint64_t version,
                        uint64_t *next_rowid)
{
    struct rows_write *write = begin(rig);
    bool is_purge = version % 50 == 0;
    unsigned changes = is_purge ? 0 : (unsigned)random_below(random, 60);
    for (unsigned i = 0; i < changes; i++) {
        bool is_new = random_below(random, 3) == 0 || *next_rowid == 1;
        uint64_t rowid = is_new ? (*next_rowid)++ : 1 + random_below(random, *next_rowid - 1);
        if (!is_new && random_below(random, 4) == 0) {
            cr_assert(eq(int, rows_delete(write, rowid), STATUS_OK));
        } else {
            put(write, rowid, version, (size_t)random_below(random, 100) == 0 ? 40000 : 700);
        }
    }
    for (uint64_t rowid = 1; is_purge && rowid < *next_rowid; rowid++) {
        if (random_below(random, 10) != 0) {
            cr_assert(eq(int, rows_delete(write, rowid), STATUS_OK));
        }
    }
    put(write, (*next_rowid)++, version, 10); /* without a change there would be no commit */
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
}

Test(pages, the_account_comes_out_right_after_every_commit)
{
    struct rig rig;
    struct random random = {.state = 5};
    uint64_t next_rowid = 1;
    uint64_t free_pages = 0;
    uint64_t free_most = 0;
    rig_init(&rig);
    int fd = open(rig.path, O_RDONLY | O_CLOEXEC);
    cr_assert(ge(int, fd, 0));
    for (unsigned commit = 1; commit <= COMMITS; commit++) {
        change_some(&rig, &random, commit, &next_rowid);
        check_account(fd, &free_pages);
        free_most = free_pages > free_most ? free_pages : free_most;
    }
    /* So many at a time that a record of the free list needed pages of its own. */
    cr_assert(lt(u64, 600, free_most));
    cr_assert(eq(int, close(fd), 0));
    rig_end(&rig);
}

/* ---- While others write --------------------------------------------------------------------- */

static void count_problem(void *arg, uint64_t offset, const char *what)
{
    (void)offset;
    (void)what;
    *(unsigned *)arg += 1;
}

/* What somebody reads who has seen the meta pages as they were `before`, and all others as they are
 * now: how many problems there are with it. */
static unsigned problems_of_mixture(struct rig *rig, const struct buf *before, const char *mixture)
{
    struct buf now = {0};
    struct pages_count count;
    unsigned problems = 0;
    temp_file_read(&now, rig->path);
    memcpy(now.ptr, before->ptr, (size_t)2 * PAGE);
    temp_file_write(mixture, buf_view(&now));
    int fd = open(mixture, O_RDONLY | O_CLOEXEC);
    cr_assert(ge(int, fd, 0));
    cr_assert(
        eq(int, pages_check(&file_ops_system, fd, &count, count_problem, &problems), STATUS_OK));
    cr_assert(eq(int, close(fd), 0));
    buf_free(&now);
    return problems;
}

/* The worst that place_change() lets pass: one commit, and everything of a second one but its meta
 * page. A third one uses the pages again. */
Test(pages, a_tree_is_untouched_by_the_two_commits_that_follow_it)
{
    enum { ROUNDS = 40 };
    struct rig rig;
    struct random random = {.state = 6};
    uint64_t next_rowid = 1;
    uint64_t version = 1;
    unsigned touched_by_third = 0;
    char mixture[TEMP_DIR_BYTES + 16];
    rig_init(&rig);
    (void)snprintf(mixture, sizeof mixture, "%s/mixture.mdb", rig.dir);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct buf before = {0};
        uint64_t txnid = 0;
        uint64_t later = 0;
        int fd = open(rig.path, O_RDONLY | O_CLOEXEC);
        change_some(&rig, &random, version++, &next_rowid);
        temp_file_read(&before, rig.path);
        cr_assert(eq(int, pages_txnid(&file_ops_system, fd, &txnid), STATUS_OK));
        change_some(&rig, &random, version++, &next_rowid);
        cr_assert(eq(int, pages_txnid(&file_ops_system, fd, &later), STATUS_OK));
        cr_assert(eq(u64, later, txnid + 1));
        change_some(&rig, &random, version++, &next_rowid);
        cr_assert(eq(u32, problems_of_mixture(&rig, &before, mixture), 0));
        change_some(&rig, &random, version++, &next_rowid);
        touched_by_third += problems_of_mixture(&rig, &before, mixture) != 0;
        cr_assert(eq(int, close(fd), 0));
        buf_free(&before);
    }
    cr_assert(lt(u32, ROUNDS / 4, touched_by_third), "otherwise this shows nothing");
    rig_end(&rig);
}

/* ---- Wrong ---------------------------------------------------------------------------------- */

/* The root of the rows' tree in a copy of the file: from the meta page of the later transaction. */
static uint64_t root_of(const struct buf *file)
{
    const uint8_t *meta = file->ptr + 16;
    if (load_u64(meta + 128) < load_u64(meta + PAGE + 128)) {
        meta += PAGE;
    }
    return load_u64(meta + 112);
}

/* The place of node `i` of a page in a copy of the file. */
static size_t node_at(const struct buf *file, uint64_t page, unsigned i)
{
    return page * PAGE + load_u16(file->ptr + page * PAGE + 16 + 2 * (size_t)i);
}

static enum status take_version(void *arg, uint64_t rowid, const struct session *session)
{
    uint64_t *versions = arg;
    versions[rowid] = session->version;
    return STATUS_OK;
}

/*
 * A commit leaves the old page of a changed row where it is. A parent that points to it again shows
 * rows that are whole, in order and of a sound tree, but not as they were committed.
 */
Test(pages, an_old_page_in_the_tree_is_found_though_all_its_rows_are_whole)
{
    struct rig rig;
    struct buf before = {0};
    struct buf after = {0};
    rig_init(&rig);
    struct rows_write *write = begin(&rig);
    for (uint64_t rowid = 1; rowid <= 30; rowid++) {
        put(write, rowid, 1, CONTENT_BYTES);
    }
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    temp_file_read(&before, rig.path);
    rows_close(rig.rows); /* reading the file gave up the lock */
    rig_open(&rig);
    write = begin(&rig);
    put(write, 17, 2, CONTENT_BYTES);
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    temp_file_read(&after, rig.path);
    rows_close(rig.rows);

    uint64_t root = root_of(&after);
    unsigned children = (load_u16(after.ptr + root * PAGE + 12) - 16U) / 2;
    unsigned swapped = 0;
    for (unsigned i = 0; i < children; i++) {
        size_t at = node_at(&after, root, i);
        uint32_t old = load_u32(before.ptr + node_at(&before, root_of(&before), i));
        if (load_u32(after.ptr + at) != old) {
            store_u32(after.ptr + at, old);
            swapped++;
        }
    }
    cr_assert(eq(u32, swapped, 1));
    temp_file_write(rig.path, buf_view(&after));

    uint64_t versions[31] = {0};
    rig_open(&rig);
    cr_assert(eq(int, rows_scan(rig.rows, take_version, versions), STATUS_OK));
    cr_assert(eq(u64, versions[17], 1), "the scan sees the old row and no reason to doubt it");
    cr_assert(eq(int, rows_check(rig.rows), STATUS_CORRUPT));
    cr_assert(ne(ptr, strstr(rows_error(rig.rows), "also"), NULL), "%s", rows_error(rig.rows));
    rig_end(&rig);
    buf_free(&before);
    buf_free(&after);
}
