/*
 * Slots as they come back: nothing in them is believed before it was checked. First what stands in
 * the open (magic, format, checks, the numbers of the header), then the payload, whose size is
 * known and bounded before it is unpacked, then batch by batch and record by record.
 */
#include "backup/slot.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "backup/slot_private.h"
#include "base/hash.h"
#include "store/record.h"

static const uint64_t time_ms_end = UINT64_C(1) << 44; /* as in images */
static const uint64_t lsn_end = UINT64_C(1) << 63;     /* a number that JSON can carry */

__attribute__((format(printf, 2, 3))) static enum status corrupt(char *errmsg, const char *format,
                                                                 ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(errmsg, SLOT_ERRMSG_BYTES, format, args);
    va_end(args);
    return STATUS_CORRUPT;
}

/* ---- The header ---- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The check is right; is it a header that a writer would have written? */
static const char *problem_of_header(const struct slot_header *header)
{
    bool is_fence = slot_is_fence(header);
    if (header->base_lsn >= lsn_end || header->first_lsn >= lsn_end ||
        header->last_lsn >= lsn_end || header->seq >= lsn_end || header->epoch >= lsn_end) {
        return "impossible numbers";
    }
    if ((uint64_t)header->from_ms >= time_ms_end || (uint64_t)header->to_ms >= time_ms_end ||
        header->from_ms > header->to_ms) {
        return "impossible times";
    }
    if (header->raw_bytes > SLOT_RAW_BYTES_MAX) {
        return "more changes than a slot may have";
    }
    if (header->batches == 0) {
        return is_fence && header->raw_bytes == 0 && header->first_lsn == header->base_lsn &&
                       header->last_lsn == header->base_lsn && header->from_ms == header->to_ms
                   ? NULL
                   : "no changes, and no fence";
    }
    if (header->first_lsn <= header->base_lsn || header->last_lsn < header->first_lsn) {
        return "changes out of order";
    }
    return NULL;
}

enum status slot_read_header(struct view bytes, struct slot_header *out,
                             char errmsg[static SLOT_ERRMSG_BYTES])
{
    const uint8_t *from = bytes.ptr;
    errmsg[0] = '\0';
    if (bytes.len < SLOT_HEADER_BYTES) {
        return corrupt(errmsg, "%zu bytes are not even a header", bytes.len);
    }
    if (memcmp(from, SLOT_MAGIC, SLOT_AT_FORMAT) != 0) {
        return corrupt(errmsg, "not a slot");
    }
    uint32_t format = load_u32(from + SLOT_AT_FORMAT);
    if (format != SLOT_FORMAT) {
        (void)corrupt(errmsg, "slot format %" PRIu32 " is not known", format);
        return STATUS_UNSUPPORTED;
    }
    if (load_u64(from + SLOT_AT_CHECK) != hash64(view_of(from, SLOT_AT_CHECK), 0)) {
        return corrupt(errmsg, "the header is damaged");
    }
    *out = (struct slot_header){
        .flags = load_u32(from + SLOT_AT_FLAGS),
        .epoch = load_u64(from + SLOT_AT_EPOCH),
        .seq = load_u64(from + SLOT_AT_SEQ),
        .base_lsn = load_u64(from + SLOT_AT_BASE_LSN),
        .first_lsn = load_u64(from + SLOT_AT_FIRST_LSN),
        .last_lsn = load_u64(from + SLOT_AT_LAST_LSN),
        .from_ms = (int64_t)load_u64(from + SLOT_AT_FROM_MS),
        .to_ms = (int64_t)load_u64(from + SLOT_AT_TO_MS),
        .batches = load_u32(from + SLOT_AT_BATCHES),
        .raw_bytes = load_u32(from + SLOT_AT_RAW_BYTES),
    };
    memcpy(out->uuid, from + SLOT_AT_UUID, SLOT_UUID_BYTES);
    memcpy(out->nonce, from + SLOT_AT_NONCE, SLOT_NONCE_BYTES);
    memcpy(out->prev, from + SLOT_AT_PREV, HASH128_BYTES);
    if ((out->flags & ~(uint32_t)(SLOT_FENCE | SLOT_GAP)) != 0) {
        (void)corrupt(errmsg, "slot flags %" PRIx32 " are not known", out->flags);
        return STATUS_UNSUPPORTED;
    }
    if (out->seq == 0 && (!slot_is_fence(out) || !is_zero(out->prev, HASH128_BYTES))) {
        return corrupt(errmsg, "the first slot follows another one");
    }
    const char *problem = problem_of_header(out);
    return problem == NULL ? STATUS_OK : corrupt(errmsg, "the header makes no sense: %s", problem);
}

/* ---- The payload ---- */

static enum status unpack(struct slot *self, struct view payload)
{
    unsigned long long raw_bytes = ZSTD_getFrameContentSize(payload.ptr, payload.len);
    if (raw_bytes != self->header.raw_bytes) { /* the errors are numbers beyond its range */
        return corrupt(self->errmsg, "the payload is not the size that the header says");
    }
    if (ZSTD_findFrameCompressedSize(payload.ptr, payload.len) != payload.len) {
        return corrupt(self->errmsg, "the payload is not one whole zstd frame");
    }
    if (buf_reserve(&self->raw, self->header.raw_bytes) != STATUS_OK) {
        (void)corrupt(self->errmsg, "out of memory");
        return STATUS_NO_MEMORY;
    }
    size_t bytes = ZSTD_decompress(self->raw.ptr, self->header.raw_bytes, payload.ptr, payload.len);
    if (ZSTD_isError(bytes) && ZSTD_getErrorCode(bytes) == ZSTD_error_memory_allocation) {
        (void)corrupt(self->errmsg, "out of memory");
        return STATUS_NO_MEMORY;
    }
    if (bytes != self->header.raw_bytes) {
        return corrupt(self->errmsg, "the payload cannot be unpacked");
    }
    self->raw.len = bytes;
    return STATUS_OK;
}

enum status slot_next_batch(struct view *rest, struct slot_batch *out)
{
    const uint8_t *from = rest->ptr;
    if (rest->len == 0) {
        return STATUS_END;
    }
    if (rest->len < SLOT_BATCH_HEADER_BYTES ||
        load_u32(from + BATCH_AT_BYTES) > rest->len - SLOT_BATCH_HEADER_BYTES) {
        return STATUS_CORRUPT;
    }
    *out = (struct slot_batch){
        .follows_lsn = load_u64(from + BATCH_AT_FOLLOWS_LSN),
        .first_lsn = load_u64(from + BATCH_AT_FIRST_LSN),
        .time_ms = (int64_t)load_u64(from + BATCH_AT_TIME_MS),
        .count = load_u32(from + BATCH_AT_COUNT),
        .records = view_of(from + SLOT_BATCH_HEADER_BYTES, load_u32(from + BATCH_AT_BYTES)),
    };
    size_t bytes = SLOT_BATCH_HEADER_BYTES + out->records.len;
    *rest = view_of(from + bytes, rest->len - bytes);
    return STATUS_OK;
}

size_t slot_batch_cut(const struct slot_batch *batch, uint64_t last_lsn, uint32_t *count)
{
    struct view rest = batch->records;
    *count = 0;
    while (*count < batch->count && batch->first_lsn + *count <= last_lsn) {
        struct record record;
        if (record_next(&rest, &record) != STATUS_OK) {
            break;
        }
        (*count)++;
    }
    return batch->records.len - rest.len;
}

/* ---- Batches and records ---- */

/* What the batches so far came to. */
struct tally {
    uint64_t batches;
    uint64_t last_lsn; /* the base lsn before the first */
    uint64_t first_lsn;
    int64_t from_ms;
    int64_t to_ms;
};

static enum status check_records(struct slot *self, const struct slot_batch *batch)
{
    struct view rest = batch->records;
    struct record record;
    enum status status = STATUS_OK;
    uint64_t count = 0;
    while ((status = record_next(&rest, &record)) == STATUS_OK) {
        if (record.type == RECORD_PUT && record.session.version != batch->first_lsn + count) {
            status = STATUS_INVALID;
            break;
        }
        count++;
    }
    if (status == STATUS_UNSUPPORTED) {
        (void)corrupt(self->errmsg, "change %" PRIu64 " is of another format",
                      batch->first_lsn + count);
        return STATUS_UNSUPPORTED;
    }
    if (status != STATUS_END) {
        return corrupt(self->errmsg, "change %" PRIu64 " makes no sense", batch->first_lsn + count);
    }
    return count == batch->count
               ? STATUS_OK
               : corrupt(self->errmsg, "the changes from %" PRIu64 " are not as many as said",
                         batch->first_lsn);
}

static enum status check_batch(struct slot *self, const struct slot_batch *batch,
                               struct tally *tally)
{
    if (batch->count == 0 || batch->first_lsn >= lsn_end ||
        (uint64_t)batch->time_ms >= time_ms_end) {
        return corrupt(self->errmsg, "a batch has impossible numbers");
    }
    /* Within one process the only thing that may lie between two batches is what got lost. */
    if (batch->follows_lsn < tally->last_lsn || batch->first_lsn <= batch->follows_lsn) {
        return corrupt(self->errmsg, "the changes from %" PRIu64 " are out of order",
                       batch->first_lsn);
    }
    if (tally->batches == 0) {
        tally->first_lsn = batch->first_lsn;
    }
    if (tally->batches == 0 || batch->time_ms < tally->from_ms) {
        tally->from_ms = batch->time_ms;
    }
    if (tally->batches == 0 || batch->time_ms > tally->to_ms) {
        tally->to_ms = batch->time_ms;
    }
    tally->batches++;
    tally->last_lsn = slot_batch_last_lsn(batch);
    return check_records(self, batch);
}

/* Do the batches come to what the header says? A fence's own time may be earlier than theirs. */
static bool adds_up(const struct slot_header *header, const struct tally *tally)
{
    if (header->batches != tally->batches) {
        return false;
    }
    if (tally->batches == 0) {
        return true;
    }
    bool has_own_time = slot_is_fence(header);
    return header->first_lsn == tally->first_lsn && header->last_lsn == tally->last_lsn &&
           (header->from_ms == tally->from_ms ||
            (has_own_time && header->from_ms < tally->from_ms)) &&
           (header->to_ms == tally->to_ms || (has_own_time && header->to_ms > tally->to_ms));
}

static enum status check_batches(struct slot *self)
{
    struct view rest = buf_view(&self->raw);
    struct slot_batch batch;
    struct tally tally = {.last_lsn = self->header.base_lsn};
    enum status status;
    while ((status = slot_next_batch(&rest, &batch)) == STATUS_OK) {
        status = check_batch(self, &batch, &tally);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (status != STATUS_END) {
        return corrupt(self->errmsg, "a batch is not whole");
    }
    return adds_up(&self->header, &tally)
               ? STATUS_OK
               : corrupt(self->errmsg, "the batches are not those that the header tells of");
}

enum status slot_open(struct slot *self, struct view bytes)
{
    self->raw.len = 0;
    self->errmsg[0] = '\0';
    enum status status = slot_read_header(bytes, &self->header, self->errmsg);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes.len < SLOT_HEADER_BYTES + SLOT_TRAILER_BYTES) {
        return corrupt(self->errmsg, "the slot ends with its header");
    }
    uint8_t hash[HASH128_BYTES];
    struct view body = view_of(bytes.ptr, bytes.len - SLOT_TRAILER_BYTES);
    hash128(body, hash);
    if (memcmp(hash, body.ptr + body.len, HASH128_BYTES) != 0) {
        return corrupt(self->errmsg, "the slot is damaged or cut");
    }
    status = unpack(self, view_of(body.ptr + SLOT_HEADER_BYTES, body.len - SLOT_HEADER_BYTES));
    if (status == STATUS_OK) {
        status = check_batches(self);
    }
    if (status != STATUS_OK) {
        self->raw.len = 0;
    }
    return status;
}

void slot_close(struct slot *self)
{
    buf_free(&self->raw);
    *self = (struct slot){0};
}
