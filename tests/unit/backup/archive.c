/* Slots and manifests as objects of a bucket. */
#include "backup/archive.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "backup/slot.h"
#include "unit/backup/bucket.h"

static struct bucket_client client;

static struct archive open_archive(bool is_conditional)
{
    bucket_open();
    bucket_client_open(&client, 1);
    return (struct archive){.s3 = client.s3, .is_conditional = is_conditional};
}

static void close_archive(void)
{
    bucket_client_close(&client);
    bucket_close();
}

static void demand_slot(struct archive *archive, uint64_t seq, const char *expected)
{
    struct buf read = {0};
    cr_assert(eq(int, archive_get_slot(archive, seq, &read), S3_OK));
    cr_assert(view_equal(buf_view(&read), view_str(expected)));
    buf_free(&read);
}

Test(archive, a_slot_is_written_once_and_read_as_it_was)
{
    for (unsigned is_conditional = 0; is_conditional < 2; is_conditional++) {
        struct archive archive = open_archive(is_conditional);
        struct buf read = {0};
        bucket.refuses_conditions = !is_conditional;
        cr_assert(eq(int, archive_get_slot(&archive, 7, &read), S3_NOT_FOUND));
        cr_assert(eq(int, archive_put_slot(&archive, 7, view_str("first")), S3_OK));
        cr_assert(eq(int, archive_put_slot(&archive, 7, view_str("second")), S3_EXISTS));
        demand_slot(&archive, 7, "first");
        cr_assert(view_equal(bucket_get("log/0000000000000007"), view_str("first")));
        bucket_add_fault(NULL, FAULT_BUSY, 0, 1);
        cr_assert(eq(int, archive_put_slot(&archive, 8, view_str("x")), S3_BUSY));
        bucket_add_fault("PUT", FAULT_LOSE_REPLY, 0, 1);
        cr_assert(eq(int, archive_put_slot(&archive, 8, view_str("x")), S3_CUT));
        cr_assert(eq(int, archive_put_slot(&archive, 8, view_str("x")), S3_EXISTS));
        close_archive();
    }
}

Test(archive, what_cannot_be_a_manifest_is_not_read_to_its_end)
{
    static uint8_t large[MANIFEST_BYTES_MAX + 1];
    struct archive archive = open_archive(true);
    struct buf read = {0};
    cr_assert(eq(int, archive_put_manifest(&archive, "snap/1.json", view_of(large, sizeof large)),
                 S3_OK));
    cr_assert(eq(int, archive_get_manifest(&archive, "snap/1.json", &read), S3_TOO_LARGE));
    cr_assert(eq(int,
                 archive_put_manifest(&archive, "snap/2.json", view_of(large, sizeof large - 1)),
                 S3_OK));
    cr_assert(eq(int, archive_get_manifest(&archive, "snap/2.json", &read), S3_OK));
    cr_assert(eq(sz, read.len, sizeof large - 1));
    cr_assert(eq(int, archive_put_manifest(&archive, "snap/2.json", view_str("{}")), S3_EXISTS));
    cr_assert(eq(int, archive_delete(&archive, "snap/2.json"), S3_OK));
    cr_assert(eq(int, archive_delete(&archive, "snap/2.json"), S3_OK));
    cr_assert(eq(int, archive_get_manifest(&archive, "snap/2.json", &read), S3_NOT_FOUND));
    buf_free(&read);
    close_archive();
}

Test(archive, the_end_of_the_log_and_its_holes_are_found_from_anywhere)
{
    static const struct {
        uint64_t from_seq;
        struct archive_tail tail;
    } cases[] = {
        {0, {8, 5, 15, 9}},    {5, {8, 5, 15, 9}},    {6, {7, 6, 15, 9}}, {9, {4, 10, 15, 11}},
        {13, {3, 13, 15, 16}}, {15, {1, 15, 15, 16}}, {16, {0, 0, 0, 0}},
    };
    struct archive archive = open_archive(true);
    struct archive_tail tail;
    cr_assert(eq(int, archive_find_tail(&archive, 0, &tail), S3_OK));
    cr_assert(eq(u64, tail.count, 0));
    for (uint64_t seq = 5; seq <= 15; seq++) {
        if (seq != 9 && seq != 11 && seq != 12) {
            cr_assert(eq(int, archive_put_slot(&archive, seq, view_str("x")), S3_OK));
        }
    }
    bucket_put("log/strange", view_str("x"));
    bucket_put("log/0000000000000010.old", view_str("x"));
    bucket_put("lof/0000000000000020", view_str("x"));
    bucket_put("snap/0000000000000020", view_str("x"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(int, archive_find_tail(&archive, cases[i].from_seq, &tail), S3_OK));
        cr_assert(eq(u64, tail.count, cases[i].tail.count), "case %zu", i);
        cr_assert(eq(u64, tail.first_seq, cases[i].tail.first_seq), "case %zu", i);
        cr_assert(eq(u64, tail.last_seq, cases[i].tail.last_seq), "case %zu", i);
        cr_assert(eq(u64, tail.hole_seq, cases[i].tail.hole_seq), "case %zu", i);
    }
    bucket_add_fault("GET", FAULT_BUSY, 1, 1); /* in the middle */
    cr_assert(eq(int, archive_find_tail(&archive, 0, &tail), S3_BUSY));
    close_archive();
}

#define NAME_A "snap/0000000000000005-00000002-0000abcd"
#define NAME_B "snap/0000000000000010-00000001-00000007"

struct told {
    char keys[200];
    uint64_t lsns;
    size_t count;
    size_t enough;
};

static bool note_key(void *arg, const char *key, const struct snapshot_id *id)
{
    struct told *told = arg;
    (void)strcat(strcat(told->keys, key), " ");
    told->lsns = told->lsns * 1000 + id->from_lsn;
    return ++told->count != told->enough;
}

Test(archive, manifests_are_listed_in_order_without_what_belongs_to_them)
{
    struct archive archive = open_archive(true);
    struct told all = {0};
    struct told first = {.enough = 1};
    bucket_put(NAME_B ".json", view_str("x"));
    bucket_put(NAME_B ".rows", view_str("x"));
    bucket_put(NAME_A ".json", view_str("x"));
    bucket_put("snap/1.json", view_str("x"));
    bucket_put("snaq/0000000000000010-00000001-00000007.json", view_str("x"));
    cr_assert(eq(int, archive_list_manifests(&archive, note_key, &all), S3_OK));
    cr_assert(eq(str, all.keys, NAME_A ".json " NAME_B ".json "));
    cr_assert(eq(u64, all.lsns, 5016));
    cr_assert(eq(int, archive_list_manifests(&archive, note_key, &first), S3_OK));
    cr_assert(eq(str, first.keys, NAME_A ".json "));
    close_archive();
}

Test(archive, the_newest_manifest_is_a_hint_if_it_can_be_read)
{
    struct archive archive = open_archive(true);
    struct manifest manifest = {
        .id = {.from_lsn = 16, .epoch = 1, .nonce = 7}, .version = "1", .next_seq = 70};
    struct manifest found;
    struct buf json = {0};
    bool is_found = true;
    manifest.through_lsn = 30;
    manifest.time_ms = 1700000000000;
    manifest.parts = 1;
    manifest.raw_bytes = 100;
    manifest.stored_bytes = 100;
    cr_assert(eq(int, archive_find_newest(&archive, &found, &is_found), S3_OK));
    cr_assert_not(is_found);
    bucket_put(NAME_A ".json", view_str("not one"));
    cr_assert(eq(int, archive_find_newest(&archive, &found, &is_found), S3_OK));
    cr_assert_not(is_found);
    cr_assert(eq(int, manifest_encode(&manifest, &json), STATUS_OK));
    bucket_put(NAME_B ".json", buf_view(&json));
    cr_assert(eq(int, archive_find_newest(&archive, &found, &is_found), S3_OK));
    cr_assert(is_found);
    cr_assert(eq(u64, found.next_seq, 70));
    cr_assert(eq(u64, found.id.from_lsn, 16));
    bucket_add_fault("GET", FAULT_BUSY, 1, 1);
    cr_assert(eq(int, archive_find_newest(&archive, &found, &is_found), S3_BUSY));
    buf_free(&json);
    close_archive();
}
