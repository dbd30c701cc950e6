/* The calls: what each sends, and what it makes of the reply. */
#include "backup/s3.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/backup/kit.h"

#define BASE "http://127.0.0.1:9/bucket-1/"

static struct kit kit;

static void expect_asked(size_t i, const char *method, const char *url)
{
    const struct asked *asked = &kit.script.asked[i];
    cr_assert(eq(str, (char *)asked->method, (char *)method));
    cr_assert(eq(str, (char *)asked->url, (char *)url));
}

static void expect_header(size_t i, const char *name, const char *value)
{
    char *found = asked_header(&kit.script.asked[i], name);
    if (value == NULL) {
        cr_assert_null(found, "%s: %s", name, found);
    } else {
        cr_assert_not_null(found, "no %s in %s", name, kit.script.asked[i].headers);
        cr_assert(eq(str, found, (char *)value));
    }
    free(found);
}

Test(s3, a_put_carries_its_body_with_its_hash_signed)
{
    static const struct scripted replies[] = {{.code = 200}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_put(kit.s3, "a b/c+d", view_str("Welcome to Amazon S3."), 0), S3_OK));
    expect_asked(0, "PUT", BASE "some/prefix/a%20b/c%2Bd");
    cr_assert(view_equal(buf_view(&kit.script.asked[0].body), view_str("Welcome to Amazon S3.")));
    cr_assert(kit.script.asked[0].has_body);
    expect_header(0, "x-amz-content-sha256",
                  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    expect_header(0, "x-amz-date", "20130524T000000Z");
    expect_header(0, "x-amz-security-token", NULL);
    expect_header(0, "If-None-Match", NULL);
    char *authorization = asked_header(&kit.script.asked[0], "Authorization");
    cr_assert_not_null(strstr(authorization, "Credential=AKIDEXAMPLE/20130524/eu-central-1/s3/"
                                             "aws4_request,SignedHeaders=host;"
                                             "x-amz-content-sha256;x-amz-date,Signature="));
    free(authorization);
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 1));
    cr_assert(eq(u64, metric_counter_get(&kit.metrics.requests), 1));
    cr_assert(eq(u64, metric_counter_get(&kit.metrics.sent_bytes), 21));
    cr_assert(eq(u64, metric_counter_get(&kit.metrics.failures), 0));
    kit_close(&kit);
}

Test(s3, a_put_if_absent_asks_for_it_and_signs_that)
{
    static const struct scripted replies[] = {
        {.code = 412, .body = "<Error><Code>PreconditionFailed</Code></Error>"}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_put(kit.s3, "log/1", view_of(NULL, 0), S3_PUT_IF_ABSENT), S3_EXISTS));
    expect_header(0, "If-None-Match", "*");
    char *authorization = asked_header(&kit.script.asked[0], "Authorization");
    cr_assert_not_null(strstr(authorization, "SignedHeaders=host;if-none-match;x-amz-"));
    free(authorization);
    cr_assert(not(s3_last_error(kit.s3)->maybe_done));
    kit_close(&kit);
}

Test(s3, head_tells_size_and_etag)
{
    static const struct scripted replies[] = {{.code = 200, .bytes = 1234567890123, .etag = "e7a9"},
                                              {.code = 404}};
    struct s3_object object;
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_head(kit.s3, "x", &object), S3_OK));
    cr_assert(eq(u64, object.bytes, 1234567890123));
    cr_assert(eq(str, object.etag, "e7a9"));
    cr_assert(eq(int, s3_head(kit.s3, "y", &object), S3_NOT_FOUND));
    cr_assert(eq(u64, object.bytes, 0));
    expect_asked(0, "HEAD", BASE "some/prefix/x");
    cr_assert(not(kit.script.asked[0].has_body));
    kit_close(&kit);
}

Test(s3, deleting_what_is_not_there_is_fine)
{
    static const struct scripted replies[] = {
        {.code = 204},
        {.code = 404},
        {.code = 404, .body = "<Error><Code>NoSuchBucket</Code></Error>"}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_delete(kit.s3, "x"), S3_OK));
    cr_assert(eq(int, s3_delete(kit.s3, "x"), S3_OK));
    cr_assert(eq(int, s3_delete(kit.s3, "x"), S3_NO_BUCKET));
    expect_asked(0, "DELETE", BASE "some/prefix/x");
    kit_close(&kit);
}

/* Notes keys as one text. */
struct noted {
    char text[400];
    size_t stop_after;
    size_t count;
};

static bool note_key(void *arg, const char *key, const struct s3_object *object)
{
    struct noted *noted = arg;
    size_t used = strlen(noted->text);
    (void)snprintf(noted->text + used, sizeof noted->text - used, "%s=%llu@%lld ", key,
                   (unsigned long long)object->bytes, (long long)object->modified_ms);
    return ++noted->count != noted->stop_after;
}

#define ENTRY(key, bytes)                                                                          \
    "<Contents><Key>some/prefix/" key "</Key><Size>" bytes "</Size>"                               \
    "<LastModified>1970-01-01T00:00:01.500Z</LastModified></Contents>"
#define LIST(inner) "<ListBucketResult>" inner "</ListBucketResult>"

static const struct scripted two_pages[] = {
    {.code = 200,
     .body = LIST(
         "<IsTruncated>true</IsTruncated><NextContinuationToken>a/+=</NextContinuationToken>" ENTRY(
             "log/1", "5") ENTRY("log/2", "0"))},
    {.code = 200, .body = LIST("<IsTruncated>false</IsTruncated>" ENTRY("log/3", "7"))},
};

Test(s3, a_list_goes_on_until_its_end)
{
    struct noted noted = {0};
    const struct s3_list_options options = {
        .prefix = "log/", .start_after = "log/0", .page_keys = 2};
    kit_open(&kit, two_pages, COUNT(two_pages), NULL);
    cr_assert(eq(int, s3_list(kit.s3, &options, note_key, &noted), S3_OK));
    cr_assert(eq(str, noted.text, "log/1=5@1500 log/2=0@1500 log/3=7@1500 "));
    expect_asked(0, "GET",
                 BASE "?encoding-type=url&list-type=2&max-keys=2&prefix=some%2Fprefix%2Flog%2F"
                      "&start-after=some%2Fprefix%2Flog%2F0");
    expect_asked(1, "GET",
                 BASE "?continuation-token=a%2F%2B%3D&encoding-type=url&list-type=2&max-keys=2"
                      "&prefix=some%2Fprefix%2Flog%2F");
    kit_close(&kit);
}

Test(s3, a_list_ends_when_its_receiver_has_enough)
{
    struct noted noted = {.stop_after = 1};
    kit_open(&kit, two_pages, 1, NULL);
    cr_assert(eq(int, s3_list(kit.s3, NULL, note_key, &noted), S3_OK));
    cr_assert(eq(str, noted.text, "log/1=5@1500 "));
    expect_asked(0, "GET",
                 BASE "?encoding-type=url&list-type=2&max-keys=1000&prefix=some%2Fprefix%2F");
    kit_close(&kit);
}

Test(s3, a_page_that_breaks_is_fetched_again_and_told_once)
{
    static const struct scripted replies[] = {
        {.code = 200, .body = LIST(ENTRY("log/1", "5"))},
        {.code = 200, .body = "<ListBucketResult>" ENTRY("log/1", "5") "<Conte"},
        {.outcome = S3_CUT},
        {.code = 200, .body = LIST(ENTRY("log/1", "5"))},
    };
    struct noted noted = {0};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_list(kit.s3, NULL, note_key, &noted), S3_OK));
    cr_assert(eq(int, s3_list(kit.s3, NULL, note_key, &noted), S3_OK));
    cr_assert(eq(str, noted.text, "log/1=5@1500 log/1=5@1500 "));
    kit_close(&kit);
}

Test(s3, a_list_that_cannot_end_or_strays_is_refused)
{
    static const char *const bodies[] = {
        LIST("<IsTruncated>true</IsTruncated>" ENTRY("a", "1")),
        LIST("<Contents><Key>elsewhere</Key><Size>1</Size></Contents>"),
        "<html>not found</html>",
        "",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct scripted replies[6];
        struct noted noted = {0};
        for (size_t k = 0; k < COUNT(replies); k++) {
            replies[k] = (struct scripted){.code = 200, .body = bodies[i]};
        }
        kit_open(&kit, replies, COUNT(replies), NULL);
        cr_assert(eq(int, s3_list(kit.s3, NULL, note_key, &noted), S3_BAD_REPLY), "%s", bodies[i]);
        cr_assert(eq(str, noted.text, ""));
        kit_close(&kit);
    }
}

Test(s3, a_second_page_that_leads_nowhere_is_refused)
{
    static const char *const second[] = {
        LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>a/+=</NextContinuationToken>"),
        LIST("<IsTruncated>true</IsTruncated>"),
    };
    for (size_t i = 0; i < COUNT(second); i++) {
        struct scripted replies[7] = {two_pages[0]};
        struct noted noted = {0};
        for (size_t k = 1; k < COUNT(replies); k++) {
            replies[k] = (struct scripted){.code = 200, .body = second[i]};
        }
        kit_open(&kit, replies, COUNT(replies), NULL);
        cr_assert(eq(int, s3_list(kit.s3, NULL, note_key, &noted), S3_BAD_REPLY));
        cr_assert(eq(str, noted.text, "log/1=5@1500 log/2=0@1500 "));
        kit_close(&kit);
    }
}

Test(s3, an_upload_in_parts_from_begin_to_complete)
{
    static const struct scripted replies[] = {
        {.code = 200,
         .body = "<InitiateMultipartUploadResult><UploadId>2~a/b</UploadId>"
                 "</InitiateMultipartUploadResult>"},
        {.code = 200, .etag = "11aa"},
        {.code = 200, .etag = "22bb"},
        {.code = 200,
         .body = " <CompleteMultipartUploadResult><ETag>&quot;33cc-2&quot;</ETag>"
                 "</CompleteMultipartUploadResult>"},
    };
    struct s3_upload upload;
    struct s3_part parts[2];
    char etag[S3_ETAG_BYTES];
    static const char expected[] =
        "<CompleteMultipartUpload>"
        "<Part><PartNumber>1</PartNumber><ETag>\"11aa\"</ETag></Part>"
        "<Part><PartNumber>2</PartNumber><ETag>\"22bb\"</ETag></Part></CompleteMultipartUpload>";
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_upload_begin(kit.s3, "snap", &upload), S3_OK));
    cr_assert(eq(int, s3_upload_part(kit.s3, &upload, 1, view_str("one"), &parts[0]), S3_OK));
    cr_assert(eq(int, s3_upload_part(kit.s3, &upload, 2, view_str("two"), &parts[1]), S3_OK));
    cr_assert(eq(int, s3_upload_complete(kit.s3, &upload, parts, 2, etag), S3_OK));
    cr_assert(eq(str, etag, "33cc-2"));
    expect_asked(0, "POST", BASE "some/prefix/snap?uploads=");
    expect_asked(1, "PUT", BASE "some/prefix/snap?partNumber=1&uploadId=2~a%2Fb");
    expect_asked(3, "POST", BASE "some/prefix/snap?uploadId=2~a%2Fb");
    cr_assert(view_equal(buf_view(&kit.script.asked[3].body), view_str(expected)));
    kit_close(&kit);
}

Test(s3, completing_may_fail_in_a_good_reply)
{
    static const struct scripted replies[] = {
        {.code = 200, .body = "<Error><Code>InternalError</Code></Error>"},
        {.code = 200, .body = "<Error><Code>InvalidPart</Code><Message>gone</Message></Error>"},
        {.code = 200, .body = "<Error><Code>InvalidPart</Code><Message>gone</Message></Error>"},
        {.code = 404, .body = "<Error><Code>NoSuchUpload</Code></Error>"},
    };
    const struct s3_upload upload = {"snap", "id"};
    const struct s3_part part = {"aa"};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_upload_complete(kit.s3, &upload, &part, 1, NULL), S3_NO_UPLOAD));
    cr_assert(s3_last_error(kit.s3)->maybe_done);
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 4));
    kit_close(&kit);
}

Test(s3, parts_that_cannot_be_listed_are_refused_before_anything_is_sent)
{
    const struct s3_upload upload = {"snap", "id"};
    const struct s3_part odd = {"<x>"};
    kit_open(&kit, NULL, 0, NULL);
    cr_assert(eq(int, s3_upload_complete(kit.s3, &upload, &odd, 1, NULL), S3_INVALID));
    cr_assert(eq(int, s3_upload_complete(kit.s3, &upload, &odd, 0, NULL), S3_INVALID));
    cr_assert(
        eq(int, s3_upload_complete(kit.s3, &upload, &odd, S3_PARTS_MAX + 1, NULL), S3_INVALID));
    kit_close(&kit);
}

Test(s3, aborting_what_is_gone_is_fine)
{
    static const struct scripted replies[] = {
        {.code = 204}, {.code = 404, .body = "<Error><Code>NoSuchUpload</Code></Error>"}};
    const struct s3_upload upload = {"snap", "id"};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_upload_abort(kit.s3, &upload), S3_OK));
    cr_assert(eq(int, s3_upload_abort(kit.s3, &upload), S3_OK));
    expect_asked(0, "DELETE", BASE "some/prefix/snap?uploadId=id");
    kit_close(&kit);
}

Test(s3, the_probe_tells_what_a_storage_makes_of_conditions)
{
    static const struct {
        struct scripted replies[3];
        size_t count;
        enum s3_status status;
        enum s3_conditions conditions;
        enum s3_status removed;
    } cases[] = {
        {{{.code = 200}, {.code = 412}, {.code = 204}}, 3, S3_OK, S3_CONDITIONS_SUPPORTED, S3_OK},
        {{{.code = 200}, {.code = 200}, {.code = 204}}, 3, S3_OK, S3_CONDITIONS_IGNORED, S3_OK},
        {{{.code = 501}}, 1, S3_OK, S3_CONDITIONS_REFUSED, S3_OK},
        {{{.code = 400}}, 1, S3_OK, S3_CONDITIONS_REFUSED, S3_OK},
        {{{.code = 200}, {.code = 412}, {.code = 403}},
         3,
         S3_OK,
         S3_CONDITIONS_SUPPORTED,
         S3_DENIED},
        {{{.code = 403}}, 1, S3_DENIED, 0, S3_OK},
        {{{.code = 200}, {.code = 403}, {.code = 204}}, 3, S3_DENIED, 0, S3_OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum s3_conditions conditions = 0;
        enum s3_status removed;
        kit_open(&kit, cases[i].replies, cases[i].count, NULL);
        kit.chance = 0xabcdef;
        cr_assert(eq(int, s3_probe_conditions(kit.s3, &conditions, &removed), cases[i].status),
                  "case %zu", i);
        cr_assert(eq(int, conditions, cases[i].conditions), "case %zu", i);
        cr_assert(eq(int, removed, cases[i].removed), "case %zu", i);
        expect_asked(0, "PUT", BASE "some/prefix/probe/0000000000abcdef0000000000abcdef");
        expect_header(0, "If-None-Match", "*");
        if (cases[i].status != S3_OK) {
            cr_assert(eq(int, s3_last_error(kit.s3)->status, cases[i].status), "case %zu", i);
        }
        kit_close(&kit);
    }
}

static enum status open_with(const struct s3_options *options, char *errmsg, size_t errmsg_bytes,
                             struct s3 **out)
{
    return s3_open(options, &(struct s3_deps){.credentials = NULL}, out, errmsg, errmsg_bytes);
}

Test(s3, places_that_cannot_be_are_refused)
{
    static const struct s3_options cases[] = {
        {.url = NULL, .region = "r"},
        {.url = "", .region = "r"},
        {.url = "http://bucket", .region = "r"},
        {.url = "s3://", .region = "r"},
        {.url = "s3://ab", .region = "r"},
        {.url = "s3:///prefix", .region = "r"},
        {.url = "s3://Bucket", .region = "r"},
        {.url = "s3://bucket-", .region = "r"},
        {.url = "s3://buc_ket", .region = "r"},
        {.url = "s3://bucket?x", .region = "r"},
        {.url = "s3://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         .region = "r"},
        {.url = "s3://bucket"},
        {.url = "s3://bucket", .region = ""},
        {.url = "s3://bucket", .region = "a/b"},
        {.url = "s3://bucket", .region = "r", .endpoint = "ftp://x"},
        {.url = "s3://bucket", .region = "r", .endpoint = "http://x/path"},
        {.url = "s3://bucket", .region = "r", .endpoint = "http://user:pass@x"},
        {.url = "s3://bucket", .region = "r", .endpoint = "no url"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct s3 *s3 = NULL;
        char errmsg[200] = "";
        cr_assert(eq(int, open_with(&cases[i], errmsg, sizeof errmsg, &s3), STATUS_INVALID),
                  "case %zu", i);
        cr_assert(ne(str, errmsg, ""), "case %zu", i);
        cr_assert_null(strstr(errmsg, "pass"));
        cr_assert_null(s3);
    }
}

Test(s3, a_bucket_goes_into_the_path_or_the_host)
{
    static const struct {
        struct s3_options options;
        const char *url;
    } cases[] = {
        {{.url = "s3://bucket-1", .region = "eu-west-1"},
         "https://bucket-1.s3.eu-west-1.amazonaws.com/key"},
        {{.url = "s3://bucket-1/", .region = "eu-west-1", .path_style = true},
         "https://s3.eu-west-1.amazonaws.com/bucket-1/key"},
        {{.url = "s3://bucket-1//a//b//", .region = "r", .endpoint = "http://Store:8080/"},
         "http://bucket-1.store:8080/a//b/key"},
        {{.url = "s3://bucket-1/a",
          .region = "r",
          .endpoint = "https://[::1]:443",
          .path_style = true},
         "https://[::1]/bucket-1/a/key"},
    };
    static const struct scripted replies[] = {{.code = 200}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        static struct script script;
        struct s3 *s3 = NULL;
        char errmsg[200] = "";
        kit_open(&kit, NULL, 0, NULL);
        script = (struct script){.replies = replies, .reply_count = COUNT(replies)};
        const struct s3_deps deps = {.transport = script_transport(&script),
                                     .credentials = kit.credentials,
                                     .timing = {.clock = &kit_clock}};
        cr_assert(eq(int, s3_open(&cases[i].options, &deps, &s3, errmsg, sizeof errmsg), STATUS_OK),
                  "%s", errmsg);
        cr_assert(eq(int, s3_put(s3, "key", view_str("x"), 0), S3_OK));
        cr_assert(eq(str, (char *)script.asked[0].url, (char *)cases[i].url));
        s3_close(s3);
        script_free(&script);
        kit_close(&kit);
    }
}

Test(s3, a_key_that_is_too_long_is_not_sent)
{
    char key[S3_KEY_BYTES_MAX + 1];
    struct s3_object object;
    static const struct scripted replies[] = {{.code = 200}};
    memset(key, 'k', sizeof key);
    key[S3_KEY_BYTES_MAX - strlen("some/prefix/")] = '\0';
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_head(kit.s3, key, &object), S3_OK));
    key[strlen(key)] = 'k';
    key[S3_KEY_BYTES_MAX - strlen("some/prefix/") + 1] = '\0';
    cr_assert(eq(int, s3_head(kit.s3, key, &object), S3_INVALID));
    cr_assert(eq(int, s3_list(kit.s3, &(struct s3_list_options){.prefix = key}, note_key, NULL),
                 S3_INVALID));
    kit_close(&kit);
}
