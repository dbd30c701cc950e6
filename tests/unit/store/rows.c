/* Rows against an array: chunked values that grow, shrink and go, over commits, aborts and reopens;
 * and damage that is never read as data. */
#include "store/rows.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/image.h"
#include "support/random.h"
#include "support/temp_dir.h"

enum { ROWS = 120, STEPS = 3000, CONTENT_BYTES_MAX = 14000 };

struct model {
    uint64_t version; /* 0: not there */
    size_t content_len;
};

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

static struct view content_of(uint64_t rowid, const struct model *model)
{
    static uint8_t bytes[CONTENT_BYTES_MAX + 8];
    struct random random = {.state = rowid << 32 ^ model->version};
    random_fill(&random, bytes, model->content_len);
    return view_of(bytes, model->content_len);
}

static void put(struct rows_write *write, uint64_t rowid, const struct model *model)
{
    static uint8_t image[CONTENT_BYTES_MAX + 256];
    char id[32];
    (void)snprintf(id, sizeof id, "row %u", (unsigned)rowid);
    struct session session = {.id = view_str(id),
                              .kind = SATCHEL_BLOB,
                              .created_ms = 1,
                              .content = content_of(rowid, model)};
    image_encode(image, &session, model->version);
    cr_assert(eq(int, rows_put(write, rowid, view_of(image, image_bytes(&session))), STATUS_OK));
}

static void check_session(uint64_t rowid, const struct model *model, const struct session *session)
{
    char id[32];
    (void)snprintf(id, sizeof id, "row %u", (unsigned)rowid);
    cr_assert(view_equal(session->id, view_str(id)));
    cr_assert(eq(u64, session->version, model->version));
    cr_assert(view_equal(session->content, content_of(rowid, model)));
}

struct check {
    const struct model *models;
    uint64_t last; /* row id */
    size_t count;
};

static enum status check_row(void *arg, uint64_t rowid, const struct session *session)
{
    struct check *self = arg;
    cr_assert(lt(u64, self->last, rowid));
    cr_assert(le(u64, rowid, ROWS));
    cr_assert(ne(u64, self->models[rowid].version, 0), "row %u", (unsigned)rowid);
    check_session(rowid, &self->models[rowid], session);
    self->last = rowid;
    self->count++;
    return STATUS_OK;
}

/* Scans, and reads each row by itself. */
static void check_all(struct rig *rig, const struct model *models)
{
    struct check check = {.models = models};
    struct rows_reader *reader = NULL;
    struct buf into = {0};
    size_t count = 0;
    cr_assert(eq(int, rows_scan(rig->rows, check_row, &check), STATUS_OK), "%s",
              rows_error(rig->rows));
    cr_assert(eq(int, rows_reader_new(rig->rows, &reader), STATUS_OK));
    for (uint64_t rowid = 1; rowid <= ROWS; rowid++) {
        struct session session;
        enum status status = rows_read(reader, rowid, &into, &session);
        bool is_there = models[rowid].version != 0;
        cr_assert(eq(int, status, is_there ? STATUS_OK : STATUS_NOT_FOUND));
        if (is_there) {
            check_session(rowid, &models[rowid], &session);
        }
        count += is_there;
    }
    cr_assert(eq(sz, check.count, count));
    rows_reader_free(reader);
    buf_free(&into);
}

Test(rows, are_as_an_array_says, .timeout = 60)
{
    struct model committed[ROWS + 1] = {0};
    struct model models[ROWS + 1] = {0};
    struct random random = {.state = 21};
    struct rig rig;
    uint64_t versions = 0;
    rig_init(&rig);
    for (unsigned round = 0; round < STEPS / 20; round++) {
        struct rows_write *write = begin(&rig);
        for (unsigned i = 0; i < 20; i++) {
            uint64_t rowid = 1 + random_below(&random, ROWS);
            struct model *model = &models[rowid];
            if (random_below(&random, 5) < 2) {
                cr_assert(eq(int, rows_delete(write, rowid), STATUS_OK));
                *model = (struct model){0};
            } else {
                /* One chunk, its borders, or many. */
                const size_t lens[] = {random_below(&random, 200),
                                       1980 - 60 + random_below(&random, 30),
                                       random_below(&random, CONTENT_BYTES_MAX)};
                model->version = ++versions;
                model->content_len = lens[random_below(&random, 3)];
                put(write, rowid, model);
            }
        }
        if (random_below(&random, 8) == 0) {
            rows_abort(write);
            memcpy(models, committed, sizeof models);
        } else {
            cr_assert(eq(int, rows_commit(write), STATUS_OK));
            memcpy(committed, models, sizeof models);
        }
        if (round % 10 == 0) {
            rows_close(rig.rows);
            rig_open(&rig);
        }
        check_all(&rig, models);
    }
    struct rows_write *write = begin(&rig); /* and all of it goes */
    for (uint64_t rowid = 1; rowid <= ROWS; rowid++) {
        cr_assert(eq(int, rows_delete(write, rowid), STATUS_OK));
        models[rowid] = (struct model){0};
    }
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    check_all(&rig, models);
    rig_end(&rig);
}

/* Page borders: rows of k chunks side by side, and each of them in turn shrinks to one, or goes. */
Test(rows, of_every_number_of_chunks_shrink_and_go_without_touching_others)
{
    enum { SIDE_BY_SIDE = 24 };
    for (unsigned chunks = 1; chunks <= 6; chunks++) {
        for (unsigned victim = 1; victim <= SIDE_BY_SIDE; victim++) {
            struct model models[ROWS + 1] = {0};
            struct rig rig;
            rig_init(&rig);
            struct rows_write *write = begin(&rig);
            for (unsigned rowid = 1; rowid <= SIDE_BY_SIDE; rowid++) {
                models[rowid] = (struct model){.version = rowid, .content_len = chunks * 1950};
                put(write, rowid, &models[rowid]);
            }
            cr_assert(eq(int, rows_commit(write), STATUS_OK));
            write = begin(&rig);
            if (victim % 2 == 0) {
                cr_assert(eq(int, rows_delete(write, victim), STATUS_OK));
                models[victim] = (struct model){0};
            } else {
                models[victim] = (struct model){.version = 1000, .content_len = 5};
                put(write, victim, &models[victim]);
            }
            cr_assert(eq(int, rows_commit(write), STATUS_OK));
            check_all(&rig, models);
            rig_end(&rig);
        }
    }
}

Test(rows, the_meta_row_is_kept_and_its_damage_seen)
{
    struct rig rig;
    struct rows_meta found;
    const struct rows_meta meta = {.uuid = "a store's own id",
                                   .hash_seed = 1,
                                   .epoch = 2,
                                   .applied_lsn = 3,
                                   .last_lsn = 4,
                                   .next_rowid = 5};
    rig_init(&rig);
    cr_assert(eq(int, rows_read_meta(rig.rows, &found), STATUS_NOT_FOUND));
    struct rows_write *write = begin(&rig);
    cr_assert(eq(int, rows_put_meta(write, &meta), STATUS_OK));
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    rows_close(rig.rows);
    rig_open(&rig);
    cr_assert(eq(int, rows_read_meta(rig.rows, &found), STATUS_OK));
    cr_assert(eq(int, memcmp(found.uuid, meta.uuid, sizeof meta.uuid), 0));
    cr_assert(found.hash_seed == 1 && found.epoch == 2 && found.applied_lsn == 3);
    cr_assert(found.last_lsn == 4 && found.next_rowid == 5);

    struct buf file = {0};
    temp_file_read(&file, rig.path);
    const uint8_t *at = memmem(file.ptr, file.len, "SATCHEL", 8);
    cr_assert(ne(ptr, (void *)(uintptr_t)at, NULL));
    int fd = open(rig.path, O_WRONLY | O_CLOEXEC); /* the map and the file are the same pages */
    for (size_t i = 0; i < 80; i++) {
        uint8_t flipped = at[i] ^ (uint8_t)(1U << i % 8);
        off_t offset = at - file.ptr + (off_t)i;
        cr_assert(eq(int, (int)pwrite(fd, &flipped, 1, offset), 1));
        cr_assert(eq(int, rows_read_meta(rig.rows, &found), STATUS_CORRUPT), "byte %zu", i);
        cr_assert(eq(int, (int)pwrite(fd, &at[i], 1, offset), 1));
    }
    cr_assert(eq(int, rows_read_meta(rig.rows, &found), STATUS_OK));
    (void)close(fd);
    buf_free(&file);
    rig_end(&rig);
}

static enum status accept_row(void *arg, uint64_t rowid, const struct session *session)
{
    (void)arg;
    (void)rowid;
    (void)session;
    return STATUS_OK;
}

/* One bit of every byte of a row of one chunk and of one of four: header, id and content. */
Test(rows, a_flipped_bit_is_damage_and_never_data)
{
    const size_t lens[] = {700, 7000};
    for (size_t c = 0; c < 2; c++) {
        struct rig rig;
        struct model model = {.version = 9, .content_len = lens[c]};
        struct rows_reader *reader = NULL;
        struct buf into = {0};
        struct buf file = {0};
        struct session session;
        size_t flipped_bytes = 0;
        rig_init(&rig);
        struct rows_write *write = begin(&rig);
        put(write, 1, &model);
        cr_assert(eq(int, rows_commit(write), STATUS_OK));
        cr_assert(eq(int, rows_reader_new(rig.rows, &reader), STATUS_OK));
        temp_file_read(&file, rig.path);
        int fd = open(rig.path, O_WRONLY | O_CLOEXEC);
        /* Each chunk is found by its content; the row's header and the image's stand before it. */
        struct view content = content_of(1, &model);
        for (size_t from = 0; from < content.len;) {
            const uint8_t *at = memmem(file.ptr, file.len, content.ptr + from, 64);
            cr_assert(ne(ptr, (void *)(uintptr_t)at, NULL));
            const uint8_t *begin_at = from == 0 ? at - (12 + 48 + 5) : at;
            size_t len = 0;
            while (from + len < content.len && at[len] == content.ptr[from + len]) {
                len++;
            }
            from += len;
            for (const uint8_t *each = begin_at; each < at + len; each++, flipped_bytes++) {
                uint8_t flipped = *each ^ (uint8_t)(1U << flipped_bytes % 8);
                off_t offset = each - file.ptr;
                cr_assert(eq(int, (int)pwrite(fd, &flipped, 1, offset), 1));
                enum status status = rows_read(reader, 1, &into, &session);
                cr_assert(eq(int, status, STATUS_CORRUPT), "byte %zu", flipped_bytes);
                if (flipped_bytes % 101 == 0) {
                    cr_assert(eq(int, rows_scan(rig.rows, accept_row, NULL), STATUS_CORRUPT));
                    cr_assert(ne(ptr, strstr(rows_error(rig.rows), "row 1"), NULL));
                }
                cr_assert(eq(int, (int)pwrite(fd, each, 1, offset), 1));
            }
        }
        cr_assert(eq(sz, flipped_bytes, 12 + 48 + 5 + lens[c]));
        cr_assert(eq(int, rows_read(reader, 1, &into, &session), STATUS_OK));
        (void)close(fd);
        rows_reader_free(reader);
        buf_free(&into);
        buf_free(&file);
        rig_end(&rig);
    }
}

Test(rows, a_full_map_is_no_space_and_what_was_there_stays)
{
    struct model models[ROWS + 1] = {0};
    struct rig rig;
    static uint8_t image[3 << 20];
    static uint8_t content[2 << 20];
    struct session session = {
        .id = view_str("row 1"), .kind = SATCHEL_BLOB, .content = view_of(content, sizeof content)};
    rig_init(&rig);
    struct rows_write *write = begin(&rig);
    models[1] = (struct model){.version = 1, .content_len = 5000};
    put(write, 1, &models[1]);
    cr_assert(eq(int, rows_commit(write), STATUS_OK));
    image_encode(image, &session, 2);
    write = begin(&rig);
    enum status status = STATUS_OK;
    for (uint64_t rowid = 2; status == STATUS_OK && rowid < 100; rowid++) {
        status = rows_put(write, rowid, view_of(image, image_bytes(&session)));
    }
    cr_assert(eq(int, status, STATUS_NO_SPACE));
    rows_abort(write);
    check_all(&rig, models);
    rig_end(&rig);
}
