/* Writing the log: who may, and what happens when somebody else does. */
#include "unit/backup/chain_kit.h"

enum { HOUR_MS = 3600 * 1000, ROUNDS = 20 };

static struct writer a;
static struct writer b;

/* ---- Somebody else -------------------------------------------------------------------------- */

Test(chain, the_archive_of_another_store_is_left_alone)
{
    static const uint8_t other[SLOT_UUID_BYTES] = {9};
    bucket_open();
    log_put_fence(0, 1, other);
    open_writer(&a, 5, 0);
    demand(&a, chain_find(&a.chain, &no_hint), CHAIN_FOREIGN);
    cr_assert_not_null(strstr(a.chain.errmsg, "another store"));
    cr_assert(eq(u64, bucket.count, 1));
    close_writer(&a);
    bucket_close();
}

Test(chain, an_archive_of_a_newer_format_is_left_alone)
{
    uint8_t bytes[SLOT_HEADER_BYTES] = "SATCHLOG\x02";
    bucket_open();
    bucket_put("log/0000000000000000", view_of(bytes, sizeof bytes));
    open_writer(&a, 5, 0);
    demand(&a, chain_find(&a.chain, &no_hint), CHAIN_UNSUPPORTED);
    close_writer(&a);
    bucket_close();
}

Test(chain, who_is_of_an_epoch_that_is_over_does_not_begin)
{
    for (uint64_t epoch = 6; epoch <= 8; epoch++) {
        bucket_open();
        log_put_fence(0, 7, chain_uuid);
        open_writer(&a, epoch, 0);
        demand(&a, chain_find(&a.chain, &no_hint), epoch > 7 ? CHAIN_OK : CHAIN_FENCED);
        close_writer(&a);
        bucket_close();
    }
}

Test(chain, a_storage_without_conditions_is_for_who_says_to_be_alone)
{
    for (unsigned is_single = 0; is_single < 2; is_single++) {
        for (unsigned ignores = 0; ignores < 2; ignores++) {
            bucket_open();
            bucket.ignores_conditions = ignores;
            bucket.refuses_conditions = !ignores;
            open_writer(&a, 1, 0);
            a.chain.options.is_single_writer = is_single;
            demand(&a, chain_find(&a.chain, &no_hint), is_single ? CHAIN_OK : CHAIN_UNSAFE);
            if (is_single) {
                demand(&a, chain_fence(&a.chain, 1), CHAIN_OK);
                demand(&a, write_some(&a), CHAIN_OK);
                log_put_fence(2, 2, chain_uuid); /* not alone after all: that is noticed later */
                demand(&a, write_some(&a), CHAIN_FENCED);
            }
            close_writer(&a);
            bucket_close();
        }
    }
    bucket.ignores_conditions = false;
    bucket.refuses_conditions = false;
}

static void be_quicker(void *arg)
{
    (void)arg;
    demand(&a, write_some(&a), CHAIN_OK);
}

Test(chain, a_predecessor_that_still_writes_only_makes_a_start_take_longer)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    open_writer(&b, 2, 6);
    demand(&b, chain_find(&b.chain, &no_hint), CHAIN_OK);
    cr_assert(eq(u64, b.chain.last_lsn, 3));
    bucket_add_meanwhile("PUT", be_quicker, NULL);
    demand(&b, chain_fence(&b.chain, 1), CHAIN_OK);
    cr_assert_not(b.chain.is_open);
    demand(&b, chain_find(&b.chain, &no_hint), CHAIN_OK);
    cr_assert(eq(u64, b.chain.last_lsn, 6));
    demand(&b, chain_fence(&b.chain, 1), CHAIN_OK);
    cr_assert(b.chain.is_open);
    demand(&b, write_some(&b), CHAIN_OK);
    demand(&a, write_some(&a), CHAIN_FENCED);
    cr_assert(eq(u64, log_read(0).gaps, 0));
    close_writer(&a);
    close_writer(&b);
    bucket_close();
}

/* ---- Zombies -------------------------------------------------------------------------------- */

/* What happens while the old writer is stopped. */
struct interlude {
    unsigned slots;   /* that the new one writes behind its fence */
    unsigned removed; /* by retention, from the front */
    bool is_long;     /* longer than a writer may be silent */
};

static void run_interlude(void *arg)
{
    const struct interlude *interlude = arg;
    uint64_t removed_first = 0;
    take_over(&b, 2, a.next_lsn - 1);
    for (unsigned i = 0; i < interlude->slots; i++) {
        demand(&b, write_some(&b), CHAIN_OK);
    }
    for (unsigned i = 0; i < interlude->removed && removed_first + 1 < b.chain.next_seq; i++) {
        char name[SLOT_NAME_BYTES];
        slot_name(name, removed_first++);
        bucket_remove(name);
    }
    if (interlude->is_long) {
        atomic_fetch_add(&bucket.clock_ahead_ms, HOUR_MS);
    }
}

/* The log is one chain, and the last word is the new writer's. */
static void demand_no_fork(uint64_t removed)
{
    struct log_found found = log_read(removed < b.chain.next_seq ? removed : b.chain.next_seq - 1);
    cr_assert(eq(u64, found.epoch, 2));
    demand(&b, write_some(&b), CHAIN_OK);
    found = log_read(removed < b.chain.next_seq - 1 ? removed : b.chain.next_seq - 2);
    cr_assert(eq(u64, found.epoch, 2));
    cr_assert(eq(u64, found.last_lsn, b.next_lsn - 1));
}

Test(chain, a_writer_that_wakes_behind_its_successor_is_fenced_20_of_20_times)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct interlude interlude = {.slots = round % 5};
        bucket_open();
        take_over(&a, 1, 0);
        for (unsigned i = 0; i < round; i++) {
            demand(&a, write_some(&a), CHAIN_OK);
        }
        run_interlude(&interlude);
        demand(&a, write_some(&a), CHAIN_FENCED);
        demand(&a, write_some(&a), CHAIN_FENCED);
        demand_no_fork(0);
        close_writer(&a);
        close_writer(&b);
        bucket_close();
    }
}

Test(chain, a_writer_that_is_stopped_in_the_middle_of_a_request_is_fenced_20_of_20_times)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct interlude interlude = {.slots = round % 5};
        bucket_open();
        take_over(&a, 1, 0);
        for (unsigned i = 0; i < round; i++) {
            demand(&a, write_some(&a), CHAIN_OK);
        }
        bucket_add_meanwhile("PUT", run_interlude, &interlude);
        demand(&a, write_some(&a), CHAIN_FENCED);
        demand_no_fork(0);
        close_writer(&a);
        close_writer(&b);
        bucket_close();
    }
}

Test(chain, numbers_that_retention_made_free_do_not_let_a_zombie_in)
{
    for (unsigned in_request = 0; in_request < 2; in_request++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            struct interlude interlude = {.slots = round + 1, .removed = 1000, .is_long = true};
            bucket_open();
            take_over(&a, 1, 0);
            demand(&a, write_some(&a), CHAIN_OK);
            if (in_request) {
                bucket_add_meanwhile("PUT", run_interlude, &interlude);
            } else {
                run_interlude(&interlude);
            }
            demand(&a, write_some(&a), CHAIN_FENCED);
            demand(&a, write_some(&a), CHAIN_FENCED);
            if (!in_request) {
                cr_assert_null(log_slot(a.chain.next_seq).ptr); /* not even tried */
            }
            demand_no_fork(round + 3);
            close_writer(&a);
            close_writer(&b);
            bucket_close();
        }
    }
}

Test(chain, a_writer_that_was_silent_for_long_and_is_alone_goes_on)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    size_t lists = bucket.lists;
    demand(&a, write_some(&a), CHAIN_OK);
    cr_assert(eq(sz, bucket.lists, lists));
    atomic_fetch_add(&bucket.clock_ahead_ms, STALE_MS + 1);
    demand(&a, write_some(&a), CHAIN_OK);
    cr_assert(eq(sz, bucket.lists, lists + 1));
    demand(&a, write_some(&a), CHAIN_OK);
    cr_assert(eq(sz, bucket.lists, lists + 1));
    /* Also when its own slot is there by an attempt that seemed to fail. */
    bucket_add_fault("PUT", FAULT_LOSE_REPLY, 0, 1);
    demand(&a, write_some(&a), CHAIN_FAILED);
    atomic_fetch_add(&bucket.clock_ahead_ms, STALE_MS + 1);
    demand(&a, write_some(&a), CHAIN_OK);
    cr_assert(eq(u64, log_read(0).last_lsn, a.next_lsn - 1));
    close_writer(&a);
    bucket_close();
}
