/* Replies of the Redis protocol, and numbers as it spells them. */
#include <criterion/criterion.h>

#include "proto/resp.h"

static void write_simple(struct resp_writer *to)
{
    resp_simple(to, "OK");
}

static void write_error(struct resp_writer *to)
{
    resp_error(to, "ERR unknown command '%.*s'", 5, "a\r\nb\n");
}

static void write_long_error(struct resp_writer *to)
{
    resp_error(to, "ERR %0300d", 7);
}

static void write_integers(struct resp_writer *to)
{
    resp_integer(to, 0);
    resp_integer(to, -1);
    resp_integer(to, INT64_MAX);
    resp_integer(to, INT64_MIN);
}

static void write_bulks(struct resp_writer *to)
{
    resp_bulk(to, view_of("a\r\n\0", 4));
    resp_bulk(to, view_of(NULL, 0));
    resp_bulk_text(to, "text");
}

static void write_nulls(struct resp_writer *to)
{
    resp_null(to);
    resp_null_array(to);
}

static void write_aggregates(struct resp_writer *to)
{
    resp_array(to, 2);
    resp_map(to, 2);
    resp_set(to, 3);
    resp_push(to, 4);
}

static void write_verbatim(struct resp_writer *to)
{
    resp_verbatim(to, view_str("loading:0\r\n"));
}

static const struct {
    const char *name;
    void (*write)(struct resp_writer *to);
    struct view resp2;
    struct view resp3; /* empty: the same */
} replies[] = {
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define ZEROS "0000000000"
    {"simple", write_simple, BYTES("+OK\r\n"), {0}},
    {"error", write_error, BYTES("-ERR unknown command 'a  b '\r\n"), {0}},
    {"long error",
     write_long_error,
     BYTES("-ERR " ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS
               ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS
                   ZEROS ZEROS "0000000007\r\n"),
     {0}},
    {"integers",
     write_integers,
     BYTES(":0\r\n:-1\r\n:9223372036854775807\r\n:-9223372036854775808\r\n"),
     {0}},
    {"bulks", write_bulks, BYTES("$4\r\na\r\n\0\r\n$0\r\n\r\n$4\r\ntext\r\n"), {0}},
    {"nulls", write_nulls, BYTES("$-1\r\n*-1\r\n"), BYTES("_\r\n_\r\n")},
    {"aggregates", write_aggregates, BYTES("*2\r\n*4\r\n*3\r\n*4\r\n"),
     BYTES("*2\r\n%2\r\n~3\r\n>4\r\n")},
    {"verbatim", write_verbatim, BYTES("$11\r\nloading:0\r\n\r\n"),
     BYTES("=15\r\ntxt:loading:0\r\n\r\n")},
#undef ZEROS
#undef BYTES
};

Test(resp_write, replies_are_spelt_as_their_version_has_them)
{
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct buf got = {0};
        struct resp_writer to = {.to = &got};
        replies[i].write(&to);
        cr_assert(view_equal(buf_view(&got), replies[i].resp2), "%s: %.*s", replies[i].name,
                  (int)got.len, (const char *)got.ptr);
        got.len = 0;
        to.is_resp3 = true;
        replies[i].write(&to);
        struct view resp3 = replies[i].resp3.len == 0 ? replies[i].resp2 : replies[i].resp3;
        cr_assert(view_equal(buf_view(&got), resp3), "%s: %.*s", replies[i].name, (int)got.len,
                  (const char *)got.ptr);
        cr_assert_not(to.has_failed);
        buf_free(&got);
    }
}

Test(resp_write, a_writer_that_had_no_memory_writes_nothing_more)
{
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct buf got = {0};
        struct resp_writer to = {.to = &got, .has_failed = true};
        for (int version = 2; version <= 3; version++) {
            to.is_resp3 = version == 3;
            replies[i].write(&to);
            cr_assert_eq(got.len, 0, "%s", replies[i].name);
        }
        buf_free(&got);
    }
    struct buf got = {0};
    struct resp_writer to = {.to = &got};
    static const uint8_t byte = 1;
    resp_bulk(&to, view_of(&byte, SIZE_MAX / 2)); /* is not looked at: there is no such room */
    cr_assert(to.has_failed);
    cr_assert_eq(got.len, 0);
    buf_free(&got);
}

Test(resp_number, integers_have_one_spelling)
{
    static const struct {
        const char *text;
        bool is_one;
        int64_t number;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"01", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t number = 0;
        cr_assert_eq(resp_parse_integer(view_str(cases[i].text), &number), cases[i].is_one,
                     "\"%s\"", cases[i].text);
        cr_assert(!cases[i].is_one || number == cases[i].number, "\"%s\"", cases[i].text);
    }
}

/* What INCRBYFLOAT of Redis 7.0.15 makes of a key that is not there, so far as a long double of
 * this machine is the same as on x86-64. */
Test(resp_number, floats_are_read_and_written_as_redis_does)
{
    static const struct {
        const char *text;
        const char *written; /* NULL: it is none */
    } cases[] = {
        {"0", "0"},        {"-0", "0"},
        {"3.0e3", "3000"}, {"10.50", "10.5"},
        {"+1", "1"},       {"-.5", "-0.5"},
        {"0x10", "16"},    {"1e-17", "0.00000000000000001"},
        {"-1e-18", "0"},   {"1e20", "100000000000000000000"},
        {"1e-4940", "0"}, /* too small to be exact, but not 0 */
        {"inf", "inf"},    {"-Infinity", "-inf"},
        {"1e5000", NULL},  {"-1e5000", NULL},
        {"1e-5000", NULL}, {"nan", NULL},
        {"", NULL},        {" 1", NULL},
        {"\t1", NULL},     {"1 ", NULL},
        {"1,5", NULL},     {"abc", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        long double number = 0;
        char digits[RESP_NUMBER_BYTES_MAX];
        bool is_one = resp_parse_float(view_str(cases[i].text), &number);
        cr_assert_eq(is_one, cases[i].written != NULL, "\"%s\"", cases[i].text);
        if (is_one) {
            struct view written = resp_format_float(number, digits);
            cr_assert(view_equal(written, view_str(cases[i].written)), "\"%s\": %.*s",
                      cases[i].text, (int)written.len, (const char *)written.ptr);
        }
    }
    long double number = 0;
    cr_assert_not(resp_parse_float(view_of("1\0", 2), &number));
}

Test(resp_number, the_longest_numbers_fit)
{
    char zeros[RESP_NUMBER_BYTES_MAX];
    char digits[RESP_NUMBER_BYTES_MAX];
    long double number = 0;
    memset(zeros, '0', sizeof zeros);
    zeros[0] = '1';
    cr_assert(resp_parse_float(view_of(zeros, 4900), &number));
    cr_assert_eq(resp_format_float(-number, digits).len, 4901);
    zeros[0] = '0';
    cr_assert(resp_parse_float(view_of(zeros, sizeof zeros - 1), &number));
    cr_assert_not(resp_parse_float(view_of(zeros, sizeof zeros), &number));
}
