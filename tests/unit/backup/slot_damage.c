/* Slots that are damaged, cut, or sealed by somebody who does not keep to the rules. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <zstd.h>

#include "backup/slot.h"
#include "base/hash.h"
#include "unit/backup/kit.h"
#include "unit/backup/record_kit.h"

static const struct slot_header sample = {
    .uuid = "u", .nonce = "n", .epoch = 7, .seq = 12, .base_lsn = 100, .prev = "p"};

static struct buf records;
static struct slot slot;

/* Two batches of changes 101-104 and 105-107. */
static void make(struct buf *bytes)
{
    struct slot_writer writer = {0};
    records.len = 0;
    cr_assert(buf_reserve(&records, 1 << 16) == STATUS_OK);
    const struct slot_batch first = kit_batch(&records, 100, 101, 4, 1000);
    const struct slot_batch second = kit_batch(&records, 104, 105, 3, 2000);
    slot_begin(&writer, &sample);
    cr_assert(slot_append(&writer, &first) == STATUS_OK);
    cr_assert(slot_append(&writer, &second) == STATUS_OK);
    cr_assert(slot_finish(&writer, bytes, NULL) == STATUS_OK);
    cr_assert(eq(int, slot_open(&slot, buf_view(bytes)), STATUS_OK), "%s", slot.errmsg);
    slot_writer_free(&writer);
}

/* Both checks made right again. */
static void seal(struct buf *bytes)
{
    store_u64(bytes->ptr + 128, hash64(view_of(bytes->ptr, 128), 0));
    bytes->len -= SLOT_TRAILER_BYTES;
    hash128(buf_view(bytes), bytes->ptr + bytes->len);
    bytes->len += SLOT_TRAILER_BYTES;
}

/* The batches as they are in `slot` with `at` overwritten, packed again under the same header. */
static void repack(struct buf *bytes, size_t at, const void *with, size_t len)
{
    struct buf raw = {0};
    cr_assert(buf_append(&raw, slot_batches(&slot)) == STATUS_OK);
    cr_assert(at + len <= raw.len);
    memcpy(raw.ptr + at, with, len);
    bytes->len = SLOT_HEADER_BYTES;
    cr_assert(buf_reserve(bytes, ZSTD_compressBound(raw.len) + SLOT_TRAILER_BYTES) == STATUS_OK);
    bytes->len += ZSTD_compress(bytes->ptr + bytes->len, bytes->cap - bytes->len, raw.ptr, raw.len,
                                1);
    bytes->len += SLOT_TRAILER_BYTES;
    seal(bytes);
    buf_free(&raw);
}

static void expect(const struct buf *bytes, enum status expected, const char *words)
{
    enum status status = slot_open(&slot, buf_view(bytes));
    cr_assert(eq(int, status, expected), "%s, not about \"%s\"", slot.errmsg, words);
    cr_assert(strstr(slot.errmsg, words) != NULL, "\"%s\" does not say \"%s\"", slot.errmsg, words);
    cr_assert(eq(sz, slot_batches(&slot).len, 0));
}

Test(slot_damage, every_flipped_bit_and_every_cut_is_found)
{
    struct buf bytes = {0};
    make(&bytes);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
        enum status status = slot_open(&slot, buf_view(&bytes));
        cr_assert(status == STATUS_CORRUPT || (status == STATUS_UNSUPPORTED && bit / 32 == 2),
                  "bit %zu: %s", bit, slot.errmsg);
        cr_assert(slot.errmsg[0] != '\0');
        bytes.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees a read behind it */
        memcpy(exact, bytes.ptr, len);
        cr_assert(eq(int, slot_open(&slot, view_of(exact, len)), STATUS_CORRUPT), "%zu", len);
        free(exact);
    }
    cr_assert(eq(int, buf_append(&bytes, view_str("x")), STATUS_OK));
    expect(&bytes, STATUS_CORRUPT, "damaged or cut");
    buf_free(&bytes);
    slot_close(&slot);
    buf_free(&records);
}

Test(slot_damage, a_sealed_header_still_has_to_make_sense)
{
    static const struct {
        size_t at;
        unsigned bytes;
        uint64_t number;
        enum status status;
        const char *words;
    } cases[] = {
        {8, 4, 2, STATUS_UNSUPPORTED, "format 2"},
        {12, 4, 4, STATUS_UNSUPPORTED, "flags 4"},
        {48, 8, UINT64_C(1) << 63, STATUS_CORRUPT, "numbers"},
        {56, 8, 0, STATUS_CORRUPT, "first slot"},
        {64, 8, 101, STATUS_CORRUPT, "order"},
        {64, 8, 107, STATUS_CORRUPT, "order"},
        {72, 8, 102, STATUS_CORRUPT, "not those"},
        {72, 8, 108, STATUS_CORRUPT, "order"},
        {80, 8, 106, STATUS_CORRUPT, "not those"},
        {80, 8, 108, STATUS_CORRUPT, "not those"},
        {80, 8, UINT64_MAX, STATUS_CORRUPT, "numbers"},
        {88, 8, 999, STATUS_CORRUPT, "not those"},
        {88, 8, 1001, STATUS_CORRUPT, "not those"},
        {88, 8, 2001, STATUS_CORRUPT, "times"},
        {88, 8, UINT64_C(1) << 44, STATUS_CORRUPT, "times"},
        {96, 8, 1999, STATUS_CORRUPT, "not those"},
        {96, 8, 2001, STATUS_CORRUPT, "not those"},
        {104, 4, 0, STATUS_CORRUPT, "no fence"},
        {104, 4, 1, STATUS_CORRUPT, "not those"},
        {104, 4, 3, STATUS_CORRUPT, "not those"},
        {108, 4, 1, STATUS_CORRUPT, "size"},
        {108, 4, 0, STATUS_CORRUPT, "size"},
        {108, 4, SLOT_RAW_BYTES_MAX + 1, STATUS_CORRUPT, "more changes"},
        {108, 4, UINT32_MAX, STATUS_CORRUPT, "more changes"},
    };
    struct buf bytes = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        make(&bytes);
        memcpy(bytes.ptr + cases[i].at, &cases[i].number, cases[i].bytes);
        seal(&bytes);
        expect(&bytes, cases[i].status, cases[i].words);
    }
    buf_free(&bytes);
    slot_close(&slot);
    buf_free(&records);
}

Test(slot_damage, sealed_batches_still_have_to_make_sense)
{
    struct buf bytes = {0};
    make(&bytes);
    size_t second = SLOT_BATCH_HEADER_BYTES + load_u32(slot.raw.ptr + 28);
    const struct {
        size_t at;
        unsigned bytes;
        uint64_t number;
        const char *words;
    } cases[] = {
        {0, 8, 99, "order"},                         /* follows the time before the process */
        {0, 8, 101, "order"},                        /* follows itself */
        {second, 8, 103, "order"},                   /* a fork within the slot */
        {second, 8, 105, "order"},                   /* follows itself */
        {second + 8, 8, 104, "order"},               /* the same number twice */
        {second + 8, 8, UINT64_MAX - 1, "numbers"},  /* would wrap around */
        {second + 8, 8, 106, "change 106 makes no"}, /* a put that says it is another change */
        {second + 16, 8, UINT64_C(1) << 44, "numbers"},
        {24, 4, 0, "numbers"},
        {24, 4, 3, "not as many"},
        {24, 4, 5, "not as many"},
        {second + 24, 4, 4, "not as many"},
        {28, 4, 1, "change 101 makes no"},
        {28, 4, UINT32_MAX, "not whole"},
        {second + 28, 4, 7, "change 105 makes no"},
        {SLOT_BATCH_HEADER_BYTES + 4, 1, 9, "change 101 makes no"},  /* no such type of record */
        {SLOT_BATCH_HEADER_BYTES + 10, 2, 0, "change 101 makes no"}, /* an id without bytes */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        make(&bytes);
        repack(&bytes, cases[i].at, &cases[i].number, cases[i].bytes);
        expect(&bytes, STATUS_CORRUPT, cases[i].words);
    }
    make(&bytes);
    repack(&bytes, SLOT_BATCH_HEADER_BYTES + 8, "\2", 1); /* an image of format 2 */
    expect(&bytes, STATUS_UNSUPPORTED, "change 101 is of another format");
    buf_free(&bytes);
    slot_close(&slot);
    buf_free(&records);
}

Test(slot_damage, the_payload_is_one_frame_of_the_size_that_was_said)
{
    struct buf bytes = {0};
    struct buf frames = {0};
    make(&bytes);
    /* A second frame behind the first. */
    size_t payload = bytes.len - SLOT_HEADER_BYTES - SLOT_TRAILER_BYTES;
    cr_assert(buf_append(&frames, view_of(bytes.ptr, bytes.len - SLOT_TRAILER_BYTES)) == STATUS_OK);
    cr_assert(buf_append(&frames, view_of(bytes.ptr + SLOT_HEADER_BYTES, payload)) == STATUS_OK);
    cr_assert(buf_reserve(&frames, SLOT_TRAILER_BYTES) == STATUS_OK);
    frames.len += SLOT_TRAILER_BYTES;
    seal(&frames);
    expect(&frames, STATUS_CORRUPT, "one whole");
    /* A frame that does not say its size, as streams are. */
    make(&bytes);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    cr_assert(not(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0))));
    bytes.len = SLOT_HEADER_BYTES;
    bytes.len += ZSTD_compress2(context, bytes.ptr + bytes.len, bytes.cap - bytes.len, slot.raw.ptr,
                                slot.raw.len) +
                 SLOT_TRAILER_BYTES;
    (void)ZSTD_freeCCtx(context);
    seal(&bytes);
    expect(&bytes, STATUS_CORRUPT, "not the size");
    /* No frame at all. */
    bytes.len = SLOT_HEADER_BYTES + SLOT_TRAILER_BYTES;
    seal(&bytes);
    expect(&bytes, STATUS_CORRUPT, "not the size");
    buf_free(&bytes);
    buf_free(&frames);
    slot_close(&slot);
    buf_free(&records);
}
