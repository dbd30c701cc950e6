/* Deleting many objects at once, and looking for uploads that were left behind. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/backup/kit.h"

static struct kit kit;

static const char all_gone[] = "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
static const char *const keys[] = {"log/1", "log/2", "odd <&> key"};

static void expect_describes(const char *words)
{
    char text[600];
    s3_describe_error(kit.s3, text, sizeof text);
    cr_assert_not_null(strstr(text, words), "%s", text);
}

Test(s3_delete, a_thousand_keys_go_with_one_request_that_has_a_checksum)
{
    static const struct scripted replies[] = {{.code = 200, .body = all_gone}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_OK));
    const struct asked *asked = &kit.script.asked[0];
    cr_assert(eq(str, (char *)asked->method, "POST"));
    cr_assert_not_null(strstr(asked->url, "/bucket-1/?delete="));
    char body[1000];
    (void)snprintf(body, sizeof body, "%.*s", (int)asked->body.len, asked->body.ptr);
    cr_assert(eq(str, body,
                 "<Delete><Quiet>true</Quiet>"
                 "<Object><Key>some/prefix/log/1</Key></Object>"
                 "<Object><Key>some/prefix/log/2</Key></Object>"
                 "<Object><Key>some/prefix/odd &#60;&#38;&#62; key</Key></Object></Delete>"));
    /* As `openssl md5 -binary | base64` has it. */
    char *md5 = asked_header(asked, "Content-MD5");
    cr_assert(eq(str, md5, "byUg9OA7Xdxaz7eSqIMSBA=="));
    free(md5);
    kit_close(&kit);
}

Test(s3_delete, no_keys_need_no_request_and_one_needs_no_list)
{
    static const struct scripted replies[] = {{.code = 204}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 0), S3_OK));
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 1), S3_OK));
    cr_assert(eq(str, (char *)kit.script.asked[0].method, "DELETE"));
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, S3_DELETE_MAX + 1), S3_INVALID));
    kit_close(&kit);
}

Test(s3_delete, a_key_that_stays_is_told_with_its_reason)
{
    static const struct scripted replies[] = {
        {.code = 200,
         .body = "<DeleteResult><Deleted><Key>a</Key></Deleted>"
                 "<Error><Key>some/prefix/log/2</Key><Code>AccessDenied</Code>"
                 "<Message>not you</Message></Error>"
                 "<Error><Key>b</Key><Code>InternalError</Code></Error></DeleteResult>"}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_DENIED));
    expect_describes("AccessDenied: some/prefix/log/2: not you");
    kit_close(&kit);
}

Test(s3_delete, what_time_may_mend_is_tried_again)
{
    static const struct scripted replies[] = {
        {.code = 503},
        {.code = 200,
         .body = "<DeleteResult><Error><Key>k</Key><Code>SlowDown</Code></Error></DeleteResult>"},
        {.code = 200,
         .body =
             "<DeleteResult><Error><Key>k</Key><Code>InternalError</Code></Error></DeleteResult>"},
        {.code = 200, .body = "no XML"},
        {.code = 200, .body = all_gone}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_OK));
    cr_assert(eq(sz, kit.pause_count, 4));
    kit_close(&kit);
}

Test(s3_delete, a_storage_that_cannot_is_asked_one_by_one_from_then_on)
{
    static const struct scripted replies[] = {{.code = 501}, {.code = 204}, {.code = 404},
                                              {.code = 204}, {.code = 204}, {.code = 403}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_OK));
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_DENIED));
    cr_assert(eq(str, (char *)kit.script.asked[5].method, "DELETE"));
    kit_close(&kit);
}

Test(s3_delete, credentials_that_may_not_delete_are_not_asked_one_by_one)
{
    static const struct scripted replies[] = {
        {.code = 403, .body = "<Error><Code>AccessDenied</Code></Error>"}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete_many(kit.s3, keys, 3), S3_DENIED));
    kit_close(&kit);
}

/* ---- Uploads ---- */

struct seen {
    unsigned count;
    struct s3_upload upload;
    int64_t begun_ms;
};

static void see_upload(void *arg, const struct s3_upload *upload, int64_t begun_ms)
{
    struct seen *seen = arg;
    seen->count++;
    seen->upload = *upload;
    seen->begun_ms = begun_ms;
}

Test(s3_delete, uploads_that_were_left_behind_are_found)
{
    static const struct scripted replies[] = {
        {.code = 200,
         .body = "<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
                 "<Upload><Key>some/prefix/other/x</Key><UploadId>0</UploadId></Upload>"
                 "<Upload><Key>some%2Fprefix%2Fsnap%2Fa+b</Key><UploadId>2~id</UploadId>"
                 "<Initiator><ID>me</ID></Initiator>"
                 "<Initiated>2020-01-01T00:00:01.500Z</Initiated></Upload>"
                 "</ListMultipartUploadsResult>"}};
    struct seen seen = {0};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_list_uploads(kit.s3, "snap/", see_upload, &seen), S3_OK));
    cr_assert(eq(uint, seen.count, 1));
    cr_assert(eq(str, (char *)seen.upload.key, "snap/a b"));
    cr_assert(eq(str, (char *)seen.upload.id, "2~id"));
    cr_assert(eq(i64, seen.begun_ms, 1577836801500));
    cr_assert_not_null(strstr(kit.script.asked[0].url, "prefix=some%2Fprefix%2Fsnap%2F&uploads="));
    kit_close(&kit);
}

Test(s3_delete, a_list_of_uploads_that_is_none_is_an_error)
{
    static const struct scripted replies[] = {
        {.code = 200, .body = "<ListBucketResult></ListBucketResult>"},
        {.code = 200,
         .body = "<ListMultipartUploadsResult><Upload><Key>k</Key></Upload>"
                 "</ListMultipartUploadsResult>"},
        {.code = 403}};
    struct seen seen = {0};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_list_uploads(kit.s3, "snap/", see_upload, &seen), S3_DENIED));
    cr_assert(eq(uint, seen.count, 0));
    kit_close(&kit);
}

/* ---- The storage's clock ---- */

Test(s3_delete, the_storages_time_is_what_its_last_reply_said)
{
    static const struct scripted replies[] = {
        {.code = 204}, {.code = 204, .date_ms = 1577836800000}, {.code = 204}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete(kit.s3, "a"), S3_OK));
    cr_assert(eq(i64, s3_storage_ms(kit.s3), 0));
    cr_assert(eq(int, s3_delete(kit.s3, "a"), S3_OK));
    cr_assert(eq(int, s3_delete(kit.s3, "a"), S3_OK));
    cr_assert(eq(i64, s3_storage_ms(kit.s3), 1577836800000));
    kit_close(&kit);
}
