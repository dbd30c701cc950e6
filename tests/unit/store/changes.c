/* The store tells every change when it is durable, and at a start those that its data file lacks.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "store/record.h"
#include "support/store_stand.h"

enum { TOLD_MAX = 256, RECORD_MAX = 256 };

struct told {
    uint64_t lsn;
    uint64_t follows_lsn;
    uint64_t time_ms;
    enum record_type type;
    char id[32];
    size_t record_len;
    uint8_t record[RECORD_MAX];
};

/* Everything that was told, in order. */
struct listener {
    struct stand stand;
    size_t count;
    struct told told[TOLD_MAX];
};

static void listen(void *arg, const struct store_changes *changes)
{
    struct listener *self = arg;
    struct view rest = changes->records;
    struct record record;
    uint64_t follows_lsn = changes->follows_lsn;
    for (uint32_t n = 0; n < changes->count; n++) {
        cr_assert(eq(int, record_next(&rest, &record), STATUS_OK));
        cr_assert(lt(sz, self->count, TOLD_MAX));
        cr_assert(le(sz, record.bytes.len, RECORD_MAX));
        struct told *told = &self->told[self->count++];
        *told = (struct told){.lsn = changes->first_lsn + n,
                              .follows_lsn = follows_lsn,
                              .time_ms = changes->time_ms,
                              .type = record.type,
                              .record_len = record.bytes.len};
        (void)snprintf(told->id, sizeof told->id, "%.*s", (int)record.session.id.len,
                       (const char *)record.session.id.ptr);
        memcpy(told->record, record.bytes.ptr, record.bytes.len);
        follows_lsn = told->lsn;
    }
    cr_assert(eq(sz, rest.len, 0));
}

static void listener_init(struct listener *self)
{
    stand_init(&self->stand);
    self->stand.changes = listen;
    self->stand.changes_arg = self;
}

static void expect(const struct told *told, enum record_type type, const char *id, uint64_t lsn)
{
    cr_assert(eq(int, told->type, type));
    cr_assert(eq(str, (char *)told->id, (char *)(uintptr_t)id));
    cr_assert(eq(u64, told->lsn, lsn));
}

Test(changes, each_is_told_once_in_order_when_it_is_durable)
{
    static struct listener self;
    listener_init(&self);
    stand_open(&self.stand);
    uint64_t before_ms = (uint64_t)clock_wall_ms(&clock_system);
    uint64_t first = stand_set_lsn(&self.stand, "a", view_str("one"));
    stand_wait_durable(&self.stand, first);
    uint64_t second = stand_set_lsn(&self.stand, "b", view_str("two"));
    cr_assert(eq(int, stand_delete(&self.stand, "a"), SATCHEL_OK));
    stand_close(&self.stand); /* ends the thread that tells */
    uint64_t after_ms = (uint64_t)clock_wall_ms(&clock_system);
    cr_assert(eq(sz, self.count, 3));
    expect(&self.told[0], RECORD_PUT, "a", first);
    expect(&self.told[1], RECORD_PUT, "b", second);
    expect(&self.told[2], RECORD_DELETE, "a", second + 1);
    cr_assert(eq(u64, self.told[0].follows_lsn, 0), "a new store had no change before");
    cr_assert(eq(u64, self.told[1].follows_lsn, first));
    for (size_t i = 0; i < self.count; i++) {
        cr_assert(ge(u64, self.told[i].time_ms, before_ms));
        cr_assert(le(u64, self.told[i].time_ms, after_ms));
    }
    stand_end(&self.stand);
}

Test(changes, a_start_tells_what_the_data_file_lacks_as_it_was_told_before)
{
    static struct listener self;
    static struct listener again;
    listener_init(&self);
    stand_open(&self.stand);
    (void)stand_set_lsn(&self.stand, "in the rows", view_str("one"));
    stand_settle(&self.stand);
    stand_checkpoint(&self.stand);
    (void)stand_set_lsn(&self.stand, "b", view_str("two"));
    stand_settle(&self.stand);
    (void)stand_set_lsn(&self.stand, "c", view_str("three"));
    cr_assert(eq(int, stand_delete(&self.stand, "b"), SATCHEL_OK));
    stand_settle(&self.stand);
    stand_kill(&self.stand);
    cr_assert(eq(sz, self.count, 4));

    again.stand = self.stand;
    again.stand.changes = listen;
    again.stand.changes_arg = &again;
    stand_open(&again.stand);
    cr_assert(eq(sz, again.count, 3), "the checkpoint had the first one");
    for (size_t i = 0; i < 3; i++) {
        const struct told *then = &self.told[i + 1];
        const struct told *now = &again.told[i];
        expect(now, then->type, then->id, then->lsn);
        cr_assert(eq(u64, now->follows_lsn, then->follows_lsn));
        cr_assert(eq(u64, now->time_ms, then->time_ms));
        cr_assert(eq(sz, now->record_len, then->record_len));
        cr_assert(memcmp(now->record, then->record, now->record_len) == 0);
    }
    uint64_t later = stand_set_lsn(&again.stand, "d", view_str("four"));
    stand_close(&again.stand);
    cr_assert(eq(sz, again.count, 4));
    expect(&again.told[3], RECORD_PUT, "d", later);
    cr_assert(eq(u64, again.told[3].follows_lsn, again.told[2].lsn), "numbers were skipped");
    cr_assert(lt(u64, again.told[2].lsn + 1, later));
    stand_end(&again.stand);
}
