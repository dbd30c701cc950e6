/* Expiry, touches and the sweep; memory budget and values that leave. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "session/fields.h"
#include "store/store_private.h"
#include "support/fake_disk.h"
#include "support/random.h"
#include "support/store_stand.h"

static enum satchel_status set_with_ttl(struct stand *stand, const char *id, uint64_t ttl_ms,
                                        uint64_t idle_ttl_ms)
{
    struct answer answer = {0};
    const struct command cmd = {.op = SATCHEL_OP_SET,
                                .kind = SATCHEL_BLOB,
                                .id = view_str(id),
                                .content = view_str("content"),
                                .ttl_ms = ttl_ms,
                                .idle_ttl_ms = idle_ttl_ms};
    stand_run(stand, &cmd, &stand->scratch, &answer);
    answer_free(&answer);
    return answer.status;
}

static enum satchel_status touch(struct stand *stand, const char *id, struct answer *out)
{
    const struct command cmd = {.op = SATCHEL_OP_TOUCH, .id = view_str(id)};
    stand_run(stand, &cmd, &stand->scratch, out);
    return out->status;
}

static enum satchel_status get(struct stand *stand, const char *id)
{
    struct answer answer = {0};
    enum satchel_status status = stand_get(stand, id, &answer);
    answer_free(&answer);
    return status;
}

Test(store_time, an_expired_session_is_gone_to_the_millisecond_without_a_sweep)
{
    struct stand stand;
    struct answer answer = {0};
    stand_init(&stand);
    stand_open(&stand);
    cr_assert(eq(int, set_with_ttl(&stand, "a", 1500, 0), SATCHEL_OK));
    stand.now_ms += 1499;
    cr_assert(eq(int, get(&stand, "a"), SATCHEL_OK));
    stand.now_ms += 1;
    cr_assert(eq(int, get(&stand, "a"), SATCHEL_NOT_FOUND));
    cr_assert(eq(int, touch(&stand, "a", &answer), SATCHEL_NOT_FOUND));
    cr_assert(eq(int, stand_delete(&stand, "a"), SATCHEL_NOT_FOUND));
    /* Another one in its place is a new session. */
    const struct command cmd = {.op = SATCHEL_OP_SET,
                                .kind = SATCHEL_BLOB,
                                .condition = CONDITION_ABSENT,
                                .id = view_str("a"),
                                .content = view_str("new")};
    stand_run(&stand, &cmd, &stand.scratch, &answer);
    cr_assert(eq(int, answer.status, SATCHEL_OK));
    cr_assert(eq(i64, answer.session.created_ms, stand.now_ms));
    cr_assert(eq(u64, store_session_count(stand.store), 1));
    answer_free(&answer);
    stand_end(&stand);
}

Test(store_time, expired_sessions_are_not_there_after_a_restart_either)
{
    for (int swept = 0; swept < 2; swept++) {
        for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
            struct stand stand;
            stand_init(&stand);
            stand_open(&stand);
            cr_assert(eq(int, set_with_ttl(&stand, "a", 1000, 0), SATCHEL_OK));
            if (checkpointed) {
                stand_checkpoint(&stand);
            }
            cr_assert(eq(int, set_with_ttl(&stand, "b", 1000, 0), SATCHEL_OK));
            stand_settle(&stand);
            stand.now_ms += 1000;
            if (swept) {
                stand_sweep(&stand);
                cr_assert(eq(u64, store_session_count(stand.store), 0));
                if (checkpointed) {
                    stand_checkpoint(&stand);
                }
            }
            stand_kill(&stand);
            stand_open(&stand);
            cr_assert(eq(int, get(&stand, "a"), SATCHEL_NOT_FOUND));
            cr_assert(eq(int, get(&stand, "b"), SATCHEL_NOT_FOUND));
            stand_sweep(&stand);
            cr_assert(eq(u64, store_session_count(stand.store), 0));
            stand_end(&stand);
        }
    }
}

Test(store_time, a_sliding_session_is_touched_often_and_journalled_seldom)
{
    enum { IDLE_MS = 1600000, TOUCHES = 1000, STEP_MS = 1000 };
    struct stand stand;
    struct answer answer = {0};
    stand_init(&stand);
    stand_open(&stand);
    cr_assert(eq(int, set_with_ttl(&stand, "a", 0, IDLE_MS), SATCHEL_OK));
    uint64_t before = journal_last_lsn(stand.store->journal);
    for (unsigned i = 0; i < TOUCHES; i++) {
        stand.now_ms += STEP_MS;
        cr_assert(eq(int, touch(&stand, "a", &answer), SATCHEL_OK));
        cr_assert(eq(i64, answer.session.expires_ms, stand.now_ms + IDLE_MS));
    }
    uint64_t records = journal_last_lsn(stand.store->journal) - before;
    cr_assert(le(u64, records, TOUCHES * STEP_MS / (IDLE_MS / 16) + 1));
    cr_assert(ge(u64, records, TOUCHES * STEP_MS / (IDLE_MS / 16) - 1));
    int64_t promised_ms = answer.session.expires_ms;
    uint64_t version = answer.session.version;
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    cr_assert(ge(i64, answer.session.expires_ms, promised_ms)); /* never shorter */
    cr_assert(le(i64, answer.session.expires_ms, promised_ms + IDLE_MS / 16));
    cr_assert(eq(u64, answer.session.version, version)); /* a touch is no new version */
    answer_free(&answer);
    stand_end(&stand);
}

/* At every moment, what was promised durably holds after a crash: touches, checkpoints and deaths
 * in random order. */
Test(store_time, a_promised_expiry_survives_every_crash, .timeout = 60)
{
    struct stand stand;
    struct answer answer = {0};
    struct random random = {.state = 3};
    stand_init(&stand);
    stand_open(&stand);
    cr_assert(eq(int, set_with_ttl(&stand, "a", 0, 40000), SATCHEL_OK));
    for (unsigned step = 0; step < 1000; step++) {
        stand.now_ms += (int64_t)random_below(&random, 3000);
        cr_assert(eq(int, touch(&stand, "a", &answer), SATCHEL_OK));
        int64_t promised_ms = answer.session.expires_ms;
        switch (random_below(&random, 20)) {
        case 0:
            stand_checkpoint(&stand);
            break;
        case 1:
            stand_wait_durable(&stand, answer.gate_lsn);
            stand_kill(&stand);
            stand_open(&stand);
            cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
            cr_assert(ge(i64, answer.session.expires_ms, promised_ms));
            cr_assert(le(i64, answer.session.expires_ms, promised_ms + 40000 / 16));
            break;
        default:
            break;
        }
    }
    answer_free(&answer);
    stand_end(&stand);
}

/* What is stored expires a little later than what was promised; a deletion in between must hold. */
Test(store_time, an_expired_session_that_was_deleted_is_not_back_after_a_crash)
{
    struct stand stand;
    struct answer answer = {0};
    stand_init(&stand);
    stand.now_ms = stand.now_ms / 10000 * 10000 + 1; /* so that rounding adds almost all it can */
    stand_open(&stand);
    cr_assert(eq(int, set_with_ttl(&stand, "kept", 0, 160000), SATCHEL_OK));
    cr_assert(eq(int, set_with_ttl(&stand, "deleted", 0, 160000), SATCHEL_OK));
    stand_settle(&stand);
    stand.now_ms += 160000;
    cr_assert(eq(int, stand_get(&stand, "kept", &answer), SATCHEL_NOT_FOUND));
    cr_assert(eq(int, stand_delete(&stand, "deleted"), SATCHEL_NOT_FOUND));
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "kept", &answer), SATCHEL_OK)); /* late, as documented */
    cr_assert(eq(int, stand_get(&stand, "deleted", &answer), SATCHEL_NOT_FOUND));
    answer_free(&answer);
    stand_end(&stand);
}

Test(store_time, a_shorter_time_to_live_survives_as_well)
{
    struct stand stand;
    struct answer answer = {0};
    const struct command shorter = {.op = SATCHEL_OP_TOUCH, .id = view_str("a"), .ttl_ms = 5000};
    stand_init(&stand);
    stand_open(&stand);
    cr_assert(eq(int, set_with_ttl(&stand, "a", 0, 1000000), SATCHEL_OK));
    stand_checkpoint(&stand);
    stand_run(&stand, &shorter, &stand.scratch, &answer);
    stand_settle(&stand);
    stand_kill(&stand);
    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "a", &answer), SATCHEL_OK));
    cr_assert(eq(i64, answer.session.expires_ms, stand.now_ms + 5000));
    cr_assert(eq(u64, answer.session.idle_ttl_ms, 0));
    answer_free(&answer);
    stand_end(&stand);
}

/* As many sessions as make the sweep reserve room in shards whose index is just full: it grows
 * under the sweep's feet. */
Test(store_time, the_sweep_reclaims_everything_that_expired_and_nothing_else)
{
    enum { ROUNDS = 6, SESSIONS = 3000 };
    struct stand stand;
    char id[32];
    stand_init(&stand);
    stand_open(&stand);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SESSIONS * (round + 1); i++) {
            (void)snprintf(id, sizeof id, "%u-%u", round, i);
            cr_assert(
                eq(int, set_with_ttl(&stand, id, i % 10 == 0 ? 0 : 1000 + i % 7, 0), SATCHEL_OK));
        }
        if (round % 2 == 0) {
            stand_checkpoint(&stand); /* rows: tombstones are needed */
        }
        stand.now_ms += 2100;
        for (unsigned sweeps = 0; sweeps < 20; sweeps++) { /* some shards are left for next time */
            stand_sweep(&stand);
        }
        uint64_t left = 0;
        for (unsigned earlier = 0; earlier <= round; earlier++) {
            left += SESSIONS * (earlier + 1) / 10;
        }
        cr_assert(eq(u64, store_session_count(stand.store), left));
        stand_checkpoint(&stand);
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        (void)snprintf(id, sizeof id, "0-%u", i);
        cr_assert(eq(int, get(&stand, id), i % 10 == 0 ? SATCHEL_OK : SATCHEL_NOT_FOUND));
    }
    stand_end(&stand);
}

/* Ten times the budget in values. */
Test(store_time, values_leave_memory_and_are_read_back, .timeout = 60)
{
    enum { SESSIONS = 2000, BYTES = 4000 };
    struct stand stand;
    struct answer answer = {0};
    struct random random;
    uint8_t value[BYTES];
    char id[32];
    stand_init(&stand);
    stand.options.memory_bytes = 1 << 20;
    stand_open(&stand);
    for (unsigned i = 0; i < SESSIONS; i++) {
        (void)snprintf(id, sizeof id, "%u", i);
        random = (struct random){.state = i};
        random_fill(&random, value, sizeof value);
        while (stand_set(&stand, id, view_of(value, sizeof value)) == SATCHEL_BUSY) {
            stand_checkpoint(&stand);
            stand_sweep(&stand);
        }
        if (i % 50 == 0) {
            stand_sweep(&stand);
        }
    }
    stand_checkpoint(&stand);
    for (int life = 0; life < 2; life++) {
        stand_sweep(&stand);
        uint64_t memory = 0;
        for (unsigned i = 0; i < TABLE_SHARDS; i++) {
            memory += shard_footprint(&stand.store->table.shards[i]);
        }
        cr_assert(le(u64, memory, (1 << 20) + (1 << 17)));
        for (unsigned i = 0; i < SESSIONS; i++) {
            (void)snprintf(id, sizeof id, "%u", i);
            random = (struct random){.state = i};
            random_fill(&random, value, sizeof value);
            cr_assert(eq(int, stand_get(&stand, id, &answer), SATCHEL_OK), "%s", id);
            cr_assert(view_equal(answer.session.content, view_of(value, sizeof value)), "%s", id);
            if (i % 100 == 0) {
                stand_sweep(&stand);
            }
        }
        cr_assert(lt(u64, SESSIONS / 2, metric_counter_get(&stand.store->metrics.loaded)));
        stand_close(&stand);
        stand_open(&stand); /* what is over the budget does not even come in */
    }
    answer_free(&answer);
    stand_end(&stand);
}

/* Commands on a session whose value is away: each finds it, and what it does is not undone by the
 * value that comes back. */
Test(store_time, a_value_that_is_away_can_be_changed)
{
    struct stand stand;
    struct answer answer = {0};
    struct buf ops = {0};
    uint8_t one[8] = {1};
    static uint8_t large[100000];
    stand_init(&stand);
    stand.options.memory_bytes = 330 * 1024; /* hardly more than the empty index */
    stand_open(&stand);
    cr_assert(eq(int,
                 ops_append(&ops, SATCHEL_FIELD_INCREMENT, view_str("n"), view_of(one, sizeof one)),
                 STATUS_OK));
    cr_assert(eq(int,
                 ops_append(&ops, SATCHEL_FIELD_SET, view_str("pad"), view_of(large, sizeof large)),
                 STATUS_OK));
    const struct command increment = {
        .op = SATCHEL_OP_PATCH, .id = view_str("fields"), .ops = buf_view(&ops)};
    for (unsigned i = 1; i <= 5; i++) {
        struct view n;
        char expected[8];
        do {
            stand_run(&stand, &increment, &stand.scratch, &answer);
            stand_checkpoint(&stand);
            stand_sweep(&stand);
            stand_sweep(&stand); /* the first pass of the hand only takes note */
        } while (answer.status == SATCHEL_BUSY);
        cr_assert(eq(int, answer.status, SATCHEL_OK));
        uint64_t hash = store_hash(stand.store, view_str("fields"));
        struct slot *slot = shard_find(table_shard(&stand.store->table, hash), hash,
                                       view_str("fields"));
        cr_assert(not(slot->entry->resident));
        cr_assert(eq(int,
                     store_execute(stand.store, &increment, hash, stand.now_ms, &stand.scratch,
                                   NULL, NULL, NULL),
                     STATUS_AGAIN)); /* asked without a waiter, nothing happens */
        cr_assert(eq(int, stand_get(&stand, "fields", &answer), SATCHEL_OK));
        (void)snprintf(expected, sizeof expected, "%u", i);
        cr_assert(fields_find(answer.session.content, view_str("n"), &n));
        cr_assert(view_equal(n, view_str(expected)));
        stand_sweep(&stand);
        stand_sweep(&stand);
    }
    cr_assert(eq(int, stand_delete(&stand, "fields"), SATCHEL_OK));
    cr_assert(eq(int, stand_get(&stand, "fields", &answer), SATCHEL_NOT_FOUND));
    stand_close(&stand);
    stand_open(&stand);
    cr_assert(eq(int, stand_get(&stand, "fields", &answer), SATCHEL_NOT_FOUND));
    answer_free(&answer);
    buf_free(&ops);
    stand_end(&stand);
}
