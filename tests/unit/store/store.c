/* The store through its header: commands, and what is there after closing or killing it. */
#include "store/store.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/fields.h"
#include "store/store_private.h"
#include "support/random.h"
#include "support/store_stand.h"

static struct view text(const char *content)
{
    return view_str(content);
}

/* Expects the session to be there with this content. */
static void expect_content(struct stand *stand, const char *id, struct view content)
{
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(stand, id, &answer), SATCHEL_OK), "%s", id);
    cr_assert(view_equal(answer.session.content, content), "%s", id);
    cr_assert(view_equal(answer.session.id, view_str(id)));
    answer_free(&answer);
}

static void expect_absent(struct stand *stand, const char *id)
{
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(stand, id, &answer), SATCHEL_NOT_FOUND), "%s", id);
    cr_assert(eq(u64, answer.session.version, 0));
    answer_free(&answer);
}

static uint64_t version_of(struct stand *stand, const char *id)
{
    struct answer answer = {0};
    cr_assert(eq(int, stand_get(stand, id, &answer), SATCHEL_OK), "%s", id);
    uint64_t version = answer.session.version;
    answer_free(&answer);
    return version;
}

/* Runs a command and drops the answer but for its status. */
static enum satchel_status run(struct stand *stand, struct command cmd)
{
    struct answer answer = {0};
    stand_run(stand, &cmd, &stand->scratch, &answer);
    answer_free(&answer);
    return answer.status;
}

/* The three ways from one life of a store to the next. */
enum passage { CLOSED, KILLED, KILLED_AFTER_CHECKPOINT, PASSAGES };

static void pass(struct stand *stand, enum passage passage)
{
    stand_settle(stand);
    if (passage == KILLED_AFTER_CHECKPOINT) {
        stand_checkpoint(stand);
    }
    if (passage == CLOSED) {
        stand_close(stand);
    } else {
        stand_kill(stand);
    }
    stand_open(stand);
}

Test(store, what_is_set_is_there_and_what_is_deleted_is_not)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    expect_absent(&stand, "cart");
    cr_assert(eq(int, stand_delete(&stand, "cart"), SATCHEL_NOT_FOUND));
    uint64_t first = stand_set_lsn(&stand, "cart", text("tea"));
    expect_content(&stand, "cart", text("tea"));
    cr_assert(eq(u64, version_of(&stand, "cart"), first));
    uint64_t second = stand_set_lsn(&stand, "cart", text("tea and a kettle"));
    cr_assert(lt(u64, first, second));
    expect_content(&stand, "cart", text("tea and a kettle"));
    cr_assert(eq(int, stand_delete(&stand, "cart"), SATCHEL_OK));
    expect_absent(&stand, "cart");
    cr_assert(eq(u64, store_session_count(stand.store), 0));
    uint64_t third = stand_set_lsn(&stand, "cart", text(""));
    cr_assert(lt(u64, second + 1, third)); /* the deletion has a number too */
    expect_content(&stand, "cart", text(""));
    stand_end(&stand);
}

Test(store, conditions_decide_under_the_lock)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    uint64_t version = stand_set_lsn(&stand, "a", text("1"));
    const struct {
        enum condition condition;
        uint64_t version;
        const char *id;
        enum satchel_status status;
    } cases[] = {
        {CONDITION_ABSENT, 0, "a", SATCHEL_CONDITION_FAILED},
        {CONDITION_ABSENT, 0, "b", SATCHEL_OK},
        {CONDITION_PRESENT, 0, "c", SATCHEL_CONDITION_FAILED},
        {CONDITION_VERSION, version + 1, "a", SATCHEL_CONDITION_FAILED},
        {CONDITION_VERSION, version, "a", SATCHEL_OK},
        {CONDITION_VERSION, version, "a", SATCHEL_CONDITION_FAILED},
        {CONDITION_PRESENT, 0, "a", SATCHEL_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum satchel_status status = run(&stand, (struct command){
                                                     .op = SATCHEL_OP_SET,
                                                     .kind = SATCHEL_BLOB,
                                                     .id = view_str(cases[i].id),
                                                     .condition = cases[i].condition,
                                                     .condition_version = cases[i].version,
                                                 });
        cr_assert(eq(int, status, cases[i].status), "case %zu", i);
    }
    stand_end(&stand);
}

/* Sizes at the borders of rows' chunks, journal chunks and limits; as bytes of content. */
static const size_t sizes[] = {0,    1,    1890, 1931, 1932, 1933,    1999,     2000,    2001,
                               3931, 3932, 3933, 4096, 5932, 1 << 20, 17 << 16, 16 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void value_of(struct buf *out, size_t len, uint64_t seed)
{
    struct random random = {.state = seed};
    out->len = 0;
    cr_assert(eq(int, buf_reserve(out, len + 1), STATUS_OK));
    random_fill(&random, out->ptr, len);
    out->len = len;
}

static void id_of(char out[32], size_t number)
{
    (void)snprintf(out, 32, "session-%zu", number);
}

Test(store, values_of_every_size_survive_every_passage, .timeout = 120)
{
    for (int passage = 0; passage < PASSAGES; passage++) {
        struct stand stand;
        struct buf value = {0};
        char id[32];
        stand_init(&stand);
        stand.options.memory_bytes = 256 << 20;
        stand_open(&stand);
        uint64_t last = 0;
        for (size_t i = 0; i < SIZES; i++) {
            id_of(id, i);
            value_of(&value, sizes[i], i);
            last = stand_set_lsn(&stand, id, buf_view(&value));
        }
        for (int life = 0; life < 2;
             life++) { /* once from the journal, once from what came of it */
            pass(&stand, (enum passage)passage);
            for (size_t i = 0; i < SIZES; i++) {
                id_of(id, i);
                value_of(&value, sizes[i], i);
                expect_content(&stand, id, buf_view(&value));
            }
        }
        cr_assert(eq(u64, store_session_count(stand.store), SIZES));
        cr_assert(lt(u64, last, stand_set_lsn(&stand, "next", text(""))));
        buf_free(&value);
        stand_end(&stand);
    }
}

static uint64_t patch(struct stand *stand, const char *id, enum satchel_field_op op,
                      const char *name, struct view value)
{
    struct buf ops = {0};
    struct answer answer = {0};
    cr_assert(eq(int, ops_append(&ops, op, view_str(name), value), STATUS_OK));
    const struct command cmd = {.op = SATCHEL_OP_PATCH, .id = view_str(id), .ops = buf_view(&ops)};
    stand_run(stand, &cmd, &stand->scratch, &answer);
    cr_assert(eq(int, answer.status, SATCHEL_OK));
    uint64_t version = answer.session.version;
    answer_free(&answer);
    buf_free(&ops);
    return version;
}

static void expect_field(struct stand *stand, const char *id, const char *name, const char *value)
{
    struct answer answer = {0};
    struct view found = {0};
    cr_assert(eq(int, stand_get(stand, id, &answer), SATCHEL_OK), "%s", id);
    bool there = fields_find(answer.session.content, view_str(name), &found);
    cr_assert(eq(int, there, value != NULL), "%s", name);
    if (value != NULL) {
        cr_assert(view_equal(found, view_str(value)), "%s", name);
    }
    answer_free(&answer);
}

/* Patches before and behind a checkpoint: what is in the rows must not be counted again, what is
 * not must be counted once. */
Test(store, patches_are_replayed_once)
{
    for (int passage = 0; passage < PASSAGES; passage++) {
        struct stand stand;
        uint8_t one[8] = {1};
        char number[32];
        uint64_t version = 0;
        stand_init(&stand);
        stand_open(&stand);
        for (int life = 0; life < 4; life++) {
            for (int i = 0; i < 10; i++) {
                if (i == 5 && life % 2 == 1) {
                    stand_checkpoint(&stand);
                }
                (void)patch(&stand, "cart", SATCHEL_FIELD_INCREMENT, "tea",
                            view_of(one, sizeof one));
                (void)snprintf(number, sizeof number, "%d", life * 10 + i);
                (void)patch(&stand, number, SATCHEL_FIELD_SET, "n", view_str(number));
                (void)patch(&stand, "cart", SATCHEL_FIELD_SET, number, view_str(number));
            }
            version = patch(&stand, "cart", SATCHEL_FIELD_DELETE, number, (struct view){0});
            pass(&stand, (enum passage)passage);
            (void)snprintf(number, sizeof number, "%d", (life + 1) * 10);
            expect_field(&stand, "cart", "tea", number);
            (void)snprintf(number, sizeof number, "%d", life * 10 + 9);
            expect_field(&stand, "cart", number, NULL);
            expect_field(&stand, number, "n", number);
            cr_assert(eq(u64, version_of(&stand, "cart"), version));
        }
        stand_end(&stand);
    }
}

Test(store, deleted_sessions_stay_deleted)
{
    for (int passage = 0; passage < PASSAGES; passage++) {
        struct stand stand;
        stand_init(&stand);
        stand_open(&stand);
        (void)stand_set_lsn(&stand, "before", text("x"));
        (void)stand_set_lsn(&stand, "twice", text("x"));
        stand_checkpoint(&stand); /* a row of both */
        (void)stand_set_lsn(&stand, "behind", text("x"));
        cr_assert(eq(int, stand_delete(&stand, "before"), SATCHEL_OK));
        cr_assert(eq(int, stand_delete(&stand, "behind"), SATCHEL_OK));
        cr_assert(eq(int, stand_delete(&stand, "twice"), SATCHEL_OK));
        uint64_t version = stand_set_lsn(&stand, "twice", text("again"));
        for (int life = 0; life < 2; life++) {
            pass(&stand, (enum passage)passage);
            expect_absent(&stand, "before");
            expect_absent(&stand, "behind");
            expect_content(&stand, "twice", text("again"));
            cr_assert(eq(u64, version_of(&stand, "twice"), version));
            cr_assert(eq(u64, store_session_count(stand.store), 1));
        }
        stand_end(&stand);
    }
}

/* A random life of few sessions against an array, with checkpoints, sweeps and deaths in between.
 */
enum { MODEL_IDS = 60, MODEL_STEPS = 4000 };

struct model {
    bool present;
    uint64_t version;
    struct buf content;
};

static void model_check(struct stand *stand, struct model *models)
{
    char id[32];
    for (size_t i = 0; i < MODEL_IDS; i++) {
        id_of(id, i);
        if (models[i].present) {
            expect_content(stand, id, buf_view(&models[i].content));
            cr_assert(eq(u64, version_of(stand, id), models[i].version), "%s", id);
        } else {
            expect_absent(stand, id);
        }
    }
}

Test(store, a_random_life_is_as_an_array_says, .timeout = 120)
{
    struct model models[MODEL_IDS] = {0};
    struct random random = {.state = 1};
    struct stand stand;
    uint64_t version_max = 0;
    uint64_t loaded = 0;
    stand_init(&stand);
    stand.options.memory_bytes = 380 * 1024; /* the empty index has 320 KiB: values must leave */
    stand.options.segment_bytes = 64 * 1024;
    stand_open(&stand);
    for (int step = 0; step < MODEL_STEPS; step++) {
        size_t i = random_below(&random, MODEL_IDS);
        struct model *model = &models[i];
        char id[32];
        id_of(id, i);
        uint64_t choice = random_below(&random, 100);
        if (choice < 50) {
            value_of(&model->content, random_below(&random, choice < 10 ? 9000 : 300),
                     random_next(&random));
            enum satchel_status status = stand_set(&stand, id, buf_view(&model->content));
            while (status == SATCHEL_BUSY) { /* memory is full of changes: fold them */
                stand_checkpoint(&stand);
                stand_sweep(&stand);
                status = stand_set(&stand, id, buf_view(&model->content));
            }
            cr_assert(eq(int, status, SATCHEL_OK));
            model->present = true;
            model->version = version_of(&stand, id);
            cr_assert(lt(u64, version_max, model->version));
            version_max = model->version;
        } else if (choice < 70) {
            enum satchel_status expected = model->present ? SATCHEL_OK : SATCHEL_NOT_FOUND;
            cr_assert(eq(int, stand_delete(&stand, id), expected));
            model->present = false;
        } else if (choice < 95) {
            if (model->present) {
                expect_content(&stand, id, buf_view(&model->content));
            } else {
                expect_absent(&stand, id);
            }
        } else if (choice < 97) {
            stand_checkpoint(&stand);
        } else if (choice < 99 || step % 8 != 0) {
            stand_sweep(&stand);
        } else {
            loaded += metric_counter_get(&stand.store->metrics.loaded);
            pass(&stand, (enum passage)random_below(&random, PASSAGES));
            model_check(&stand, models);
        }
    }
    model_check(&stand, models);
    loaded += metric_counter_get(&stand.store->metrics.loaded);
    cr_assert(lt(u64, 0, loaded)); /* values did leave memory and came back */
    for (size_t i = 0; i < MODEL_IDS; i++) {
        buf_free(&models[i].content);
    }
    stand_end(&stand);
}

enum { STAYING = 3000, COMING = 3000, STEP = 50 };

static void count_visit(void *arg, const struct store_scan_entry *entry)
{
    unsigned *seen = arg;
    char id[32] = "";
    cr_assert(lt(sz, entry->id.len, sizeof id));
    memcpy(id, entry->id.ptr, entry->id.len);
    cr_assert(eq(int, strncmp(id, "session-", 8), 0));
    unsigned long number = strtoul(id + 8, NULL, 10);
    if (number < STAYING) {
        seen[number]++;
        cr_assert(eq(u64, entry->content_bytes, strlen("stays")));
    }
}

Test(store, a_scan_visits_each_session_that_stays)
{
    struct stand stand;
    char id[32];
    stand_init(&stand);
    stand_open(&stand);
    for (size_t i = 0; i < STAYING; i++) {
        id_of(id, i);
        (void)stand_set_lsn(&stand, id, text("stays"));
    }
    cr_assert(eq(int,
                 run(&stand, (struct command){.op = SATCHEL_OP_SET,
                                              .kind = SATCHEL_BLOB,
                                              .id = view_str("gone"),
                                              .ttl_ms = 1}),
                 SATCHEL_OK));
    stand.now_ms += 1;
    unsigned *seen = calloc(STAYING, sizeof *seen);
    cr_assert(ne(ptr, seen, NULL));
    size_t coming = 0;
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        uint64_t gate_lsn = 0;
        cursor = store_scan(stand.store, cursor, STEP, view_str("session-"), stand.now_ms,
                            count_visit, seen, &gate_lsn);
        calls++;
        cr_assert(le(u64, gate_lsn, journal_last_lsn(stand.store->journal)));
        /* The table grows under the scan, and other sessions come and go. */
        for (size_t i = 0; i < COMING / 40 && coming < COMING; i++, coming++) {
            id_of(id, STAYING + coming);
            (void)stand_set_lsn(&stand, id, text("comes"));
            if (coming % 3 == 0) {
                cr_assert(eq(int, stand_delete(&stand, id), SATCHEL_OK));
            }
        }
        if (calls % 16 == 0) {
            stand_checkpoint(&stand);
        }
    } while (cursor != 0);
    cr_assert(ge(uint, calls, STAYING / STEP / 2));
    for (size_t i = 0; i < STAYING; i++) {
        cr_assert(eq(uint, seen[i], 1), "session-%zu was visited %u times", i, seen[i]);
    }
    free(seen);
    stand_end(&stand);
}
