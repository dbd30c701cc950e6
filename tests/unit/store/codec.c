/* Images, records, frames and names: what goes in comes out, and nothing else gets in. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "session/fields.h"
#include "store/image.h"
#include "store/record.h"
#include "store/segment.h"

static const struct session sample = {
    .id = {(const uint8_t *)"an id", 5},
    .version = 3,
    .created_ms = 1800000000000,
    .expires_ms = 1800000001234,
    .idle_ttl_ms = 60000,
    .owner = {(const uint8_t *)"owner", 5},
    .kind = SATCHEL_FIELDS,
    .content = {(const uint8_t *)"content", 7},
};

Test(codec, an_image_has_everything_and_the_durable_expiry)
{
    uint8_t bytes[128];
    struct session out;
    image_encode(bytes, &sample, 77);
    struct view image = view_of(bytes, image_bytes(&sample));
    cr_assert(eq(int, image_decode(image, &out), STATUS_OK));
    cr_assert(view_equal(out.id, sample.id) && view_equal(out.owner, sample.owner));
    cr_assert(view_equal(out.content, sample.content));
    cr_assert(eq(u64, out.version, 77));
    cr_assert(eq(i64, out.created_ms, sample.created_ms));
    cr_assert(eq(i64, out.expires_ms, session_durable_expiry(sample.expires_ms, 60000)));
    cr_assert(eq(u64, out.idle_ttl_ms, 60000));
    cr_assert(eq(int, out.kind, SATCHEL_FIELDS));
    for (size_t len = 0; len < image.len; len++) {
        cr_assert(eq(int, image_decode(view_of(bytes, len), &out), STATUS_INVALID));
    }
    image_encode(bytes, &sample, SESSION_VERSION_MAX);
    cr_assert(eq(int, image_decode(image, &out), STATUS_OK));
    cr_assert(eq(u64, out.version, SESSION_VERSION_MAX));
    image_encode(bytes, &sample, SESSION_VERSION_MAX + 1);
    cr_assert(eq(int, image_decode(image, &out), STATUS_INVALID));
    image_encode(bytes, &sample, 77);
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        bytes[1] = (uint8_t)kind;
        bool is_one = kind == SATCHEL_BLOB || kind == SATCHEL_FIELDS || kind == SATCHEL_NAMES;
        cr_assert(eq(int, image_decode(image, &out), is_one ? STATUS_OK : STATUS_INVALID));
    }
    bytes[0] = 2;
    cr_assert(eq(int, image_decode(image, &out), STATUS_UNSUPPORTED));
}

Test(codec, each_record_says_its_change)
{
    struct buf ops = {0};
    uint8_t bytes[512];
    cr_assert(
        eq(int, ops_append(&ops, SATCHEL_FIELD_SET, view_str("tea"), view_str("2")), STATUS_OK));
    const struct change changes[] = {
        {.kind = CHANGE_PUT, .next = sample},
        {.kind = CHANGE_PATCH, .next = sample, .delta = buf_view(&ops)},
        {.kind = CHANGE_TOUCH, .next = sample},
        {.kind = CHANGE_DELETE, .next = {.id = sample.id}},
    };
    size_t len = 0;
    for (size_t i = 0; i < 4; i++) {
        enum record_type type = record_type_of(changes[i].kind);
        record_encode(bytes + len, type, &changes[i], 10 + i);
        len += record_bytes(type, &changes[i]);
    }
    struct view rest = view_of(bytes, len);
    for (size_t i = 0; i < 4; i++) {
        struct record record;
        cr_assert(eq(int, record_next(&rest, &record), STATUS_OK));
        cr_assert(eq(int, record.type, record_type_of(changes[i].kind)));
        cr_assert(view_equal(record.session.id, sample.id));
        if (record.type == RECORD_PUT) {
            cr_assert(eq(u64, record.session.version, 10));
        }
        if (record.type == RECORD_PATCH) {
            cr_assert(view_equal(record.ops, buf_view(&ops)));
        }
        if (record.type == RECORD_TOUCH) {
            cr_assert(eq(i64, record.session.expires_ms,
                         session_durable_expiry(sample.expires_ms, sample.idle_ttl_ms)));
            cr_assert(eq(u64, record.session.idle_ttl_ms, sample.idle_ttl_ms));
        }
    }
    struct record record;
    cr_assert(eq(int, record_next(&rest, &record), STATUS_END));
    for (size_t cut = 1; cut < len;
         cut++) { /* every prefix: some whole ones, then INVALID or END */
        rest = view_of(bytes, cut);
        enum status status = STATUS_OK;
        while ((status = record_next(&rest, &record)) == STATUS_OK) {
        }
        cr_assert(status == STATUS_INVALID || (status == STATUS_END && rest.len == 0));
    }
    buf_free(&ops);
}

Test(codec, names_of_segments_sort_and_only_they_are_taken)
{
    char name[SEGMENT_NAME_BYTES];
    uint64_t epoch = 0;
    uint64_t number = 0;
    uint32_t lane = 0;
    segment_name(name, 12, 345, 1);
    cr_assert(eq(str, name, (char *)"0000000012-0000000345-1.jnl"));
    cr_assert(segment_parse_name(name, &epoch, &number, &lane));
    cr_assert(epoch == 12 && number == 345 && lane == 1);
    const char *const others[] = {"",
                                  "12-345-0.jnl",
                                  "0000000012-0000000345.jnl",
                                  "0000000012-0000000345-4.jnl",
                                  "0000000012-0000000345-0.jnl~",
                                  "0000000012-0000000345-0.tmp",
                                  " 0000000012-000000345-0.jnl",
                                  "-000000012-0000000345-0.jnl",
                                  "data-0000000001.mdb"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        cr_assert(not(segment_parse_name(others[i], &epoch, &number, &lane)), "%s", others[i]);
    }
}

Test(codec, a_frame_belongs_to_its_segment_and_its_place)
{
    const struct segment_header header = {.uuid = "u", .epoch = 1, .number = 2, .first_lsn = 5};
    struct segment_header other = header;
    uint8_t bytes[FRAME_HEADER_BYTES + 30] = {0};
    struct frame frame = {.first_lsn = 5,
                          .durable_lsn = 4,
                          .count = 3,
                          .records = view_of(bytes + FRAME_HEADER_BYTES, 30)};
    uint64_t seed = segment_seed(&header);
    frame_seal(bytes, &frame, seed);
    struct view rest = view_of(bytes, sizeof bytes);
    cr_assert(eq(int, frame_next(&rest, seed, 6, &frame), STATUS_END));
    other.number++;
    cr_assert(eq(int, frame_next(&rest, segment_seed(&other), 5, &frame), STATUS_END));
    other = header;
    other.lane++;
    cr_assert(eq(int, frame_next(&rest, segment_seed(&other), 5, &frame), STATUS_END));
    other = header;
    other.epoch++;
    cr_assert(eq(int, frame_next(&rest, segment_seed(&other), 5, &frame), STATUS_END));
    other = header;
    other.uuid[3] = 1;
    cr_assert(eq(int, frame_next(&rest, segment_seed(&other), 5, &frame), STATUS_END));
    cr_assert(eq(int, frame_next(&rest, seed, 5, &frame), STATUS_OK));
    cr_assert(frame.first_lsn == 5 && frame.durable_lsn == 4 && frame.count == 3);
    cr_assert(eq(sz, rest.len, 0));
}
