/* docs/wire-protocol.md says what the code does: its tables and its test vectors. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/native.h"
#include "vector.h"

enum { VALUE_BYTES_MAX = 1024 * 1024 };

/* The rows of the table after `<!-- table: NAME -->`, without its two head lines, must be `rows`.
 */
static void expect_table(const char *page, const char *name, const struct buf *rows)
{
    char mark[64];
    (void)snprintf(mark, sizeof mark, "<!-- table: %s -->\n", name);
    const char *at = strstr(page, mark);
    cr_assert_not_null(at, "no table %s", name);
    for (int line = 0; line < 3; line++) {
        at = strchr(at, '\n') + 1;
    }
    const char *end = strstr(at, "\n\n");
    cr_assert_not_null(end);
    int written = (int)(end + 1 - at);
    cr_assert(view_equal(view_of(at, (size_t)written), buf_view(rows)),
              "table %s should have these rows:\n%.*s", name, (int)rows->len,
              (const char *)rows->ptr);
}

/* What the X-macro tables call q and r. */
static const char *where_text(const char *where)
{
    return strcmp(where, "q") == 0 ? "request" : strcmp(where, "r") == 0 ? "reply" : "both";
}

Test(page, its_tables_are_those_of_the_header)
{
    char *page = vector_read_page();
    struct buf rows = {0};
#define ROW(...) cr_assert_eq(buf_printf(&rows, __VA_ARGS__), STATUS_OK);
#define X(name, number, word, meaning) ROW("| %d | %s | %s |\n", number, #name, meaning)
    SATCHEL_OPCODES(X)
#undef X
    expect_table(page, "opcodes", &rows);
    rows.len = 0;
#define X(name, number, retry, text) ROW("| %d | %s | %s | %s |\n", number, #name, #retry, text)
    SATCHEL_STATUSES(X)
#undef X
    expect_table(page, "statuses", &rows);
    rows.len = 0;
#define X(name, number, type, where, meaning)                                                      \
    ROW("| `0x%04x` | %s | %s | %s | %s |\n", number, #name, #type, where_text(where), meaning)
    SATCHEL_TAGS(X)
#undef X
    expect_table(page, "tags", &rows);
    rows.len = 0;
#define X(name, number, meaning) ROW("| %d | %s | %s |\n", number, #name, meaning)
    SATCHEL_FIELD_OPS(X)
#undef X
    expect_table(page, "operations", &rows);
    rows.len = 0;
#define X(name, number, tag, word) ROW("| %d | %s | %s |\n", number, #name, #tag)
    SATCHEL_KINDS(X)
#undef X
    expect_table(page, "kinds", &rows);
    buf_free(&rows);
    free(page);
}

/* "16777216" as the page writes it: "16,777,216". */
static const char *with_commas(uint64_t number, char out[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

Test(page, its_limits_are_those_of_the_header)
{
    static const struct {
        const char *limit;
        uint64_t number;
        const char *unit;
    } limits[] = {
        {"body of a request", SATCHEL_BODY_BYTES_MAX, "bytes"},
        {"body of HELLO and of PING", SATCHEL_HELLO_BODY_BYTES_MAX, "bytes"},
        {"any request before HELLO", SATCHEL_HELLO_BODY_BYTES_MAX, "bytes"},
        {"session id", SATCHEL_ID_BYTES_MAX, "bytes"},
        {"content of a session", SATCHEL_VALUE_BYTES_MAX, "bytes"},
        {"fields in a session", SATCHEL_FIELDS_MAX, ""},
        {"field name", SATCHEL_FIELD_NAME_BYTES_MAX, "bytes"},
        {"operations in one PATCH", SATCHEL_PATCH_OPS_MAX, ""},
        {"owner", SATCHEL_OWNER_BYTES_MAX, "bytes"},
        {"time to live", SATCHEL_TTL_MS_MAX, "ms"},
        {"COUNT of a SCAN", SATCHEL_SCAN_COUNT_MAX, ""},
        {"COUNT of a SCAN", SATCHEL_SCAN_COUNT_DEFAULT, "when absent"},
        {"PREFIX of a SCAN", SATCHEL_ID_BYTES_MAX, "bytes"},
    };
    char *page = vector_read_page();
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char begin[64];
        char number[32];
        char text[64];
        (void)snprintf(begin, sizeof begin, "\n| %s", limits[i].limit);
        (void)snprintf(text, sizeof text, " %s %s", with_commas(limits[i].number, number),
                       limits[i].unit);
        text[strlen(text) - (limits[i].unit[0] == '\0')] = '\0';
        const char *row = strstr(page, begin);
        cr_assert_not_null(row, "no row for %s", limits[i].limit);
        const char *found = strstr(row, text);
        cr_assert(found != NULL && found < strchr(row + 1, '\n'), "%s: no%s", limits[i].limit,
                  text);
    }
    free(page);
}

/* A frame from a client: what the server makes of it, and that the client's encoder makes the same
 * frame of what the server understood. */
static void expect_request(const struct vector *vector)
{
    struct native_request request;
    enum status status = native_decode_header(buf_view(&vector->frame), &request.header);
    const char *why = NULL;
    enum satchel_status answer = SATCHEL_UNSUPPORTED;
    if (status == STATUS_OK) {
        struct view body = view_of(vector->frame.ptr + SATCHEL_HEADER_BYTES,
                                   vector->frame.len - SATCHEL_HEADER_BYTES);
        answer = native_decode_request(&request, body, ACK_DURABLE, VALUE_BYTES_MAX, &why);
        cr_assert_eq(why != NULL, answer != SATCHEL_OK, "%s", vector->name);
    }
    cr_assert_eq(answer, vector->is_refused ? vector->refused : SATCHEL_OK, "%s: %d", vector->name,
                 answer);
    bool has_command = request.header.opcode >= SATCHEL_OP_GET &&
                       request.header.opcode <= SATCHEL_OP_PATCH &&
                       strstr(vector->text, "from the future") == NULL;
    if (answer == SATCHEL_OK && has_command) {
        struct buf again = {0};
        cr_assert_eq(native_encode_command(&again, request.header.request_id, request.header.flags,
                                           &request.command),
                     STATUS_OK);
        cr_assert(view_equal(buf_view(&again), buf_view(&vector->frame)), "%s", vector->name);
        buf_free(&again);
    }
}

/* A frame from a server: the client understands it, and what it understood is all there is, unless
 * it has tags that are read one by one. */
static void expect_reply(const struct vector *vector, const struct native_header *header)
{
    struct view body = view_of(vector->frame.ptr + SATCHEL_HEADER_BYTES,
                               vector->frame.len - SATCHEL_HEADER_BYTES);
    struct native_reply reply;
    cr_assert_eq(native_decode_reply(header, body, &reply), STATUS_OK, "%s", vector->name);
    bool has_more = (header->opcode == SATCHEL_OP_HELLO && header->status == SATCHEL_OK) ||
                    header->opcode == SATCHEL_OP_STATS || header->opcode == SATCHEL_OP_SCAN;
    if (!has_more) {
        struct buf again = {0};
        cr_assert_eq(native_encode_reply(&again, &reply), STATUS_OK);
        cr_assert(view_equal(buf_view(&again), buf_view(&vector->frame)), "%s", vector->name);
        cr_assert_eq(again.len, native_reply_bytes(&reply));
        buf_free(&again);
    }
}

Test(page, its_vectors_decode_to_what_they_say_and_are_encoded_to_the_same_bytes)
{
    char *page = vector_read_page();
    const char *at = page;
    struct vector vector = {0};
    unsigned opcodes_seen = 0;
    unsigned refused = 0;
    while (vector_next(&at, &vector)) {
        char text[VECTOR_TEXT_BYTES];
        vector_describe(buf_view(&vector.frame), text);
        cr_assert_str_eq(text, vector.text, "%s decodes to\n%s", vector.name, text);
        struct buf built = {0};
        vector_build(vector.text, &built);
        cr_assert(view_equal(buf_view(&built), buf_view(&vector.frame)), "%s", vector.name);
        buf_free(&built);
        struct native_header header;
        enum status status = native_decode_header(buf_view(&vector.frame), &header);
        if (status == STATUS_OK && (header.flags & SATCHEL_FLAG_REPLY) != 0 && !vector.is_refused) {
            expect_reply(&vector, &header);
        } else {
            expect_request(&vector);
        }
        opcodes_seen |= vector.is_refused ? 0 : 1U << header.opcode;
        refused += vector.is_refused;
    }
#define X(name, number, word, meaning)                                                             \
    cr_assert((opcodes_seen & 1U << (number)) != 0, "no vector for %s", #name);
    SATCHEL_OPCODES(X)
#undef X
    cr_assert_gt(refused, 10);
    buf_free(&vector.frame);
    free(page);
}

Test(page, its_broken_header_is_broken)
{
    char *page = vector_read_page();
    static const char begin[] = "\n```broken-header\n";
    const char *hex = strstr(page, begin);
    cr_assert_not_null(hex);
    hex += strlen(begin);
    struct buf frame = {0};
    vector_unhex(hex, strstr(hex, "```"), &frame);
    cr_assert_eq(frame.len, SATCHEL_HEADER_BYTES);
    struct native_header header;
    cr_assert_eq(native_decode_header(buf_view(&frame), &header), STATUS_INVALID);
    frame.ptr[frame.len - 1] ^= 0x80;
    cr_assert_eq(native_decode_header(buf_view(&frame), &header), STATUS_OK);
    cr_assert_eq(header.opcode, SATCHEL_OP_PING);
    buf_free(&frame);
    free(page);
}
