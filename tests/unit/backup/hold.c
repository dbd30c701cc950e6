/* Holds: put, renewed, found, void. */
#include "backup/hold.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "unit/backup/bucket.h"

static struct bucket_client holder;
static struct bucket_client looker;

static void begin(void)
{
    bucket_open();
    bucket_client_open(&holder, 1);
    bucket_client_open(&looker, 1);
}

static void end(void)
{
    bucket_client_close(&holder);
    bucket_client_close(&looker);
    bucket_close();
}

struct seen {
    size_t count;
    size_t voids;
    uint64_t least_seq;
    int64_t age_ms_max;
};

static bool note(void *arg, const struct hold_found *found)
{
    struct seen *seen = arg;
    seen->count++;
    seen->voids += found->is_void;
    if (!found->is_void && found->first_seq < seen->least_seq) {
        seen->least_seq = found->first_seq;
    }
    seen->age_ms_max = found->age_ms > seen->age_ms_max ? found->age_ms : seen->age_ms_max;
    return true;
}

static struct seen look(void)
{
    struct seen seen = {.least_seq = UINT64_MAX};
    cr_assert(eq(int, hold_list(looker.s3, note, &seen), S3_OK));
    return seen;
}

Test(hold, names_say_from_which_slot_on)
{
    char name[HOLD_NAME_BYTES];
    uint64_t seq;
    uint64_t nonce;
    hold_name(name, 0x1234, UINT64_MAX);
    cr_assert(eq(str, name, "hold/0000000000001234-ffffffffffffffff"));
    cr_assert(hold_parse_name(name, &seq, &nonce));
    cr_assert(seq == 0x1234 && nonce == UINT64_MAX);
    static const char *const none[] = {
        "hold/0000000000001234-fffffffffffffff",  "hold/0000000000001234-fffffffffffffffff",
        "hold/0000000000001234_ffffffffffffffff", "hald/0000000000001234-ffffffffffffffff",
        "hold/000000000000123G-ffffffffffffffff", "hold/"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        cr_assert_not(hold_parse_name(none[i], &seq, &nonce), "%s", none[i]);
    }
}

Test(hold, everything_is_held_from_the_beginning_to_the_end)
{
    struct hold *hold;
    char errmsg[200];
    begin();
    cr_assert(eq(sz, look().count, 0));
    const struct hold_options options = {.s3 = holder.s3};
    cr_assert(eq(int, hold_begin(&options, &hold, errmsg, sizeof errmsg), STATUS_OK));
    struct seen seen = look();
    cr_assert(seen.count == 1 && seen.voids == 0 && seen.least_seq == 0);
    hold_end(hold);
    cr_assert(eq(sz, look().count, 0));
    end();
}

Test(hold, it_is_renewed_so_that_it_does_not_become_void, .timeout = 60)
{
    struct hold *hold;
    char errmsg[200];
    begin();
    bucket_put("hold/0000000000000007-00000000000000aa", view_str("of one that died"));
    const struct hold_options options = {.s3 = holder.s3, .renew_ms = 5};
    cr_assert(eq(int, hold_begin(&options, &hold, errmsg, sizeof errmsg), STATUS_OK));
    atomic_store(&bucket.clock_ahead_ms, HOLD_VOID_MS + 2000);
    while (look().voids == 2) { /* the next renewal comes; the test's timeout is the deadline */
    }
    struct seen seen = look();
    cr_assert(seen.count == 2 && seen.voids == 1 && seen.least_seq == 0);
    cr_assert(ge(i64, seen.age_ms_max, HOLD_VOID_MS + 1000));
    hold_end(hold);
    seen = look();
    cr_assert(seen.count == 1 && seen.voids == 1);
    atomic_store(&bucket.clock_ahead_ms, 0);
    end();
}

Test(hold, who_may_not_write_is_told_and_so_is_who_cannot_reach_the_storage)
{
    static const struct {
        enum bucket_fault fault;
        enum status status;
    } cases[] = {{FAULT_REFUSE, STATUS_INVALID}, {FAULT_BUSY, STATUS_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hold *hold;
        char errmsg[200] = "";
        begin();
        bucket_add_fault("PUT", cases[i].fault, 0, 1);
        const struct hold_options options = {.s3 = holder.s3};
        cr_assert(eq(int, hold_begin(&options, &hold, errmsg, sizeof errmsg), cases[i].status));
        cr_assert(hold == NULL && errmsg[0] != '\0');
        cr_assert(eq(sz, look().count, 0));
        hold_end(hold);
        end();
    }
}
