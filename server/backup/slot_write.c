/* Changes into slots, and the names of slots. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <zstd.h>

#include "backup/hex.h"
#include "backup/slot.h"
#include "backup/slot_private.h"
#include "base/hash.h"

#define FOLDER "log/"

enum { COMPRESSION_LEVEL = 1, SEQ_DIGITS = 16, FOLDER_BYTES = sizeof FOLDER - 1 };

_Static_assert(ZSTD_COMPRESSBOUND(SLOT_RAW_BYTES_MAX) + SLOT_HEADER_BYTES + SLOT_TRAILER_BYTES <=
                   SLOT_BYTES_MAX,
               "the largest slot has a bound");

void slot_name(char out[static SLOT_NAME_BYTES], uint64_t seq)
{
    (void)snprintf(out, SLOT_NAME_BYTES, FOLDER "%016" PRIx64, seq);
}

bool slot_parse_name(const char *name, uint64_t *seq)
{
    return strncmp(name, FOLDER, FOLDER_BYTES) == 0 && strlen(name) == FOLDER_BYTES + SEQ_DIGITS &&
           hex_number(name + FOLDER_BYTES, SEQ_DIGITS, seq);
}

void slot_begin(struct slot_writer *self, const struct slot_header *header)
{
    self->header = *header;
    self->header.first_lsn = header->base_lsn;
    self->header.last_lsn = header->base_lsn;
    self->header.to_ms = header->from_ms;
    self->header.batches = 0;
    self->header.raw_bytes = 0;
    self->raw.len = 0;
}

/* The header over one batch more. */
static void count_in(struct slot_header *header, const struct slot_batch *batch, size_t raw_bytes)
{
    bool is_first = header->batches == 0;
    if (is_first) {
        header->first_lsn = batch->first_lsn;
    }
    if ((is_first && !slot_is_fence(header)) || batch->time_ms < header->from_ms) {
        header->from_ms = batch->time_ms;
    }
    if ((is_first && !slot_is_fence(header)) || batch->time_ms > header->to_ms) {
        header->to_ms = batch->time_ms;
    }
    header->last_lsn = slot_batch_last_lsn(batch);
    header->batches++;
    header->raw_bytes = (uint32_t)raw_bytes;
}

enum status slot_append(struct slot_writer *self, const struct slot_batch *batch)
{
    assert(batch->count != 0 && batch->records.len != 0);
    size_t room = SLOT_RAW_BYTES_MAX - self->raw.len;
    if (room < SLOT_BATCH_HEADER_BYTES || batch->records.len > room - SLOT_BATCH_HEADER_BYTES) {
        return STATUS_TOO_LARGE;
    }
    size_t bytes = SLOT_BATCH_HEADER_BYTES + batch->records.len;
    enum status status = buf_reserve(&self->raw, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *to = self->raw.ptr + self->raw.len;
    store_u64(to + BATCH_AT_FOLLOWS_LSN, batch->follows_lsn);
    store_u64(to + BATCH_AT_FIRST_LSN, batch->first_lsn);
    store_u64(to + BATCH_AT_TIME_MS, (uint64_t)batch->time_ms);
    store_u32(to + BATCH_AT_COUNT, batch->count);
    store_u32(to + BATCH_AT_BYTES, (uint32_t)batch->records.len);
    (void)put_view(to + SLOT_BATCH_HEADER_BYTES, batch->records);
    self->raw.len += bytes;
    count_in(&self->header, batch, self->raw.len);
    return STATUS_OK;
}

static void put_header(uint8_t *to, const struct slot_header *header)
{
    memcpy(to, SLOT_MAGIC, SLOT_AT_FORMAT);
    store_u32(to + SLOT_AT_FORMAT, SLOT_FORMAT);
    store_u32(to + SLOT_AT_FLAGS, header->flags);
    memcpy(to + SLOT_AT_UUID, header->uuid, SLOT_UUID_BYTES);
    memcpy(to + SLOT_AT_NONCE, header->nonce, SLOT_NONCE_BYTES);
    store_u64(to + SLOT_AT_EPOCH, header->epoch);
    store_u64(to + SLOT_AT_SEQ, header->seq);
    store_u64(to + SLOT_AT_BASE_LSN, header->base_lsn);
    store_u64(to + SLOT_AT_FIRST_LSN, header->first_lsn);
    store_u64(to + SLOT_AT_LAST_LSN, header->last_lsn);
    store_u64(to + SLOT_AT_FROM_MS, (uint64_t)header->from_ms);
    store_u64(to + SLOT_AT_TO_MS, (uint64_t)header->to_ms);
    store_u32(to + SLOT_AT_BATCHES, header->batches);
    store_u32(to + SLOT_AT_RAW_BYTES, header->raw_bytes);
    memcpy(to + SLOT_AT_PREV, header->prev, HASH128_BYTES);
    store_u64(to + SLOT_AT_CHECK, hash64(view_of(to, SLOT_AT_CHECK), 0));
}

enum status slot_finish(const struct slot_writer *self, struct buf *out, struct slot_header *header)
{
    assert(self->header.batches != 0 || slot_is_fence(&self->header));
    size_t payload_bytes_max = ZSTD_compressBound(self->raw.len);
    out->len = 0;
    enum status status = buf_reserve(out,
                                     SLOT_HEADER_BYTES + payload_bytes_max + SLOT_TRAILER_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    put_header(out->ptr, &self->header);
    size_t payload_bytes = ZSTD_compress(out->ptr + SLOT_HEADER_BYTES, payload_bytes_max,
                                         self->raw.ptr, self->raw.len, COMPRESSION_LEVEL);
    if (ZSTD_isError(payload_bytes)) {
        return STATUS_NO_MEMORY; /* there is room, so nothing else can be the matter */
    }
    out->len = SLOT_HEADER_BYTES + payload_bytes;
    hash128(buf_view(out), out->ptr + out->len);
    out->len += SLOT_TRAILER_BYTES;
    if (header != NULL) {
        *header = self->header;
    }
    return STATUS_OK;
}

void slot_writer_free(struct slot_writer *self)
{
    buf_free(&self->raw);
    *self = (struct slot_writer){0};
}
