/* What an archive has, whatever state it is in. */
#include "backup/survey.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "unit/backup/archive_kit.h"

static struct bucket_client client;
static struct gather gather;
static struct survey survey;

static void begin(void)
{
    bucket_open();
    bucket_client_open(&client, 1);
    gather_init(&gather, &client.s3, 1, 0);
    survey_init(&survey, &gather);
    archive_begin();
}

static void end(void)
{
    survey_close(&survey);
    bucket_client_close(&client);
    bucket_close();
}

static void manifest_of(char *name)
{
    (void)strcpy(strrchr(name, '.'), ".json");
}

Test(survey, every_snapshot_is_told_with_what_is_wrong)
{
    char name[SNAPSHOT_NAME_BYTES];
    begin();
    archive_fence('A', 0);
    archive_put(1, "a");
    archive_snapshot(1, NULL);
    archive_snapshot(2, name);
    bucket_remove(name);
    archive_snapshot(3, name);
    bucket_put(name, view_str("too short"));
    archive_snapshot(4, name);
    manifest_of(name);
    bucket_put(name, view_str("{}"));
    archive_snapshot(5, name);
    manifest_of(name);
    bucket_remove(name);
    archive_put(2, "b");
    archive_snapshot(6, name);
    manifest_of(name);
    bucket_put("snap/0000000000000001-00000041-00000007.json", bucket_get(name));
    bucket_put("snap/notes.txt", view_str("none of ours"));
    static const enum survey_state expected[] = {
        SURVEY_GOOD,       SURVEY_NO_ROWS, SURVEY_WRONG_SIZE, SURVEY_DAMAGED,
        SURVEY_UNFINISHED, SURVEY_DAMAGED, SURVEY_GOOD};
    cr_assert(eq(int, survey_snapshots(&survey), STATUS_OK), "%s", survey.errmsg);
    cr_assert(eq(sz, survey.snapshot_count, 7));
    for (size_t i = 0; i < 7; i++) {
        const struct survey_snapshot *snapshot = &survey.snapshots[i];
        cr_assert(eq(int, snapshot->state, expected[i]), "snapshot %zu: %s", i, snapshot->why);
        bool is_silent = snapshot->why[0] == '\0';
        cr_assert(eq(int, is_silent, expected[i] == SURVEY_GOOD));
    }
    cr_assert(survey.snapshots[0].manifest.sessions == 1 && survey.snapshots[0].has_rows);
    cr_assert(eq(u64, survey.snapshots[0].rows_bytes, survey.snapshots[0].manifest.stored_bytes));
    cr_assert(lt(i64, 1600000000000, survey.snapshots[0].rows_modified_ms));
    cr_assert(strstr(survey.snapshots[5].why, "another snapshot") != NULL);
    cr_assert_not(survey.is_gone);
    end();
}

static void remove_manifest(void *arg)
{
    bucket_remove(arg);
}

Test(survey, what_is_deleted_meanwhile_is_no_damage)
{
    char name[SNAPSHOT_NAME_BYTES];
    begin();
    archive_fence('A', 0);
    archive_snapshot(1, name);
    manifest_of(name);
    bucket_add_meanwhile_after("GET", 1, remove_manifest, name); /* the list is the first */
    cr_assert(eq(int, survey_snapshots(&survey), STATUS_OK));
    cr_assert(eq(int, survey.snapshots[0].state, SURVEY_GONE));
    cr_assert(survey.is_gone);
    end();
}

static uint64_t lsns[64];
static size_t damaged;

static enum status note_header(void *arg, const struct survey_header *found)
{
    (void)arg;
    lsns[found->index] = found->is_damaged ? 0 : found->header.last_lsn;
    damaged += found->is_damaged;
    bool is_explained = !found->is_damaged || found->why[0] != '\0';
    cr_assert(is_explained);
    return STATUS_OK;
}

Test(survey, the_log_is_listed_from_anywhere_and_further_back_later)
{
    begin();
    archive_fence('A', 0);
    for (uint64_t lsn = 1; lsn <= 19; lsn++) {
        archive_put(lsn, "a");
    }
    bucket_remove("log/0000000000000000");
    bucket_remove("log/0000000000000008");
    bucket_remove("log/0000000000000009");
    cr_assert(eq(int, survey_log(&survey, 12), STATUS_OK));
    cr_assert(eq(sz, survey.slot_count, 8));
    cr_assert(eq(int, survey_log(&survey, 7), STATUS_OK));
    cr_assert(eq(sz, survey.slot_count, 11));
    size_t before = bucket_requests();
    cr_assert(eq(int, survey_log(&survey, 10), STATUS_OK)); /* known */
    cr_assert(eq(sz, bucket_requests(), before));
    cr_assert(eq(int, survey_log(&survey, 0), STATUS_OK));
    cr_assert(eq(sz, survey.slot_count, 17));
    cr_assert(survey.slots[0].seq == 1 && survey.slots[16].seq == 19);
    cr_assert(eq(u64, survey.slots[6].bytes, bucket_get("log/0000000000000007").len));
    cr_assert(survey_find_slot(&survey, 8) == 7 && survey_find_slot(&survey, 20) == 17);
    uint64_t seq = 0;
    uint64_t first = 0;
    uint64_t hole_end = 0;
    cr_assert(survey_next_hole(&survey, &seq, &first, &hole_end));
    cr_assert(first == 0 && hole_end == 1);
    cr_assert(survey_next_hole(&survey, &seq, &first, &hole_end));
    cr_assert(first == 8 && hole_end == 10);
    cr_assert_not(survey_next_hole(&survey, &seq, &first, &hole_end));
    bucket_put("log/0000000000000003", view_str("x"));
    cr_assert(eq(int, survey_headers(&survey, 1, 17, note_header, NULL), STATUS_OK));
    cr_assert(lsns[1] == 2 && lsns[2] == 0 && lsns[3] == 4 && lsns[16] == 19 && damaged == 1);
    bucket_remove("log/0000000000000004");
    cr_assert_not(survey.is_gone);
    cr_assert(eq(int, survey_headers(&survey, 1, 17, note_header, NULL), STATUS_OK));
    cr_assert(survey.is_gone);
    end();
}

Test(survey, the_highest_numbers_are_found_wherever_they_are)
{
    /* Processes that went back, each with lsns of its own; one slot of each has the highest. */
    static const uint64_t tops[] = {100, 5000, 300, 400, 4000, 600};
    for (size_t lost = 0; lost < 3; lost++) {
        begin();
        for (size_t i = 0; i < 6; i++) {
            archive_fence((char)('A' + i), 0);
            for (uint64_t n = 10; n-- > 0;) {
                archive_put(tops[i] - n, "a");
            }
        }
        if (lost == 1) { /* the second's top is gone: the next below it */
            bucket_remove("log/0000000000000015");
        } else if (lost == 2) {
            bucket_put("log/0000000000000010", view_str("x")); /* in its middle */
        }
        uint64_t epoch = 0;
        uint64_t lsn = 0;
        cr_assert(eq(int, survey_snapshots(&survey), STATUS_OK));
        cr_assert(eq(int, survey_log(&survey, 60), STATUS_OK));
        size_t before = bucket_requests();
        cr_assert(eq(int, survey_highest(&survey, &epoch, &lsn), STATUS_OK));
        cr_assert(eq(u64, epoch, 'F'));
        cr_assert(eq(u64, lsn, lost == 1 ? 4999 : 5000), "lost %zu", lost);
        cr_assert(lt(sz, bucket_requests() - before, 45));
        end();
    }
}

Test(survey, a_storage_that_fails_is_told_and_leaves_nothing_half)
{
    begin();
    archive_fence('A', 0);
    for (uint32_t i = 0; i < 5; i++) {
        archive_snapshot(i, NULL);
    }
    for (unsigned at = 0; at < 9; at++) {
        bucket_add_fault("GET", FAULT_REFUSE, at, 1);
        cr_assert(eq(int, survey_snapshots(&survey), STATUS_IO), "%u", at);
        cr_assert(strstr(survey.errmsg, "access denied") != NULL, "%s", survey.errmsg);
        cr_assert(eq(sz, survey.snapshot_count, 0));
        bucket_clear_faults();
    }
    cr_assert(eq(int, survey_snapshots(&survey), STATUS_OK));
    cr_assert(eq(sz, survey.snapshot_count, 5));
    end();
}
