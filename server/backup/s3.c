/* Opening the client, what it knows about errors, and the calls about whole objects. */
#include "backup/s3.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/s3_private.h"
#include "backup/secret.h"
#include "base/random.h"

enum { ATTEMPTS_STANDARD = 6, PAUSE_MS_FIRST_STANDARD = 100, PAUSE_MS_MAX_STANDARD = 10000 };

#define METRIC_OWNER struct s3_metrics
METRIC_TABLE(s3_metrics, S3_METRICS)

/* ---- Time and chance ------------------------------------------------------------------------ */

static uint64_t random_of_kernel(void *arg)
{
    (void)arg;
    return random_u64();
}

static bool pause_until_stop(void *arg, uint64_t ms)
{
    return stop_wait(arg, ms);
}

struct s3_timing s3_timing_system(struct stop *stop)
{
    return (struct s3_timing){
        .clock = &clock_system, .random = random_of_kernel, .pause = pause_until_stop, .arg = stop};
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* 3 to 63 small letters, digits, dots and hyphens: what a host name and a path can hold as is. */
static bool is_bucket(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool is_alphanumeric = (name[i] >= 'a' && name[i] <= 'z') ||
                               (name[i] >= '0' && name[i] <= '9');
        bool is_inner = i > 0 && i + 1 < len;
        if (!is_alphanumeric && !(is_inner && (name[i] == '-' || name[i] == '.'))) {
            return false;
        }
    }
    return len >= 3 && len < S3_BUCKET_BYTES;
}

static enum status take_url(struct s3 *self, const char *url, char *errmsg, size_t errmsg_bytes)
{
    static const char scheme[] = "s3://";
    if (url == NULL || strncmp(url, scheme, sizeof scheme - 1) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "the place of backups has to be s3://BUCKET[/PREFIX]");
        return STATUS_INVALID;
    }
    const char *bucket = url + sizeof scheme - 1;
    size_t bucket_len = strcspn(bucket, "/");
    const char *prefix = bucket + bucket_len;
    prefix += strspn(prefix, "/");
    size_t prefix_len = strlen(prefix);
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/') {
        prefix_len--;
    }
    if (!is_bucket(bucket, bucket_len)) {
        (void)snprintf(errmsg, errmsg_bytes, "%.100s does not name a bucket", url);
        return STATUS_INVALID;
    }
    if (prefix_len > S3_KEY_BYTES_MAX / 2) {
        (void)snprintf(errmsg, errmsg_bytes, "the prefix of %.80s… is too long", url);
        return STATUS_INVALID;
    }
    memcpy(self->bucket, bucket, bucket_len);
    (void)snprintf(self->prefix, sizeof self->prefix, "%.*s%s", (int)prefix_len, prefix,
                   prefix_len > 0 ? "/" : "");
    return STATUS_OK;
}

static enum status take_endpoint(struct s3 *self, const struct s3_options *options, char *errmsg,
                                 size_t errmsg_bytes)
{
    char standard[128];
    char why[100];
    struct endpoint endpoint;
    const char *url = options->endpoint;
    if (options->region == NULL || options->region[0] == '\0' ||
        strspn(options->region, "abcdefghijklmnopqrstuvwxyz0123456789-") !=
            strlen(options->region)) {
        (void)snprintf(errmsg, errmsg_bytes, "no usable region");
        return STATUS_INVALID;
    }
    if (url == NULL || url[0] == '\0') {
        (void)snprintf(standard, sizeof standard, "https://s3.%.60s.amazonaws.com",
                       options->region);
        url = standard;
    }
    if (endpoint_parse(url, &endpoint, why, sizeof why) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "the endpoint: %s", why);
        return STATUS_INVALID;
    }
    if (strcmp(endpoint.path, "/") != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "the endpoint has a path: %.100s", endpoint.path);
        return STATUS_INVALID;
    }
    (void)snprintf(self->host, sizeof self->host, "%s%s%s", options->path_style ? "" : self->bucket,
                   options->path_style ? "" : ".", endpoint.authority);
    (void)snprintf(self->url_before, sizeof self->url_before, "%s://%s",
                   endpoint.is_tls ? "https" : "http", self->host);
    (void)snprintf(self->path_before, sizeof self->path_before, "%s%s",
                   options->path_style ? "/" : "", options->path_style ? self->bucket : "");
    return STATUS_OK;
}

enum status s3_open(const struct s3_options *options, const struct s3_deps *deps, struct s3 **out,
                    char *errmsg, size_t errmsg_bytes)
{
    struct s3 *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self == NULL) {
        struct s3_transport transport = deps->transport;
        s3_transport_close(&transport);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->deps = *deps;
    self->limits = (struct s3_options){
        .attempts_max = options->attempts_max != 0 ? options->attempts_max : ATTEMPTS_STANDARD,
        .pause_ms_first = options->pause_ms_first != 0 ? options->pause_ms_first
                                                       : PAUSE_MS_FIRST_STANDARD,
        .pause_ms_max = options->pause_ms_max != 0 ? options->pause_ms_max : PAUSE_MS_MAX_STANDARD,
    };
    enum status status = take_url(self, options->url, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = take_endpoint(self, options, errmsg, errmsg_bytes);
    }
    if (status == STATUS_OK) {
        self->region = strdup(options->region);
        self->keys = secret_new(sizeof *self->keys);
        if (self->region == NULL || self->keys == NULL) {
            (void)snprintf(errmsg, errmsg_bytes, "out of memory");
            status = STATUS_NO_MEMORY;
        }
    }
    if (status != STATUS_OK) {
        s3_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

void s3_close(struct s3 *self)
{
    if (self == NULL) {
        return;
    }
    s3_transport_close(&self->deps.transport);
    s3_list_page_free(&self->page);
    buf_free(&self->reply.body);
    secret_heap_free(self->lines.ptr);
    buf_free(&self->url);
    sigv4_signed_free(&self->signature);
    secret_free(self->keys, sizeof *self->keys);
    free(self->region);
    free(self);
}

/* ---- Errors --------------------------------------------------------------------------------- */

const struct s3_error *s3_last_error(const struct s3 *self)
{
    return &self->error;
}

void s3_describe_error(const struct s3 *self, char *out, size_t out_bytes)
{
    const struct s3_error *error = &self->error;
    char reply[40] = "";
    if (error->http_code != 0) {
        (void)snprintf(reply, sizeof reply, "%u%s", error->http_code,
                       error->code[0] != '\0' ? " " : "");
    }
    bool has_message = error->message[0] != '\0';
    bool has_more = error->http_code != 0 || has_message;
    (void)snprintf(out, out_bytes, "%s%s%s%s%s%s%s, %u attempt%s", s3_status_text(error->status),
                   has_more ? " (" : "", reply, error->code,
                   error->http_code != 0 && has_message ? ": " : "", error->message,
                   has_more ? ")" : "", error->attempts, error->attempts == 1 ? "" : "s");
}

int64_t s3_storage_ms(const struct s3 *self)
{
    return self->storage_ms;
}

/* ---- Objects -------------------------------------------------------------------------------- */

enum s3_status s3_put(struct s3 *self, const char *key, struct view body, unsigned flags)
{
    struct s3_call call = {.method = "PUT", .key = key, .has_body = true, .body = body};
    if ((flags & S3_PUT_IF_ABSENT) != 0) {
        call.header[call.header_count++] = (struct sigv4_pair){"If-None-Match", "*"};
    }
    return s3_call_run(self, &call);
}

enum s3_status s3_head(struct s3 *self, const char *key, struct s3_object *out)
{
    struct s3_call call = {.method = "HEAD", .key = key};
    *out = (struct s3_object){0};
    enum s3_status status = s3_call_run(self, &call);
    if (status == S3_OK) {
        out->bytes = self->reply.bytes;
        out->modified_ms = self->reply.modified_ms;
        memcpy(out->etag, self->reply.etag, sizeof out->etag);
    }
    return status;
}

enum s3_status s3_delete(struct s3 *self, const char *key)
{
    struct s3_call call = {.method = "DELETE", .key = key};
    enum s3_status status = s3_call_run(self, &call);
    return status == S3_NOT_FOUND ? S3_OK : status;
}
