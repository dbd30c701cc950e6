/* What is tried again, when, and what is known afterwards. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "backup/s3.h"
#include "unit/backup/kit.h"

static struct kit kit;

static enum s3_status put(void)
{
    return s3_put(kit.s3, "key", view_str("body"), 0);
}

Test(s3_retries, every_reply_has_its_status)
{
    static const struct {
        unsigned code;
        const char *named;
        enum s3_status status;
    } cases[] = {
        {403, "", S3_DENIED},
        {403, "AccessDenied", S3_DENIED},
        {403, "SignatureDoesNotMatch", S3_DENIED},
        {401, "", S3_DENIED},
        {403, "RequestTimeTooSkewed", S3_CLOCK},
        {403, "InvalidAccessKeyId", S3_EXPIRED},
        {403, "InvalidToken", S3_EXPIRED},
        {400, "ExpiredToken", S3_EXPIRED},
        {400, "InvalidToken", S3_EXPIRED},
        {404, "", S3_NOT_FOUND},
        {404, "NoSuchKey", S3_NOT_FOUND},
        {404, "NoSuchBucket", S3_NO_BUCKET},
        {404, "NoSuchUpload", S3_NO_UPLOAD},
        {412, "", S3_EXISTS},
        {412, "PreconditionFailed", S3_EXISTS},
        {409, "ConditionalRequestConflict", S3_CONFLICT},
        {409, "OperationAborted", S3_CONFLICT},
        {429, "", S3_BUSY},
        {503, "", S3_BUSY},
        {503, "SlowDown", S3_BUSY},
        {500, "InternalError", S3_SERVER_ERROR},
        {500, "", S3_SERVER_ERROR},
        {502, "", S3_SERVER_ERROR},
        {504, "", S3_SERVER_ERROR},
        {408, "", S3_TIMED_OUT},
        {400, "RequestTimeout", S3_TIMED_OUT},
        {501, "NotImplemented", S3_UNSUPPORTED},
        {501, "", S3_UNSUPPORTED},
        {405, "", S3_UNSUPPORTED},
        {400, "XAmzContentSHA256Mismatch", S3_REFUSED},
        {301, "PermanentRedirect", S3_REFUSED},
        {416, "InvalidRange", S3_REFUSED},
        {100, "", S3_BAD_REPLY},
        {999, "", S3_BAD_REPLY},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert(eq(int, s3_status_of_reply(cases[i].code, cases[i].named), cases[i].status),
                  "%u %s", cases[i].code, cases[i].named);
    }
}

Test(s3_retries, what_is_final_is_final_and_the_rest_is_not)
{
    static const struct {
        struct scripted reply;
        enum s3_status status;
        unsigned attempts;
        bool maybe_done;
    } cases[] = {
        {{.code = 403}, S3_DENIED, 1, false},
        {{.code = 404}, S3_NOT_FOUND, 1, false},
        {{.code = 412}, S3_EXISTS, 1, false},
        {{.code = 501}, S3_UNSUPPORTED, 1, false},
        {{.code = 400}, S3_REFUSED, 1, false},
        {{.code = 301}, S3_REFUSED, 1, false},
        {{.outcome = S3_UNTRUSTED}, S3_UNTRUSTED, 1, false},
        {{.outcome = S3_CANCELLED}, S3_CANCELLED, 1, true},
        {{.code = 500}, S3_SERVER_ERROR, 6, true},
        {{.code = 503}, S3_BUSY, 6, true},
        {{.code = 429}, S3_BUSY, 6, true},
        {{.code = 409}, S3_CONFLICT, 6, false},
        {{.outcome = S3_UNREACHABLE}, S3_UNREACHABLE, 6, false},
        {{.outcome = S3_TIMED_OUT}, S3_TIMED_OUT, 6, true},
        {{.outcome = S3_CUT}, S3_CUT, 6, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct scripted replies[6];
        for (size_t k = 0; k < COUNT(replies); k++) {
            replies[k] = cases[i].reply;
        }
        kit_open(&kit, replies, cases[i].attempts, NULL);
        cr_assert(eq(int, put(), cases[i].status), "case %zu", i);
        const struct s3_error *error = s3_last_error(kit.s3);
        cr_assert(eq(int, error->status, cases[i].status), "case %zu", i);
        cr_assert(eq(uint, error->attempts, cases[i].attempts), "case %zu", i);
        cr_assert(eq(int, error->maybe_done, cases[i].maybe_done), "case %zu", i);
        cr_assert(eq(uint, error->http_code, cases[i].reply.code), "case %zu", i);
        cr_assert(eq(sz, kit.pause_count, cases[i].attempts - 1), "case %zu", i);
        cr_assert(eq(u64, metric_counter_get(&kit.metrics.failures), cases[i].attempts));
        kit_close(&kit);
    }
}

Test(s3_retries, pauses_double_up_to_the_most_and_vary)
{
    struct scripted replies[6];
    static const struct {
        uint64_t chance;
        uint64_t pauses_ms[5];
    } cases[] = {
        {0, {50, 100, 200, 400, 800}},
        {(1U << 20) / 2, {100, 200, 400, 800, 1600}},
        {(1U << 20) - 1, {149, 299, 599, 1199, 2399}},
    };
    for (size_t k = 0; k < COUNT(replies); k++) {
        replies[k] = (struct scripted){.code = 503};
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        kit_open(&kit, replies, COUNT(replies), NULL);
        kit.chance = cases[i].chance;
        cr_assert(eq(int, put(), S3_BUSY));
        for (size_t k = 0; k < 5; k++) {
            cr_assert(eq(u64, kit.pauses_ms[k], cases[i].pauses_ms[k]), "case %zu pause %zu", i, k);
        }
        kit_close(&kit);
    }
}

Test(s3_retries, each_attempt_is_signed_anew_with_the_same_body)
{
    static const struct scripted replies[] = {{.code = 500}, {.outcome = S3_CUT}, {.code = 200}};
    char *seen[3];
    kit_open(&kit, replies, COUNT(replies), NULL);
    kit.chance = 3000ULL << 20; /* of no effect: it is taken modulo one */
    kit.wall_ms += 950;
    cr_assert(eq(int, put(), S3_OK));
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 3));
    for (size_t i = 0; i < 3; i++) {
        seen[i] = asked_header(&kit.script.asked[i], "x-amz-date");
        cr_assert(view_equal(buf_view(&kit.script.asked[i].body), view_str("body")));
    }
    cr_assert(eq(str, seen[0], "20130524T000000Z"));
    cr_assert(eq(str, seen[1], "20130524T000001Z"));
    cr_assert(eq(str, seen[2], "20130524T000001Z"));
    for (size_t i = 0; i < 3; i++) {
        free(seen[i]);
    }
    cr_assert(ne(str, kit.script.asked[0].headers, kit.script.asked[1].headers));
    kit_close(&kit);
}

Test(s3_retries, exists_after_a_lost_reply_may_be_our_own)
{
    static const struct scripted replies[] = {{.outcome = S3_TIMED_OUT}, {.code = 412}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, s3_put(kit.s3, "log/1", view_str("x"), S3_PUT_IF_ABSENT), S3_EXISTS));
    cr_assert(s3_last_error(kit.s3)->maybe_done);
    kit_close(&kit);
}

Test(s3_retries, stopping_ends_the_pause_and_the_call)
{
    static const struct scripted replies[] = {{.code = 503}, {.code = 503}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    kit.stop_in_pause = 2;
    cr_assert(eq(int, put(), S3_CANCELLED));
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 2));
    cr_assert(eq(int, s3_last_error(kit.s3)->status, S3_CANCELLED));
    kit_close(&kit);
}

#define SKEWED "<Error><Code>RequestTimeTooSkewed</Code></Error>"

Test(s3_retries, a_wrong_clock_is_corrected_by_the_server_at_once_and_for_good)
{
    static const struct scripted replies[] = {
        {.code = 403, .body = SKEWED, .date_ms = INT64_C(1369353600000) + 86400000},
        {.code = 200},
        {.code = 200},
    };
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, put(), S3_OK));
    cr_assert(eq(int, put(), S3_OK));
    cr_assert(eq(sz, kit.pause_count, 0));
    for (size_t i = 0; i < 3; i++) {
        char *date = asked_header(&kit.script.asked[i], "x-amz-date");
        cr_assert(eq(str, date, i == 0 ? "20130524T000000Z" : "20130525T000000Z"));
        free(date);
    }
    kit_close(&kit);
}

Test(s3_retries, a_clock_that_stays_wrong_is_final)
{
    static const struct scripted replies[] = {
        {.code = 403, .body = SKEWED, .date_ms = INT64_C(1369353600000)},
        {.code = 403, .body = SKEWED, .date_ms = INT64_C(1369353600000)},
        {.code = 403, .body = SKEWED},
    };
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, put(), S3_CLOCK));
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 2));
    cr_assert(eq(int, put(), S3_CLOCK)); /* no Date to learn from */
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 1));
    kit_close(&kit);
}

Test(s3_retries, an_error_tells_what_the_storage_said)
{
    static const struct scripted replies[] = {
        {.code = 403,
         .body = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Not for "
                 "you</Message><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId>"
                 "<StringToSign>" KIT_SECRET "</StringToSign><RequestId>R1</RequestId></Error>"},
        {.code = 403, .body = "<html>" KIT_SECRET "</html>"},
        {.code = 503, .body = "<Error><Code>SlowDown</Code><Message>Slower</Message></Error>"},
        {.code = 200},
    };
    char text[300];
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, put(), S3_DENIED));
    const struct s3_error *error = s3_last_error(kit.s3);
    cr_assert(eq(str, (char *)error->code, "AccessDenied"));
    cr_assert(eq(str, (char *)error->message, "Not for you"));
    cr_assert(eq(str, (char *)error->request_id, "R1"));
    s3_describe_error(kit.s3, text, sizeof text);
    cr_assert(eq(str, text, "access denied (403 AccessDenied: Not for you), 1 attempt"));
    cr_assert(eq(int, put(), S3_DENIED));
    cr_assert(eq(str, (char *)error->request_id, "request-1"));
    s3_describe_error(kit.s3, text, sizeof text);
    cr_assert(eq(str, text, "access denied (403), 1 attempt"));
    cr_assert(eq(int, put(), S3_OK));
    s3_describe_error(kit.s3, text, sizeof text);
    cr_assert(eq(str, text, "ok (200), 2 attempts")); /* nothing of the first one */
    kit_close(&kit);
}

/* ---- Credentials that come and go ----------------------------------------------------------- */

static struct script provider;

#define KEYS(id, token)                                                                            \
    "{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"" KIT_SECRET "\",\"Token\":\"" token        \
    "\",\"Expiration\":\"2013-05-24T01:00:00Z\"}"

static uint64_t no_chance(void)
{
    return 0;
}

/* The kit's clock stands at 2013-05-24T00:00:00Z, an hour before they expire. */
static void open_with_provider(const struct scripted *replies, size_t count,
                               const struct scripted *keys, size_t key_count)
{
    static const char *const environment[] = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/keys",
                                              NULL};
    struct credentials *credentials = NULL;
    char errmsg[200] = "";
    /* The clock must stand before the thread looks at it. */
    kit_open(&kit, replies, count, NULL);
    credentials_close(kit.credentials);
    s3_close(kit.s3);
    script_free(&kit.script);
    provider = (struct script){.replies = keys, .reply_count = key_count};
    kit_environment = environment;
    const struct credentials_deps deps = {.environ_get = kit_getenv,
                                          .transport = script_transport(&provider),
                                          .clock = &kit_clock,
                                          .random = no_chance};
    cr_assert(eq(int, credentials_open(&deps, &credentials, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
    kit_open(&kit, replies, count, credentials);
}

static void close_with_provider(void)
{
    size_t expected = provider.reply_count;
    kit_close(&kit);
    cr_assert(eq(sz, provider.asked_count, expected));
    script_free(&provider);
}

static void expect_token(size_t i, const char *token)
{
    char *found = asked_header(&kit.script.asked[i], "x-amz-security-token");
    cr_assert(eq(str, found, (char *)token));
    free(found);
}

Test(s3_retries, expired_credentials_are_fetched_anew_once)
{
    static const struct scripted keys[] = {{.code = 200, .body = KEYS("AK1", "token-1")},
                                           {.code = 200, .body = KEYS("AK2", "token-2")}};
    static const struct scripted replies[] = {
        {.code = 403, .body = "<Error><Code>ExpiredToken</Code></Error>"}, {.code = 200}};
    open_with_provider(replies, COUNT(replies), keys, COUNT(keys));
    cr_assert(eq(int, put(), S3_OK));
    cr_assert(eq(sz, kit.pause_count, 0));
    expect_token(0, "token-1");
    expect_token(1, "token-2");
    close_with_provider();
}

Test(s3_retries, credentials_that_are_refused_twice_are_final)
{
    static const struct scripted keys[] = {{.code = 200, .body = KEYS("AK1", "token-1")},
                                           {.code = 200, .body = KEYS("AK2", "token-2")}};
    static const struct scripted replies[] = {
        {.code = 400, .body = "<Error><Code>InvalidToken</Code></Error>"},
        {.code = 400, .body = "<Error><Code>InvalidToken</Code></Error>"}};
    open_with_provider(replies, COUNT(replies), keys, COUNT(keys));
    cr_assert(eq(int, put(), S3_EXPIRED));
    cr_assert(eq(uint, s3_last_error(kit.s3)->attempts, 2));
    close_with_provider();
}

static void an_hour_and_more_passes(void)
{
    kit.wall_ms += 3700 * 1000;
}

Test(s3_retries, any_refusal_after_their_end_means_expired)
{
    static const struct scripted keys[] = {
        {.code = 200, .body = KEYS("AK1", "token-1")},
        {.code = 200,
         .body = "{\"AccessKeyId\":\"AK2\",\"SecretAccessKey\":\"x\",\"Token\":\"token-2\","
                 "\"Expiration\":\"2013-05-24T09:00:00Z\"}"}};
    static const struct scripted refusals[] = {
        {.code = 403, .body = "<Error><Code>AccessDenied</Code></Error>"}, {.code = 400}};
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct scripted replies[] = {refusals[i], {.code = 200}};
        replies[0].meanwhile = an_hour_and_more_passes;
        open_with_provider(replies, COUNT(replies), keys, COUNT(keys));
        cr_assert(eq(int, put(), S3_OK));
        expect_token(1, "token-2");
        close_with_provider();
    }
}

Test(s3_retries, fixed_credentials_that_are_refused_are_final)
{
    static const struct scripted replies[] = {
        {.code = 403, .body = "<Error><Code>InvalidAccessKeyId</Code></Error>"}};
    kit_open(&kit, replies, COUNT(replies), NULL);
    cr_assert(eq(int, put(), S3_EXPIRED));
    kit_close(&kit);
}

Test(s3_retries, without_credentials_it_waits_for_the_provider)
{
    static const struct scripted keys[] = {{.code = 500},
                                           {.code = 429, .body = "{\"code\":\"Slow\"}"},
                                           {.code = 200, .body = KEYS("AK1", "token-1")}};
    static const struct scripted replies[] = {{.code = 200}};
    open_with_provider(replies, COUNT(replies), keys, COUNT(keys));
    cr_assert(eq(int, put(), S3_OK));
    cr_assert(s3_last_error(kit.s3)->attempts <= 3);
    close_with_provider();
}
