/* A reply as the client sees it. What is accepted points into the body, and encoding it gives a
 * reply that means the same. */
#include "fuzz.h"

#include "frame.h"

static void expect_same_after_encoding(const struct native_reply *reply)
{
    struct buf frame = {0}, again = {0};
    struct native_header header;
    struct native_reply decoded;
    REQUIRE(native_encode_reply(&frame, reply) == STATUS_OK);
    REQUIRE(frame.len == native_reply_bytes(reply));
    REQUIRE(native_decode_header(buf_view(&frame), &header) == STATUS_OK);
    struct view body = view_of(frame.ptr + SATCHEL_HEADER_BYTES, header.body_bytes);
    REQUIRE(native_decode_reply(&header, body, &decoded) == STATUS_OK);
    REQUIRE(decoded.status == reply->status && decoded.version == reply->version);
    REQUIRE(native_encode_reply(&again, &decoded) == STATUS_OK);
    REQUIRE(view_equal(buf_view(&frame), buf_view(&again)));
    buf_free(&frame);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct native_header header;
    struct native_reply reply;
    struct view body;
    if (!frame_split(input, len, &header, &body) ||
        native_decode_reply(&header, body, &reply) != STATUS_OK) {
        return 0;
    }
    REQUIRE(view_within(reply.message, body) && view_within(reply.owner, body));
    REQUIRE(view_within(reply.content, body));
    REQUIRE(satchel_status_text_of(reply.status) != NULL);
    expect_same_after_encoding(&reply);
    return 0;
}
