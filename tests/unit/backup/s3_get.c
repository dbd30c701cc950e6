/* Reading objects, whole and in pieces, through connections that break. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "backup/s3.h"
#include "unit/backup/kit.h"

static struct kit kit;

struct receiver {
    struct buf bytes;
    size_t stop_at; /* 0: never */
};

static enum status receive(void *arg, struct view bytes)
{
    struct receiver *self = arg;
    if (self->stop_at != 0 && self->bytes.len + bytes.len >= self->stop_at) {
        return STATUS_NO_SPACE;
    }
    return buf_append(&self->bytes, bytes);
}

/* Runs one script and returns what was received as a text to be freed. */
static char *get(const struct scripted *replies, size_t count, const struct s3_range *range,
                 enum s3_status expected, struct s3_object *object)
{
    struct receiver receiver = {0};
    kit_open(&kit, replies, count, NULL);
    kit.script.piece_bytes = 2;
    cr_assert(eq(int, s3_get(kit.s3, "key", range, receive, &receiver, object), expected));
    cr_assert(eq(u64, metric_counter_get(&kit.metrics.received_bytes), receiver.bytes.len));
    char *text = strndup(receiver.bytes.len != 0 ? (const char *)receiver.bytes.ptr : "",
                         receiver.bytes.len);
    buf_free(&receiver.bytes);
    return text;
}

static void expect_range(size_t i, const char *range)
{
    char *found = asked_header(&kit.script.asked[i], "Range");
    if (range == NULL) {
        cr_assert_null(found);
    } else {
        cr_assert_not_null(found);
        cr_assert(eq(str, found, (char *)range));
    }
    free(found);
}

Test(s3_get, a_whole_object_comes_without_a_range)
{
    static const struct scripted replies[] = {{.code = 200, .body = "0123456789", .etag = "e"}};
    struct s3_object object;
    char *text = get(replies, COUNT(replies), NULL, S3_OK, &object);
    cr_assert(eq(str, text, "0123456789"));
    cr_assert(eq(u64, object.bytes, 10));
    cr_assert(eq(str, object.etag, "e"));
    expect_range(0, NULL);
    free(text);
    kit_close(&kit);
}

Test(s3_get, an_empty_object_is_fine)
{
    static const struct scripted replies[] = {{.code = 200, .etag = "e"}};
    struct s3_object object;
    char *text = get(replies, COUNT(replies), NULL, S3_OK, &object);
    cr_assert(eq(str, text, ""));
    cr_assert(eq(u64, object.bytes, 0));
    cr_assert(eq(str, object.etag, "e"));
    free(text);
    kit_close(&kit);
}

Test(s3_get, a_part_is_asked_for_by_its_bytes)
{
    static const struct scripted part[] = {{.code = 206, .body = "345"}};
    static const struct scripted rest[] = {{.code = 206, .body = "3456789"}};
    char *text = get(part, 1, &(struct s3_range){.offset = 3, .bytes = 3}, S3_OK, NULL);
    cr_assert(eq(str, text, "345"));
    expect_range(0, "bytes=3-5");
    free(text);
    kit_close(&kit);
    text = get(rest, 1, &(struct s3_range){.offset = 3}, S3_OK, NULL);
    cr_assert(eq(str, text, "3456789"));
    expect_range(0, "bytes=3-");
    free(text);
    kit_close(&kit);
}

Test(s3_get, what_a_broken_connection_did_not_bring_is_asked_for_again)
{
    static const struct scripted replies[] = {
        {.outcome = S3_CUT, .code = 200, .body = "0123", .etag = "e"},
        {.code = 503},
        {.outcome = S3_CUT, .code = 206, .body = "45", .etag = "e"},
        {.code = 206, .body = "6789", .etag = "e"},
    };
    struct s3_object object;
    char *text = get(replies, COUNT(replies), NULL, S3_OK, &object);
    cr_assert(eq(str, text, "0123456789"));
    cr_assert(eq(u64, object.bytes, 10));
    expect_range(0, NULL);
    expect_range(1, "bytes=4-");
    expect_range(2, "bytes=4-");
    expect_range(3, "bytes=6-");
    free(text);
    kit_close(&kit);
}

Test(s3_get, a_part_goes_on_within_its_own_bytes)
{
    static const struct scripted replies[] = {
        {.outcome = S3_TIMED_OUT, .code = 206, .body = "34", .etag = "e"},
        {.code = 206, .body = "56", .etag = "e"},
    };
    char *text = get(replies, COUNT(replies), &(struct s3_range){.offset = 3, .bytes = 4}, S3_OK,
                     NULL);
    cr_assert(eq(str, text, "3456"));
    expect_range(1, "bytes=5-6");
    free(text);
    kit_close(&kit);
}

Test(s3_get, halves_of_two_objects_are_never_joined)
{
    static const char *const etags[] = {"other", NULL};
    for (size_t i = 0; i < COUNT(etags); i++) {
        const struct scripted replies[] = {
            {.outcome = S3_CUT, .code = 200, .body = "0123", .etag = "e"},
            {.code = 206, .body = "456789", .etag = etags[i]},
        };
        char *text = get(replies, COUNT(replies), NULL, S3_CHANGED, NULL);
        cr_assert(eq(str, text, "0123"));
        free(text);
        kit_close(&kit);
    }
}

Test(s3_get, a_server_that_ignores_the_range_is_not_believed)
{
    static const struct scripted whole[] = {
        {.code = 200, .body = "0123456789"}, {.code = 200, .body = "0123456789"},
        {.code = 200, .body = "0123456789"}, {.code = 200, .body = "0123456789"},
        {.code = 200, .body = "0123456789"}, {.code = 200, .body = "0123456789"}};
    char *text = get(whole, COUNT(whole), &(struct s3_range){.offset = 3, .bytes = 4}, S3_BAD_REPLY,
                     NULL);
    cr_assert(eq(str, text, ""));
    free(text);
    kit_close(&kit);
}

Test(s3_get, more_than_was_asked_for_is_not_taken)
{
    static const struct scripted longer[] = {
        {.code = 206, .body = "3456", .etag = "e"}, {.code = 206, .body = "56", .etag = "e"},
        {.code = 206, .body = "56", .etag = "e"},   {.code = 206, .body = "56", .etag = "e"},
        {.code = 206, .body = "56", .etag = "e"},   {.code = 206, .body = "56", .etag = "e"}};
    char *text = get(longer, COUNT(longer), &(struct s3_range){.offset = 3, .bytes = 3},
                     S3_BAD_REPLY, NULL);
    cr_assert(eq(str, text, "34"));
    free(text);
    kit_close(&kit);
}

Test(s3_get, a_receiver_may_stop_it)
{
    static const struct scripted replies[] = {{.code = 200, .body = "0123456789"}};
    struct receiver receiver = {.stop_at = 5};
    kit_open(&kit, replies, COUNT(replies), NULL);
    kit.script.piece_bytes = 2;
    cr_assert(eq(int, s3_get(kit.s3, "key", NULL, receive, &receiver, NULL), S3_STOPPED));
    cr_assert(view_equal(buf_view(&receiver.bytes), view_str("0123")));
    buf_free(&receiver.bytes);
    kit_close(&kit);
}

Test(s3_get, an_error_does_not_reach_the_receiver)
{
    static const struct scripted replies[] = {
        {.code = 404, .body = "<Error><Code>NoSuchKey</Code></Error>"}};
    char *text = get(replies, COUNT(replies), NULL, S3_NOT_FOUND, NULL);
    cr_assert(eq(str, text, ""));
    free(text);
    kit_close(&kit);
}
