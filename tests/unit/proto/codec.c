/* The rules of the codec that no vector shows: cuts, limits, order, unknown things, memory. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/hash.h"
#include "proto/native.h"
#include "session/fields.h"
#include "vector.h"

enum { VALUE_BYTES_MAX = 4096 };

/* Decodes the body in a copy of exactly its size, so that a sanitizer sees a read behind it. The
 * views in `request` are not valid afterwards. */
static enum satchel_status decode(enum satchel_opcode opcode, struct view body,
                                  struct native_request *request)
{
    uint8_t *copy = malloc(body.len == 0 ? 1 : body.len);
    cr_assert_not_null(copy);
    (void)put_view(copy, body);
    const char *why = NULL;
    request->header = (struct native_header){.version = SATCHEL_WIRE_VERSION,
                                             .opcode = (uint8_t)opcode,
                                             .body_bytes = (uint32_t)body.len};
    enum satchel_status status = native_decode_request(request, view_of(copy, body.len),
                                                       ACK_DURABLE, VALUE_BYTES_MAX, &why);
    cr_assert_eq(why != NULL, status != SATCHEL_OK);
    free(copy);
    return status;
}

Test(header, is_read_when_all_of_it_is_there_and_not_before)
{
    struct native_header header = {.version = SATCHEL_WIRE_VERSION,
                                   .opcode = SATCHEL_OP_SET,
                                   .flags = SATCHEL_FLAG_ACK_FAST,
                                   .body_bytes = 0x01020304,
                                   .request_id = UINT64_C(0xfedcba9876543210),
                                   .status = 0xabcd};
    uint8_t bytes[SATCHEL_HEADER_BYTES];
    native_encode_header(bytes, &header);
    struct native_header read;
    for (size_t len = 0; len < sizeof bytes; len++) {
        cr_assert_eq(native_decode_header(view_of(bytes, len), &read), STATUS_AGAIN);
    }
    cr_assert_eq(native_decode_header(view_of(bytes, sizeof bytes), &read), STATUS_OK);
    cr_assert_eq(read.opcode, header.opcode);
    cr_assert_eq(read.flags, header.flags);
    cr_assert_eq(read.body_bytes, header.body_bytes);
    cr_assert_eq(read.request_id, header.request_id);
    cr_assert_eq(read.status, header.status);
}

Test(header, any_bit_that_is_turned_is_noticed)
{
    uint8_t bytes[SATCHEL_HEADER_BYTES];
    struct native_header header = {.version = SATCHEL_WIRE_VERSION, .opcode = SATCHEL_OP_PING};
    native_encode_header(bytes, &header);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_eq(native_decode_header(view_of(bytes, sizeof bytes), &header), STATUS_INVALID,
                     "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    cr_assert_eq(native_decode_header(view_str("GET / HTTP/1.1"), &header), STATUS_INVALID);
    cr_assert_eq(native_decode_header(view_str("*"), &header), STATUS_INVALID);
}

Test(header, a_reserved_bit_is_unsupported_and_the_request_id_is_still_known)
{
    uint8_t bytes[SATCHEL_HEADER_BYTES];
    struct native_header header = {.version = SATCHEL_WIRE_VERSION, .request_id = 77};
    for (unsigned bit = 0; bit < 16; bit++) {
        native_encode_header(bytes, &header);
        store_u16(bytes + 18, (uint16_t)(1U << bit));
        store_u32(bytes + SATCHEL_HEADER_CHECKED_BYTES,
                  (uint32_t)hash64(view_of(bytes, SATCHEL_HEADER_CHECKED_BYTES), 0));
        struct native_header read;
        cr_assert_eq(native_decode_header(view_of(bytes, sizeof bytes), &read), STATUS_UNSUPPORTED,
                     "bit %u", bit);
        cr_assert_eq(read.request_id, 77);
    }
}

Test(request, every_cut_in_the_body_is_refused)
{
    struct buf body = {0};
    struct native_request request;
    cr_assert_eq(native_put_bytes(&body, SATCHEL_TAG_ID, view_str("cart:42")), STATUS_OK);
    size_t id_end = body.len;
    cr_assert_eq(native_put_u64(&body, SATCHEL_TAG_IF_VERSION, 9), STATUS_OK);
    for (size_t len = 0; len < body.len; len++) {
        cr_assert_eq(decode(SATCHEL_OP_DELETE, view_of(body.ptr, len), &request),
                     len == id_end ? SATCHEL_OK : SATCHEL_BAD_REQUEST, "%zu bytes", len);
    }
    cr_assert_eq(decode(SATCHEL_OP_DELETE, buf_view(&body), &request), SATCHEL_OK);
    cr_assert_eq(request.command.condition, CONDITION_VERSION);
    cr_assert_eq(request.command.condition_version, 9);
    buf_free(&body);
}

Test(request, each_opcode_takes_the_critical_tags_of_its_table_and_no_others)
{
    static const struct {
        enum satchel_opcode op;
        const char *takes; /* " NAME …" of critical tags */
    } opcodes[] = {
        {SATCHEL_OP_HELLO, " TOKEN WIRE_VERSION "},
        {SATCHEL_OP_PING, " "},
        {SATCHEL_OP_GET, " ID TOUCH "},
        {SATCHEL_OP_SET, " ID VALUE FIELDS NAMES OWNER TTL_MS IDLE_TTL_MS KEEP_TTL IF_VERSION "
                         "IF_ABSENT IF_PRESENT "},
        {SATCHEL_OP_DELETE, " ID IF_VERSION IF_ABSENT IF_PRESENT "},
        {SATCHEL_OP_TOUCH, " ID TTL_MS IDLE_TTL_MS IF_VERSION IF_ABSENT IF_PRESENT "},
        {SATCHEL_OP_PATCH,
         " ID OWNER TTL_MS IDLE_TTL_MS OPS RETURN_CONTENT IF_VERSION IF_ABSENT IF_PRESENT "},
        {SATCHEL_OP_STATS, " "},
        {SATCHEL_OP_SCAN, " CURSOR COUNT PREFIX "},
    };
    static const struct {
        enum satchel_tag tag;
        const char *name;
        size_t value_bytes;
    } tags[] = {
#define BYTES 0
#define FIELDS 0
#define OPS 0
#define FLAG 0
#define U16 2
#define U64 8
#define X(name, number, type, where, meaning) {SATCHEL_TAG_##name, " " #name " ", type},
        SATCHEL_TAGS(X)
#undef X
    };
    static const uint8_t one[8] = {1};
    for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++) {
        for (size_t j = 0; j < sizeof tags / sizeof tags[0]; j++) {
            struct native_request request = {
                .header = {.version = SATCHEL_WIRE_VERSION, .opcode = (uint8_t)opcodes[i].op}};
            struct buf body = {0};
            cr_assert_eq(native_put_bytes(&body, tags[j].tag, view_of(one, tags[j].value_bytes)),
                         STATUS_OK);
            const char *why = "";
            (void)native_decode_request(&request, buf_view(&body), ACK_DURABLE, VALUE_BYTES_MAX,
                                        &why);
            bool critical = (tags[j].tag & SATCHEL_TAG_CRITICAL) != 0;
            bool refused = strcmp(why, "a tag that this opcode does not take") == 0;
            cr_assert_eq(refused, critical && strstr(opcodes[i].takes, tags[j].name) == NULL,
                         "%s with%s: %s", native_opcode_word(opcodes[i].op), tags[j].name, why);
            buf_free(&body);
        }
    }
}

Test(request, a_value_has_the_length_of_its_type)
{
    static const struct {
        enum satchel_opcode op;
        enum satchel_tag tag;
        size_t value_bytes;
        enum satchel_status status;
    } cases[] = {
        {SATCHEL_OP_SCAN, SATCHEL_TAG_CURSOR, 7, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_SCAN, SATCHEL_TAG_CURSOR, 8, SATCHEL_OK},
        {SATCHEL_OP_SCAN, SATCHEL_TAG_CURSOR, 9, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_HELLO, SATCHEL_TAG_WIRE_VERSION, 1, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_HELLO, SATCHEL_TAG_WIRE_VERSION, 2, SATCHEL_OK},
        {SATCHEL_OP_HELLO, SATCHEL_TAG_WIRE_VERSION, 8, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, SATCHEL_TAG_TOUCH, 1, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, SATCHEL_TAG_ID, 0, SATCHEL_BAD_REQUEST},
        {SATCHEL_OP_GET, SATCHEL_TAG_ID, 512, SATCHEL_OK},
        {SATCHEL_OP_GET, SATCHEL_TAG_ID, 513, SATCHEL_TOO_LARGE},
        {SATCHEL_OP_SCAN, SATCHEL_TAG_PREFIX, 512, SATCHEL_OK},
        {SATCHEL_OP_SCAN, SATCHEL_TAG_PREFIX, 513, SATCHEL_TOO_LARGE},
        {SATCHEL_OP_HELLO, SATCHEL_TAG_TOKEN, 2, SATCHEL_BAD_REQUEST}, /* no wire version */
        {SATCHEL_OP_PING, SATCHEL_TAG_CLIENT_NAME, 4090, SATCHEL_OK},  /* ignored */
        {SATCHEL_OP_PING, SATCHEL_TAG_CLIENT_NAME, 4091, SATCHEL_TOO_LARGE},
    };
    static const uint8_t ones[8192] = {1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf body = {0};
        struct native_request request;
        cr_assert_eq(native_put_bytes(&body, cases[i].tag, view_of(ones, cases[i].value_bytes)),
                     STATUS_OK);
        enum satchel_status status = decode(cases[i].op, buf_view(&body), &request);
        cr_assert_eq(status, cases[i].status, "case %zu: %d", i, status);
        buf_free(&body);
    }
}

Test(request, a_time_of_zero_is_refused_and_not_taken_for_none)
{
    static const enum satchel_tag times[] = {SATCHEL_TAG_TTL_MS, SATCHEL_TAG_IDLE_TTL_MS};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t ms = 0; ms < 2; ms++) {
            struct buf body = {0};
            struct native_request request;
            cr_assert_eq(native_put_bytes(&body, SATCHEL_TAG_ID, view_str("id")), STATUS_OK);
            cr_assert_eq(native_put_u64(&body, times[i], ms), STATUS_OK);
            cr_assert_eq(decode(SATCHEL_OP_TOUCH, buf_view(&body), &request),
                         ms == 0 ? SATCHEL_BAD_REQUEST : SATCHEL_OK);
            buf_free(&body);
        }
    }
}

Test(request, the_ack_comes_from_the_flags_or_else_from_the_server)
{
    static const struct {
        uint8_t flags;
        enum ack ack_default;
        enum ack ack;
    } cases[] = {
        {0, ACK_DURABLE, ACK_DURABLE},
        {0, ACK_FAST, ACK_FAST},
        {SATCHEL_FLAG_ACK_FAST, ACK_DURABLE, ACK_FAST},
        {SATCHEL_FLAG_ACK_DURABLE, ACK_FAST, ACK_DURABLE},
    };
    struct buf body = {0};
    cr_assert_eq(native_put_bytes(&body, SATCHEL_TAG_ID, view_str("id")), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct native_request request = {.header = {.version = SATCHEL_WIRE_VERSION,
                                                    .opcode = SATCHEL_OP_GET,
                                                    .flags = cases[i].flags}};
        const char *why = NULL;
        cr_assert_eq(native_decode_request(&request, buf_view(&body), cases[i].ack_default,
                                           VALUE_BYTES_MAX, &why),
                     SATCHEL_OK);
        cr_assert_eq(request.command.ack, cases[i].ack, "case %zu", i);
    }
    buf_free(&body);
}

Test(request, each_member_of_a_command_survives_the_way)
{
    struct buf fields = {0}, names = {0}, ops = {0}, frame = {0};
    cr_assert_eq(fields_append(&fields, view_str("a"), view_str("1")), STATUS_OK);
    cr_assert_eq(fields_append(&names, view_str("a"), (struct view){0}), STATUS_OK);
    cr_assert_eq(ops_append(&ops, SATCHEL_FIELD_SET, view_str("a"), view_str("2")), STATUS_OK);
    const struct view id = view_str("id");
    const struct command commands[] = {
        {.op = SATCHEL_OP_GET, .id = id, .touch = true},
        {.op = SATCHEL_OP_SET, .id = id, .kind = SATCHEL_BLOB, .ttl_ms = 11},
        {.op = SATCHEL_OP_SET, .id = id, .kind = SATCHEL_FIELDS, .content = buf_view(&fields)},
        {.op = SATCHEL_OP_SET, .id = id, .kind = SATCHEL_NAMES, .content = buf_view(&names)},
        {.op = SATCHEL_OP_SET, .id = id, .kind = SATCHEL_BLOB, .keep_ttl = true},
        {.op = SATCHEL_OP_SET,
         .id = id,
         .kind = SATCHEL_BLOB,
         .idle_ttl_ms = 12,
         .has_owner = true,
         .owner = view_str("ann"),
         .content = view_str("value"),
         .condition = CONDITION_ABSENT},
        {.op = SATCHEL_OP_DELETE, .id = id, .condition = CONDITION_PRESENT},
        {.op = SATCHEL_OP_TOUCH,
         .id = id,
         .condition = CONDITION_VERSION,
         .condition_version = UINT64_MAX,
         .ttl_ms = SATCHEL_TTL_MS_MAX},
        {.op = SATCHEL_OP_PATCH,
         .id = id,
         .ops = buf_view(&ops),
         .return_content = true,
         .has_owner = true},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *in = &commands[i];
        frame.len = 0;
        cr_assert_eq(native_encode_command(&frame, 99, SATCHEL_FLAG_ACK_FAST, in), STATUS_OK);
        struct native_request request;
        const char *why = NULL;
        cr_assert_eq(native_decode_header(buf_view(&frame), &request.header), STATUS_OK);
        cr_assert_eq(request.header.request_id, 99);
        cr_assert_eq(request.header.body_bytes, frame.len - SATCHEL_HEADER_BYTES);
        struct view body = view_of(frame.ptr + SATCHEL_HEADER_BYTES, request.header.body_bytes);
        cr_assert_eq(native_decode_request(&request, body, ACK_DURABLE, VALUE_BYTES_MAX, &why),
                     SATCHEL_OK, "command %zu: %s", i, why);
        const struct command *out = &request.command;
        cr_assert_eq(out->op, in->op);
        cr_assert_eq(out->ack, ACK_FAST);
        cr_assert_eq(out->condition, in->condition);
        cr_assert_eq(out->condition_version, in->condition_version);
        cr_assert_eq(out->keep_ttl, in->keep_ttl);
        cr_assert_eq(out->touch, in->touch);
        cr_assert_eq(out->return_content, in->return_content);
        cr_assert_eq(out->has_owner, in->has_owner);
        cr_assert_eq(out->ttl_ms, in->ttl_ms);
        cr_assert_eq(out->idle_ttl_ms, in->idle_ttl_ms);
        cr_assert(view_equal(out->id, in->id) && view_equal(out->owner, in->owner));
        cr_assert(view_equal(out->content, in->content) && view_equal(out->ops, in->ops));
        cr_assert(in->op != SATCHEL_OP_SET || out->kind == in->kind);
    }
    buf_free(&fields);
    buf_free(&names);
    buf_free(&ops);
    buf_free(&frame);
}

Test(request, a_hello_and_a_scan_give_what_they_carry)
{
    struct buf body = {0};
    cr_assert_eq(native_put_u16(&body, SATCHEL_TAG_WIRE_VERSION, 3), STATUS_OK);
    cr_assert_eq(native_put_u64(&body, SATCHEL_TAG_FEATURES, 6), STATUS_OK);
    cr_assert_eq(native_put_bytes(&body, SATCHEL_TAG_TOKEN, view_str("secret")), STATUS_OK);
    cr_assert_eq(native_put_bytes(&body, SATCHEL_TAG_CLIENT_NAME, view_str("me")), STATUS_OK);
    const char *why = NULL;
    struct native_request request = {
        .header = {.version = SATCHEL_WIRE_VERSION, .opcode = SATCHEL_OP_HELLO}};
    cr_assert_eq(
        native_decode_request(&request, buf_view(&body), ACK_DURABLE, VALUE_BYTES_MAX, &why),
        SATCHEL_OK);
    cr_assert_eq(request.hello.wire_version, 3);
    cr_assert_eq(request.hello.features, 6);
    cr_assert(view_equal(request.hello.token, view_str("secret")));
    cr_assert(view_equal(request.hello.client_name, view_str("me")));

    request.header.opcode = SATCHEL_OP_SCAN;
    static const struct {
        uint64_t count;
        enum satchel_status status;
    } counts[] = {{0, SATCHEL_BAD_REQUEST},
                  {1, SATCHEL_OK},
                  {SATCHEL_SCAN_COUNT_MAX, SATCHEL_OK},
                  {SATCHEL_SCAN_COUNT_MAX + 1, SATCHEL_TOO_LARGE}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        body.len = 0;
        cr_assert_eq(native_put_u64(&body, SATCHEL_TAG_COUNT, counts[i].count), STATUS_OK);
        cr_assert_eq(native_put_u64(&body, SATCHEL_TAG_CURSOR, 77), STATUS_OK);
        cr_assert_eq(
            native_decode_request(&request, buf_view(&body), ACK_DURABLE, VALUE_BYTES_MAX, &why),
            counts[i].status);
        cr_assert_eq(request.scan.count, counts[i].count);
        cr_assert_eq(request.scan.cursor, 77);
    }
    body.len = 0;
    cr_assert_eq(decode(SATCHEL_OP_SCAN, buf_view(&body), &request), SATCHEL_OK);
    cr_assert_eq(request.scan.count, SATCHEL_SCAN_COUNT_DEFAULT);
    cr_assert_eq(request.scan.cursor, 0);
    buf_free(&body);
}

Test(reply, unknown_statuses_and_those_that_must_not_travel_have_an_unknown_outcome)
{
    static const struct {
        uint16_t number;
        enum satchel_status status;
    } cases[] = {{SATCHEL_OK, SATCHEL_OK},
                 {SATCHEL_BUSY, SATCHEL_BUSY},
                 {SATCHEL_UNKNOWN_OUTCOME, SATCHEL_UNKNOWN_OUTCOME},
                 {7, SATCHEL_UNKNOWN_OUTCOME},
                 {SATCHEL_TIMED_OUT, SATCHEL_UNKNOWN_OUTCOME},
                 {SATCHEL_CLOSED, SATCHEL_UNKNOWN_OUTCOME},
                 {65535, SATCHEL_UNKNOWN_OUTCOME}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct native_header header = {.version = SATCHEL_WIRE_VERSION,
                                       .opcode = SATCHEL_OP_SET,
                                       .flags = SATCHEL_FLAG_REPLY,
                                       .status = cases[i].number};
        struct native_reply reply;
        cr_assert_eq(native_decode_reply(&header, (struct view){0}, &reply), STATUS_OK);
        cr_assert_eq(reply.status, cases[i].status, "%u", cases[i].number);
        cr_assert_not(reply.has_version);
        cr_assert_not(reply.has_content);
        header.flags = 0;
        cr_assert_eq(native_decode_reply(&header, (struct view){0}, &reply), STATUS_INVALID);
    }
}

Test(reply, a_body_against_the_rules_is_invalid)
{
    static const struct {
        const char *name;
        const char *text;
        enum status status;
    } cases[] = {
        {"a blob", "VALUE = \"x\"\n", STATUS_OK},
        {"a blob and fields", "VALUE = \"x\"\nFIELDS = a \"1\"\n", STATUS_INVALID},
        {"names", "NAMES = a \"\"\n", STATUS_OK},
        {"fields and names", "FIELDS = a \"1\"\nNAMES = a \"\"\n", STATUS_INVALID},
        {"a name with a value", "NAMES = a \"1\"\n", STATUS_INVALID},
        {"a tag twice", "VERSION = 1\nVERSION = 1\n", STATUS_INVALID},
        {"a name twice", "FIELDS = a \"1\"; a \"2\"\n", STATUS_INVALID},
        {"an unknown optional tag", "0x7fff = \"x\"\nVERSION = 1\n", STATUS_OK},
        {"an unknown critical tag", "0xffff = \"x\"\n", STATUS_INVALID},
        {"many STATs and ENTRYs",
         "STAT = \"a\"\nSTAT = \"b\"\nENTRY = \"\"\nENTRY = \"\"\nCURSOR = 5\n", STATUS_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf frame = {0};
        vector_build(cases[i].text, &frame);
        struct native_header header = {.flags = SATCHEL_FLAG_REPLY, .opcode = SATCHEL_OP_GET};
        struct native_reply reply;
        struct view body = view_of(frame.ptr + SATCHEL_HEADER_BYTES,
                                   frame.len - SATCHEL_HEADER_BYTES);
        cr_assert_eq(native_decode_reply(&header, body, &reply), cases[i].status, "%s",
                     cases[i].name);
        buf_free(&frame);
    }
}

Test(reply, is_appended_behind_what_the_buffer_holds_already)
{
    struct buf out = {0};
    struct native_reply reply = {.request_id = 1,
                                 .opcode = SATCHEL_OP_GET,
                                 .has_version = true,
                                 .has_content = true,
                                 .kind = SATCHEL_BLOB};
    for (uint64_t id = 0; id < 100; id++) {
        reply.request_id = id;
        cr_assert_eq(native_encode_reply(&out, &reply), STATUS_OK);
    }
    struct view rest = buf_view(&out);
    for (uint64_t id = 0; id < 100; id++) {
        struct native_header header;
        struct native_reply read;
        cr_assert_eq(native_decode_header(rest, &header), STATUS_OK);
        struct view body = view_of(rest.ptr + SATCHEL_HEADER_BYTES, header.body_bytes);
        cr_assert_eq(native_decode_reply(&header, body, &read), STATUS_OK);
        cr_assert_eq(read.request_id, id);
        cr_assert(read.has_version && read.version == 0);
        cr_assert(read.has_content && read.content.len == 0 && read.kind == SATCHEL_BLOB);
        rest = view_of(body.ptr + body.len, rest.len - SATCHEL_HEADER_BYTES - body.len);
    }
    cr_assert_eq(rest.len, 0);
    buf_free(&out);
}

Test(limits, a_stranger_may_send_little_and_others_a_value_and_what_belongs_to_it)
{
    const uint32_t around_value = SATCHEL_BODY_BYTES_MAX - SATCHEL_VALUE_BYTES_MAX;
    cr_assert_eq(native_body_bytes_max(SATCHEL_OP_HELLO, VALUE_BYTES_MAX),
                 SATCHEL_HELLO_BODY_BYTES_MAX);
    cr_assert_eq(native_body_bytes_max(SATCHEL_OP_PING, VALUE_BYTES_MAX),
                 SATCHEL_HELLO_BODY_BYTES_MAX);
    cr_assert_eq(native_body_bytes_max(SATCHEL_OP_SET, VALUE_BYTES_MAX),
                 VALUE_BYTES_MAX + around_value);
    cr_assert_eq(native_body_bytes_max(SATCHEL_OP_SET, UINT64_MAX), SATCHEL_BODY_BYTES_MAX);
}
