/* What a backup reads: every session the data file has, part by part, while the store goes on. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "store/image.h"
#include "store/store_private.h"
#include "support/store_stand.h"

enum { SESSIONS = 300, LARGE_BYTES = 9000 };

/* What was exported: how often, and the version of each session "s-<n>". */
struct exported {
    size_t count;
    uint64_t versions[SESSIONS];
    size_t content_lens[SESSIONS];
};

static void read_images(struct view rest, struct exported *out)
{
    while (rest.len != 0) {
        cr_assert(ge(sz, rest.len, 4));
        size_t len = load_u32(rest.ptr);
        cr_assert(ge(sz, rest.len - 4, len));
        struct session session;
        cr_assert(eq(int, image_decode(view_of(rest.ptr + 4, len), &session), STATUS_OK));
        char id[32];
        (void)snprintf(id, sizeof id, "%.*s", (int)session.id.len, (const char *)session.id.ptr);
        unsigned n = 0;
        cr_assert(eq(int, sscanf(id, "s-%u", &n), 1));
        cr_assert(lt(uint, n, SESSIONS));
        cr_assert(eq(u64, out->versions[n], 0), "session %u came twice", n);
        out->versions[n] = session.version;
        out->content_lens[n] = session.content.len;
        out->count++;
        rest = view_of(rest.ptr + 4 + len, rest.len - 4 - len);
    }
}

/* One part; true when there may be more. */
static bool export_part(struct stand *stand, struct store_export *state, size_t bytes,
                        struct exported *out)
{
    struct buf into = {0};
    enum status status = store_export_part(stand->store, state, bytes, &into);
    cr_assert(status == STATUS_OK || status == STATUS_END);
    read_images(buf_view(&into), out);
    buf_free(&into);
    return status == STATUS_OK;
}

static uint64_t set(struct stand *stand, unsigned n, size_t len)
{
    static uint8_t content[LARGE_BYTES];
    char id[32];
    (void)snprintf(id, sizeof id, "s-%u", n);
    return stand_set_lsn(stand, id, view_of(content, len));
}

Test(export, all_sessions_come_once_in_parts_after_a_checkpoint_of_its_own)
{
    static struct stand stand;
    static uint64_t lsns[SESSIONS];
    stand_init(&stand);
    stand_open(&stand);
    for (unsigned n = 0; n < SESSIONS; n++) {
        lsns[n] = set(&stand, n, n % 50 == 7 ? LARGE_BYTES : n);
    }

    struct exported all = {0};
    struct store_export state = {0};
    unsigned parts = 1;
    for (; export_part(&stand, &state, 4096, &all); parts++) {
    }
    cr_assert(lt(uint, 10, parts));
    cr_assert(eq(sz, all.count, SESSIONS));
    for (unsigned n = 0; n < SESSIONS; n++) {
        cr_assert(eq(u64, all.versions[n], lsns[n]));
        cr_assert(eq(sz, all.content_lens[n], n % 50 == 7 ? LARGE_BYTES : n));
    }
    cr_assert(eq(u64, state.applied_lsn, lsns[SESSIONS - 1]));
    stand_end(&stand);
}

Test(export, an_empty_store_has_one_empty_part)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    struct exported all = {0};
    struct store_export state = {0};
    cr_assert(not(export_part(&stand, &state, 1, &all)));
    cr_assert(eq(sz, all.count, 0));
    stand_end(&stand);
}

Test(export, it_goes_on_over_checkpoints_and_a_new_data_file)
{
    static struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    for (unsigned n = 0; n < SESSIONS; n++) {
        (void)set(&stand, n, 100);
    }
    stand_settle(&stand);
    stand_checkpoint(&stand);
    stand_kill(&stand);
    stand.released_epoch = 0; /* so this life writes a data file of its own */
    stand_open(&stand);
    struct exported all = {0};
    struct store_export state = {0};
    cr_assert(export_part(&stand, &state, 4096, &all));
    size_t before = all.count;
    cr_assert(lt(sz, 0, before));
    cr_assert(lt(sz, before, SESSIONS));
    unsigned ahead = 0; /* a session that has not been exported yet */
    while (all.versions[ahead] != 0) {
        ahead++;
    }
    uint64_t changed = set(&stand, ahead, 200);
    stand_settle(&stand);
    stand_checkpoint(&stand);
    while (export_part(&stand, &state, 4096, &all)) {
    }
    cr_assert(eq(sz, all.count, SESSIONS));
    cr_assert(eq(u64, all.versions[ahead], changed));
    cr_assert(ge(u64, state.applied_lsn, changed));
    struct store_identity identity;
    store_identify(stand.store, &identity);
    cr_assert(eq(u64, identity.epoch, 2));
    cr_assert(lt(u64, identity.last_lsn, changed));
    cr_assert(eq(u64, identity.first_lsn, changed)); /* it was the only one */
    stand_end(&stand);
}

Test(export, exporting_again_gives_the_same_bytes)
{
    struct stand stand;
    stand_init(&stand);
    stand_open(&stand);
    const struct command idle = {.op = SATCHEL_OP_SET,
                                 .ack = ACK_DURABLE,
                                 .id = view_str("s-1"),
                                 .kind = SATCHEL_BLOB,
                                 .content = view_str("x"),
                                 .idle_ttl_ms = 123457};
    struct answer answer = {0};
    stand_run(&stand, &idle, &stand.scratch, &answer);
    cr_assert(eq(int, answer.status, SATCHEL_OK));
    answer_free(&answer);
    stand_settle(&stand);
    stand_checkpoint(&stand);
    struct buf first = {0};
    struct buf second = {0};
    struct store_export state = {0};
    cr_assert(eq(int, store_export_part(stand.store, &state, 1 << 20, &first), STATUS_END));
    stand_close(&stand);
    stand_open(&stand);
    state = (struct store_export){0};
    cr_assert(eq(int, store_export_part(stand.store, &state, 1 << 20, &second), STATUS_END));
    cr_assert(view_equal(buf_view(&first), buf_view(&second)));
    cr_assert(lt(sz, 0, first.len));
    buf_free(&first);
    buf_free(&second);
    stand_end(&stand);
}

Test(export, lives_without_changes_are_no_changes)
{
    struct stand stand;
    struct store_identity identity;
    uint64_t first_lsn = 0;
    stand_init(&stand);
    stand_open(&stand);
    const uint64_t changed = set(&stand, 1, 100);
    for (unsigned life = 0; life < 4; life++) {
        stand_settle(&stand);
        if (life >= 2) {
            stand_checkpoint(&stand);
        }
        if (life == 2) {
            stand_kill(&stand);
            stand.released_epoch = 0; /* so the next one writes a data file of its own */
        } else {
            stand_close(&stand);
        }
        stand_open(&stand);
        store_identify(stand.store, &identity);
        cr_assert(eq(u64, identity.last_lsn, changed), "life %u", life);
        cr_assert(lt(u64, first_lsn, identity.first_lsn));
        first_lsn = identity.first_lsn;
    }
    stand_checkpoint(&stand);
    cr_assert(le(u64, identity.first_lsn, set(&stand, 2, 100)));
    stand_end(&stand);
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static atomic_bool is_held;

/* Holds the checkpoint thread, which tells recovered changes, as a storage does that hangs. */
static void hold(void *arg, const struct store_changes *changes)
{
    (void)arg, (void)changes;
    const int64_t began_ns = clock_mono_ns(&clock_system);
    while (atomic_load(&is_held)) {
        stand_pause(began_ns);
    }
}

static void *export_one(void *arg)
{
    struct buf into = {0};
    struct store_export state = {0};
    struct stand *stand = arg;
    enum status status = store_export_part(stand->store, &state, 4096, &into);
    buf_free(&into);
    return status == STATUS_AGAIN ? arg : NULL;
}

static bool is_waited_for(struct store *store)
{
    (void)pthread_mutex_lock(&store->keeper_lock);
    bool is_waited = store->export != NULL;
    (void)pthread_mutex_unlock(&store->keeper_lock);
    return is_waited;
}

Test(export, who_waits_for_a_busy_store_can_be_sent_away, .timeout = 60)
{
    static struct stand stand;
    pthread_t thread;
    void *was_sent_away = NULL;
    char errmsg[300];
    stand_init(&stand);
    stand_open(&stand);
    (void)set(&stand, 1, 100);
    stand_settle(&stand);
    stand_kill(&stand);
    stand.changes = hold;
    atomic_store(&is_held, true);
    cr_assert(eq(int, stand_try_open(&stand, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(eq(int, pthread_create(&thread, NULL, export_one, &stand), 0));
    const int64_t began_ns = clock_mono_ns(&clock_system);
    while (!is_waited_for(stand.store)) {
        stand_pause(began_ns);
    }
    store_end_exports(stand.store);
    cr_assert(eq(int, pthread_join(thread, &was_sent_away), 0));
    cr_assert(eq(ptr, was_sent_away, &stand));
    atomic_store(&is_held, false);
    cr_assert(stand_wait_ready(&stand));
    cr_assert(eq(ptr, export_one(&stand), &stand)); /* and nobody comes back */
    stand_end(&stand);
}
