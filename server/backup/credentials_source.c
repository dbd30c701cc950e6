/* The environment and the container provider. */
#include "backup/credentials_source.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/endpoint.h"
#include "backup/secret.h"
#include "backup/timestamp.h"

#define CONTAINER_HOST "http://169.254.170.2"

enum {
    AUTHORIZATION_BYTES_MAX = 16 * 1024,
    REPLY_BYTES_MAX = 64 * 1024,
    FETCH_IDLE_MS_MAX = 5000,
};

/* ---- Finding -------------------------------------------------------------------------------- */

/* An empty variable is none. */
static const char *variable(char *(*environ_get)(const char *name), const char *name)
{
    const char *value = environ_get(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum status complain(char *errmsg, size_t errmsg_bytes, const char *what)
{
    (void)snprintf(errmsg, errmsg_bytes, "%s", what);
    return STATUS_INVALID;
}

static bool fits(const char *text, size_t most)
{
    return text == NULL || strlen(text) <= most;
}

static enum status check_fixed(const struct credentials_source *self, char *errmsg,
                               size_t errmsg_bytes)
{
    if (self->key_id == NULL || self->secret == NULL) {
        return complain(errmsg, errmsg_bytes,
                        "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set");
    }
    if (!fits(self->key_id, CREDENTIALS_KEY_ID_MAX) || !fits(self->secret, SIGV4_SECRET_MAX) ||
        !fits(self->token, CREDENTIALS_TOKEN_MAX)) {
        return complain(errmsg, errmsg_bytes, "the AWS credentials are too long");
    }
    return STATUS_OK;
}

/* Plain HTTP would show the credentials to whoever listens, except where nobody can. */
static enum status check_full_uri(const char *uri, char *errmsg, size_t errmsg_bytes)
{
    struct endpoint target;
    char why[100];
    if (endpoint_parse(uri, &target, why, sizeof why) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "AWS_CONTAINER_CREDENTIALS_FULL_URI: %s", why);
        return STATUS_INVALID;
    }
    if (!target.is_tls && !endpoint_is_loopback(&target) && !endpoint_is_metadata(&target)) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI: %.100s needs https", target.host);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Secrets pass through jansson's memory. What it allocated before is freed in the same way, so it
 * only matters that this is done before threads use it. */
static void set_up(void)
{
    json_set_alloc_funcs(secret_heap_malloc, secret_heap_free);
}

enum status credentials_source_open(char *(*environ_get)(const char *name),
                                    struct credentials_source *out, char *errmsg,
                                    size_t errmsg_bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_up);
    *out = (struct credentials_source){
        .key_id = variable(environ_get, "AWS_ACCESS_KEY_ID"),
        .secret = variable(environ_get, "AWS_SECRET_ACCESS_KEY"),
        .token = variable(environ_get, "AWS_SESSION_TOKEN"),
        .authorization = variable(environ_get, "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        .authorization_file = variable(environ_get, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    };
    const char *relative = variable(environ_get, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = variable(environ_get, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    out->is_fixed = out->key_id != NULL || out->secret != NULL;
    if (out->is_fixed) {
        return check_fixed(out, errmsg, errmsg_bytes);
    }
    if (relative == NULL && full == NULL) {
        (void)complain(errmsg, errmsg_bytes,
                       "no AWS credentials: neither AWS_ACCESS_KEY_ID nor "
                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI is set");
        return STATUS_NOT_FOUND;
    }
    if (relative != NULL && relative[0] != '/') {
        return complain(errmsg, errmsg_bytes,
                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with /");
    }
    if (relative == NULL && check_full_uri(full, errmsg, errmsg_bytes) != STATUS_OK) {
        return STATUS_INVALID;
    }
    int len = snprintf(out->url, sizeof out->url, "%s%s", relative != NULL ? CONTAINER_HOST : "",
                       relative != NULL ? relative : full);
    return len >= 0 && (size_t)len < sizeof out->url
               ? STATUS_OK
               : complain(errmsg, errmsg_bytes, "the URI of the AWS credentials is too long");
}

/* ---- Asking --------------------------------------------------------------------------------- */

/* Reads a whole small file; it is not there, too large or cannot be read: false. */
static bool read_file(const char *path, char *out, size_t out_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && len < out_bytes) {
        got = read(fd, out + len, out_bytes - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (got != 0 || len == out_bytes) {
        return false;
    }
    out[len] = '\0';
    return strlen(out) == len;
}

/* A line feed inside would begin a header of somebody else's. */
static bool is_header_value(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            return false;
        }
    }
    return text[0] != '\0';
}

/* Writes the whole header line; *has_line is false when none is wanted. */
static enum s3_status authorize(const struct credentials_source *self, char *line,
                                size_t line_bytes, bool *has_line, char *errmsg,
                                size_t errmsg_bytes)
{
    static const char name[] = "Authorization: ";
    char *value = line + sizeof name - 1;
    size_t value_bytes = line_bytes - (sizeof name - 1);
    *has_line = self->authorization_file != NULL || self->authorization != NULL;
    if (!*has_line) {
        return S3_OK;
    }
    memcpy(line, name, sizeof name - 1);
    if (self->authorization_file != NULL) {
        if (!read_file(self->authorization_file, value, value_bytes)) {
            (void)snprintf(errmsg, errmsg_bytes, "cannot read the token file %.100s",
                           self->authorization_file);
            return S3_NO_CREDENTIALS;
        }
        value[strcspn(value, "\r\n")] = '\0';
    } else {
        (void)snprintf(value, value_bytes, "%s", self->authorization);
    }
    if (!is_header_value(value)) {
        (void)snprintf(errmsg, errmsg_bytes, "the authorization token is not one line of text");
        return S3_INVALID;
    }
    return S3_OK;
}

static bool take_text(const json_t *reply, const char *name, char *out, size_t out_bytes)
{
    const char *text = json_string_value(json_object_get(reply, name));
    if (text == NULL || strlen(text) >= out_bytes) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool take_keys(const json_t *reply, struct credentials_keys *out)
{
    const json_t *token = json_object_get(reply, "Token");
    const json_t *expiration = json_object_get(reply, "Expiration");
    out->token[0] = '\0';
    out->expires_ms = INT64_MAX;
    return take_text(reply, "AccessKeyId", out->key_id, sizeof out->key_id) &&
           take_text(reply, "SecretAccessKey", out->secret, sizeof out->secret) &&
           is_header_value(out->key_id) && out->secret[0] != '\0' &&
           (token == NULL || (take_text(reply, "Token", out->token, sizeof out->token) &&
                              is_header_value(out->token))) &&
           (expiration == NULL ||
            (json_is_string(expiration) &&
             timestamp_parse(json_string_value(expiration), &out->expires_ms) == STATUS_OK));
}

static enum s3_status read_reply(const struct s3_http_reply *reply, struct credentials_keys *out,
                                 char *errmsg, size_t errmsg_bytes)
{
    char code[64] = "";
    char message[128] = "";
    json_t *json = json_loadb((const char *)reply->body.ptr, reply->body.len, 0, NULL);
    enum s3_status status = S3_OK;
    if (reply->code != 200) {
        (void)take_text(json, "code", code, sizeof code);
        (void)take_text(json, "message", message, sizeof message);
        (void)snprintf(errmsg, errmsg_bytes, "the credential provider answers %u%s%s%s%s",
                       reply->code, code[0] != '\0' ? " " : "", code,
                       message[0] != '\0' ? ": " : "", message);
        status = s3_status_of_reply(reply->code, "");
    } else if (!take_keys(json, out)) {
        (void)snprintf(errmsg, errmsg_bytes, "the credential provider's reply makes no sense");
        status = S3_BAD_REPLY;
    }
    json_decref(json);
    return status;
}

static enum s3_status ask(const struct credentials_source *self,
                          const struct s3_transport *transport, char *line,
                          struct credentials_keys *out, char *errmsg, size_t errmsg_bytes)
{
    const char *const headers[] = {"Accept: application/json", line};
    bool has_line = false;
    struct s3_http_reply reply = {0};
    enum s3_status status = authorize(self, line, AUTHORIZATION_BYTES_MAX, &has_line, errmsg,
                                      errmsg_bytes);
    if (status != S3_OK) {
        return status;
    }
    /* Its growing must not leave pieces behind. */
    if (buf_reserve(&reply.body, REPLY_BYTES_MAX) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return S3_NO_MEMORY;
    }
    const struct s3_http_request request = {.method = "GET",
                                            .url = self->url,
                                            .headers = headers,
                                            .header_count = has_line ? 2 : 1,
                                            .has_secrets = true,
                                            .reply_bytes_max = REPLY_BYTES_MAX,
                                            .idle_ms_max = FETCH_IDLE_MS_MAX};
    status = transport->exchange(transport->arg, &request, &reply, errmsg, errmsg_bytes);
    if (status == S3_OK) {
        status = read_reply(&reply, out, errmsg, errmsg_bytes);
    }
    explicit_bzero(reply.body.ptr, reply.body.cap);
    buf_free(&reply.body);
    return status;
}

enum s3_status credentials_source_fetch(const struct credentials_source *self,
                                        const struct s3_transport *transport,
                                        struct credentials_keys *out, char *errmsg,
                                        size_t errmsg_bytes)
{
    if (self->is_fixed) {
        (void)snprintf(out->key_id, sizeof out->key_id, "%s", self->key_id);
        (void)snprintf(out->secret, sizeof out->secret, "%s", self->secret);
        (void)snprintf(out->token, sizeof out->token, "%s", self->token != NULL ? self->token : "");
        out->expires_ms = INT64_MAX;
        return S3_OK;
    }
    char *line = secret_new(AUTHORIZATION_BYTES_MAX);
    if (line == NULL) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return S3_NO_MEMORY;
    }
    enum s3_status status = ask(self, transport, line, out, errmsg, errmsg_bytes);
    secret_free(line, AUTHORIZATION_BYTES_MAX);
    return status;
}
