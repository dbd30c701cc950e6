/* Writing the log: behind what, and what happens when something fails. */
#include "unit/backup/chain_kit.h"

static struct writer a;
static struct writer b;

/* ---- Alone ---------------------------------------------------------------------------------- */

Test(chain, a_new_archive_begins_with_a_fence_and_goes_on_without_gaps)
{
    bucket_open();
    take_over(&a, 1, 0);
    for (unsigned i = 0; i < 5; i++) {
        demand(&a, write_some(&a), CHAIN_OK);
        cr_assert(eq(u64, a.chain.next_seq, i + 2));
        cr_assert(eq(u64, a.chain.last_lsn, 3 * (i + 1)));
    }
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.slots, 6));
    cr_assert(eq(u64, found.fences, 1));
    cr_assert(eq(u64, found.changes, 15));
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(u64, found.last_lsn, 15));
    cr_assert(eq(u32, found.flags, 0));
    cr_assert(a.chain.is_deletable && !a.chain.owes_snapshot);
    cr_assert(eq(u64, bucket.count, 6)); /* the probe is gone */
    cr_assert(lt(u64, 0, a.chain.stored_bytes));
    close_writer(&a);
    bucket_close();
}

Test(chain, a_successor_goes_on_behind_its_fence_without_telling_twice)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK); /* 1 to 3 */
    close_writer(&a);
    /* It died with 4 to 6 in its journal, of which the store tells 2 to 6 again. */
    take_over(&b, 2, 6);
    cr_assert(eq(u64, b.chain.last_lsn, 3));
    log_give(b.feed, 2, 1);
    log_set_time(1700000000001);
    log_give(b.feed, 3, 2); /* is cut */
    log_set_time(1700000000002);
    log_give(b.feed, 5, 2);
    log_give_after(b.feed, 6, 1000, 4); /* the new epoch's own */
    prepare(&b);
    demand(&b, chain_write(&b.chain), CHAIN_OK);
    chain_end_recovered(&b.chain);
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.slots, 4));
    cr_assert(eq(u64, found.fences, 2));
    cr_assert(eq(u64, found.changes, 3 + 3 + 4));
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(u64, found.last_lsn, 1003));
    cr_assert(eq(u64, b.chain.gaps, 0));
    close_writer(&b);
    bucket_close();
}

Test(chain, what_the_archive_has_already_makes_no_slot)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    close_writer(&a);
    take_over(&b, 2, 3);
    log_give(b.feed, 1, 3);
    struct feed_taken taken;
    int64_t time_ms;
    feed_take(b.feed, SIZE_MAX, &taken);
    cr_assert_not(chain_first_new(&b.chain, &taken, &time_ms));
    demand(&b, chain_prepare(&b.chain, &taken), CHAIN_OK);
    cr_assert_not(chain_has_pending(&b.chain));
    feed_return(b.feed, &taken);
    log_set_time(1700000000777);
    log_give(b.feed, 1, 4);
    feed_take(b.feed, SIZE_MAX, &taken);
    cr_assert(chain_first_new(&b.chain, &taken, &time_ms));
    cr_assert(eq(i64, time_ms, 1700000000777));
    feed_return(b.feed, &taken);
    close_writer(&b);
    bucket_close();
}

Test(chain, a_store_that_went_back_abandons_what_came_after)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    demand(&a, write_some(&a), CHAIN_OK); /* up to 6 */
    close_writer(&a);
    take_over(&b, 2, 2); /* restored to an earlier time */
    cr_assert(eq(u64, b.chain.last_lsn, 2));
    cr_assert(eq(u64, b.chain.base_lsn, 2));
    log_give_after(b.feed, 2, 100, 1);
    prepare(&b);
    demand(&b, chain_write(&b.chain), CHAIN_OK);
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(u64, found.last_lsn, 100));
    cr_assert_not(b.chain.owes_snapshot);
    close_writer(&b);
    bucket_close();
}

/* ---- Gaps ----------------------------------------------------------------------------------- */

Test(chain, a_gap_is_told_until_a_snapshot_behind_it_also_by_a_successor)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK); /* slot 1: up to 3 */
    a.next_lsn += 10;
    cr_assert_not(a.chain.owes_snapshot);
    demand(&a, write_some(&a), CHAIN_OK); /* slot 2: 14 to 16 */
    cr_assert(a.chain.owes_snapshot && a.chain.gap_seq == 2 && a.chain.gaps == 1);
    demand(&a, write_some(&a), CHAIN_OK); /* slot 3 */
    cr_assert(eq(u64, a.chain.gaps, 1));
    cr_assert(eq(u64, log_read(0).gaps, 1));
    cr_assert(eq(u32, log_read(0).flags, SLOT_GAP));
    chain_note_snapshot(&a.chain, 2); /* one that began before */
    cr_assert(a.chain.owes_snapshot);
    close_writer(&a);

    take_over(&b, 2, 19); /* slot 4 */
    cr_assert(b.chain.owes_snapshot);
    cr_assert(eq(u32, log_read(0).flags, SLOT_FENCE | SLOT_GAP));
    chain_note_snapshot(&b.chain, 4);
    cr_assert(b.chain.owes_snapshot);
    chain_note_snapshot(&b.chain, 5);
    cr_assert_not(b.chain.owes_snapshot);
    demand(&b, write_some(&b), CHAIN_OK);
    cr_assert(eq(u32, log_read(0).flags, 0));
    close_writer(&b);
    bucket_close();
}

/* A store that was restored to where another process had been, behind a fence that abandons that:
 * the end of the log is not in its history, although its changes have higher numbers. */
Test(chain, a_store_of_an_abandoned_line_begins_where_that_left_the_others)
{
    struct feed_taken taken;
    bucket_open();
    take_over(&a, 1, 0);
    log_give(a.feed, 1, 100);
    prepare(&a);
    demand(&a, chain_write(&a.chain), CHAIN_OK);
    close_writer(&a);
    take_over(&b, 2, 60); /* restored to 60, and on from there */
    log_give_after(b.feed, 60, 200, 11);
    prepare(&b);
    demand(&b, chain_write(&b.chain), CHAIN_OK);
    close_writer(&b);
    take_over(&a, 3, 80); /* restored to the first line */
    close_writer(&a);
    open_writer(&b, 4, 210); /* and to the second, whose changes its journal has */
    log_give(b.feed, 41, 20);
    log_give_after(b.feed, 60, 200, 11);
    log_give_after(b.feed, 210, 300, 1);
    demand(&b, chain_find(&b.chain, &no_hint), CHAIN_OK);
    cr_assert(eq(u64, b.chain.base_lsn, 80));
    feed_take(b.feed, SIZE_MAX, &taken);
    chain_meet(&b.chain, &taken);
    cr_assert(eq(u64, b.chain.base_lsn, 60));
    cr_assert(b.chain.owes_snapshot);
    demand(&b, chain_fence(&b.chain, 1700000000000), CHAIN_OK);
    demand(&b, chain_prepare(&b.chain, &taken), CHAIN_OK);
    feed_return(b.feed, &taken);
    demand(&b, chain_write(&b.chain), CHAIN_OK);
    struct log_found found = log_read(0);
    cr_assert(eq(u64, found.gaps, 0));
    cr_assert(eq(u64, found.last_lsn, 300));
    close_writer(&b);
    bucket_close();
}

Test(chain, changes_that_were_recovered_and_not_told_are_a_gap)
{
    bucket_open();
    take_over(&a, 1, 5); /* a store that is older than its archive */
    cr_assert_not(a.chain.owes_snapshot);
    chain_end_recovered(&a.chain);
    cr_assert(a.chain.owes_snapshot && a.chain.gap_seq == 0 && a.chain.gaps == 1);
    chain_note_snapshot(&a.chain, 1);
    demand(&a, write_some(&a), CHAIN_OK); /* 6 to 8 follow 5 */
    cr_assert_not(a.chain.owes_snapshot);
    cr_assert(eq(u64, a.chain.gaps, 1));
    cr_assert(eq(u64, log_read(0).gaps, 1)); /* for who has no snapshot */
    close_writer(&a);
    bucket_close();
}

Test(chain, a_snapshot_that_knows_more_than_the_log_is_owed_again)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    close_writer(&a);
    for (uint64_t through_lsn = 3; through_lsn < 5; through_lsn++) {
        open_writer(&b, through_lsn, 10);
        const struct chain_hint hint = {.next_seq = 1, .through_lsn = through_lsn};
        demand(&b, chain_find(&b.chain, &hint), CHAIN_OK);
        demand(&b, chain_fence(&b.chain, 1), CHAIN_OK);
        cr_assert(eq(int, b.chain.owes_snapshot, through_lsn > 3));
        close_writer(&b);
    }
    bucket_close();
}

Test(chain, numbers_below_the_newest_manifest_are_not_used_again)
{
    bucket_open();
    open_writer(&a, 1, 20);
    demand(&a, chain_find(&a.chain, &(struct chain_hint){.next_seq = 7, .through_lsn = 20}),
           CHAIN_OK);
    demand(&a, chain_fence(&a.chain, 1), CHAIN_OK);
    cr_assert(eq(u64, a.chain.next_seq, 8));
    cr_assert(eq(u64, log_read(7).fences, 1));
    close_writer(&a);
    bucket_close();
}

/* ---- Failures ------------------------------------------------------------------------------- */

Test(chain, whatever_fails_at_a_start_is_done_again_and_leaves_one_fence)
{
    static const enum bucket_fault faults[] = {FAULT_LOSE_REQUEST, FAULT_LOSE_REPLY, FAULT_BUSY,
                                               FAULT_REFUSE};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (unsigned skip = 0; skip < 6; skip++) {
            bucket_open();
            take_over(&a, 1, 0);
            demand(&a, write_some(&a), CHAIN_OK);
            close_writer(&a);
            open_writer(&b, 2, 3);
            bucket_add_fault(NULL, faults[i], skip, 1);
            for (unsigned k = 0; k < 3 && !b.chain.is_open; k++) {
                enum chain_status status = chain_find(&b.chain, &no_hint);
                if (status == CHAIN_OK && !b.chain.is_open) {
                    status = chain_fence(&b.chain, 1);
                }
                cr_assert(status == CHAIN_OK || status == CHAIN_FAILED, "%s", b.chain.errmsg);
            }
            cr_assert(b.chain.is_open, "fault %zu skip %u", i, skip);
            demand(&b, write_some(&b), CHAIN_OK);
            struct log_found found = log_read(0);
            cr_assert(eq(u64, found.slots, 4), "fault %zu skip %u", i, skip);
            cr_assert(eq(u64, found.fences, 2));
            cr_assert(eq(u64, found.gaps, 0));
            close_writer(&b);
            bucket_close();
        }
    }
}

Test(chain, a_slot_whose_reply_was_lost_is_ours_when_its_bytes_are)
{
    static const enum bucket_fault faults[] = {FAULT_LOSE_REQUEST, FAULT_LOSE_REPLY, FAULT_BUSY};
    bucket_open();
    take_over(&a, 1, 0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        bucket_add_fault("PUT", faults[i], 0, 1);
        demand(&a, write_some(&a), CHAIN_FAILED);
        cr_assert(ne(str, a.chain.errmsg, ""));
        log_give(a.feed, a.next_lsn, 5); /* has to wait: these bytes stay as they are */
        a.next_lsn += 5;
        demand(&a, chain_write(&a.chain), CHAIN_OK);
        prepare(&a);
        demand(&a, chain_write(&a.chain), CHAIN_OK);
        cr_assert(eq(u64, log_read(0).slots, 1 + 2 * (i + 1)));
        cr_assert(eq(u64, log_read(0).gaps, 0));
    }
    close_writer(&a);
    bucket_close();
}

Test(chain, a_damaged_reply_about_our_own_slot_does_not_shut_us_out)
{
    bucket_open();
    take_over(&a, 1, 0);
    bucket_add_fault("PUT", FAULT_LOSE_REPLY, 0, 1);
    demand(&a, write_some(&a), CHAIN_FAILED);
    bucket_add_fault("GET", FAULT_FLIP_BIT, 0, 1);
    demand(&a, write_some(&a), CHAIN_FAILED);
    demand(&a, write_some(&a), CHAIN_OK);
    cr_assert(eq(u64, log_read(0).slots, 2));
    close_writer(&a);
    bucket_close();
}

Test(chain, a_flipped_bit_in_the_last_slot_is_read_again_and_lasting_damage_is_a_gap)
{
    bucket_open();
    take_over(&a, 1, 0);
    demand(&a, write_some(&a), CHAIN_OK);
    demand(&a, write_some(&a), CHAIN_OK);
    close_writer(&a);
    bucket_add_fault("GET", FAULT_FLIP_BIT, 1, 2); /* behind the list */
    take_over(&b, 2, 6);
    cr_assert_not(b.chain.owes_snapshot);
    cr_assert(eq(u64, b.chain.last_lsn, 6));
    demand(&b, write_some(&b), CHAIN_OK); /* up to 9 in slot 4 */
    close_writer(&b);

    bucket_put("log/0000000000000004", view_str("no slot at all"));
    take_over(&a, 3, 9);
    cr_assert(a.chain.owes_snapshot);
    cr_assert(eq(u64, a.chain.last_lsn, 6)); /* of the fence before it */
    cr_assert(eq(u64, a.chain.next_seq, 6));
    log_give(a.feed, 5, 5); /* and what was lost is told again */
    prepare(&a);
    demand(&a, chain_write(&a.chain), CHAIN_OK);
    cr_assert(eq(u64, log_read(5).last_lsn, 9));
    close_writer(&a);
    bucket_close();
}

Test(chain, a_slot_under_the_name_of_another_counts_as_damaged)
{
    bucket_open();
    log_put_fence(0, 1, chain_uuid);
    bucket_put("log/0000000000000001", log_slot(0));
    take_over(&a, 2, 0);
    cr_assert(a.chain.owes_snapshot);
    cr_assert(eq(u64, a.chain.next_seq, 3));
    close_writer(&a);
    bucket_close();
}

Test(chain, an_archive_whose_end_is_all_damage_is_not_written)
{
    bucket_open();
    for (uint64_t seq = 0; seq < 9; seq++) {
        char name[SLOT_NAME_BYTES];
        slot_name(name, seq);
        bucket_put(name, view_str("no slot at all"));
    }
    open_writer(&a, 1, 0);
    demand(&a, chain_find(&a.chain, &no_hint), CHAIN_FAILED);
    cr_assert_not_null(strstr(a.chain.errmsg, "damaged"), "%s", a.chain.errmsg);
    close_writer(&a);
    bucket_close();
}

static void damage_slots(uint64_t first_seq, uint64_t end_seq)
{
    for (uint64_t seq = first_seq; seq < end_seq; seq++) {
        char name[SLOT_NAME_BYTES];
        slot_name(name, seq);
        bucket_put(name, view_str("no slot at all"));
    }
}

/* Flips a bit behind the header. */
static void damage_payload(uint64_t seq)
{
    uint8_t bytes[4096];
    char name[SLOT_NAME_BYTES];
    struct view slot = log_slot(seq);
    cr_assert(slot.len > SLOT_HEADER_BYTES && slot.len <= sizeof bytes);
    (void)put_view(bytes, slot);
    bytes[SLOT_HEADER_BYTES + 3] ^= 1;
    slot_name(name, seq);
    bucket_put(name, view_of(bytes, slot.len));
}

Test(chain, behind_nothing_but_damage_the_newest_manifest_says_whose_it_is)
{
    static const struct {
        uint8_t uuid;
        uint64_t epoch; /* of the manifest; ours is 4 */
        enum chain_status status;
    } cases[] = {
        {1, 3, CHAIN_OK}, {1, 4, CHAIN_FENCED}, {1, 5, CHAIN_FENCED}, {9, 3, CHAIN_FOREIGN}};
    bucket_open();
    damage_slots(0, 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chain_hint hint = {
            .next_seq = 2, .through_lsn = 5, .epoch = cases[i].epoch, .uuid = {1, 2, 3}};
        hint.uuid[0] = cases[i].uuid;
        open_writer(&a, 4, 20);
        demand(&a, chain_find(&a.chain, &hint), cases[i].status);
        if (cases[i].status == CHAIN_OK) {
            demand(&a, chain_fence(&a.chain, 1), CHAIN_OK);
            cr_assert(a.chain.owes_snapshot);
            cr_assert(eq(u64, a.chain.last_lsn, 5));
            cr_assert(eq(u64, a.chain.next_seq, 21));
            demand(&a, write_some(&a), CHAIN_OK);
            bucket_remove("log/0000000000000014");
            bucket_remove("log/0000000000000015");
        }
        close_writer(&a);
    }
    bucket_close();
}

Test(chain, behind_nothing_but_damage_headers_say_whose_it_is)
{
    bucket_open();
    take_over(&b, 7, 0);
    while (b.chain.next_seq < 10) {
        demand(&b, write_some(&b), CHAIN_OK);
    }
    close_writer(&b);
    for (uint64_t seq = 0; seq < 10; seq++) {
        damage_payload(seq);
    }
    open_writer(&a, 6, 0);
    demand(&a, chain_find(&a.chain, &no_hint), CHAIN_FENCED);
    close_writer(&a);
    open_writer(&a, 8, 27);
    demand(&a, chain_find(&a.chain, &no_hint), CHAIN_OK);
    demand(&a, chain_fence(&a.chain, 1), CHAIN_OK);
    cr_assert(a.chain.owes_snapshot);
    close_writer(&a);
    bucket_close();
}

Test(chain, a_damaged_slot_under_our_number_is_ours_until_something_says_otherwise)
{
    bucket_open();
    take_over(&a, 1, 0);
    log_put_fence(1, 2, chain_uuid);
    damage_payload(1);
    demand(&a, write_some(&a), CHAIN_FENCED); /* by its header */
    damage_slots(1, 2);
    demand(&a, write_some(&a), CHAIN_FAILED);
    demand(&a, write_some(&a), CHAIN_FAILED);
    damage_slots(2, 3); /* who wrote the one before goes on */
    demand(&a, write_some(&a), CHAIN_FENCED);
    close_writer(&a);
    bucket_close();
}
