/* The signer against the examples that AWS publishes and against vectors made by botocore. */
#include "backup/sigv4.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <string.h>

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The pair of keys and the day of all examples. */
static const struct sigv4_keys example_keys = {
    .key_id = "AKIAIOSFODNN7EXAMPLE",
    .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
enum { EXAMPLE_TIME_S = 1369353600 }; /* 2013-05-24T00:00:00Z */

static struct sigv4_request example(const char *method, const char *path)
{
    return (struct sigv4_request){.method = method,
                                  .host = "examplebucket.s3.amazonaws.com",
                                  .path = path,
                                  .payload_hash = EMPTY_HASH,
                                  .region = "us-east-1",
                                  .service = "s3",
                                  .time_s = EXAMPLE_TIME_S};
}

static const char *text_of(const struct buf *bytes)
{
    return (const char *)bytes->ptr;
}

static void expect_signed(const struct sigv4_request *request, const char *target,
                          const char *signed_headers, const char *signature)
{
    struct sigv4_signed out = {0};
    char expected[1000];
    (void)snprintf(expected, sizeof expected,
                   "AWS4-HMAC-SHA256 "
                   "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                   "SignedHeaders=%s,Signature=%s",
                   signed_headers, signature);
    cr_assert(eq(int, sigv4_sign(request, &example_keys, &out), STATUS_OK));
    cr_assert(eq(str, out.date, "20130524T000000Z"));
    cr_assert(eq(str, (char *)text_of(&out.target), (char *)target));
    cr_assert(eq(str, (char *)text_of(&out.authorization), expected));
    sigv4_signed_free(&out);
}

Test(sigv4, the_published_get_of_a_range)
{
    static const struct sigv4_pair range = {"Range", "bytes=0-9"};
    struct sigv4_request request = example("GET", "/test.txt");
    request.header = &range;
    request.header_count = 1;
    expect_signed(&request, "/test.txt", "host;range;x-amz-content-sha256;x-amz-date",
                  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

Test(sigv4, the_published_put)
{
    static const struct sigv4_pair headers[] = {
        {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
    };
    char hash[SIGV4_HEX_BYTES];
    cr_assert(eq(int, sigv4_hash(view_str("Welcome to Amazon S3."), hash), STATUS_OK));
    struct sigv4_request request = example("PUT", "/test$file.text");
    request.header = headers;
    request.header_count = COUNT(headers);
    request.payload_hash = hash;
    expect_signed(&request, "/test%24file.text",
                  "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

Test(sigv4, the_published_query_without_a_value)
{
    static const struct sigv4_pair lifecycle = {"lifecycle", ""};
    struct sigv4_request request = example("GET", "/");
    request.query = &lifecycle;
    request.query_count = 1;
    expect_signed(&request, "/?lifecycle=", "host;x-amz-content-sha256;x-amz-date",
                  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

Test(sigv4, the_published_list_whatever_the_order_of_its_query)
{
    static const struct sigv4_pair list[] = {{"prefix", "J"}, {"max-keys", "2"}};
    struct sigv4_request request = example("GET", "/");
    request.query = list;
    request.query_count = COUNT(list);
    expect_signed(&request, "/?max-keys=2&prefix=J", "host;x-amz-content-sha256;x-amz-date",
                  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static const char *member(const json_t *vector, const char *name)
{
    const json_t *value = json_object_get(vector, name);
    cr_assert_not_null(value, "%s is missing", name);
    return json_string_value(value); /* NULL for null */
}

static size_t pairs_of(const json_t *vector, const char *name, struct sigv4_pair *out)
{
    const json_t *array = json_object_get(vector, name);
    size_t count = json_array_size(array);
    cr_assert(count <= SIGV4_PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(array, i);
        out[i].name = json_string_value(json_array_get(pair, 0));
        out[i].value = json_string_value(json_array_get(pair, 1));
    }
    return count;
}

Test(sigv4, every_vector_of_botocore_has_its_signature)
{
    json_error_t error;
    json_t *vectors = json_load_file(SATCHEL_SOURCE_DIR "/tests/unit/backup/sigv4_vectors.json", 0,
                                     &error);
    cr_assert_not_null(vectors, "%s", error.text);
    size_t count = json_array_size(vectors);
    struct sigv4_signed out = {0}; /* one for all: it is meant to be used again */
    cr_assert(ge(sz, count, 100));
    for (size_t i = 0; i < count; i++) {
        const json_t *vector = json_array_get(vectors, i);
        struct sigv4_pair query[SIGV4_PAIRS_MAX];
        struct sigv4_pair header[SIGV4_PAIRS_MAX];
        struct sigv4_keys keys = {member(vector, "key_id"), member(vector, "secret"),
                                  member(vector, "token")};
        struct sigv4_request request = {
            .method = member(vector, "method"),
            .host = member(vector, "host"),
            .path = member(vector, "path"),
            .query = query,
            .header = header,
            .query_count = pairs_of(vector, "query", query),
            .header_count = pairs_of(vector, "headers", header),
            .payload_hash = member(vector, "payload_hash"),
            .region = member(vector, "region"),
            .service = "s3",
            .time_s = json_integer_value(json_object_get(vector, "time_s")),
        };
        cr_assert(eq(int, sigv4_sign(&request, &keys, &out), STATUS_OK));
        cr_assert(eq(str, out.date, (char *)member(vector, "date")), "vector %zu", i);
        cr_assert(
            eq(str, (char *)text_of(&out.authorization), (char *)member(vector, "authorization")),
            "vector %zu", i);
    }
    sigv4_signed_free(&out);
    json_decref(vectors);
}

Test(sigv4, what_is_sent_is_encoded_as_rfc_3986_has_it)
{
    static const struct {
        const char *path;
        const char *target;
    } cases[] = {
        {"/", "/?a%2F=%20%2B%26%3D"},
        {"/azAZ09-._~/", "/azAZ09-._~/?a%2F=%20%2B%26%3D"},
        {"/a b+c=d&e@f:%41", "/a%20b%2Bc%3Dd%26e%40f%3A%2541?a%2F=%20%2B%26%3D"},
        {"//a/../b/./", "//a/../b/./?a%2F=%20%2B%26%3D"},
        {"/\xc3\xa9\x01\x7f?#", "/%C3%A9%01%7F%3F%23?a%2F=%20%2B%26%3D"},
    };
    static const struct sigv4_pair pair = {"a/", " +&="};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sigv4_signed out = {0};
        struct sigv4_request request = example("GET", cases[i].path);
        request.query = &pair;
        request.query_count = 1;
        cr_assert(eq(int, sigv4_sign(&request, &example_keys, &out), STATUS_OK));
        cr_assert(eq(str, (char *)text_of(&out.target), (char *)cases[i].target));
        sigv4_signed_free(&out);
    }
}

Test(sigv4, a_secret_or_time_that_cannot_be_is_refused)
{
    char long_secret[SIGV4_SECRET_MAX + 2];
    memset(long_secret, 's', sizeof long_secret - 1);
    long_secret[sizeof long_secret - 1] = '\0';
    struct sigv4_signed out = {0};
    struct sigv4_request request = example("GET", "/");
    const struct sigv4_keys keys = {.key_id = "AK", .secret = long_secret};
    cr_assert(eq(int, sigv4_sign(&request, &keys, &out), STATUS_INVALID));
    long_secret[SIGV4_SECRET_MAX] = '\0';
    cr_assert(eq(int, sigv4_sign(&request, &keys, &out), STATUS_OK));
    request.time_s = INT64_MAX;
    cr_assert(eq(int, sigv4_sign(&request, &example_keys, &out), STATUS_INVALID));
    request.time_s = INT64_C(253402300800); /* the year 10000 does not fit the date */
    cr_assert(eq(int, sigv4_sign(&request, &example_keys, &out), STATUS_INVALID));
    sigv4_signed_free(&out);
}

Test(sigv4, the_hash_of_nothing_is_known)
{
    char hash[SIGV4_HEX_BYTES];
    cr_assert(eq(int, sigv4_hash(view_of(NULL, 0), hash), STATUS_OK));
    cr_assert(eq(str, hash, EMPTY_HASH));
}
