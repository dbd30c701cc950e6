/* Where credentials come from, and what replies of a provider are believed. */
#include "backup/credentials_source.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/secret.h"
#include "unit/backup/kit.h"

#define RELATIVE "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define TOKEN "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define TOKEN_FILE "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

static struct credentials_source source;
static char errmsg[300];

static enum status open_with(const char *const *environment)
{
    kit_environment = environment;
    errmsg[0] = '\0';
    return credentials_source_open(kit_getenv, &source, errmsg, sizeof errmsg);
}

Test(credentials_source, the_environment_is_looked_through_in_order)
{
    static const struct {
        const char *environment[9];
        enum status status;
        bool is_fixed;
        const char *url;
    } cases[] = {
        {{NULL}, STATUS_NOT_FOUND, false, ""},
        {{"AWS_ACCESS_KEY_ID", "AK", NULL}, STATUS_INVALID, true, ""},
        {{"AWS_SECRET_ACCESS_KEY", KIT_SECRET, NULL}, STATUS_INVALID, true, ""},
        {{"AWS_ACCESS_KEY_ID", "", "AWS_SECRET_ACCESS_KEY", "", NULL}, STATUS_NOT_FOUND, false, ""},
        {{"AWS_ACCESS_KEY_ID", "AK", "AWS_SECRET_ACCESS_KEY", KIT_SECRET, RELATIVE, "/x", NULL},
         STATUS_OK,
         true,
         ""},
        {{RELATIVE, "/v2/credentials/1-2", FULL, "https://other/", NULL},
         STATUS_OK,
         false,
         "http://169.254.170.2/v2/credentials/1-2"},
        {{RELATIVE, "@evil/", NULL}, STATUS_INVALID, false, ""},
        {{FULL, "http://[fd00:ec2::23]/v1/credentials", NULL},
         STATUS_OK,
         false,
         "http://[fd00:ec2::23]/v1/credentials"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert(eq(int, open_with(cases[i].environment), cases[i].status), "case %zu", i);
        cr_assert(eq(int, source.is_fixed, cases[i].is_fixed), "case %zu", i);
        cr_assert(eq(int, errmsg[0] != '\0', cases[i].status != STATUS_OK), "case %zu", i);
        cr_assert_null(strstr(errmsg, KIT_SECRET));
        if (cases[i].status == STATUS_OK) {
            cr_assert(eq(str, source.url, (char *)cases[i].url), "case %zu", i);
        }
    }
}

Test(credentials_source, secrets_travel_in_the_open_only_where_nobody_listens)
{
    static const struct {
        const char *uri;
        bool allowed;
    } cases[] = {
        {"https://provider.example.com/x", true},
        {"http://localhost:51679/x", true},
        {"http://LOCALHOST/x", true},
        {"http://127.0.0.1:8080/x?y=z", true},
        {"http://127.9.8.7/x", true},
        {"http://[::1]:9/x", true},
        {"http://169.254.170.2/x", true},
        {"http://169.254.170.23/v1/credentials", true},
        {"http://[fd00:ec2::23]/x", true},
        {"http://10.0.0.1/x", false},
        {"http://169.254.169.254/x", false},
        {"http://169.254.170.24/x", false},
        {"http://[::2]/x", false},
        {"http://provider.example.com/x", false},
        {"http://localhost.example.com/x", false},
        {"http://127.0.0.1.example.com/x", false},
        {"http://127.0.0.1@example.com/x", false},
        {"http://user@127.0.0.1/x", false},
        {"ftp://127.0.0.1/x", false},
        {"file:///etc/passwd", false},
        {"127.0.0.1/x", false},
        {"http://", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const environment[] = {FULL, cases[i].uri, NULL};
        cr_assert(eq(int, open_with(environment), cases[i].allowed ? STATUS_OK : STATUS_INVALID),
                  "%s: %s", cases[i].uri, errmsg);
    }
}

static struct script script;
static struct credentials_keys *keys;

static enum s3_status fetch(const struct scripted *reply)
{
    script_free(&script);
    script = (struct script){.replies = reply, .reply_count = 1};
    struct s3_transport transport = script_transport(&script);
    errmsg[0] = '\0';
    return credentials_source_fetch(&source, &transport, keys, errmsg, sizeof errmsg);
}

static void open_provider(const char *const *environment)
{
    keys = secret_new(sizeof *keys);
    cr_assert_not_null(keys);
    cr_assert(eq(int, open_with(environment), STATUS_OK), "%s", errmsg);
}

static void close_provider(void)
{
    script_free(&script);
    secret_free(keys, sizeof *keys);
}

static const char *const relative[] = {RELATIVE, "/keys", NULL};

#define GOOD                                                                                       \
    "{\"RoleArn\":\"arn\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"" KIT_SECRET                \
    "\",\"Token\":\"T/+=\",\"Expiration\":\"2013-05-24T01:00:00Z\"}"

Test(credentials_source, a_good_reply_is_taken_as_it_is)
{
    static const struct scripted good = {.code = 200, .body = GOOD};
    open_provider(relative);
    cr_assert(eq(int, fetch(&good), S3_OK), "%s", errmsg);
    cr_assert(eq(str, keys->key_id, "AK"));
    cr_assert(eq(str, keys->secret, KIT_SECRET));
    cr_assert(eq(str, keys->token, "T/+="));
    cr_assert(eq(i64, keys->expires_ms, INT64_C(1369357200000)));
    cr_assert(eq(str, script.asked[0].url, "http://169.254.170.2/keys"));
    cr_assert(eq(str, script.asked[0].method, "GET"));
    cr_assert(script.asked[0].has_secrets);
    cr_assert_null(asked_header(&script.asked[0], "Authorization"));
    close_provider();
}

Test(credentials_source, a_fetch_leaves_nothing_secret_behind)
{
    static const struct scripted good = {.code = 200, .body = GOOD};
    char *seen = strdup(KIT_SECRET);
    cr_assert(kit_is_in_memory(KIT_SECRET_END), "the search does not see it");
    secret_heap_free(seen);
    cr_assert(not(kit_is_in_memory(KIT_SECRET_END)));
    open_provider(relative);
    cr_assert(eq(int, fetch(&good), S3_OK));
    cr_assert(eq(str, keys->secret, KIT_SECRET));
    cr_assert(not(kit_is_in_memory(KIT_SECRET_END)));
    close_provider();
}

Test(credentials_source, without_token_and_expiration_keys_are_permanent)
{
    static const struct scripted reply = {
        .code = 200, .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\"}"};
    open_provider(relative);
    cr_assert(eq(int, fetch(&reply), S3_OK));
    cr_assert(eq(str, keys->token, ""));
    cr_assert(eq(i64, keys->expires_ms, INT64_MAX));
    close_provider();
}

Test(credentials_source, other_replies_are_refused_and_never_quoted)
{
    static const struct {
        struct scripted reply;
        enum s3_status status;
        const char *message;
    } cases[] = {
        {{.code = 200, .body = ""}, S3_BAD_REPLY, "makes no sense"},
        {{.code = 200}, S3_BAD_REPLY, "makes no sense"},
        {{.code = 200, .body = "[]"}, S3_BAD_REPLY, "makes no sense"},
        {{.code = 200, .body = "{\"SecretAccessKey\":\"" KIT_SECRET "\"}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200, .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"" KIT_SECRET "\""},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200, .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":7}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200, .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"\"}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200,
          .body = "{\"AccessKeyId\":\"A\\nX: y\",\"SecretAccessKey\":\"" KIT_SECRET "\"}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200,
          .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Token\":\"a\\r\\nb\"}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 200,
          .body = "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}"},
         S3_BAD_REPLY,
         "makes no sense"},
        {{.code = 403, .body = "{\"code\":\"InvalidIdInRequest\",\"message\":\"unknown task\"}"},
         S3_DENIED,
         "403 InvalidIdInRequest: unknown task"},
        {{.code = 404, .body = "<html>" KIT_SECRET}, S3_NOT_FOUND, "answers 404"},
        {{.code = 500, .body = "{\"message\":7}"}, S3_SERVER_ERROR, "answers 500"},
        {{.code = 429}, S3_BUSY, "answers 429"},
        {{.outcome = S3_UNREACHABLE}, S3_UNREACHABLE, "as the script has it"},
    };
    open_provider(relative);
    for (size_t i = 0; i < COUNT(cases); i++) {
        cr_assert(eq(int, fetch(&cases[i].reply), cases[i].status), "case %zu", i);
        cr_assert_not_null(strstr(errmsg, cases[i].message), "case %zu: %s", i, errmsg);
        cr_assert_null(strstr(errmsg, KIT_SECRET), "%s", errmsg);
    }
    close_provider();
}

static void expect_authorization(const char *value)
{
    char *found = asked_header(&script.asked[0], "Authorization");
    cr_assert_not_null(found);
    cr_assert(eq(str, found, (char *)value));
    free(found);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

Test(credentials_source, the_token_file_is_read_for_each_request_and_goes_first)
{
    static const struct scripted good = {.code = 200, .body = GOOD};
    char path[] = "/tmp/satchel-token-XXXXXX";
    int fd = mkstemp(path);
    (void)close(fd);
    const char *const environment[] = {RELATIVE, "/keys", TOKEN, "fixed", TOKEN_FILE, path, NULL};
    open_provider(environment);
    write_file(path, "first token\n");
    cr_assert(eq(int, fetch(&good), S3_OK));
    expect_authorization("first token");
    write_file(path, "second\r\n\r\n");
    cr_assert(eq(int, fetch(&good), S3_OK));
    expect_authorization("second");
    write_file(path, "");
    cr_assert(eq(int, fetch(&good), S3_INVALID));
    write_file(path, "bell \a\n");
    cr_assert(eq(int, fetch(&good), S3_INVALID));
    cr_assert_null(strstr(errmsg, "bell"));
    (void)unlink(path);
    cr_assert(eq(int, fetch(&good), S3_NO_CREDENTIALS));
    cr_assert(eq(sz, script.asked_count, 0));
    close_provider();
}

Test(credentials_source, a_fixed_token_is_sent)
{
    static const struct scripted good = {.code = 200, .body = GOOD};
    static const char *const environment[] = {FULL, "http://127.0.0.1/x", TOKEN, "Basic abc", NULL};
    open_provider(environment);
    cr_assert(eq(int, fetch(&good), S3_OK));
    expect_authorization("Basic abc");
    close_provider();
}

Test(credentials_source, fixed_keys_come_from_the_environment)
{
    static const char *const environment[] = {"AWS_ACCESS_KEY_ID",
                                              "AK",
                                              "AWS_SECRET_ACCESS_KEY",
                                              KIT_SECRET,
                                              "AWS_SESSION_TOKEN",
                                              "T",
                                              NULL};
    open_provider(environment);
    struct s3_transport none = {0};
    cr_assert(
        eq(int, credentials_source_fetch(&source, &none, keys, errmsg, sizeof errmsg), S3_OK));
    cr_assert(eq(str, keys->key_id, "AK"));
    cr_assert(eq(str, keys->secret, KIT_SECRET));
    cr_assert(eq(str, keys->token, "T"));
    cr_assert(eq(i64, keys->expires_ms, INT64_MAX));
    close_provider();
}

Test(credentials_source, keys_that_are_too_long_are_refused)
{
    char long_text[CREDENTIALS_TOKEN_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (size_t i = 0; i < 3; i++) {
        const char *const environment[] = {"AWS_ACCESS_KEY_ID",
                                           i == 0 ? long_text : "AK",
                                           "AWS_SECRET_ACCESS_KEY",
                                           i == 1 ? long_text : "s",
                                           "AWS_SESSION_TOKEN",
                                           i == 2 ? long_text : "t",
                                           NULL};
        cr_assert(eq(int, open_with(environment), STATUS_INVALID));
    }
}
