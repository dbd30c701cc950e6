/* Names, headers and frames of journal segments; the picture is in segment.h. */
#include "store/segment.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"

static const uint8_t segment_magic[8] = {'S', 'A', 'T', 'C', 'H', 'J', 'N', 'L'};
static const uint32_t frame_magic = 0x31464a53; /* "SJF1" */

enum { SEGMENT_FORMAT = 1, FRAME_CHECKED_BYTES = 40 };

void segment_name(char out[SEGMENT_NAME_BYTES], uint64_t epoch, uint64_t number, uint32_t lane)
{
    (void)snprintf(out, SEGMENT_NAME_BYTES, "%010" PRIu64 "-%010" PRIu64 "-%" PRIu32 ".jnl", epoch,
                   number, lane);
}

bool segment_parse_name(const char *name, uint64_t *epoch, uint64_t *number, uint32_t *lane)
{
    if (sscanf(name, "%" SCNu64 "-%" SCNu64 "-%" SCNu32, epoch, number, lane) != 3 ||
        *lane >= SEGMENT_LANES) {
        return false;
    }
    char same[SEGMENT_NAME_BYTES];
    segment_name(same, *epoch, *number, *lane);
    return strcmp(same, name) == 0;
}

void segment_encode_header(uint8_t out[SEGMENT_HEADER_BYTES], const struct segment_header *header)
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, segment_magic, sizeof segment_magic);
    store_u32(out + 8, SEGMENT_FORMAT);
    store_u32(out + 12, header->lane | header->lanes_before << 8);
    memcpy(out + 16, header->uuid, STORE_UUID_BYTES);
    store_u64(out + 32, header->epoch);
    store_u64(out + 40, header->number);
    store_u64(out + 48, header->follows_lsn);
    store_u64(out + 56, header->first_lsn);
    store_u64(out + 64, hash64(view_of(out, 64), 0));
}

enum status segment_decode_header(struct view bytes, struct segment_header *out)
{
    if (bytes.len < SEGMENT_HEADER_BYTES ||
        memcmp(bytes.ptr, segment_magic, sizeof segment_magic) != 0 ||
        load_u64(bytes.ptr + 64) != hash64(view_of(bytes.ptr, 64), 0)) {
        return STATUS_CORRUPT;
    }
    out->lane = load_u32(bytes.ptr + 12) & 0xff;
    out->lanes_before = load_u32(bytes.ptr + 12) >> 8;
    if (load_u32(bytes.ptr + 8) != SEGMENT_FORMAT || out->lane >= SEGMENT_LANES ||
        out->lanes_before > SEGMENT_LANES) {
        return STATUS_UNSUPPORTED;
    }
    memcpy(out->uuid, bytes.ptr + 16, STORE_UUID_BYTES);
    out->epoch = load_u64(bytes.ptr + 32);
    out->number = load_u64(bytes.ptr + 40);
    out->follows_lsn = load_u64(bytes.ptr + 48);
    out->first_lsn = load_u64(bytes.ptr + 56);
    return STATUS_OK;
}

uint64_t segment_seed(const struct segment_header *header)
{
    uint8_t which[20];
    store_u64(which, header->epoch);
    store_u64(which + 8, header->number);
    store_u32(which + 16, header->lane);
    return hash64(view_of(which, sizeof which), hash64(view_of(header->uuid, STORE_UUID_BYTES), 0));
}

static uint64_t frame_checksum(const uint8_t *at, struct view records, uint64_t seed)
{
    return hash64(records, hash64(view_of(at, FRAME_CHECKED_BYTES), seed));
}

void frame_seal(uint8_t *at, const struct frame *frame, uint64_t seed)
{
    store_u32(at, frame_magic);
    store_u32(at + 4, (uint32_t)frame->records.len);
    store_u64(at + 8, frame->first_lsn);
    store_u64(at + 16, frame->durable_lsn);
    store_u32(at + 24, frame->count);
    store_u32(at + 28, 0);
    store_u64(at + 32, frame->time_ms);
    store_u64(at + FRAME_CHECKED_BYTES, frame_checksum(at, frame->records, seed));
}

/* Reads a whole frame from the front of `bytes`, whatever its lsn; false when there is none. */
static bool frame_read(struct view bytes, uint64_t seed, struct frame *out)
{
    const uint8_t *at = bytes.ptr;
    if (bytes.len < FRAME_HEADER_BYTES || load_u32(at) != frame_magic || load_u32(at + 28) != 0 ||
        load_u32(at + 4) > bytes.len - FRAME_HEADER_BYTES) {
        return false;
    }
    *out = (struct frame){
        .first_lsn = load_u64(at + 8),
        .durable_lsn = load_u64(at + 16),
        .count = load_u32(at + 24),
        .time_ms = load_u64(at + 32),
        .records = view_of(at + FRAME_HEADER_BYTES, load_u32(at + 4)),
    };
    return load_u64(at + FRAME_CHECKED_BYTES) == frame_checksum(at, out->records, seed);
}

enum status frame_next(struct view *rest, uint64_t seed, uint64_t expected_lsn, struct frame *out)
{
    if (!frame_read(*rest, seed, out) || out->first_lsn != expected_lsn) {
        return STATUS_END;
    }
    size_t len = FRAME_HEADER_BYTES + out->records.len;
    *rest = view_of(rest->ptr + len, rest->len - len);
    return STATUS_OK;
}

size_t frame_torn_bytes(struct view rest, uint64_t expected_lsn)
{
    if (rest.len < FRAME_HEADER_BYTES) { /* a file that was used before is longer, or has zeros */
        size_t len = rest.len;
        while (len > 0 && rest.ptr[len - 1] == 0) {
            len--;
        }
        return len;
    }
    if (load_u32(rest.ptr) != frame_magic || load_u64(rest.ptr + 8) < expected_lsn) {
        return 0;
    }
    size_t len = FRAME_HEADER_BYTES + (size_t)load_u32(rest.ptr + 4);
    return len < rest.len ? len : rest.len;
}

bool frame_find(struct view *rest, uint64_t seed, struct frame *out)
{
    while (rest->len >= FRAME_HEADER_BYTES) {
        const uint8_t *found = memmem(rest->ptr, rest->len, &frame_magic, sizeof frame_magic);
        if (found == NULL) {
            return false;
        }
        struct view here = view_of(found, rest->len - (size_t)(found - rest->ptr));
        *rest = view_of(here.ptr + 1, here.len - 1);
        if (frame_read(here, seed, out)) {
            return true;
        }
    }
    return false;
}
