/*
 * A request as the server sees it. What is accepted points into the body, can be applied to a
 * session, and is encoded by the client so that it means the same again.
 */
#include "fuzz.h"

#include "frame.h"
#include "session/fields.h"

enum { VALUE_BYTES_MAX = 64 * 1024 };

static bool is_on_a_session(unsigned opcode)
{
    return opcode >= SATCHEL_OP_GET && opcode <= SATCHEL_OP_PATCH;
}

static void expect_same_after_encoding(const struct command *cmd)
{
    struct buf frame = {0}, again = {0};
    struct native_request request;
    const char *why = NULL;
    REQUIRE(native_encode_command(&frame, 1, 0, cmd) == STATUS_OK);
    REQUIRE(native_decode_header(buf_view(&frame), &request.header) == STATUS_OK);
    struct view body = view_of(frame.ptr + SATCHEL_HEADER_BYTES, request.header.body_bytes);
    REQUIRE(native_decode_request(&request, body, ACK_DURABLE, VALUE_BYTES_MAX, &why) ==
            SATCHEL_OK);
    REQUIRE(native_encode_command(&again, 1, 0, &request.command) == STATUS_OK);
    REQUIRE(view_equal(buf_view(&frame), buf_view(&again)));
    buf_free(&frame);
    buf_free(&again);
}

/* On no session, on what comes of that, and on a fixed one. */
static void expect_applicable(const struct command *cmd)
{
    struct buf content = {0};
    REQUIRE(fields_append(&content, view_str("tea"), view_str("2")) == STATUS_OK);
    const struct session fixed = {.id = cmd->id,
                                  .version = 1,
                                  .created_ms = 1,
                                  .idle_ttl_ms = 5000,
                                  .expires_ms = 2000,
                                  .kind = SATCHEL_FIELDS,
                                  .content = buf_view(&content)};
    struct session_scratch first = {0}, second = {0};
    struct change change, next;
    session_apply(&fixed, cmd, 1000, &first, &change);
    REQUIRE(change.kind == CHANGE_NONE || change.status == SATCHEL_OK);
    session_apply(NULL, cmd, 1000, &first, &change);
    REQUIRE(change.kind == CHANGE_NONE || change.kind == CHANGE_PUT);
    if (change.kind == CHANGE_PUT) {
        REQUIRE(content_check(change.next.kind, change.next.content) == SATCHEL_OK);
        session_apply(&change.next, cmd, 1000, &second, &next);
        REQUIRE(next.kind == CHANGE_NONE || next.status == SATCHEL_OK);
    }
    session_scratch_free(&first);
    session_scratch_free(&second);
    buf_free(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    struct native_request request;
    struct view body;
    if (!frame_split(input, len, &request.header, &body)) {
        return 0;
    }
    const char *why = NULL;
    enum satchel_status status = native_decode_request(&request, body, ACK_DURABLE, VALUE_BYTES_MAX,
                                                       &why);
    if (status != SATCHEL_OK) {
        REQUIRE(why != NULL);
        REQUIRE(status == SATCHEL_BAD_REQUEST || status == SATCHEL_TOO_LARGE ||
                status == SATCHEL_UNSUPPORTED);
        return 0;
    }
    if (is_on_a_session(request.header.opcode)) {
        const struct command *cmd = &request.command;
        REQUIRE(view_within(cmd->id, body) && view_within(cmd->owner, body));
        REQUIRE(view_within(cmd->content, body) && view_within(cmd->ops, body));
        REQUIRE(cmd->id.len >= 1 && cmd->id.len <= SATCHEL_ID_BYTES_MAX);
        expect_same_after_encoding(cmd);
        expect_applicable(cmd);
    } else if (request.header.opcode == SATCHEL_OP_HELLO) {
        REQUIRE(view_within(request.hello.token, body));
        REQUIRE(view_within(request.hello.client_name, body));
    } else if (request.header.opcode == SATCHEL_OP_SCAN) {
        REQUIRE(view_within(request.scan.prefix, body));
        REQUIRE(request.scan.count >= 1 && request.scan.count <= SATCHEL_SCAN_COUNT_MAX);
    }
    return 0;
}
