/* The lease's text: what was written is read, and nothing else is taken for it. */
#include "lifecycle/lease_record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static const struct lease_record usual = {.epoch = 12,
                                          .owner = "ip-10-0-1-5 pid 7",
                                          .address = "10.0.1.5:7401",
                                          .heartbeats = 431,
                                          .at_ms = INT64_C(1795000000000)};

static bool is_same(const struct lease_record *a, const struct lease_record *b)
{
    return a->epoch == b->epoch && a->is_released == b->is_released &&
           strcmp(a->owner, b->owner) == 0 && strcmp(a->address, b->address) == 0 &&
           a->heartbeats == b->heartbeats && a->at_ms == b->at_ms;
}

/* Where the text ends and the filling begins. */
static size_t text_bytes(const char bytes[LEASE_RECORD_BYTES])
{
    size_t len = LEASE_RECORD_BYTES - 1;
    while (bytes[len - 1] == ' ') {
        len--;
    }
    return len;
}

Test(lease_record, what_was_written_is_read)
{
    struct lease_record cases[5] = {usual, usual, {0}, usual, usual};
    cases[1].is_released = true;
    memset(cases[3].owner, 'o', LEASE_NAME_BYTES - 1);
    memset(cases[3].address, 'a', LEASE_NAME_BYTES - 1);
    cases[3].epoch = UINT64_MAX;
    cases[3].heartbeats = UINT64_MAX;
    cases[3].at_ms = INT64_C(253402300799000); /* the last second of the year 9999 */
    cases[4].owner[0] = '\0';
    cases[4].address[0] = '\0';
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bytes[LEASE_RECORD_BYTES + 1];
        struct lease_record found;
        bytes[LEASE_RECORD_BYTES] = '!';
        lease_record_encode(bytes, &cases[i]);
        cr_assert(eq(chr, bytes[LEASE_RECORD_BYTES], '!'), "case %zu", i);
        cr_assert(eq(int, lease_record_decode(bytes, &found), STATUS_OK), "case %zu", i);
        cr_assert(is_same(&found, &cases[i]), "case %zu", i);
    }
}

Test(lease_record, people_can_read_it)
{
    char bytes[LEASE_RECORD_BYTES];
    lease_record_encode(bytes, &usual);
    const char *text = "satchel lease 1\n"
                       "epoch 12\n"
                       "state owned\n"
                       "owner ip-10-0-1-5 pid 7\n"
                       "address 10.0.1.5:7401\n"
                       "heartbeat 431 at 2026-11-18T11:06:40Z\n"
                       "check ";
    cr_assert(eq(int, strncmp(bytes, text, strlen(text)), 0), "%.*s", LEASE_RECORD_BYTES, bytes);
    cr_assert(eq(chr, bytes[LEASE_RECORD_BYTES - 1], '\n'));
}

Test(lease_record, a_flipped_bit_is_seen_or_says_nothing)
{
    char bytes[LEASE_RECORD_BYTES];
    lease_record_encode(bytes, &usual);
    size_t len = text_bytes(bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        struct lease_record found;
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        enum status status = lease_record_decode(bytes, &found);
        if (bit / 8 < len) {
            cr_assert(eq(int, status, STATUS_CORRUPT), "bit %zu", bit);
        } else { /* in the filling */
            cr_assert(eq(int, status, STATUS_OK), "bit %zu", bit);
            cr_assert(is_same(&found, &usual));
        }
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
}

/* A new file that a crash cut, and one that another record begins to cover. */
Test(lease_record, a_part_of_a_record_is_none)
{
    static const char fillings[] = {'\0', ' ', '\n', 'x'};
    char whole[LEASE_RECORD_BYTES];
    lease_record_encode(whole, &usual);
    size_t len = text_bytes(whole);
    for (size_t cut = 0; cut < len; cut++) {
        for (size_t i = 0; i < sizeof fillings; i++) {
            struct lease_record found;
            char bytes[LEASE_RECORD_BYTES];
            memset(bytes, fillings[i], sizeof bytes);
            memcpy(bytes, whole, cut);
            bool is_all = cut == len - 1 && fillings[i] == '\n'; /* what was cut off was the same */
            cr_assert(
                eq(int, lease_record_decode(bytes, &found), is_all ? STATUS_OK : STATUS_CORRUPT),
                "cut at %zu, filled with %d", cut, fillings[i]);
        }
    }
}

Test(lease_record, of_two_records_one_over_the_other_none_is_made)
{
    struct lease_record next = usual;
    char before[LEASE_RECORD_BYTES];
    char after[LEASE_RECORD_BYTES];
    next.epoch = 13;
    next.is_released = true;
    next.heartbeats = 999999;
    lease_record_encode(before, &usual);
    lease_record_encode(after, &next);
    for (size_t cut = 0; cut <= sizeof after; cut++) {
        struct lease_record found;
        char bytes[LEASE_RECORD_BYTES];
        memcpy(bytes, before, sizeof bytes);
        memcpy(bytes, after, cut);
        if (lease_record_decode(bytes, &found) == STATUS_OK) {
            cr_assert(is_same(&found, &usual) || is_same(&found, &next), "cut at %zu", cut);
        } else {
            cr_assert(ne(sz, cut, 0));
            cr_assert(ne(sz, cut, sizeof after));
        }
    }
}
