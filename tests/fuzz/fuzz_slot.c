/*
 * A slot as it comes back from the storage. No mutation would meet its checks, so the input is what
 * stands behind them: a header without magic, format and size, and the batches. Both are sealed and
 * opened. What is accepted adds up, and making it again from what was read gives the same header.
 * The input as it stands goes through as well.
 */
#include <zstd.h>

#include "fuzz.h"

#include "backup/slot.h"
#include "base/hash.h"
#include "store/record.h"

enum { AT_FORMAT = 8, AT_TO_MS = 96, AT_RAW_BYTES = 108, AT_CHECK = 128 };

/* `out` becomes a slot with this header (as far as it is not forced) and these batches. */
static void seal(const uint8_t header[static AT_CHECK], struct view batches, struct buf *out)
{
    size_t payload_max = ZSTD_compressBound(batches.len);
    REQUIRE(buf_reserve(out, SLOT_HEADER_BYTES + payload_max + SLOT_TRAILER_BYTES) == STATUS_OK);
    memcpy(out->ptr, header, AT_CHECK);
    memcpy(out->ptr, "SATCHLOG", AT_FORMAT);
    store_u32(out->ptr + AT_FORMAT, 1);
    store_u32(out->ptr + AT_RAW_BYTES, (uint32_t)batches.len);
    store_u64(out->ptr + AT_CHECK, hash64(view_of(out->ptr, AT_CHECK), 0));
    out->len = SLOT_HEADER_BYTES;
    size_t payload = ZSTD_compress(out->ptr + out->len, payload_max, batches.ptr, batches.len, 1);
    REQUIRE(!ZSTD_isError(payload));
    out->len += payload;
    hash128(buf_view(out), out->ptr + out->len);
    out->len += SLOT_TRAILER_BYTES;
}

/* Every cut of a batch ends behind a whole record, one further than the cut before. */
static void expect_cuts(const struct slot_batch *batch)
{
    size_t before = 0;
    for (uint32_t i = 0; i <= batch->count; i++) {
        uint32_t count;
        size_t bytes = slot_batch_cut(batch, batch->first_lsn + i - 1, &count);
        REQUIRE(count == i && (i == 0 ? bytes == 0 : bytes > before));
        before = bytes;
    }
    REQUIRE(before == batch->records.len);
}

static void expect_same_again(const struct slot *slot, const struct buf *sealed)
{
    struct slot_writer writer = {0};
    struct buf bytes = {0};
    struct slot_header header;
    struct slot_batch batch;
    uint64_t last_lsn = slot->header.base_lsn;
    unsigned batches = 0;
    slot_begin(&writer, &slot->header);
    for (struct view rest = slot_batches(slot); slot_next_batch(&rest, &batch) == STATUS_OK;) {
        REQUIRE(view_within(batch.records, slot_batches(slot)));
        REQUIRE(batch.follows_lsn >= last_lsn && batch.first_lsn > batch.follows_lsn);
        last_lsn = slot_batch_last_lsn(&batch);
        expect_cuts(&batch);
        REQUIRE(slot_append(&writer, &batch) == STATUS_OK);
        batches++;
    }
    REQUIRE(last_lsn == slot->header.last_lsn && batches == slot->header.batches);
    REQUIRE(slot_finish(&writer, &bytes, &header) == STATUS_OK);
    /* Its own time may be the latest there, which is not told when it is made from the earliest. */
    REQUIRE(header.to_ms == slot->header.to_ms || slot_is_fence(&header));
    store_u64(bytes.ptr + AT_TO_MS, (uint64_t)slot->header.to_ms);
    store_u64(bytes.ptr + AT_CHECK, hash64(view_of(bytes.ptr, AT_CHECK), 0));
    REQUIRE(
        view_equal(view_of(bytes.ptr, SLOT_HEADER_BYTES), view_of(sealed->ptr, SLOT_HEADER_BYTES)));
    slot_writer_free(&writer);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct slot slot = {0};
    struct buf sealed = {0};
    enum status status = slot_open(&slot, view_of(input, len));
    REQUIRE((status == STATUS_OK) == (slot.errmsg[0] == '\0'));
    if (len >= AT_CHECK) {
        seal(input, view_of(input + AT_CHECK, len - AT_CHECK), &sealed);
        status = slot_open(&slot, buf_view(&sealed));
        REQUIRE((status == STATUS_OK) == (slot.errmsg[0] == '\0'));
        REQUIRE(status == STATUS_OK || slot_batches(&slot).len == 0);
        if (status == STATUS_OK) {
            expect_same_again(&slot, &sealed);
        }
    }
    slot_close(&slot);
    buf_free(&sealed);
    return 0;
}
