/*
 * The four steps of a signature, in the order in which the definition has them:
 *
 *     canonical request    method, path, query, headers, names of headers, hash of the body
 *     string to sign       algorithm, date, scope, hash of the canonical request
 *     signing key          HMAC chain: secret → day → region → service → "aws4_request"
 *     signature            HMAC(signing key, string to sign), in hex
 */
#include "backup/sigv4.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

enum {
    DAY_BYTES = 8, /* of a date: 20130524 */
    HEADERS_OWN = 4,
    HASH_BYTES_MAX = 64 * 1024, /* at a time: some ten microseconds */
};

struct digest {
    uint8_t bytes[SHA256_DIGEST_LENGTH];
};

/* ---- Hashes --------------------------------------------------------------------------------- */

static void write_hex(struct digest digest, char out[static SIGV4_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        out[2 * i] = digits[digest.bytes[i] >> 4];
        out[2 * i + 1] = digits[digest.bytes[i] & 0xf];
    }
    out[SIGV4_HEX_BYTES - 1] = '\0';
}

enum status sigv4_hash(struct view body, char out[static SIGV4_HEX_BYTES])
{
    struct digest digest;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t at = 0; at < body.len && is_good;) {
        const size_t left = body.len - at;
        const size_t bytes = left < HASH_BYTES_MAX ? left : HASH_BYTES_MAX;
        is_good = EVP_DigestUpdate(context, body.ptr + at, bytes) == 1;
        at += bytes;
        thread_breathe();
    }
    is_good = is_good && EVP_DigestFinal_ex(context, digest.bytes, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!is_good) {
        return STATUS_NO_MEMORY; /* nothing else can fail */
    }
    write_hex(digest, out);
    return STATUS_OK;
}

static enum status hmac(struct view key, struct view text, struct digest *out)
{
    assert(key.len <= INT32_MAX);
    const uint8_t *done = HMAC(EVP_sha256(), key.ptr, (int)key.len, text.ptr, text.len, out->bytes,
                               NULL);
    return done != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* Appends `text` as RFC 3986 writes it, with capital hex digits; a path keeps its slashes. */
static enum status append_encoded(struct buf *out, const char *text, bool is_path)
{
    enum status status = STATUS_OK;
    for (const char *at = text; *at != '\0' && status == STATUS_OK; at++) {
        if (is_unreserved(*at) || (is_path && *at == '/')) {
            status = buf_append(out, view_of(at, 1));
        } else {
            status = buf_printf(out, "%%%02X", (unsigned)(unsigned char)*at);
        }
    }
    return status;
}

static enum status append_text(struct buf *out, const char *text)
{
    return buf_append(out, view_str(text));
}

static enum status terminate(struct buf *out)
{
    return buf_append(out, view_of("", 1));
}

/* One encoded parameter; both point into one buffer of all of them. */
struct parameter {
    const char *name;
    const char *value;
};

static int by_name_and_value(const void *a, const void *b)
{
    const struct parameter *left = a;
    const struct parameter *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : strcmp(left->value, right->value);
}

/* Encodes all parameters into `texts` and points `sorted` at them, in the order of their encoded
 * names. */
static enum status encode_query(const struct sigv4_request *request, struct buf *texts,
                                struct parameter sorted[static SIGV4_PAIRS_MAX])
{
    size_t starts[2 * SIGV4_PAIRS_MAX] = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2 * request->query_count && status == STATUS_OK; i++) {
        const struct sigv4_pair *pair = &request->query[i / 2];
        starts[i] = texts->len;
        status = append_encoded(texts, i % 2 == 0 ? pair->name : pair->value, false);
        if (status == STATUS_OK) {
            status = terminate(texts);
        }
    }
    for (size_t i = 0; i < request->query_count && status == STATUS_OK; i++) {
        sorted[i].name = (const char *)texts->ptr + starts[2 * i];
        sorted[i].value = (const char *)texts->ptr + starts[2 * i + 1];
    }
    if (status == STATUS_OK && request->query_count > 1) {
        qsort(sorted, request->query_count, sizeof sorted[0], by_name_and_value);
    }
    return status;
}

/* Writes path and query into `target`; the path has `*path_len` bytes, the query, if there is one,
 * stands behind the "?" that follows. */
static enum status write_target(const struct sigv4_request *request, struct buf *target,
                                size_t *path_len)
{
    struct buf texts = {0};
    struct parameter sorted[SIGV4_PAIRS_MAX];
    assert(request->path[0] == '/' && request->query_count <= SIGV4_PAIRS_MAX);
    enum status status = append_encoded(target, request->path, true);
    *path_len = target->len;
    if (status == STATUS_OK) {
        status = encode_query(request, &texts, sorted);
    }
    for (size_t i = 0; i < request->query_count && status == STATUS_OK; i++) {
        status = buf_printf(target, "%c%s=%s", i == 0 ? '?' : '&', sorted[i].name, sorted[i].value);
    }
    buf_free(&texts);
    return status == STATUS_OK ? terminate(target) : status;
}

/* ---- Headers -------------------------------------------------------------------------------- */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* By name alone and without regard to case: as whole lines "x-a-b:" would come before "x-a:",
 * since '-' is less than ':'. */
static int by_header_name(const void *a, const void *b)
{
    const char *left = ((const struct sigv4_pair *)a)->name;
    const char *right = ((const struct sigv4_pair *)b)->name;
    while (*left != '\0' && lower(*left) == lower(*right)) {
        left++;
        right++;
    }
    return (unsigned char)lower(*left) - (unsigned char)lower(*right);
}

static enum status append_lower(struct buf *out, const char *name)
{
    enum status status = STATUS_OK;
    for (const char *at = name; *at != '\0' && status == STATUS_OK; at++) {
        char c = lower(*at);
        status = buf_append(out, view_of(&c, 1));
    }
    return status;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without blanks at both ends, and with one where there were several. */
static enum status append_trimmed(struct buf *out, const char *value)
{
    enum status status = STATUS_OK;
    bool owes_blank = false;
    bool has_begun = false;
    for (const char *at = value; *at != '\0' && status == STATUS_OK; at++) {
        if (is_blank(*at)) {
            owes_blank = has_begun;
            continue;
        }
        if (owes_blank) {
            status = append_text(out, " ");
        }
        if (status == STATUS_OK) {
            status = buf_append(out, view_of(at, 1));
        }
        owes_blank = false;
        has_begun = true;
    }
    return status;
}

/* The request's headers and our own, sorted; returns how many. */
static size_t collect_headers(const struct sigv4_request *request, const struct sigv4_keys *keys,
                              const char *date, struct sigv4_pair sorted[static SIGV4_PAIRS_MAX])
{
    size_t count = 0;
    assert(request->header_count <= SIGV4_PAIRS_MAX - HEADERS_OWN);
    for (size_t i = 0; i < request->header_count; i++) {
        sorted[count++] = request->header[i];
    }
    sorted[count++] = (struct sigv4_pair){"host", request->host};
    sorted[count++] = (struct sigv4_pair){"x-amz-content-sha256", request->payload_hash};
    sorted[count++] = (struct sigv4_pair){"x-amz-date", date};
    if (keys->token != NULL) {
        sorted[count++] = (struct sigv4_pair){"x-amz-security-token", keys->token};
    }
    qsort(sorted, count, sizeof sorted[0], by_header_name);
    return count;
}

/* Appends the lines of all headers to `canonical` and their names to `names`. */
static enum status append_headers(const struct sigv4_pair *sorted, size_t count,
                                  struct buf *canonical, struct buf *names)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = append_lower(canonical, sorted[i].name);
        status = status == STATUS_OK ? append_text(canonical, ":") : status;
        status = status == STATUS_OK ? append_trimmed(canonical, sorted[i].value) : status;
        status = status == STATUS_OK ? append_text(canonical, "\n") : status;
        status = status == STATUS_OK && i > 0 ? append_text(names, ";") : status;
        status = status == STATUS_OK ? append_lower(names, sorted[i].name) : status;
    }
    return status == STATUS_OK ? terminate(names) : status;
}

/* ---- Signature ------------------------------------------------------------------------------ */

/* The hash of the canonical request; `names` gets the list of signed headers. */
static enum status hash_request(const struct sigv4_request *request, const struct sigv4_keys *keys,
                                const struct sigv4_signed *out, size_t path_len, struct buf *names,
                                char hash[static SIGV4_HEX_BYTES])
{
    struct buf canonical = {0};
    struct sigv4_pair sorted[SIGV4_PAIRS_MAX];
    size_t count = collect_headers(request, keys, out->date, sorted);
    const char *target = (const char *)out->target.ptr;
    const char *query = target[path_len] == '?' ? target + path_len + 1 : "";
    /* Room for all of it at once: growing would leave a copy of the token behind. */
    size_t bytes = out->target.len + 256;
    for (size_t i = 0; i < count; i++) {
        bytes += 2 * strlen(sorted[i].name) + strlen(sorted[i].value) + 4;
    }
    enum status status = buf_reserve(&canonical, bytes);
    if (status == STATUS_OK) {
        status = buf_printf(&canonical, "%s\n%.*s\n%s\n", request->method, (int)path_len, target,
                            query);
    }
    if (status == STATUS_OK) {
        status = append_headers(sorted, count, &canonical, names);
    }
    if (status == STATUS_OK) {
        status = buf_printf(&canonical, "\n%s\n%s", (const char *)names->ptr,
                            request->payload_hash);
    }
    if (status == STATUS_OK) {
        status = sigv4_hash(buf_view(&canonical), hash);
    }
    if (canonical.ptr != NULL) {
        OPENSSL_cleanse(canonical.ptr, canonical.cap); /* the token was in it */
    }
    buf_free(&canonical);
    return status;
}

static enum status sign_text(const struct sigv4_request *request, const char *secret,
                             const char *date, struct view text,
                             char signature[static SIGV4_HEX_BYTES])
{
    char first[sizeof "AWS4" + SIGV4_SECRET_MAX];
    int first_len = snprintf(first, sizeof first, "AWS4%s", secret);
    if (first_len < 0 || (size_t)first_len >= sizeof first) {
        OPENSSL_cleanse(first, sizeof first);
        return STATUS_INVALID;
    }
    struct digest key;
    const struct view steps[] = {view_of(date, DAY_BYTES), view_str(request->region),
                                 view_str(request->service), view_str("aws4_request"), text};
    enum status status = hmac(view_of(first, (size_t)first_len), steps[0], &key);
    for (size_t i = 1; i < sizeof steps / sizeof steps[0] && status == STATUS_OK; i++) {
        struct digest next;
        status = hmac(view_of(key.bytes, sizeof key.bytes), steps[i], &next);
        key = next;
    }
    if (status == STATUS_OK) {
        write_hex(key, signature);
    }
    OPENSSL_cleanse(first, sizeof first);
    OPENSSL_cleanse(&key, sizeof key);
    return status;
}

static enum status write_authorization(const struct sigv4_request *request,
                                       const struct sigv4_keys *keys, size_t path_len,
                                       struct buf *names, struct buf *text,
                                       struct sigv4_signed *out)
{
    char hash[SIGV4_HEX_BYTES];
    char signature[SIGV4_HEX_BYTES];
    enum status status = hash_request(request, keys, out, path_len, names, hash);
    if (status == STATUS_OK) {
        status = buf_printf(text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", out->date,
                            out->date, request->region, request->service, hash);
    }
    if (status == STATUS_OK) {
        status = sign_text(request, keys->secret, out->date, buf_view(text), signature);
    }
    if (status == STATUS_OK) {
        status = buf_printf(&out->authorization,
                            "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,"
                            "SignedHeaders=%s,Signature=%s",
                            keys->key_id, out->date, request->region, request->service,
                            (const char *)names->ptr, signature);
    }
    return status == STATUS_OK ? terminate(&out->authorization) : status;
}

enum status sigv4_sign(const struct sigv4_request *request, const struct sigv4_keys *keys,
                       struct sigv4_signed *out)
{
    struct buf names = {0};
    struct buf text = {0};
    struct tm utc;
    size_t path_len = 0;
    time_t seconds = (time_t)request->time_s;
    out->target.len = 0;
    out->authorization.len = 0;
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(out->date, sizeof out->date, "%Y%m%dT%H%M%SZ", &utc) != sizeof out->date - 1) {
        return STATUS_INVALID;
    }
    enum status status = write_target(request, &out->target, &path_len);
    if (status == STATUS_OK) {
        status = write_authorization(request, keys, path_len, &names, &text, out);
    }
    buf_free(&names);
    buf_free(&text);
    return status;
}

void sigv4_signed_free(struct sigv4_signed *self)
{
    buf_free(&self->target);
    buf_free(&self->authorization);
    *self = (struct sigv4_signed){0};
}
