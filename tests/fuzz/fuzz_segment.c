/*
 * A journal segment as recovery finds it. No mutation would meet a checksum, so the input is taken
 * apart and put together again with checksums that are right: a byte that says how, a segment
 * header's numbers, and then frames of { count u8 | gap u8 | length u16 | records }. What the
 * decoders accept is walked as recovery walks it. The input as it stands goes through as well.
 */
#include "fuzz.h"

#include "store/record.h"
#include "store/segment.h"

enum { RAW_HEADER_BYTES = 1 + 16, RAW_FRAME_BYTES = 4 };

static void walk_records(struct view records)
{
    struct view rest = records;
    struct record record;
    enum status status = STATUS_OK;
    while ((status = record_next(&rest, &record)) == STATUS_OK) {
        REQUIRE(record.session.id.len >= 1 && record.session.id.len <= SATCHEL_ID_BYTES_MAX);
        REQUIRE(view_within(record.session.id, records) && view_within(record.ops, records));
        REQUIRE(view_within(record.session.content, records));
        REQUIRE(view_within(rest, records));
    }
    REQUIRE(status == STATUS_INVALID || status == STATUS_UNSUPPORTED ||
            (status == STATUS_END && rest.len == 0));
}

/* From the front, frame by frame, and then whatever stands behind the end. Returns how many frames
 * continued each other. */
static unsigned walk_frames(struct view bytes, uint64_t seed, uint64_t first_lsn)
{
    struct view rest = bytes;
    struct frame frame;
    unsigned count = 0;
    uint64_t expected = first_lsn;
    while (frame_next(&rest, seed, expected, &frame) == STATUS_OK) {
        REQUIRE(frame.first_lsn == expected && view_within(frame.records, bytes));
        walk_records(frame.records);
        expected += frame.count;
        count++;
    }
    unsigned found = 0;
    for (struct view anywhere = bytes; frame_find(&anywhere, seed, &frame); found++) {
        REQUIRE(view_within(frame.records, bytes) && view_within(anywhere, bytes));
    }
    REQUIRE(found >= count);
    return count;
}

/* The segment that the input describes; how many of its frames continue each other. */
static unsigned build(struct view input, struct segment_header *header, struct buf *out)
{
    unsigned continuing = 0;
    bool continues = true;
    header->epoch = load_u64(input.ptr + 1);
    header->number = input.ptr[0];
    header->first_lsn = load_u64(input.ptr + 9);
    header->follows_lsn = header->first_lsn - 1;
    REQUIRE(buf_reserve(out, SEGMENT_HEADER_BYTES) == STATUS_OK);
    segment_encode_header(out->ptr, header);
    out->len = SEGMENT_HEADER_BYTES;
    uint64_t lsn = header->first_lsn;
    size_t at = RAW_HEADER_BYTES;
    while (input.len - at >= RAW_FRAME_BYTES) {
        struct frame frame = {
            .first_lsn = lsn + input.ptr[at + 1], .durable_lsn = lsn - 1, .count = input.ptr[at]};
        size_t len = load_u16(input.ptr + at + 2);
        at += RAW_FRAME_BYTES;
        len = len < input.len - at ? len : input.len - at;
        REQUIRE(buf_reserve(out, FRAME_HEADER_BYTES + len) == STATUS_OK);
        uint8_t *to = out->ptr + out->len;
        (void)put_view(to + FRAME_HEADER_BYTES, view_of(input.ptr + at, len));
        frame.records = view_of(to + FRAME_HEADER_BYTES, len);
        frame_seal(to, &frame, segment_seed(header));
        out->len += FRAME_HEADER_BYTES + len;
        at += len;
        continues = continues && frame.first_lsn == lsn;
        continuing += continues;
        lsn = frame.first_lsn + frame.count;
    }
    return continuing;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct segment_header header = {.uuid = "fuzz"};
    struct segment_header decoded;
    struct buf segment = {0};
    (void)walk_frames(view_of(input, len), 0, 1);
    walk_records(view_of(input, len));
    REQUIRE(segment_decode_header(view_of(input, len), &decoded) != STATUS_INVALID);
    if (len < RAW_HEADER_BYTES) {
        return 0;
    }
    unsigned continuing = build(view_of(input, len), &header, &segment);
    REQUIRE(segment_decode_header(buf_view(&segment), &decoded) == STATUS_OK);
    REQUIRE(decoded.epoch == header.epoch && decoded.number == header.number &&
            decoded.first_lsn == header.first_lsn && decoded.follows_lsn == header.follows_lsn);
    struct view frames = view_of(segment.ptr + SEGMENT_HEADER_BYTES,
                                 segment.len - SEGMENT_HEADER_BYTES);
    REQUIRE(walk_frames(frames, segment_seed(&decoded), decoded.first_lsn) == continuing);
    buf_free(&segment);
    return 0;
}
