/* A store that is made of an export and of changes is the store they came from. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "store/import.h"
#include "store/record.h"
#include "support/store_stand.h"

enum { SESSIONS = 200, FED_MAX = 1024 };

/* A copy of changes that were told. */
struct fed {
    struct store_changes changes;
    struct buf records;
};

/* A store, and what a backup has of it. */
struct source {
    struct stand stand;
    struct buf rows;
    struct store_export state;
    struct fed fed[FED_MAX];
    size_t fed_count;
    struct store_identity identity;
};

static void collect(void *arg, const struct store_changes *changes)
{
    struct source *self = arg;
    cr_assert(lt(sz, self->fed_count, FED_MAX));
    struct fed *fed = &self->fed[self->fed_count++];
    fed->changes = *changes;
    fed->records.len = 0; /* what is collected again replaces what was */
    cr_assert(buf_append(&fed->records, changes->records) == STATUS_OK);
    fed->changes.records = buf_view(&fed->records);
}

static void set(struct stand *stand, unsigned n, const char *what)
{
    char id[32];
    char text[64];
    (void)snprintf(id, sizeof id, "s-%u", n);
    (void)snprintf(text, sizeof text, "%s of %u", what, n);
    cr_assert(eq(int, stand_set(stand, id, view_str(text)), SATCHEL_OK));
}

static void expect(struct stand *stand, unsigned n, const char *what)
{
    char id[32];
    char text[64];
    (void)snprintf(id, sizeof id, "s-%u", n);
    struct answer answer = {0};
    enum satchel_status status = stand_get(stand, id, &answer);
    if (what == NULL) {
        cr_assert(eq(int, status, SATCHEL_NOT_FOUND), "%s", id);
    } else {
        (void)snprintf(text, sizeof text, "%s of %u", what, n);
        cr_assert(eq(int, status, SATCHEL_OK), "%s", id);
        cr_assert(view_equal(answer.session.content, view_str(text)), "%s", id);
    }
    answer_free(&answer);
}

static void export_all(struct source *self)
{
    enum status status;
    do {
        status = store_export_part(self->stand.store, &self->state, 1024, &self->rows);
    } while (status == STATUS_OK);
    cr_assert(eq(int, status, STATUS_END));
}

/* Two lives: in the first all sessions are set, in the second the even ones again and every tenth
 * is deleted; the export is of the time between. */
static void live(struct source *self)
{
    stand_init(&self->stand);
    self->stand.changes = collect;
    self->stand.changes_arg = self;
    stand_open(&self->stand);
    for (unsigned n = 0; n < SESSIONS; n++) {
        set(&self->stand, n, "first");
    }
    stand_settle(&self->stand);
    stand_checkpoint(&self->stand);
    export_all(self);
    set(&self->stand, 1, "second");
    stand_settle(&self->stand);
    stand_kill(&self->stand);
    self->fed_count = 0; /* the start tells again what the rows lack */
    stand_open(&self->stand);
    store_identify(self->stand.store, &self->identity);
    for (unsigned n = 0; n < SESSIONS; n += 2) {
        set(&self->stand, n, "third");
    }
    for (unsigned n = 0; n < SESSIONS; n += 10) {
        char id[32];
        (void)snprintf(id, sizeof id, "s-%u", n);
        cr_assert(eq(int, stand_delete(&self->stand, id), SATCHEL_OK));
    }
    stand_close(&self->stand);
}

static struct store_import *begin(const struct source *self, const struct stand *target)
{
    struct store_import_options options = {.data_dir = target->dir,
                                           .run_dir = target->run_dir,
                                           .map_bytes = UINT64_C(1) << 32,
                                           .hash_seed = self->identity.hash_seed,
                                           .epoch = 17,
                                           .applied_lsn = self->state.applied_lsn,
                                           .last_lsn = UINT64_C(1) << 40,
                                           .file = &file_ops_system};
    memcpy(options.uuid, self->identity.uuid, sizeof options.uuid);
    struct store_import *import = NULL;
    char errmsg[256];
    cr_assert(eq(int, store_import_begin(&options, &import, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
    for (struct view rest = buf_view(&self->rows); rest.len != 0;) {
        size_t len = load_u32(rest.ptr);
        enum status status = store_import_session(import, view_of(rest.ptr + 4, len));
        cr_assert(eq(int, status, STATUS_OK), "%s", store_import_error(import));
        rest = view_of(rest.ptr + 4 + len, rest.len - 4 - len);
    }
    return import;
}

static void source_end(struct source *self)
{
    for (size_t i = 0; i < FED_MAX; i++) {
        buf_free(&self->fed[i].records);
    }
    buf_free(&self->rows);
    stand_end(&self->stand);
}

Test(import, rows_and_changes_make_the_same_store_in_a_later_epoch)
{
    static struct source self;
    live(&self);
    struct stand target;
    stand_init(&target);
    struct store_import *import = begin(&self, &target);
    for (size_t i = 0; i < self.fed_count; i++) {
        enum status status = store_import_changes(import, &self.fed[i].changes);
        cr_assert(eq(int, status, STATUS_OK), "%s", store_import_error(import));
    }
    char errmsg[256];
    cr_assert(eq(int, store_import_finish(import, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    stand_open(&target);
    for (unsigned n = 0; n < SESSIONS; n++) {
        expect(&target, n, n % 10 == 0 ? NULL : n % 2 == 0 ? "third" : n == 1 ? "second" : "first");
    }
    struct store_identity identity;
    store_identify(target.store, &identity);
    cr_assert(memcmp(identity.uuid, self.identity.uuid, sizeof identity.uuid) == 0);
    cr_assert(lt(u64, 17, identity.epoch));
    cr_assert(lt(u64, UINT64_C(1) << 40, stand_set_lsn(&target, "new", view_str("x"))));
    stand_close(&target);
    stand_open(&target);
    expect(&target, 2, "third");
    stand_end(&target);
    source_end(&self);
}

Test(import, changes_may_end_anywhere)
{
    static struct source self;
    live(&self);
    struct stand target;
    stand_init(&target);
    struct store_import *import = begin(&self, &target);
    /* The first life's change alone. */
    cr_assert(eq(int, store_import_changes(import, &self.fed[0].changes), STATUS_OK));
    char errmsg[256];
    cr_assert(eq(int, store_import_finish(import, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    stand_open(&target);
    for (unsigned n = 0; n < SESSIONS; n++) {
        expect(&target, n, n == 1 ? "second" : "first");
    }
    stand_end(&target);
    source_end(&self);
}

Test(import, missing_changes_are_refused)
{
    static struct source self;
    live(&self);
    struct stand target;
    stand_init(&target);
    struct store_import *import = begin(&self, &target);
    cr_assert(lt(sz, 1, self.fed_count));
    cr_assert(eq(int, store_import_changes(import, &self.fed[self.fed_count - 1].changes),
                 STATUS_INVALID));
    cr_assert(strstr(store_import_error(import), "are missing in the backup") != NULL);
    store_import_abort(import);
    stand_open(&target); /* an empty directory: a new store */
    expect(&target, 1, NULL);
    stand_end(&target);
    source_end(&self);
}

Test(import, one_that_was_cut_short_is_no_store)
{
    static struct source self;
    live(&self);
    struct stand target;
    stand_init(&target);
    struct store_import *import = begin(&self, &target);
    cr_assert(eq(int, store_import_changes(import, &self.fed[0].changes), STATUS_OK));
    /* As if the process ended here: the directory stays as it is. */
    char errmsg[256];
    cr_assert(eq(int, stand_try_open(&target, errmsg, sizeof errmsg), STATUS_CORRUPT));
    cr_assert(strstr(errmsg, "has a data file that was never finished") != NULL, "%s", errmsg);
    store_import_abort(import);
    stand_end(&target);
    source_end(&self);
}

Test(import, a_directory_with_a_store_is_left_alone_until_it_is_cleared)
{
    static struct source self;
    live(&self);
    struct store_import *import = NULL;
    const struct store_import_options options = {.data_dir = self.stand.dir,
                                                 .run_dir = self.stand.run_dir,
                                                 .map_bytes = UINT64_C(1) << 32,
                                                 .epoch = 1,
                                                 .file = &file_ops_system};
    char errmsg[256];
    cr_assert(eq(int, store_import_begin(&options, &import, errmsg, sizeof errmsg), STATUS_EXISTS));
    cr_assert(strstr(errmsg, self.stand.dir) != NULL);
    stand_open(&self.stand);
    expect(&self.stand, 1, "second");
    stand_close(&self.stand);
    cr_assert(eq(int, store_import_clear(self.stand.dir, &file_ops_system, errmsg, sizeof errmsg),
                 STATUS_OK),
              "%s", errmsg);
    cr_assert(eq(int, store_import_begin(&options, &import, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
    store_import_abort(import);
    source_end(&self);
}
