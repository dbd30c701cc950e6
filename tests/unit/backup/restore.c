/* Restores from archives that are written out here, into directories on which a store then starts.
 */
#include "backup/restore.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/store_stand.h"
#include "unit/backup/archive_kit.h"

enum { CLIENTS = 3 };

static struct bucket_client clients[CLIENTS];
static struct gather gather;
static struct stand stand; /* of the restored store */
static struct restore_job job;
static struct restore_report report;

static void begin(void)
{
    struct s3 *list[CLIENTS];
    bucket_open();
    for (size_t i = 0; i < CLIENTS; i++) {
        bucket_client_open(&clients[i], 1);
        list[i] = clients[i].s3;
    }
    gather_init(&gather, list, CLIENTS - 1, 0);
    stand_init(&stand);
    archive_begin();
    job = (struct restore_job){.gather = &gather,
                               .hold_client = clients[CLIENTS - 1].s3,
                               .data_dir = stand.dir,
                               .run_dir = stand.run_dir,
                               .map_bytes = UINT64_C(1) << 30,
                               .file = &file_ops_system};
}

static void end(void)
{
    stand_end(&stand);
    for (size_t i = 0; i < CLIENTS; i++) {
        bucket_client_close(&clients[i]);
    }
    bucket_close();
}

static void demand(enum status status)
{
    enum status got = restore_run(&job, &report);
    cr_assert(eq(int, got, status), "%s", report.text);
    cr_assert(report.text[0] != '\0');
}

/* The session is as the change `lsn` left it; 0: there is none. */
static void expect(const char *id, uint64_t lsn)
{
    struct answer answer = {0};
    char content[64];
    enum satchel_status status = stand_get(&stand, id, &answer);
    (void)snprintf(content, sizeof content, "%s-%llu", id, (unsigned long long)lsn);
    cr_assert(eq(int, status, lsn != 0 ? SATCHEL_OK : SATCHEL_NOT_FOUND), "%s", id);
    cr_assert(lsn == 0 || view_equal(answer.session.content, view_str(content)), "%s", id);
    answer_free(&answer);
}

/* Three lines, as plan.h draws them: A to 100, B from 60 on, C from 210 on. */
static void draw(void)
{
    archive_fence('A', 0);
    archive_snapshot(1, NULL);
    archive_put(50, "a");
    archive_put(60, "b");
    archive_put(100, "c");
    archive_fence('B', 60);
    archive_put(200, "a");
    archive_put(210, "d");
    archive_snapshot(2, NULL);
    archive_put(220, "b");
    archive_fence('C', 210);
    archive_put(300, "e");
}

Test(restore, every_state_there_has_been_can_be_had)
{
    static const struct {
        struct target target;
        uint64_t last_lsn;
        uint64_t a, b, c, d, e;
        const char *end;
    } cases[] = {
        {{TARGET_LATEST, 0, 0}, 300, 200, 60, 0, 210, 300, "the archive ends"},
        {{TARGET_LSN, 300, 0}, 300, 200, 60, 0, 210, 300, "is reached"},
        {{TARGET_LSN, 220, 0}, 220, 200, 220, 0, 210, 0, "is reached"},
        {{TARGET_LSN, 210, 0}, 210, 200, 60, 0, 210, 0, "is reached"},
        {{TARGET_LSN, 100, 0}, 100, 50, 60, 100, 0, 0, "is reached"},
        {{TARGET_LSN, 60, 0}, 60, 50, 60, 0, 0, 0, "is reached"},
        {{TARGET_LSN, 50, 0}, 50, 50, 0, 0, 0, 0, "is reached"},
        {{TARGET_LSN, 250, 0}, 220, 200, 220, 0, 210, 0, "is not in the archive"},
        {{TARGET_TIME, 0, 3500}, 100, 50, 60, 100, 0, 0, "is reached"},
        {{TARGET_TIME, 0, 4500}, 60, 50, 60, 0, 0, 0, "is reached"},
        {{TARGET_TIME, 0, 5000}, 200, 200, 60, 0, 0, 0, "is reached"},
        {{TARGET_TIME, 0, 7999}, 220, 200, 220, 0, 210, 0, "is reached"},
        {{TARGET_TIME, 0, 99999}, 300, 200, 60, 0, 210, 300, "the archive ends"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        draw();
        job.target = cases[i].target;
        demand(STATUS_OK);
        cr_assert(eq(u64, report.last_lsn, cases[i].last_lsn), "case %zu: %s", i, report.text);
        cr_assert(strstr(report.text, cases[i].end) != NULL, "case %zu: %s", i, report.text);
        cr_assert(report.looks == 1 && report.lost_lsn == 0 && report.passed_over == 0);
        cr_assert(eq(u64, bucket_get("hold/").len, 0));
        stand_open(&stand);
        expect("a", cases[i].a);
        expect("b", cases[i].b);
        expect("c", cases[i].c);
        expect("d", cases[i].d);
        expect("e", cases[i].e);
        cr_assert(lt(u64, 300, stand_set_lsn(&stand, "a", view_str("x"))));
        end();
    }
}

Test(restore, only_what_lies_behind_the_newest_snapshot_is_read)
{
    begin();
    archive_fence('A', 0);
    archive_snapshot(0, NULL);
    for (uint64_t lsn = 1; lsn <= 300; lsn++) {
        archive_put(lsn, "a");
    }
    archive_snapshot(1, NULL);
    archive_put(301, "b");
    size_t before = bucket_requests();
    demand(STATUS_OK);
    /* Lists have three keys a page here; what counts is that 300 slots are not. */
    cr_assert(lt(sz, bucket_requests() - before, 30));
    cr_assert(eq(u64, report.last_lsn, 301));
    end();
}

Test(restore, what_goes_on_is_above_everything_that_was_abandoned_long_ago)
{
    static const uint64_t high_lsn = UINT64_C(1) << 40;
    begin();
    archive_fence('A', 0);
    archive_put(1, "a");
    archive_put(high_lsn, "b");
    archive_fence('B', 1);
    archive_put(2, "c");
    archive_snapshot(1, NULL);
    archive_put(3, "d");
    demand(STATUS_OK);
    cr_assert(eq(u64, report.last_lsn, 3));
    cr_assert(eq(u64, report.epoch, 'B' + 1));
    struct store_identity identity;
    stand_open(&stand);
    store_identify(stand.store, &identity);
    cr_assert(lt(u64, 'B', identity.epoch));
    cr_assert(lt(u64, high_lsn, stand_set_lsn(&stand, "a", view_str("x"))));
    end();
}

Test(restore, a_damaged_snapshot_is_passed_over_for_the_one_before)
{
    char name[SNAPSHOT_NAME_BYTES];
    begin();
    draw();
    archive_snapshot(3, name);
    archive_put(310, "a");
    struct buf damaged = {0};
    cr_assert(eq(int, buf_append(&damaged, bucket_get(name)), STATUS_OK));
    damaged.ptr[damaged.len / 2] ^= 1;
    bucket_put(name, buf_view(&damaged));
    demand(STATUS_OK);
    cr_assert(eq(u32, report.passed_over, 1));
    cr_assert(strstr(report.passed_text, name) != NULL);
    cr_assert(eq(u32, report.snapshot.id.nonce, 2));
    cr_assert(report.is_whole && report.last_lsn == 310);
    stand_open(&stand);
    expect("a", 310);
    expect("e", 300);
    buf_free(&damaged);
    end();
}

static void remove_newest(void *arg)
{
    char name[SNAPSHOT_NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s", (const char *)arg);
    bucket_remove(name);
    (void)strcpy(strrchr(name, '.'), ".json");
    bucket_remove(name);
}

Test(restore, what_is_deleted_at_any_moment_is_looked_for_again)
{
    /* The newest snapshot goes before the n-th request, whichever that is. */
    for (unsigned n = 0; n < 40; n++) {
        char name[SNAPSHOT_NAME_BYTES];
        begin();
        draw();
        archive_snapshot(3, name);
        bucket_add_meanwhile_after("GET", n, remove_newest, name);
        demand(STATUS_OK);
        cr_assert(report.passed_over == 0 && report.is_whole && report.last_lsn == 300,
                  "before request %u: %s", n, report.text);
        stand_open(&stand);
        expect("a", 200);
        expect("b", 60);
        expect("e", 300);
        end();
    }
}

Test(restore, a_dry_run_says_the_same_and_writes_nothing)
{
    begin();
    draw();
    job.is_dry_run = true;
    job.target = (struct target){TARGET_LSN, 220, 0};
    demand(STATUS_OK);
    cr_assert(report.last_lsn == 220 && report.is_whole && report.slots == 1);
    cr_assert(access(stand.dir, F_OK) != 0 || temp_dir_count(stand.dir, ".mdb") == 0);
    end();
}

Test(restore, a_failure_at_any_request_leaves_a_directory_without_a_store)
{
    bool is_through = false;
    for (unsigned n = 0; !is_through; n++) {
        begin();
        draw();
        bucket_add_fault("GET", FAULT_REFUSE, n, 1);
        enum status status = restore_run(&job, &report);
        is_through = status == STATUS_OK;
        cr_assert(is_through || status == STATUS_IO, "request %u: %s", n, report.text);
        cr_assert(is_through || strstr(report.text, "access denied") != NULL, "%s", report.text);
        cr_assert(eq(u32, temp_dir_count(stand.dir, ".mdb"), is_through));
        cr_assert(eq(u32, temp_dir_count(stand.dir, ".new"), 0));
        end();
        cr_assert(lt(u32, n, 60));
    }
}

Test(restore, a_store_that_is_there_is_replaced_only_by_force_and_only_by_a_whole_one)
{
    begin();
    draw();
    stand_open(&stand);
    cr_assert(eq(int, stand_set(&stand, "mine", view_str("mine-1")), SATCHEL_OK));
    stand_close(&stand);
    demand(STATUS_EXISTS);
    job.is_forced = true;
    bucket_add_fault("GET", FAULT_REFUSE, 10, 1);
    demand(STATUS_IO);
    stand_open(&stand);
    expect("mine", 1);
    stand_close(&stand);
    demand(STATUS_OK);
    stand_open(&stand);
    expect("mine", 0);
    expect("a", 200);
    expect("e", 300);
    end();
}
