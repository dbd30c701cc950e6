/* Requests of the Redis protocol: what is read, what is refused, and what cuts do not change. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/resp.h"

static const struct resp_limits LIMITS = {
    .args_max = 2147483647, .bulk_bytes_max = 512 * 1024, .request_bytes_max = 1024 * 1024};

/* A decoder on a connection, over a copy of exactly the bytes' size, so that a sanitizer sees a
 * read behind them. What it reads is told as text: "[GET] [k]", "! why", "need 7". */
struct stand {
    struct resp_request request;
    struct resp_progress progress;
    struct resp_limits limits;
    size_t used;
    size_t need;
    char told[2048];
};

static const char *look(struct stand *self, struct view bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    cr_assert_not_null(copy);
    (void)put_view(copy, bytes);
    enum status status = resp_decode(&self->request, &self->limits, &self->progress,
                                     view_of(copy, bytes.len), &self->used, &self->need);
    size_t at = 0;
    self->told[0] = '\0';
    if (status == STATUS_AGAIN) {
        (void)snprintf(self->told, sizeof self->told, "need %zu", self->need);
    } else if (status == STATUS_INVALID) {
        (void)snprintf(self->told, sizeof self->told, "! %s", self->request.errmsg);
    } else {
        cr_assert_eq(status, STATUS_OK);
        for (size_t i = 0; i < self->request.argc; i++) {
            struct view arg = self->request.argv[i];
            at += (size_t)snprintf(self->told + at, sizeof self->told - at, "%s[", i ? " " : "");
            for (size_t j = 0; j < arg.len; j++) {
                bool is_text = arg.ptr[j] >= ' ' && arg.ptr[j] <= '~';
                at += (size_t)snprintf(self->told + at, sizeof self->told - at,
                                       is_text ? "%c" : "<%02x>", arg.ptr[j]);
            }
            at += (size_t)snprintf(self->told + at, sizeof self->told - at, "]");
        }
    }
    free(copy);
    return self->told;
}

/* The whole request at once, and again one byte after the other, which must come to the same. */
static void expect(struct view bytes, const char *told, size_t unused)
{
    struct stand whole = {.limits = LIMITS}, pieces = {.limits = LIMITS};
    cr_assert_str_eq(look(&whole, bytes), told, "%.*s: %s", (int)bytes.len, (const char *)bytes.ptr,
                     whole.told);
    bool is_read = told[0] != '!';
    cr_assert(!is_read || whole.used == bytes.len - unused, "%s: %zu used", told, whole.used);
    size_t len = 0;
    while (strncmp(look(&pieces, view_of(bytes.ptr, len)), "need ", 5) == 0) {
        cr_assert_lt(len, bytes.len, "%s: still not read", told);
        cr_assert_gt(pieces.need, len);
        len++;
    }
    cr_assert_str_eq(pieces.told, told, "in pieces: %s", pieces.told);
    cr_assert(!is_read || (pieces.used == whole.used && len == pieces.used), "%s", told);
    cr_assert_eq(pieces.progress.bytes, 0);
    /* Once more from the start, as after a value had to be read from the storage. */
    cr_assert_str_eq(look(&pieces, bytes), told);
    resp_request_free(&whole.request);
    resp_request_free(&pieces.request);
}

/* What Redis 7.0.15 does with the same bytes. */
Test(resp_decode, requests_and_protocol_errors_are_those_of_redis)
{
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
    static const struct {
        struct view bytes;
        const char *told;
        size_t unused; /* bytes behind the request */
    } cases[] = {
        /* Arrays. */
        {BYTES("*1\r\n$4\r\nPING\r\n"), "[PING]", 0},
        {BYTES("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1"), "[GET] [k]", 2},
        {BYTES("*2\r\n$0\r\n\r\n$3\r\na\r\n\r\n"), "[] [a<0d><0a>]", 0},
        {BYTES("*1\r\n$3\r\n\0*\xff\r\n"), "[<00>*<ff>]", 0},
        {BYTES("*0\r\n"), "", 0},
        {BYTES("*-5\r\n*"), "", 1},
        {BYTES("*1\rx$4\ryPINGxx"), "[PING]", 0},
        {BYTES("*\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("*abc\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("*01\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("*+1\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("* 1\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("*2147483648\r\n"), "! Protocol error: invalid multibulk length", 0},
        {BYTES("*1\r\nPING\r\n"), "! Protocol error: expected '$', got 'P'", 0},
        {BYTES("*1\r\n\r\n"), "! Protocol error: expected '$', got '\r'", 0},
        {BYTES("*2\r\n$3\r\nGET\r\n-4\r\n"), "! Protocol error: expected '$', got '-'", 0},
        {BYTES("*1\r\n$\r\n"), "! Protocol error: invalid bulk length", 0},
        {BYTES("*1\r\n$-1\r\n"), "! Protocol error: invalid bulk length", 0},
        {BYTES("*1\r\n$4\n\r\nPING\r\n"), "! Protocol error: invalid bulk length", 0},
        {BYTES("*1\r\n$99999999999999999999\r\n"), "! Protocol error: invalid bulk length", 0},
        /* Inline. */
        {BYTES("PING\r\n"), "[PING]", 0},
        {BYTES("PING\nX"), "[PING]", 1},
        {BYTES("\n"), "", 0},
        {BYTES(" \r\r\n"), "", 0},
        {BYTES("\v ECHO\ta\fb  \v\r\n"), "[ECHO] [a<0c>b]", 0},
        {BYTES("ECHO a\rb\r\n"), "[ECHO] [a] [b]", 0},
        {BYTES("ECHO \\n\r\n"), "[ECHO] [\\n]", 0},
        {BYTES("SET \"two words\" ''\r\n"), "[SET] [two words] []", 0},
        {BYTES("ECHO a\"b c\" d\r\n"), "[ECHO] [ab c] [d]", 0},
        {BYTES("ECHO \"\\x41\\xfF\\n\\r\\t\\b\\a\\\\\\\"\\q\\xzz\\x4\"\r\n"),
         "[ECHO] [A<ff><0a><0d><09><08><07>\\\"qxzzx4]", 0},
        {BYTES("ECHO 'it\\'s\\n\\x41'\v\r\n"), "[ECHO] [it's\\n\\x41]", 0},
        {BYTES("\"a\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("'a\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO \"a\"b\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO 'a'b\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO a\"b c\"d\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO \"a\\\r\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO \"a\\\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO \"a\\x\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO 'a\\\n"), "! Protocol error: unbalanced quotes in request", 0},
        {BYTES("ECHO 'a\\'\n"), "! Protocol error: unbalanced quotes in request", 0},
        /* There Redis waits for ever; here a zero is a character like others. */
        {BYTES("ECHO a\0b\r\n"), "[ECHO] [a<00>b]", 0},
    };
#undef BYTES
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(cases[i].bytes, cases[i].told, cases[i].unused);
    }
}

/* `begin`, then `fill` as often as it takes. */
static struct view filled(struct buf *to, const char *begin, char fill, size_t len)
{
    to->len = 0;
    cr_assert_eq(buf_append(to, view_str(begin)), STATUS_OK);
    cr_assert_eq(buf_reserve(to, len), STATUS_OK);
    memset(to->ptr + to->len, fill, len - to->len);
    to->len = len;
    return buf_view(to);
}

Test(resp_decode, a_line_without_end_is_refused_at_64_KiB)
{
    static const struct {
        const char *begin;
        const char *told;
        size_t before; /* the line */
    } cases[] = {
        {"", "! Protocol error: too big inline request", 0},
        {"*", "! Protocol error: too big mbulk count string", 0},
        {"*1\r\n", "! Protocol error: too big bulk count string", 4},
    };
    struct buf bytes = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand = {.limits = LIMITS};
        size_t len = cases[i].before + RESP_LINE_BYTES_MAX;
        char need[32];
        (void)snprintf(need, sizeof need, "need %zu", len);
        cr_assert_str_eq(look(&stand, filled(&bytes, cases[i].begin, '1', len - 1)), need);
        cr_assert_str_eq(look(&stand, filled(&bytes, cases[i].begin, '1', len)), cases[i].told);
        resp_request_free(&stand.request);
    }
    buf_free(&bytes);
}

Test(resp_decode, each_limit_holds_to_the_byte)
{
    static const struct {
        struct resp_limits limits;
        const char *bytes;
        const char *told;
    } cases[] = {
        {{2, 9, 99, false}, "*2\r\n", "need 5"},
        {{2, 9, 99, false}, "*3\r\n", "! Protocol error: invalid multibulk length"},
        {{2, 9, 99, false}, "*1\r\n$9\r\n", "need 19"},
        {{2, 9, 99, false}, "*1\r\n$10\r\n", "! Protocol error: invalid bulk length"},
        {{2, 99, 19, false}, "*1\r\n$9\r\n", "need 19"},
        {{2, 99, 18, false}, "*1\r\n$9\r\n", "! Protocol error: too big request"},
        {{2, 99, 18, false}, "*1\r\n$9\r\n123456789\r\n", "! Protocol error: too big request"},
        {{99, 99999, 99999, true}, "*10\r\n", "need 6"},
        {{99, 99999, 99999, true}, "*11\r\n", "! Protocol error: unauthenticated multibulk length"},
        {{99, 99999, 99999, true}, "*100\r\n", "! Protocol error: invalid multibulk length"},
        {{99, 99999, 99999, true}, "*1\r\n$16384\r\n", "need 16398"},
        {{99, 99999, 99999, true},
         "*1\r\n$16385\r\n",
         "! Protocol error: unauthenticated bulk length"},
        {{99, 99999, 99999, true}, "*1\r\n$100000\r\n", "! Protocol error: invalid bulk length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stand stand = {.limits = cases[i].limits};
        cr_assert_str_eq(look(&stand, view_str(cases[i].bytes)), cases[i].told, "case %zu: %s", i,
                         stand.told);
        resp_request_free(&stand.request);
    }
}

/* An argument's rest is asked for as a whole, but never more than it: what follows may be an error
 * that has to be told at once. */
Test(resp_decode, what_is_needed_is_the_rest_of_one_argument)
{
    struct stand stand = {.limits = LIMITS};
    cr_assert_str_eq(look(&stand, view_str("*3\r\n$3\r\nSET\r\n$1")), "need 16");
    cr_assert_str_eq(look(&stand, view_str("*3\r\n$3\r\nSET\r\n$10\r\n12345")), "need 30");
    cr_assert_eq(stand.progress.bytes, 13);
    cr_assert_eq(stand.progress.args_left, 2);
    cr_assert_str_eq(look(&stand, view_str("*3\r\n$3\r\nSET\r\n$10\r\n1234567890\r\n")), "need 31");
    cr_assert_eq(stand.progress.args_left, 1);
    /* A first look that ends within an argument goes on at its begin. */
    stand.progress = (struct resp_progress){0};
    cr_assert_str_eq(look(&stand, view_str("*2\r\n$3\r\nGET\r\n$2\r\nk")), "need 21");
    cr_assert_str_eq(look(&stand, view_str("*2\r\n$3\r\nGET\r\n$2\r\nkk\r\n")), "[GET] [kk]");
    resp_request_free(&stand.request);
}

/* 300,000 looks at a request that grows to 300,000 arguments: looking at all of it each time would
 * be 45 billion arguments, which no deadline of a test survives. */
Test(resp_decode, a_request_in_many_pieces_is_not_read_from_the_start_each_time, .timeout = 60)
{
    enum { ARGS = 300000 };
    struct buf bytes = {0};
    struct resp_request request = {0};
    struct resp_progress progress = {0};
    size_t used = 0, need = 0;
    struct resp_limits limits = LIMITS;
    limits.request_bytes_max = SIZE_MAX;
    cr_assert_eq(buf_printf(&bytes, "*%d\r\n", ARGS), STATUS_OK);
    for (size_t i = 0; i < ARGS; i++) {
        cr_assert_eq(resp_decode(&request, &limits, &progress, buf_view(&bytes), &used, &need),
                     STATUS_AGAIN);
        cr_assert_eq(buf_append(&bytes, view_str("$1\r\nx\r\n")), STATUS_OK);
    }
    cr_assert_eq(resp_decode(&request, &limits, &progress, buf_view(&bytes), &used, &need),
                 STATUS_OK);
    cr_assert_eq(used, bytes.len);
    cr_assert_eq(request.argc, ARGS);
    cr_assert(view_equal(request.argv[ARGS - 1], view_str("x")));
    /* The next request does not hold on to so much memory. */
    cr_assert_eq(resp_decode(&request, &limits, &progress, view_str("PING\r\n"), &used, &need),
                 STATUS_OK);
    cr_assert_lt(request.cap, 100);
    resp_request_free(&request);
    buf_free(&bytes);
}

Test(resp_decode, line_after_line_takes_the_same_memory)
{
    struct stand stand = {.limits = LIMITS};
    for (size_t i = 0; i < 1000; i++) {
        cr_assert_str_eq(look(&stand, view_str("ECHO \"a b\"\r\n")), "[ECHO] [a b]");
    }
    cr_assert_lt(stand.request.unquoted.cap, 1000);
    resp_request_free(&stand.request);
}

Test(resp_decode, a_word_is_a_word_in_any_case_and_as_a_whole)
{
    static const struct {
        const char *name;
        const char *word;
        bool is_it;
    } cases[] = {
        {"get", "get", true},  {"GeT", "get", true},   {"gets", "get", false},
        {"ge", "get", false},  {"", "get", false},     {"", "", true},
        {"g[t", "g{t", false}, {"get ", "get", false}, {"G@T", "g`t", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(resp_is_word(view_str(cases[i].name), cases[i].word), cases[i].is_it,
                     "\"%s\" and \"%s\"", cases[i].name, cases[i].word);
    }
    cr_assert_not(resp_is_word(view_of("get\0x", 5), "get"));
}
