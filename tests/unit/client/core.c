/* The connection without its socket. */
#include "client/core.h"

#include <criterion/criterion.h>

static int owners[8]; /* their addresses stand for requests */

static void feed(struct core *core, struct view bytes)
{
    while (bytes.len > 0) {
        uint8_t *at;
        size_t room;
        cr_assert_eq(core_input_space(core, &at, &room), STATUS_OK);
        size_t len = room < bytes.len ? room : bytes.len;
        memcpy(at, bytes.ptr, len);
        core_input_received(core, len);
        bytes.ptr += len;
        bytes.len -= len;
    }
}

static void put_reply(struct buf *to, uint64_t id, enum satchel_opcode opcode,
                      enum satchel_status status, const char *value)
{
    cr_assert_eq(native_encode_reply(to, &(struct native_reply){.request_id = id,
                                                                .opcode = opcode,
                                                                .status = status,
                                                                .has_content = value[0] != '\0',
                                                                .kind = SATCHEL_BLOB,
                                                                .content = view_str(value)}),
                 STATUS_OK);
}

static uint64_t hello_id(const struct core *core)
{
    struct native_header header;
    cr_assert_eq(native_decode_header(core_output(core), &header), STATUS_OK);
    cr_assert_eq(header.opcode, SATCHEL_OP_HELLO);
    return header.request_id;
}

static void put_welcome(struct buf *to, uint64_t id, uint16_t version, uint64_t in_flight)
{
    size_t start;
    enum status status = native_frame_begin(to, &start);
    status |= native_put_u16(to, SATCHEL_TAG_WIRE_VERSION, version);
    status |= native_put_u64(to, SATCHEL_TAG_LIMIT_IN_FLIGHT, in_flight);
    status |= native_put_u64(to, SATCHEL_TAG_LIMIT_BODY_BYTES, 1000);
    cr_assert_eq(status, STATUS_OK);
    native_frame_end(to, start,
                     (struct native_header){.version = SATCHEL_WIRE_VERSION,
                                            .opcode = SATCHEL_OP_HELLO,
                                            .flags = SATCHEL_FLAG_REPLY,
                                            .request_id = id});
}

static void feed_buf(struct core *core, struct buf *bytes)
{
    feed(core, buf_view(bytes));
    buf_free(bytes);
}

static void open_core(struct core *core, uint64_t in_flight)
{
    cr_assert_eq(core_init(core, &(struct core_greeting){.token = "secret"}), STATUS_OK);
    struct buf bytes = {0};
    put_welcome(&bytes, hello_id(core), 1, in_flight);
    core_output_written(core, core_output(core).len);
    feed_buf(core, &bytes);
    struct core_event event;
    cr_assert_eq(core_next(core, &event), STATUS_OK);
    cr_assert_eq(event.kind, CORE_EVENT_OPENED);
}

static uint64_t send_get(struct core *core, void *owner)
{
    uint64_t id;
    uint64_t end;
    cr_assert(core_can_send(core));
    cr_assert_eq(core_send(core, &(struct core_request){.opcode = SATCHEL_OP_GET, .owner = owner},
                           &id, &end),
                 SATCHEL_OK);
    return id;
}

static void expect_failure(struct core *core, enum satchel_status status)
{
    struct core_event event;
    cr_assert_eq(core_next(core, &event), STATUS_OK);
    cr_assert_eq(event.kind, CORE_EVENT_FAILED);
    cr_assert_eq(event.reply.status, status, "%s", satchel_status_name_of(event.reply.status));
    cr_assert_gt(event.reply.message.len, 0);
    cr_assert_not(core_can_send(core));
    cr_assert_eq(core_next(core, &event), STATUS_AGAIN, "nothing comes after a failure");
}

Test(core, begins_with_hello_and_opens_on_a_welcome)
{
    struct core core;
    cr_assert_eq(core_init(&core, &(struct core_greeting){.token = "s", .client_name = "n"}),
                 STATUS_OK);
    cr_assert_not(core_can_send(&core));
    struct view out = core_output(&core);
    struct native_request request = {0};
    const char *why;
    cr_assert_eq(native_decode_header(out, &request.header), STATUS_OK);
    struct view body = view_of(out.ptr + SATCHEL_HEADER_BYTES, out.len - SATCHEL_HEADER_BYTES);
    cr_assert_eq(native_decode_request(&request, body, ACK_DURABLE, 0, &why), SATCHEL_OK);
    cr_assert(view_equal(request.hello.token, view_str("s")));
    cr_assert(view_equal(request.hello.client_name, view_str("n")));
    core_free(&core);

    open_core(&core, 10);
    cr_assert(core_can_send(&core));
    core_free(&core);
}

Test(core, answers_in_any_order_and_split_at_every_byte_find_their_requests)
{
    struct core core;
    open_core(&core, 10);
    uint64_t first = send_get(&core, &owners[0]);
    uint64_t second = send_get(&core, &owners[1]);
    struct buf bytes = {0};
    put_reply(&bytes, second, SATCHEL_OP_GET, SATCHEL_OK, "two");
    put_reply(&bytes, first, SATCHEL_OP_GET, SATCHEL_NOT_FOUND, "");
    struct core_event event;
    size_t events = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        feed(&core, view_of(bytes.ptr + i, 1));
        while (core_next(&core, &event) == STATUS_OK) {
            cr_assert_eq(event.kind, CORE_EVENT_REPLIED);
            if (events == 0) {
                cr_assert_eq(event.owner, &owners[1]);
                cr_assert(view_equal(event.reply.content, view_str("two")));
            } else {
                cr_assert_eq(event.owner, &owners[0]);
                cr_assert_eq(event.reply.status, SATCHEL_NOT_FOUND);
            }
            events++;
        }
    }
    cr_assert_eq(events, 2);
    buf_free(&bytes);
    core_free(&core);
}

Test(core, sends_no_more_than_the_server_allows)
{
    struct core core;
    open_core(&core, 2);
    uint64_t first = send_get(&core, &owners[0]);
    (void)send_get(&core, &owners[1]);
    cr_assert_not(core_can_send(&core));
    core_abandon(&core, first);
    cr_assert_not(core_can_send(&core), "the server still counts it");
    struct buf bytes = {0};
    put_reply(&bytes, first, SATCHEL_OP_GET, SATCHEL_OK, "late");
    feed_buf(&core, &bytes);
    struct core_event event;
    cr_assert_eq(core_next(&core, &event), STATUS_AGAIN, "a late answer is nobody's");
    cr_assert(core_can_send(&core));

    uint8_t large[1001] = {0};
    uint64_t id;
    uint64_t end;
    cr_assert_eq(core_send(&core,
                           &(struct core_request){.opcode = SATCHEL_OP_SET,
                                                  .body = view_of(large, sizeof large),
                                                  .owner = &owners[2]},
                           &id, &end),
                 SATCHEL_TOO_LARGE);
    core_free(&core);
}

Test(core, knows_which_requests_were_written_completely)
{
    struct core core;
    open_core(&core, 10);
    uint64_t id;
    uint64_t first_end;
    uint64_t second_end;
    struct core_request request = {.opcode = SATCHEL_OP_PING, .owner = &owners[0]};
    cr_assert_eq(core_send(&core, &request, &id, &first_end), SATCHEL_OK);
    cr_assert_eq(core_send(&core, &request, &id, &second_end), SATCHEL_OK);
    size_t frame = SATCHEL_HEADER_BYTES;
    cr_assert_eq(core_output(&core).len, 2 * frame);
    core_output_written(&core, frame - 1);
    cr_assert_not(core_was_sent(&core, first_end));
    core_output_written(&core, 1);
    cr_assert(core_was_sent(&core, first_end));
    core_output_written(&core, frame - 1);
    cr_assert_not(core_was_sent(&core, second_end));
    cr_assert_eq(core_output(&core).len, 1);
    core_free(&core);
}

/* Bytes that break the protocol, made from a correct answer to a GET. */
static void damage_checksum(struct buf *bytes)
{
    bytes->ptr[SATCHEL_HEADER_BYTES - 1] ^= 1;
}

static void damage_magic(struct buf *bytes)
{
    memcpy(bytes->ptr, "HTTP/1.1 400", 12);
}

static void rewrite(struct buf *bytes, void (*change)(struct native_header *))
{
    struct native_header header;
    cr_assert_eq(native_decode_header(buf_view(bytes), &header), STATUS_OK);
    change(&header);
    native_encode_header(bytes->ptr, &header);
}

static void no_reply_flag(struct native_header *header)
{
    header->flags = 0;
}

static void other_version(struct native_header *header)
{
    header->version = 2;
}

static void other_opcode(struct native_header *header)
{
    header->opcode = SATCHEL_OP_SET;
}

static void unknown_slot(struct native_header *header)
{
    header->request_id += 1000;
}

static void other_generation(struct native_header *header)
{
    header->request_id += UINT64_C(1) << 32;
}

static void no_request(struct native_header *header)
{
    header->request_id = 0;
}

static void endless_body(struct native_header *header)
{
    header->body_bytes = SATCHEL_BODY_BYTES_MAX + 1;
}

static void damage_body(struct buf *bytes)
{
    bytes->ptr[SATCHEL_HEADER_BYTES + 2] ^= 0x7f; /* the length of the first tag */
}

Test(core, bytes_that_break_the_protocol_end_the_connection)
{
    static const struct {
        void (*damage)(struct buf *);
        void (*header)(struct native_header *);
    } rows[] = {
        {damage_checksum, NULL}, {damage_magic, NULL},     {damage_body, NULL},
        {NULL, no_reply_flag},   {NULL, other_version},    {NULL, other_opcode},
        {NULL, unknown_slot},    {NULL, other_generation}, {NULL, no_request},
        {NULL, endless_body},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct core core;
        open_core(&core, 10);
        uint64_t id = send_get(&core, &owners[0]);
        struct buf bytes = {0};
        put_reply(&bytes, id, SATCHEL_OP_GET, SATCHEL_OK, "value");
        if (rows[i].damage != NULL) {
            rows[i].damage(&bytes);
        } else {
            rewrite(&bytes, rows[i].header);
        }
        feed_buf(&core, &bytes);
        expect_failure(&core, SATCHEL_BAD_REPLY);
        core_free(&core);
    }
}

Test(core, a_refused_hello_says_why)
{
    struct core core;
    cr_assert_eq(core_init(&core, &(struct core_greeting){0}), STATUS_OK);
    struct buf bytes = {0};
    cr_assert_eq(native_encode_reply(&bytes, &(struct native_reply){.request_id = hello_id(&core),
                                                                    .opcode = SATCHEL_OP_HELLO,
                                                                    .status = SATCHEL_LOADING,
                                                                    .message = view_str("42 %"),
                                                                    .retry_after_ms = 70}),
                 STATUS_OK);
    feed_buf(&core, &bytes);
    struct core_event event;
    cr_assert_eq(core_next(&core, &event), STATUS_OK);
    cr_assert_eq(event.kind, CORE_EVENT_FAILED);
    cr_assert_eq(event.reply.status, SATCHEL_LOADING);
    cr_assert_eq(event.reply.retry_after_ms, 70);
    cr_assert(view_equal(event.reply.message, view_str("42 %")));
    core_free(&core);
}

Test(core, a_welcome_in_another_version_is_no_welcome)
{
    struct core core;
    cr_assert_eq(core_init(&core, &(struct core_greeting){0}), STATUS_OK);
    struct buf bytes = {0};
    put_welcome(&bytes, hello_id(&core), 2, 10);
    feed_buf(&core, &bytes);
    expect_failure(&core, SATCHEL_BAD_REPLY);
    core_free(&core);
}

Test(core, parting_words_without_a_request_end_the_connection_with_their_status)
{
    struct core core;
    open_core(&core, 10);
    (void)send_get(&core, &owners[0]);
    struct buf bytes = {0};
    cr_assert_eq(native_encode_reply(&bytes, &(struct native_reply){.opcode = SATCHEL_OP_GET,
                                                                    .status = SATCHEL_BUSY,
                                                                    .message = view_str("full")}),
                 STATUS_OK);
    feed_buf(&core, &bytes);
    expect_failure(&core, SATCHEL_BUSY);
    core_free(&core);
}

Test(core, after_goaway_answers_still_come_but_nothing_is_sent)
{
    struct core core;
    open_core(&core, 10);
    uint64_t id = send_get(&core, &owners[0]);
    struct buf bytes = {0};
    put_reply(&bytes, 0, SATCHEL_OP_GOAWAY, SATCHEL_OK, "");
    put_reply(&bytes, id, SATCHEL_OP_GET, SATCHEL_OK, "last");
    feed_buf(&core, &bytes);
    struct core_event event;
    cr_assert_eq(core_next(&core, &event), STATUS_OK);
    cr_assert_eq(event.kind, CORE_EVENT_LEAVING);
    cr_assert_not(core_can_send(&core));
    cr_assert_eq(core_next(&core, &event), STATUS_OK);
    cr_assert_eq(event.kind, CORE_EVENT_REPLIED);
    cr_assert_eq(event.owner, &owners[0]);
    core_free(&core);
}

Test(core, an_unknown_status_reads_as_unknown_outcome)
{
    struct core core;
    open_core(&core, 10);
    static const uint16_t numbers[] = {999, 1001, 31};
    for (size_t i = 0; i < 3; i++) {
        struct buf bytes = {0};
        put_reply(&bytes, send_get(&core, &owners[0]), SATCHEL_OP_GET,
                  (enum satchel_status)numbers[i], "");
        feed_buf(&core, &bytes);
        struct core_event event;
        cr_assert_eq(core_next(&core, &event), STATUS_OK);
        cr_assert_eq(event.reply.status, SATCHEL_UNKNOWN_OUTCOME);
    }
    core_free(&core);
}

Test(core, slots_are_used_again_with_new_ids)
{
    struct core core;
    open_core(&core, 100);
    uint64_t before = 0;
    for (size_t i = 0; i < 1000; i++) {
        uint64_t id = send_get(&core, &owners[0]);
        cr_assert_neq(id, before);
        before = id;
        struct buf bytes = {0};
        put_reply(&bytes, id, SATCHEL_OP_GET, SATCHEL_OK, "x");
        feed_buf(&core, &bytes);
        struct core_event event;
        cr_assert_eq(core_next(&core, &event), STATUS_OK);
        core_output_written(&core, core_output(&core).len);
    }
    cr_assert_eq(core.slot_count, 8);
    core_free(&core);
}
