/* One shard against an array: everything that happens to entries, in random order. */
#include "store/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/random.h"

enum { IDS = 700, STEPS = 60000, CONTENT_BYTES_MAX = 600 };

struct model {
    bool present; /* in the table, as a session or a tombstone */
    bool tombstone;
    bool resident;
    enum entry_state state;
    uint64_t version;
    uint64_t rowid;
    int64_t expires_ms;
    size_t content_len;
};

static struct table table;
static struct shard *const shard = &table.shards[0];
static struct model models[IDS];
static uint64_t versions;

static struct view id_of(size_t number, char out[32])
{
    (void)snprintf(out, 32, "session %zu", number);
    return view_str(out);
}

/* What session `number` holds at a version: noise of that seed. */
static struct view content_of(size_t number, uint64_t version, size_t len)
{
    static uint8_t bytes[CONTENT_BYTES_MAX + 8];
    struct random random = {.state = number ^ version << 20};
    random_fill(&random, bytes, len);
    return view_of(bytes, len);
}

static struct session session_of(size_t number, char id[32], const struct model *model)
{
    return (struct session){
        .id = id_of(number, id),
        .version = model->version,
        .created_ms = 7,
        .expires_ms = model->expires_ms,
        .owner = view_str(number % 2 == 0 ? "owner" : ""),
        .kind = SATCHEL_BLOB,
        .content = content_of(number, model->version, model->content_len),
    };
}

static struct slot *find(size_t number)
{
    char id[32];
    struct view view = id_of(number, id);
    return shard_find(shard, table_hash(&table, view), view);
}

static void check_one(size_t number)
{
    const struct model *model = &models[number];
    const struct slot *slot = find(number);
    cr_assert(eq(int, slot != NULL, model->present), "session %zu", number);
    if (!model->present) {
        return;
    }
    char id[32];
    struct session found = entry_session(slot->entry);
    struct session expected = session_of(number, id, model);
    cr_assert(view_equal(found.id, expected.id));
    cr_assert(eq(u64, found.version, model->version));
    cr_assert(eq(u64, slot->entry->rowid, model->rowid));
    cr_assert(eq(int, slot->entry->tombstone, model->tombstone));
    cr_assert(eq(int, slot->entry->state, model->state));
    cr_assert(eq(i64, found.expires_ms, model->expires_ms));
    cr_assert(eq(u64, slot->expires_s, (uint64_t)(model->expires_ms + 999) / 1000));
    cr_assert(eq(sz, slot->entry->content_len, model->content_len));
    cr_assert(eq(int, slot->entry->resident, model->resident), "session %zu", number);
    if (model->resident) {
        cr_assert(view_equal(found.content, expected.content));
    } else {
        cr_assert(eq(sz, found.content.len, 0));
    }
    if (!model->tombstone) {
        cr_assert(view_equal(found.owner, expected.owner));
    }
}

/* The counts, and that every listed entry knows its place. */
static void check_shard(void)
{
    uint32_t used = 0;
    uint32_t live = 0;
    uint64_t bytes = 0;
    uint32_t in_lists = 0;
    for (size_t i = 0; i < IDS; i++) {
        check_one(i);
        used += models[i].present;
        live += models[i].present && !models[i].tombstone;
        in_lists += models[i].present && models[i].state != ENTRY_CLEAN;
    }
    cr_assert(eq(u32, shard->used, used));
    cr_assert(eq(u32, shard->live, live));
    for (uint32_t at = 0; at < shard->slot_count; at++) {
        const struct slot *slot = shard_slot(shard, at);
        bytes += slot->entry == NULL ? 0 : entry_footprint(slot->entry);
    }
    cr_assert(eq(u64, shard->entry_bytes, bytes));
    const struct entry_list *lists[] = {&shard->dirty, &shard->taken};
    for (size_t l = 0; l < 2; l++) {
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            const struct entry *entry = lists[l]->items[i];
            if (entry != NULL) {
                cr_assert(eq(u32, (uint32_t)entry->list_index, i));
                cr_assert(eq(int, entry->state == ENTRY_DIRTY, l == 0));
                in_lists--;
            }
        }
    }
    cr_assert(eq(u32, in_lists, 0));
}

/* What a checkpoint has taken and not copied yet stays with it: it will copy the newer state. */
static void mark_changed(struct model *model)
{
    model->state = model->present && model->state == ENTRY_TAKEN ? ENTRY_TAKEN : ENTRY_DIRTY;
}

static void put(size_t number, struct random *random)
{
    struct model *model = &models[number];
    char id[32];
    bool was_present = model->present;
    mark_changed(model);
    model->present = true;
    model->tombstone = false;
    model->resident = true;
    model->version = ++versions;
    model->expires_ms = random_below(random, 2) == 0 ? 0 : (int64_t)random_below(random, 1 << 30);
    model->content_len = random_below(random, CONTENT_BYTES_MAX);
    cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_OK));
    struct slot *slot = find(number);
    cr_assert(eq(int, slot != NULL, was_present));
    struct session session = session_of(number, id, model);
    if (slot != NULL && entry_fits(slot->entry, &session) && !slot->entry->tombstone) {
        entry_assign(slot->entry, &session); /* the footprint stays */
    } else {
        struct entry *fresh = entry_new(&session, true);
        cr_assert(ne(ptr, fresh, NULL));
        if (slot == NULL) {
            slot = shard_insert(shard, table_hash(&table, session.id), fresh);
        } else {
            shard_replace(shard, slot, fresh);
        }
    }
    shard_changed(shard, slot);
}

static void bury(size_t number)
{
    struct model *model = &models[number];
    cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_OK));
    model->version = ++versions;
    model->tombstone = true;
    mark_changed(model);
    model->expires_ms = 0;
    model->content_len = 0;
    model->resident = false;
    shard_bury(shard, find(number), model->version);
}

/* The state of all sessions that are in one moves to another. */
static void move_all(int from, int to)
{
    for (size_t i = 0; i < IDS; i++) {
        struct model *model = &models[i];
        if (model->present && model->state == from) {
            model->state = to;
        }
    }
}

static void give_rowid(size_t number)
{
    static uint64_t rowids;
    struct model *model = &models[number];
    if (model->rowid == 0 && !model->tombstone) {
        model->rowid = ++rowids;
        find(number)->entry->rowid = rowids & ((UINT64_C(1) << 44) - 1);
    }
}

/* A checkpoint begins: what it takes gets a row. */
static void take(void)
{
    shard_take(shard);
    move_all(ENTRY_DIRTY, ENTRY_TAKEN);
    for (size_t i = 0; i < IDS; i++) {
        if (models[i].present && models[i].state == ENTRY_TAKEN) {
            give_rowid(i);
        }
    }
}

/* It copies what is in every other place, or what is left. */
static void copy(uint32_t step)
{
    for (uint32_t place = 0; place < shard->taken.count; place += step) {
        struct entry *entry = shard->taken.items[place];
        if (entry != NULL && entry->state == ENTRY_TAKEN) {
            entry->state = ENTRY_WRITING;
            char text[32];
            for (size_t i = 0; i < IDS; i++) {
                if (models[i].present && view_equal(id_of(i, text), entry_id(entry))) {
                    models[i].state = ENTRY_WRITING;
                    give_rowid(i); /* a tombstone when it was taken may be alive again */
                }
            }
        }
    }
}

static void finish(void)
{
    copy(1);
    for (uint32_t place = 0; place < shard->taken.count; place++) {
        shard_written(shard, &table, place);
    }
    shard_end_taken(shard);
    for (size_t i = 0; i < IDS; i++) {
        struct model *model = &models[i];
        if (model->present && model->state == ENTRY_WRITING) {
            model->state = ENTRY_CLEAN;
            if (model->tombstone) {
                *model = (struct model){0};
            }
        }
    }
}

static void give_back(void)
{
    cr_assert(eq(int, shard_give_back(shard), STATUS_OK));
    move_all(ENTRY_TAKEN, ENTRY_DIRTY);
    move_all(ENTRY_WRITING, ENTRY_DIRTY);
}

static void evict_or_restore(size_t number)
{
    struct model *model = &models[number];
    if (!model->present || model->state != ENTRY_CLEAN) {
        return;
    }
    if (model->resident) {
        shard_evict(shard, find(number));
    } else {
        cr_assert(eq(int,
                     shard_restore(shard, find(number),
                                   content_of(number, model->version, model->content_len)),
                     STATUS_OK));
    }
    model->resident = !model->resident;
}

Test(table, a_shard_is_as_an_array_says)
{
    struct random random = {.state = 11};
    enum { NOTHING, TAKEN, COPIED } checkpoint = NOTHING;
    cr_assert(eq(int, table_init(&table, 5), STATUS_OK));
    /* Waves: mostly coming, then mostly going, so that the index grows and shrinks. */
    for (size_t step = 0; step < STEPS; step++) {
        bool coming = step / (STEPS / 6) % 2 == 0;
        size_t number = random_below(&random, IDS);
        uint64_t choice = random_below(&random, 100);
        if (choice < (coming ? 45 : 8)) {
            put(number, &random);
        } else if (choice < 50) {
            if (models[number].present && !models[number].tombstone) {
                bury(number);
            }
        } else if (choice < 80) {
            evict_or_restore(number);
        } else if (choice < 84) {
            if (models[number].present) { /* gone without a trace: what came and expired */
                shard_remove(shard, find(number));
                models[number] = (struct model){0};
            }
        } else if (choice == 84) {
            switch (checkpoint) {
            case NOTHING:
                take();
                checkpoint = TAKEN;
                break;
            case TAKEN:
                copy(2);
                checkpoint = COPIED;
                break;
            case COPIED:
                if (random_below(&random, 4) == 0) {
                    give_back();
                } else {
                    finish();
                }
                checkpoint = NOTHING;
                break;
            }
        }
        check_one(number);
        if (step % 500 == 0) {
            check_shard();
        }
    }
    check_shard();
    table_close(&table);
}

/* A shard of entries with made-up hashes, and where each of them has to be found. */
static struct slot *insert_with_hash(uint64_t hash, size_t number)
{
    char id[32];
    struct session session = {.id = id_of(number, id), .version = 1, .kind = SATCHEL_BLOB};
    struct entry *entry = entry_new(&session, true);
    cr_assert(ne(ptr, entry, NULL));
    return shard_insert(shard, hash, entry);
}

static bool has(uint64_t hash, size_t number)
{
    char id[32];
    return shard_find(shard, hash, id_of(number, id)) != NULL;
}

Test(table, displaced_entries_are_found_and_close_gaps)
{
    struct random random = {.state = 12};
    enum { COUNT = 300 };
    uint64_t hashes[COUNT];
    bool present[COUNT] = {false};
    cr_assert(eq(int, table_init(&table, 0), STATUS_OK));
    for (size_t i = 0; i < COUNT; i++) { /* few homes, some at the very end */
        uint64_t home = random_below(&random, 12);
        hashes[i] = home < 6 ? UINT32_MAX - random_below(&random, 1 << 24) : home << 28;
    }
    for (size_t step = 0; step < 20000; step++) {
        size_t i = random_below(&random, COUNT);
        if (present[i]) {
            char id[32];
            shard_remove(shard, shard_find(shard, hashes[i], id_of(i, id)));
            present[i] = false;
        } else if (shard->used < 60 || step % 64 == 0) {
            cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_OK));
            (void)insert_with_hash(hashes[i], i);
            present[i] = true;
        }
        if (step % 50 == 0) {
            for (size_t each = 0; each < COUNT; each++) {
                cr_assert(eq(int, has(hashes[each], each), present[each]), "step %zu", step);
            }
        }
    }
    table_close(&table);
}

/* Ids that share one hash fill the tail behind the last home. Growing the index does not help then,
 * and must not be tried for ever. */
Test(table, too_many_ids_of_one_hash_are_refused_and_cost_no_memory)
{
    const uint64_t hash = UINT32_MAX;
    size_t count = 0;
    cr_assert(eq(int, table_init(&table, 0), STATUS_OK));
    enum status status = STATUS_OK;
    while (count < 1000 && (status = shard_reserve(shard, 1, 1)) == STATUS_OK) {
        (void)insert_with_hash(hash, count);
        count++;
    }
    cr_assert(eq(int, status, STATUS_TOO_LARGE));
    cr_assert(ge(sz, count, 32));
    for (size_t i = 0; i < 1000; i++) {
        cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_TOO_LARGE));
    }
    cr_assert(le(u32, shard->slot_count, 4096));
    for (size_t i = 0; i < count; i++) {
        cr_assert(has(hash, i));
    }
    char id[32];
    shard_remove(shard, shard_find(shard, hash, id_of(0, id)));
    cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_OK)); /* one went, one may come */
    table_close(&table);
}

/* What store_scan() relies on: the homes of hashes rise with them, and the smallest hash of a home
 * is where it begins. */
Test(table, homes_keep_the_order_of_hashes)
{
    struct random random = {.state = 13};
    cr_assert(eq(int, table_init(&table, 0), STATUS_OK));
    for (size_t i = 0; i < 400; i++) {
        cr_assert(eq(int, shard_reserve(shard, 1, 1), STATUS_OK));
        (void)insert_with_hash(random_next(&random), i);
        uint32_t capacity = atomic_load(&shard->capacity);
        for (uint32_t index = 0; index < capacity; index += 1 + index / 3) {
            uint64_t least = shard_home_hash(shard, index);
            cr_assert(eq(u32, shard_home(shard, (uint32_t)least), index));
            cr_assert(index == 0 || shard_home(shard, (uint32_t)(least - 1)) == index - 1);
        }
        cr_assert(ge(u64, shard_home_hash(shard, capacity), UINT64_C(1) << 32));
    }
    table_close(&table);
}
