/* Exchanges over real sockets. */
#include "backup/s3_http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit/backup/kit.h"
#include "unit/backup/peer.h"

static struct peer peer;
static struct stop stopping;
static struct s3_transport transport;
static struct s3_http_reply reply;
static char errmsg[300];
static char url[200];

static void open_with(const struct peer_reply *replies, size_t count, SSL_CTX *tls,
                      const char *ca_file)
{
    peer_start(&peer, replies, count, tls);
    stop_init(&stopping);
    const struct s3_http_options options = {
        .ca_file = ca_file, .connect_ms_max = 5000, .idle_ms_max = 20000, .stop = &stopping};
    cr_assert(eq(int, s3_http_open(&options, &transport, errmsg, sizeof errmsg), STATUS_OK), "%s",
              errmsg);
    (void)snprintf(url, sizeof url, "%s://127.0.0.1:%u/a/../b%%20c?x=%%2F",
                   tls != NULL ? "https" : "http", peer.port);
}

static void close_all(void)
{
    s3_transport_close(&transport);
    peer_stop(&peer);
    stop_close(&stopping);
    buf_free(&reply.body);
    peer_free(&peer);
}

static enum s3_status exchange(struct s3_http_request request)
{
    request.url = request.url != NULL ? request.url : url;
    request.method = request.method != NULL ? request.method : "GET";
    request.reply_bytes_max = request.reply_bytes_max != 0 ? request.reply_bytes_max : 1000;
    return transport.exchange(transport.arg, &request, &reply, errmsg, sizeof errmsg);
}

static void expect_body(const char *text)
{
    cr_assert(view_equal(buf_view(&reply.body), view_str(text)), "%.*s", (int)reply.body.len,
              (const char *)reply.body.ptr);
}

#define OK_WITH(body, length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

Test(s3_http, a_get_is_sent_as_it_was_signed_and_nothing_is_added)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 200 OK\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\n"
                  "ETag: \"abc-2\"\r\nLast-Modified: Fri, 24 May 2013 00:00:01 GMT\r\n"
                  "x-amz-request-id: R7\r\nContent-Length: 5\r\n\r\nhello"}};
    static const char *const headers[] = {"Authorization: A", "x-amz-date: D"};
    char expected[400];
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(
        eq(int, exchange((struct s3_http_request){.headers = headers, .header_count = 2}), S3_OK),
        "%s", errmsg);
    cr_assert(eq(uint, reply.code, 200));
    cr_assert(eq(str, reply.etag, "abc-2"));
    cr_assert(eq(str, reply.request_id, "R7"));
    cr_assert(eq(i64, reply.date_ms, INT64_C(1369353600000)));
    cr_assert(eq(i64, reply.modified_ms, INT64_C(1369353601000)));
    cr_assert(eq(u64, reply.bytes, 5));
    expect_body("hello");
    (void)snprintf(expected, sizeof expected,
                   "GET /a/../b%%20c?x=%%2F HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "User-Agent: satchel/" SATCHEL_VERSION_TEXT "\r\n"
                   "Authorization: A\r\nx-amz-date: D\r\n\r\n",
                   peer.port);
    cr_assert(eq(str, (char *)peer_request(&peer, 0), expected));
    close_all();
}

Test(s3_http, bodies_of_all_sizes_arrive_with_their_length)
{
    static const size_t sizes[] = {0, 1, 70000, 3000000};
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("", "0")},
                                                {.bytes = OK_WITH("", "0")},
                                                {.bytes = OK_WITH("", "0")},
                                                {.bytes = OK_WITH("", "0")}};
    uint8_t *body = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++) {
        body[i] = (uint8_t)(i * 31 >> 3);
    }
    open_with(replies, COUNT(replies), NULL, NULL);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        cr_assert(eq(int,
                     exchange((struct s3_http_request){.method = i == 1 ? "POST" : "PUT",
                                                       .has_body = true,
                                                       .body = view_of(body, sizes[i])}),
                     S3_OK),
                  "%s", errmsg);
        cr_assert(eq(int, reply.code, 200));
        char length[64];
        const char *text = peer_request(&peer, i);
        (void)snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        const char *at = strstr(text, length);
        cr_assert_not_null(at, "%.500s", text);
        cr_assert_null(strstr(text, "Expect:"));
        cr_assert_null(strstr(text, "Content-Type:"));
        at += strlen(length);
        size_t head = (size_t)(at - text);
        cr_assert(view_equal(view_of(at, peer.requests[i].len - head), view_of(body, sizes[i])));
    }
    s3_transport_close(&transport);
    peer_stop(&peer);
    cr_assert(eq(uint, peer.connections, 1)); /* kept */
    stop_close(&stopping);
    peer_free(&peer);
    buf_free(&reply.body);
    free(body);
}

Test(s3_http, head_tells_the_size_without_a_body)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n"}};
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange((struct s3_http_request){.method = "HEAD"}), S3_OK));
    cr_assert(eq(u64, reply.bytes, UINT64_C(5000000000)));
    cr_assert(eq(sz, reply.body.len, 0));
    close_all();
}

Test(s3_http, a_redirect_is_a_reply_like_any_other)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\n"
                  "Content-Length: 0\r\n\r\n"}};
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_OK));
    cr_assert(eq(uint, reply.code, 307));
    close_all();
}

Test(s3_http, a_hundred_continue_is_not_the_reply)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 100 Continue\r\nETag: no\r\n\r\nHTTP/1.1 403 No\r\n"
                  "Content-Length: 2\r\n\r\nno"}};
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_OK));
    cr_assert(eq(uint, reply.code, 403));
    cr_assert(eq(str, reply.etag, ""));
    expect_body("no");
    close_all();
}

/* Collects, and may have had enough. */
struct collector {
    struct buf bytes;
    bool refuses;
};

static enum status collect(void *arg, struct view bytes)
{
    struct collector *self = arg;
    cr_assert(eq(uint, reply.code, 206)); /* the head is there before the body */
    cr_assert(eq(str, reply.etag, "e"));
    return self->refuses ? STATUS_NO_SPACE : buf_append(&self->bytes, bytes);
}

Test(s3_http, a_sink_gets_good_bodies_of_any_size_and_no_others)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 206 Part\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
        {.bytes = "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone"},
        {.bytes = "HTTP/1.1 206 Part\r\nETag: e\r\nContent-Length: 5\r\n\r\nhello"}};
    struct collector collector = {0};
    struct s3_http_request request = {
        .sink = collect, .sink_arg = &collector, .reply_bytes_max = 4};
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange(request), S3_OK));
    cr_assert(view_equal(buf_view(&collector.bytes), view_str("hello world")));
    cr_assert(eq(int, exchange(request), S3_OK));
    expect_body("gone");
    collector.refuses = true;
    cr_assert(eq(int, exchange(request), S3_STOPPED));
    cr_assert(eq(sz, collector.bytes.len, 11));
    buf_free(&collector.bytes);
    close_all();
}

Test(s3_http, an_object_that_does_not_say_where_it_ends_is_not_believed)
{
    static const struct peer_reply replies[] = {
        {.bytes = "HTTP/1.1 206 Part\r\nETag: e\r\n\r\nhello", .closes = true},
        {.bytes = "HTTP/1.1 206 Part\r\nETag: e\r\n\r\n", .closes = true},
        {.bytes = "HTTP/1.1 403 No\r\n\r\nno", .closes = true}};
    struct collector collector = {0};
    struct s3_http_request request = {.sink = collect, .sink_arg = &collector};
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange(request), S3_BAD_REPLY));
    cr_assert(eq(sz, collector.bytes.len, 0));
    cr_assert(eq(int, exchange(request), S3_BAD_REPLY));
    cr_assert(eq(int, exchange(request), S3_OK));
    expect_body("no");
    buf_free(&collector.bytes);
    close_all();
}

Test(s3_http, every_way_of_failing_has_its_name)
{
    static char long_head[120000];
    static const struct {
        struct peer_reply reply;
        enum s3_status status;
    } cases[] = {
        {{.bytes = OK_WITH("hell", "5"), .closes = true}, S3_CUT},
        {{.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", .closes = true},
         S3_CUT},
        {{.bytes = "HTTP/1.1 200 OK\r\nCont", .closes = true}, S3_CUT},
        {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", .closes = true}, S3_CUT},
        {{.bytes = NULL, .closes = true}, S3_CUT},
        {{.bytes = OK_WITH("hello", "5"), .closes = true}, S3_OK},
        {{.bytes = OK_WITH("hello!", "6"), .closes = true}, S3_TOO_LARGE},
        {{.bytes = "no HTTP at all\r\n\r\n", .closes = true}, S3_BAD_REPLY},
        {{.bytes = long_head, .closes = true}, S3_TOO_LARGE},
    };
    size_t used = (size_t)snprintf(long_head, sizeof long_head, "HTTP/1.1 200 OK\r\n");
    while (used < 100000) {
        used += (size_t)snprintf(long_head + used, sizeof long_head - used, "X-Header: value\r\n");
    }
    (void)snprintf(long_head + used, sizeof long_head - used, "\r\n");
    for (size_t i = 0; i < COUNT(cases); i++) {
        open_with(&cases[i].reply, 1, NULL, NULL);
        cr_assert(
            eq(int, exchange((struct s3_http_request){.reply_bytes_max = 5}), cases[i].status),
            "case %zu: %s", i, errmsg);
        cr_assert(eq(int, errmsg[0] != '\0', cases[i].status != S3_OK), "case %zu", i);
        close_all();
    }
}

Test(s3_http, nobody_at_home_is_unreachable)
{
    open_with(NULL, 0, NULL, NULL);
    peer_stop(&peer);
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_UNREACHABLE));
    cr_assert(eq(int, exchange((struct s3_http_request){.url = "http://no-such-host.invalid/"}),
                 S3_UNREACHABLE));
    cr_assert(eq(int, exchange((struct s3_http_request){.url = "ftp://127.0.0.1/"}), S3_INVALID));
    cr_assert(eq(int, exchange((struct s3_http_request){.url = "file:///etc/passwd"}), S3_INVALID));
    s3_transport_close(&transport);
    stop_close(&stopping);
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

Test(s3_http, silence_ends_by_its_limit_while_sending_and_receiving)
{
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("hel", "5"), .waits = true},
                                                {.waits = true}};
    struct timespec begin;
    open_with(replies, COUNT(replies), NULL, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert(eq(int, exchange((struct s3_http_request){.idle_ms_max = 1000}), S3_TIMED_OUT));
    cr_assert(eq(int, exchange((struct s3_http_request){.idle_ms_max = 1000}), S3_TIMED_OUT));
    cr_assert(lt(dbl, seconds_since(&begin), 15)); /* the transport's own limit is 20 s each */
    close_all();
}

static void *stop_when_asked(void *arg)
{
    (void)arg;
    while (atomic_load(&peer.requests_seen) == 0) {
        (void)usleep(1000);
    }
    stop_request(&stopping);
    return NULL;
}

Test(s3_http, stopping_ends_a_transfer_that_hangs)
{
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("hel", "5"), .waits = true}};
    struct timespec begin;
    pthread_t thread;
    open_with(replies, COUNT(replies), NULL, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert(eq(int, pthread_create(&thread, NULL, stop_when_asked, NULL), 0));
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_CANCELLED));
    cr_assert(lt(dbl, seconds_since(&begin), 10));
    (void)pthread_join(thread, NULL);
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_CANCELLED)); /* and stays */
    close_all();
}

Test(s3_http, a_kept_connection_that_was_closed_is_replaced_with_the_body_again)
{
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("", "0"), .closes = true},
                                                {.bytes = OK_WITH("again", "5")}};
    open_with(replies, COUNT(replies), NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        cr_assert(eq(int,
                     exchange((struct s3_http_request){
                         .method = "PUT", .has_body = true, .body = view_str("the body")}),
                     S3_OK),
                  "%s", errmsg);
    }
    expect_body("again");
    cr_assert_not_null(strstr(peer_request(&peer, 1), "\r\n\r\nthe body"));
    close_all();
}

Test(s3_http, a_proxy_is_not_asked_about_this_machine)
{
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("", "0")}};
    cr_assert(eq(int, setenv("http_proxy", "http://127.0.0.1:1", 1), 0));
    open_with(replies, COUNT(replies), NULL, NULL);
    cr_assert(eq(int, exchange((struct s3_http_request){0}), S3_OK), "%s", errmsg);
    /* But about others it is, and this one is not there. */
    cr_assert(eq(int, exchange((struct s3_http_request){.url = "http://no-such-host.invalid/"}),
                 S3_UNREACHABLE));
    cr_assert_not_null(strstr(errmsg, "127.0.0.1 port 1"), "%s", errmsg);
    close_all();
}

Test(s3_http, replies_with_secrets_come_by_a_connection_that_leaves_nothing_behind)
{
    static const struct peer_reply replies[] = {{.bytes = OK_WITH(KIT_SECRET, "48")},
                                                {.bytes = OK_WITH(KIT_SECRET, "48")}};
    open_with(replies, COUNT(replies), NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        cr_assert(eq(int, exchange((struct s3_http_request){.has_secrets = true}), S3_OK));
        expect_body(KIT_SECRET);
        explicit_bzero(reply.body.ptr, reply.body.cap);
        cr_assert(not(kit_is_in_memory(KIT_SECRET_END)));
    }
    s3_transport_close(&transport);
    peer_stop(&peer);
    cr_assert(eq(uint, peer.connections, 2));
    stop_close(&stopping);
    peer_free(&peer);
    buf_free(&reply.body);
}

/* ---- TLS ------------------------------------------------------------------------------------ */

/* A certificate for 127.0.0.1 that signs itself, in a server's context and in a PEM file. */
static SSL_CTX *new_tls(const char *name, char *pem_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509V3_CTX extensions;
    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    (void)X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1,
                                     0);
    (void)X509_set_issuer_name(certificate, subject);
    X509V3_set_ctx(&extensions, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &extensions, NID_subject_alt_name, name);
    cr_assert_not_null(names);
    (void)X509_add_ext(certificate, names, -1);
    cr_assert(lt(int, 0, X509_sign(certificate, key, EVP_sha256())));
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    cr_assert(SSL_CTX_use_certificate(tls, certificate) == 1 &&
              SSL_CTX_use_PrivateKey(tls, key) == 1);
    FILE *pem = fdopen(mkstemp(pem_path), "w");
    cr_assert(pem != NULL && PEM_write_X509(pem, certificate) == 1 && fclose(pem) == 0);
    X509_EXTENSION_free(names);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return tls;
}

Test(s3_http, only_a_certificate_that_is_trusted_and_of_that_name_will_do)
{
    static const struct {
        const char *names;
        bool has_ca_file;
        enum s3_status status;
    } cases[] = {
        {"IP:127.0.0.1", true, S3_OK},
        {"IP:127.0.0.1", false, S3_UNTRUSTED},
        {"IP:127.0.0.2,DNS:localhost", true, S3_UNTRUSTED},
    };
    static const struct peer_reply replies[] = {{.bytes = OK_WITH("sealed", "6")}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char pem_path[] = "/tmp/satchel-ca-XXXXXX";
        SSL_CTX *tls = new_tls(cases[i].names, pem_path);
        open_with(replies, COUNT(replies), tls, cases[i].has_ca_file ? pem_path : NULL);
        cr_assert(eq(int, exchange((struct s3_http_request){0}), cases[i].status), "case %zu: %s",
                  i, errmsg);
        if (cases[i].status == S3_OK) {
            expect_body("sealed");
        }
        (void)unlink(pem_path);
        close_all();
        SSL_CTX_free(tls);
    }
}

Test(s3_http, a_peer_that_goes_while_we_write_has_cut_the_exchange)
{
    static const struct peer_reply replies[] = {{.closes = true, .half = true}};
    static uint8_t body[8 * 1024 * 1024];
    char pem_path[] = "/tmp/satchel-ca-XXXXXX";
    SSL_CTX *tls = new_tls("IP:127.0.0.1", pem_path);
    open_with(replies, COUNT(replies), tls, pem_path);
    cr_assert(eq(int,
                 exchange((struct s3_http_request){
                     .method = "PUT", .has_body = true, .body = view_of(body, sizeof body)}),
                 S3_CUT),
              "%s", errmsg);
    (void)unlink(pem_path);
    close_all();
    SSL_CTX_free(tls);
}

Test(s3_http, a_ca_file_that_is_not_there_is_said_at_once)
{
    const struct s3_http_options options = {.ca_file = "/nonexistent/ca.pem"};
    cr_assert(eq(int, s3_http_open(&options, &transport, errmsg, sizeof errmsg), STATUS_INVALID));
    cr_assert_not_null(strstr(errmsg, "/nonexistent/ca.pem"));
    s3_transport_close(&transport);
}
