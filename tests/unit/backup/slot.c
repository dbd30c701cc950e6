/* Slots: what goes in comes out. What must not come out is in slot_damage.c. */
#include "backup/slot.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <inttypes.h>

#include "unit/backup/kit.h"
#include "unit/backup/record_kit.h"

static const struct slot_header sample = {.uuid = "the store's own",
                                          .nonce = "a process' own.",
                                          .epoch = 7,
                                          .seq = 12,
                                          .base_lsn = 100,
                                          .prev = "the one before."};

static void expect_same_header(const struct slot_header *one, const struct slot_header *other)
{
    cr_assert(eq(int, memcmp(one->uuid, other->uuid, SLOT_UUID_BYTES), 0));
    cr_assert(eq(int, memcmp(one->nonce, other->nonce, SLOT_NONCE_BYTES), 0));
    cr_assert(eq(int, memcmp(one->prev, other->prev, HASH128_BYTES), 0));
    cr_assert(one->flags == other->flags && one->epoch == other->epoch && one->seq == other->seq);
    cr_assert(one->base_lsn == other->base_lsn && one->first_lsn == other->first_lsn);
    cr_assert(one->last_lsn == other->last_lsn && one->from_ms == other->from_ms);
    cr_assert(one->to_ms == other->to_ms && one->batches == other->batches);
    cr_assert(eq(u32, one->raw_bytes, other->raw_bytes));
}

static void expect_same_batch(const struct slot_batch *one, const struct slot_batch *other)
{
    cr_assert(eq(u64, one->follows_lsn, other->follows_lsn));
    cr_assert(eq(u64, one->first_lsn, other->first_lsn));
    cr_assert(eq(i64, one->time_ms, other->time_ms));
    cr_assert(eq(u32, one->count, other->count));
    cr_assert(view_equal(one->records, other->records));
}

Test(slot, has_its_batches_and_what_they_come_to)
{
    struct buf records = {0}, bytes = {0};
    struct slot_writer writer = {0};
    struct slot slot = {0};
    cr_assert(eq(int, buf_reserve(&records, 1 << 16), STATUS_OK));
    const struct slot_batch batches[] = {
        kit_batch(&records, 100, 1000, 5, 1800000000200),
        kit_batch(&records, 1004, 1005, 1, 1800000000100),  /* the clock was set back */
        kit_batch(&records, 1010, 1011, 40, 1800000000150), /* something is missing before */
    };
    slot_begin(&writer, &sample);
    for (size_t i = 0; i < COUNT(batches); i++) {
        cr_assert(eq(int, slot_append(&writer, &batches[i]), STATUS_OK));
    }
    struct slot_header header;
    cr_assert(eq(int, slot_finish(&writer, &bytes, &header), STATUS_OK));
    cr_assert(eq(int, slot_open(&slot, buf_view(&bytes)), STATUS_OK), "%s", slot.errmsg);
    cr_assert(eq(int, memcmp(slot.header.uuid, sample.uuid, SLOT_UUID_BYTES), 0));
    cr_assert(eq(int, memcmp(slot.header.nonce, sample.nonce, SLOT_NONCE_BYTES), 0));
    cr_assert(eq(int, memcmp(slot.header.prev, sample.prev, HASH128_BYTES), 0));
    cr_assert(slot.header.epoch == 7 && slot.header.seq == 12 && slot.header.base_lsn == 100);
    cr_assert(slot.header.first_lsn == 1000 && slot.header.last_lsn == 1050);
    cr_assert(slot.header.from_ms == 1800000000100 && slot.header.to_ms == 1800000000200);
    cr_assert(slot.header.batches == 3 && slot.header.raw_bytes == slot_raw_bytes(&writer));
    cr_assert(not(slot_is_fence(&slot.header)));
    expect_same_header(&header, &slot.header);
    struct view rest = slot_batches(&slot);
    struct slot_batch batch;
    for (size_t i = 0; i < COUNT(batches); i++) {
        cr_assert(eq(int, slot_next_batch(&rest, &batch), STATUS_OK));
        expect_same_batch(&batch, &batches[i]);
    }
    cr_assert(eq(int, slot_next_batch(&rest, &batch), STATUS_END));
    /* The front alone says the same. */
    char errmsg[SLOT_ERRMSG_BYTES];
    cr_assert(eq(int, slot_read_header(view_of(bytes.ptr, SLOT_HEADER_BYTES), &header, errmsg),
                 STATUS_OK));
    expect_same_header(&header, &slot.header);
    slot_close(&slot);
    slot_writer_free(&writer);
    buf_free(&bytes);
    buf_free(&records);
}

Test(slot, a_fence_may_be_empty_and_has_a_time_of_its_own)
{
    struct buf records = {0}, bytes = {0};
    struct slot_writer writer = {0};
    struct slot slot = {0};
    struct slot_header fence = sample;
    fence.flags = SLOT_FENCE;
    fence.from_ms = 1800000000000;
    for (unsigned with_batch = 0; with_batch < 2; with_batch++) {
        slot_begin(&writer, &fence);
        const struct slot_batch batch = kit_batch(&records, 100, 200, 2, 1800000000500);
        if (with_batch) {
            cr_assert(eq(int, slot_append(&writer, &batch), STATUS_OK));
        }
        cr_assert(eq(int, slot_finish(&writer, &bytes, NULL), STATUS_OK));
        cr_assert(eq(int, slot_open(&slot, buf_view(&bytes)), STATUS_OK), "%s", slot.errmsg);
        cr_assert(slot_is_fence(&slot.header) && slot.header.base_lsn == 100);
        cr_assert(eq(u64, slot.header.first_lsn, with_batch ? 200 : 100));
        cr_assert(eq(u64, slot.header.last_lsn, with_batch ? 201 : 100));
        cr_assert(eq(i64, slot.header.from_ms, 1800000000000));
        cr_assert(eq(i64, slot.header.to_ms, with_batch ? 1800000000500 : 1800000000000));
        cr_assert(eq(u32, slot.header.batches, with_batch));
    }
    slot_close(&slot);
    slot_writer_free(&writer);
    buf_free(&bytes);
    buf_free(&records);
}

Test(slot, says_when_it_is_full_and_goes_on_as_it_was)
{
    enum { BIG = SLOT_RAW_BYTES_MAX - 10 * SLOT_BATCH_HEADER_BYTES };
    struct slot_writer writer = {0};
    struct slot_batch batch = {.follows_lsn = 100, .first_lsn = 101, .time_ms = 1, .count = 1};
    uint8_t *zeros = calloc(1, BIG);
    cr_assert(ne(ptr, zeros, NULL));
    slot_begin(&writer, &sample);
    batch.records = view_of(zeros, BIG);
    cr_assert(eq(int, slot_append(&writer, &batch), STATUS_OK));
    const struct slot_header before = writer.header;
    batch.records = view_of(zeros, 8 * SLOT_BATCH_HEADER_BYTES + 1);
    cr_assert(eq(int, slot_append(&writer, &batch), STATUS_TOO_LARGE));
    expect_same_header(&before, &writer.header);
    batch.records.len--;
    cr_assert(eq(int, slot_append(&writer, &batch), STATUS_OK));
    cr_assert(eq(sz, slot_raw_bytes(&writer), SLOT_RAW_BYTES_MAX));
    batch.records.len = 1;
    cr_assert(eq(int, slot_append(&writer, &batch), STATUS_TOO_LARGE));
    slot_writer_free(&writer);
    free(zeros);
}

Test(slot, a_batch_is_cut_behind_any_change)
{
    struct buf records = {0};
    const struct slot_batch batch = kit_batch(&records, 9, 10, 8, 1);
    size_t last = 0;
    for (uint64_t lsn = 8; lsn < 20; lsn++) {
        uint32_t count;
        uint32_t expected = lsn < 10 ? 0 : lsn > 17 ? 8 : (uint32_t)(lsn - 9);
        size_t bytes = slot_batch_cut(&batch, lsn, &count);
        cr_assert(eq(u32, count, expected));
        cr_assert(expected == 0 ? bytes == 0 : bytes > last || expected == 8);
        last = bytes;
    }
    cr_assert(eq(sz, last, batch.records.len));
    buf_free(&records);
}

Test(slot, names_sort_and_only_they_are_taken)
{
    char name[SLOT_NAME_BYTES];
    uint64_t seq = 0;
    slot_name(name, 0x1f);
    cr_assert(eq(str, name, (char *)"log/000000000000001f"));
    cr_assert(slot_parse_name(name, &seq) && seq == 0x1f);
    slot_name(name, UINT64_MAX);
    cr_assert(slot_parse_name(name, &seq) && seq == UINT64_MAX);
    static const char *const others[] = {
        "",
        "log/",
        "log/000000000000001",
        "log/000000000000001F",
        "log/000000000000001f0",
        "log/00000000000001fg",
        "log/-00000000000001f",
        "log/0x0000000000001f",
        "log/ 00000000000001f",
        "Log/000000000000001f",
        "000000000000001f",
        "snap/00000000000001f",
    };
    for (size_t i = 0; i < COUNT(others); i++) {
        cr_assert(not(slot_parse_name(others[i], &seq)), "%s", others[i]);
    }
}

Test(slot, the_hash_of_a_slot_is_over_all_of_it)
{
    struct buf bytes = {0};
    struct slot_writer writer = {0};
    struct slot_header fence = sample;
    uint8_t hash[HASH128_BYTES], other[HASH128_BYTES];
    fence.flags = SLOT_FENCE;
    slot_begin(&writer, &fence);
    cr_assert(eq(int, slot_finish(&writer, &bytes, NULL), STATUS_OK));
    slot_hash(buf_view(&bytes), hash);
    bytes.ptr[bytes.len - 1] ^= 1;
    slot_hash(buf_view(&bytes), other);
    cr_assert(ne(int, memcmp(hash, other, HASH128_BYTES), 0));
    slot_writer_free(&writer);
    buf_free(&bytes);
}
