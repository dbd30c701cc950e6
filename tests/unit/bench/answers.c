/* What the protocols send, and what they make of answers: whole, in pieces, and wrong. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "load/protocol.h"
#include "proto/native.h"

/* Decodes a copy of exactly that size, so that a sanitizer sees a read behind it; the views in the
 * answer point into it until the next call. */
static enum reading decode(const struct protocol *protocol, struct view bytes, struct answer *out,
                           size_t *used)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(bytes.len);
    cr_assert_not_null(copy);
    (void)put_view(copy, bytes);
    return protocol->decode(view_of(copy, bytes.len), out, used);
}

struct example {
    const char *text;
    enum answer_kind kind;
    const char *content; /* of a value */
};

/* Each is an answer, is not one as long as a byte is missing, and ends where it ends. */
static void check_examples(const struct protocol *protocol, const struct example *examples,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct view whole = view_str(examples[i].text);
        struct answer answer;
        size_t used = 0;
        for (size_t len = 1; len < whole.len; len++) {
            cr_assert_eq(decode(protocol, view_of(whole.ptr, len), &answer, &used), READING_MORE,
                         "%s, %zu bytes", examples[i].text, len);
        }
        struct buf two = {0};
        cr_assert_eq(buf_append(&two, whole), STATUS_OK);
        cr_assert_eq(buf_append(&two, whole), STATUS_OK);
        cr_assert_eq(decode(protocol, buf_view(&two), &answer, &used), READING_DONE, "%s",
                     examples[i].text);
        cr_assert_eq(used, whole.len, "%s", examples[i].text);
        cr_assert_eq(answer.kind, examples[i].kind, "%s", examples[i].text);
        if (examples[i].content != NULL) {
            cr_assert(view_equal(answer.content, view_str(examples[i].content)), "%s",
                      examples[i].text);
        }
        buf_free(&two);
    }
}

static void check_refused(const struct protocol *protocol, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct answer answer;
        size_t used;
        cr_assert_eq(decode(protocol, view_str(texts[i]), &answer, &used), READING_BAD, "%s",
                     texts[i]);
        cr_assert_gt(answer.text.len, 0);
    }
}

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

Test(resp, answers_are_read_when_they_are_whole)
{
    static const struct example examples[] = {
        {"+OK\r\n", ANSWER_DONE, NULL},
        {"-LOADING Redis is loading\r\n", ANSWER_REFUSED, NULL},
        {":17\r\n", ANSWER_NUMBER, NULL},
        {":-2\r\n", ANSWER_NUMBER, NULL},
        {"$-1\r\n", ANSWER_MISSING, NULL},
        {"_\r\n", ANSWER_MISSING, NULL},
        {"$0\r\n\r\n", ANSWER_VALUE, ""},
        {"$7\r\na\r\nb\r\nc\r\n", ANSWER_VALUE, "a\r\nb\r\nc"},
        {"*0\r\n", ANSWER_MISSING, NULL},
        {"%0\r\n", ANSWER_MISSING, NULL},
        {"*4\r\n$1\r\na\r\n$2\r\nbc\r\n$1\r\nd\r\n$0\r\n\r\n", ANSWER_FIELDS, NULL},
        {"%2\r\n$1\r\na\r\n$2\r\nbc\r\n$1\r\nd\r\n$0\r\n\r\n", ANSWER_FIELDS, NULL},
    };
    check_examples(&protocol_resp, examples, COUNT_OF(examples));
}

Test(resp, what_is_no_answer_is_refused)
{
    static const char *const texts[] = {
        "\r\n",
        "OK\r\n",
        "+OK\n",
        ":\r\n",
        ":1x\r\n",
        "$-2\r\n",
        "$3\r\nabcd\r\n",
        "$3\r\nabc\rx",
        "$x\r\n",
        "$99999999999999999999\r\n",
        "*-1\r\n\n",
        "*2\r\n:1\r\n:2\r\n",
        "*1\r\n$1\r\na\r\n",
        "STORED\r\n",
        "\xb5\x01\r\n",
    };
    check_refused(&protocol_resp, texts, COUNT_OF(texts));
}

Test(resp, fields_come_out_in_order)
{
    struct answer answer;
    struct field field;
    size_t used;
    cr_assert_eq(decode(&protocol_resp,
                        view_str("*4\r\n$1\r\na\r\n$2\r\nbc\r\n$1\r\nd\r\n$0\r\n\r\n"), &answer,
                        &used),
                 READING_DONE);
    cr_assert(protocol_resp.next_field(&answer.content, &field));
    cr_assert(view_equal(field.name, view_str("a")) && view_equal(field.value, view_str("bc")));
    cr_assert(protocol_resp.next_field(&answer.content, &field));
    cr_assert(view_equal(field.name, view_str("d")) && field.value.len == 0);
    cr_assert_not(protocol_resp.next_field(&answer.content, &field));
}

Test(memcache, answers_are_read_when_they_are_whole)
{
    static const struct example examples[] = {
        {"STORED\r\n", ANSWER_DONE, NULL},
        {"TOUCHED\r\n", ANSWER_DONE, NULL},
        {"DELETED\r\n", ANSWER_DONE, NULL},
        {"VERSION 1.6.18\r\n", ANSWER_DONE, NULL},
        {"NOT_FOUND\r\n", ANSWER_MISSING, NULL},
        {"END\r\n", ANSWER_MISSING, NULL},
        {"SERVER_ERROR out of memory storing object\r\n", ANSWER_REFUSED, NULL},
        {"CLIENT_ERROR bad data chunk\r\n", ANSWER_REFUSED, NULL},
        {"ERROR\r\n", ANSWER_REFUSED, NULL},
        {"VALUE k 0 0\r\n\r\nEND\r\n", ANSWER_VALUE, ""},
        {"VALUE k 0 7\r\na\r\nb\r\nc\r\nEND\r\n", ANSWER_VALUE, "a\r\nb\r\nc"},
    };
    check_examples(&protocol_memcache, examples, COUNT_OF(examples));
}

Test(memcache, what_is_no_answer_is_refused)
{
    static const char *const texts[] = {
        "\r\n",
        "+OK\r\n",
        "STORED\n",
        "VALUE k 0 x\r\nabc\r\nEND\r\n",
        "VALUE k 0 2\r\nabc\r\nEND\r\n",
        "VALUE k 0 99999999999999999999\r\n",
    };
    check_refused(&protocol_memcache, texts, COUNT_OF(texts));
}

/* The bytes of one request; the caller frees. */
static struct buf encoded(const struct protocol *protocol, enum operation operation,
                          uint64_t idle_ttl_ms, bool has_fields, unsigned answers)
{
    struct dialect dialect = {.idle_ttl_ms = idle_ttl_ms, .has_fields = has_fields};
    struct request request = {
        .operation = operation,
        .item = 2,
        .id = 9,
        .key = view_str("k"),
        .values = {view_str("v0"), view_str("v1"), view_str("v2"), view_str("v3")}};
    struct buf out = {0};
    cr_assert_eq(protocol->encode(&dialect, &request, &out), answers);
    return out;
}

static void check_request(const struct protocol *protocol, enum operation operation,
                          uint64_t idle_ttl_ms, bool has_fields, unsigned answers,
                          const char *expected)
{
    struct buf out = encoded(protocol, operation, idle_ttl_ms, has_fields, answers);
    cr_assert(view_equal(buf_view(&out), view_str(expected)), "%.*s", (int)out.len,
              (const char *)out.ptr);
    buf_free(&out);
}

Test(resp, requests_are_those_of_session_stores)
{
    const struct protocol *resp = &protocol_resp;
    check_request(resp, OPERATION_GET, 0, false, 1, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    check_request(resp, OPERATION_GET, 0, true, 1, "*2\r\n$7\r\nHGETALL\r\n$1\r\nk\r\n");
    check_request(resp, OPERATION_DELETE, 0, false, 1, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    check_request(resp, OPERATION_SET, 0, false, 1, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nv0\r\n");
    check_request(resp, OPERATION_SET, 86400000, false, 1,
                  "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nv0\r\n$2\r\nEX\r\n$5\r\n86400\r\n");
    check_request(resp, OPERATION_SET, 1500, false, 1,
                  "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nv0\r\n$2\r\nPX\r\n$4\r\n1500\r\n");
    check_request(resp, OPERATION_TOUCH, 3000, false, 1,
                  "*3\r\n$6\r\nEXPIRE\r\n$1\r\nk\r\n$1\r\n3\r\n");
    check_request(resp, OPERATION_TOUCH, 10, false, 1,
                  "*3\r\n$7\r\nPEXPIRE\r\n$1\r\nk\r\n$2\r\n10\r\n");
    check_request(resp, OPERATION_TOUCH, 0, false, 1, "*2\r\n$5\r\nTOUCH\r\n$1\r\nk\r\n");
    check_request(resp, OPERATION_PATCH, 0, true, 1,
                  "*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$5\r\nitem2\r\n$2\r\nv0\r\n");
    check_request(resp, OPERATION_INCR, 0, true, 1,
                  "*4\r\n$7\r\nHINCRBY\r\n$1\r\nk\r\n$5\r\ncount\r\n$1\r\n1\r\n");
    check_request(resp, OPERATION_SET, 1000, true, 2,
                  "*12\r\n$4\r\nHSET\r\n$1\r\nk\r\n$5\r\ncount\r\n$1\r\n0\r\n"
                  "$5\r\nitem0\r\n$2\r\nv0\r\n$5\r\nitem1\r\n$2\r\nv1\r\n"
                  "$5\r\nitem2\r\n$2\r\nv2\r\n$5\r\nitem3\r\n$2\r\nv3\r\n"
                  "*3\r\n$6\r\nEXPIRE\r\n$1\r\nk\r\n$1\r\n1\r\n");
}

Test(memcache, requests_are_its_text_commands)
{
    const struct protocol *memcache = &protocol_memcache;
    check_request(memcache, OPERATION_GET, 0, false, 1, "get k\r\n");
    check_request(memcache, OPERATION_SET, 0, false, 1, "set k 0 0 2\r\nv0\r\n");
    check_request(memcache, OPERATION_SET, 1001, false, 1, "set k 0 2 2\r\nv0\r\n");
    check_request(memcache, OPERATION_TOUCH, UINT64_C(31536000000), false, 1,
                  "touch k 2592000\r\n");
    check_request(memcache, OPERATION_DELETE, 0, false, 1, "delete k\r\n");
}

/* Every request of the native protocol has to be one that the server's decoder takes. */
Test(native, requests_are_what_the_server_reads)
{
    static const struct {
        enum operation operation;
        bool has_fields;
        enum satchel_opcode opcode;
    } cases[] = {
        {OPERATION_GET, false, SATCHEL_OP_GET},     {OPERATION_SET, false, SATCHEL_OP_SET},
        {OPERATION_TOUCH, false, SATCHEL_OP_TOUCH}, {OPERATION_DELETE, false, SATCHEL_OP_DELETE},
        {OPERATION_SET, true, SATCHEL_OP_SET},      {OPERATION_PATCH, true, SATCHEL_OP_PATCH},
        {OPERATION_INCR, true, SATCHEL_OP_PATCH},   {OPERATION_GET, true, SATCHEL_OP_GET},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out = encoded(&protocol_native, cases[i].operation, 7000, cases[i].has_fields,
                                 1);
        struct native_request request;
        const char *why = NULL;
        cr_assert_eq(native_decode_header(buf_view(&out), &request.header), STATUS_OK);
        cr_assert_eq(request.header.request_id, 9);
        cr_assert_eq(request.header.opcode, cases[i].opcode);
        struct view body = view_of(out.ptr + SATCHEL_HEADER_BYTES, out.len - SATCHEL_HEADER_BYTES);
        cr_assert_eq(native_decode_request(&request, body, ACK_FAST, SATCHEL_VALUE_BYTES_MAX, &why),
                     SATCHEL_OK, "%zu: %s", i, why);
        const struct command *command = &request.command;
        bool is_set = cases[i].operation == OPERATION_SET;
        bool sets_times = is_set || cases[i].operation == OPERATION_TOUCH;
        cr_assert(view_equal(command->id, view_str("k")));
        cr_assert_eq(command->idle_ttl_ms, sets_times ? 7000 : 0);
        cr_assert_eq(command->ack, cases[i].operation == OPERATION_GET ? ACK_FAST : ACK_DURABLE);
        if (is_set) {
            cr_assert_eq(command->kind, cases[i].has_fields ? SATCHEL_FIELDS : SATCHEL_BLOB);
            cr_assert(cases[i].has_fields ? fields_check(command->content) == SATCHEL_OK
                                          : view_equal(command->content, view_str("v0")));
        }
        buf_free(&out);
    }
}

Test(native, answers_carry_their_requests_number_and_content)
{
    static const struct {
        struct native_reply reply;
        enum answer_kind kind;
    } cases[] = {
        {{.opcode = SATCHEL_OP_SET, .has_version = true, .version = 3}, ANSWER_DONE},
        {{.opcode = SATCHEL_OP_GET, .status = SATCHEL_NOT_FOUND}, ANSWER_MISSING},
        {{.opcode = SATCHEL_OP_SET, .status = SATCHEL_BUSY}, ANSWER_REFUSED},
        {{.opcode = SATCHEL_OP_GOAWAY}, ANSWER_PUSHED},
        {{.opcode = SATCHEL_OP_GET,
          .has_content = true,
          .kind = SATCHEL_BLOB,
          .content = {(const uint8_t *)"abc", 3}},
         ANSWER_VALUE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct native_reply reply = cases[i].reply;
        struct answer answer;
        struct buf bytes = {0};
        size_t used = 0;
        reply.request_id = 77 + i;
        cr_assert_eq(native_encode_reply(&bytes, &reply), STATUS_OK);
        for (size_t len = 1; len < bytes.len; len++) {
            cr_assert_eq(decode(&protocol_native, view_of(bytes.ptr, len), &answer, &used),
                         READING_MORE);
        }
        cr_assert_eq(decode(&protocol_native, buf_view(&bytes), &answer, &used), READING_DONE);
        cr_assert_eq(used, bytes.len);
        cr_assert_eq(answer.kind, cases[i].kind, "%zu", i);
        cr_assert_eq(answer.id, 77 + i);
        cr_assert(view_equal(answer.content, reply.content));
        buf_free(&bytes);
    }
}

Test(native, what_is_no_answer_is_refused)
{
    struct buf request = encoded(&protocol_native, OPERATION_GET, 0, false, 1);
    struct answer answer;
    size_t used;
    cr_assert_eq(decode(&protocol_native, buf_view(&request), &answer, &used), READING_BAD);
    cr_assert_eq(decode(&protocol_native, view_str("+OK\r\n"), &answer, &used), READING_BAD);
    request.ptr[5] ^= 1;
    cr_assert_eq(decode(&protocol_native, buf_view(&request), &answer, &used), READING_BAD);
    buf_free(&request);
}
