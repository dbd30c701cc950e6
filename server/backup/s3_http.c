/*
 * Exchanges over libcurl's easy interface.
 *
 * Bodies go through CURLOPT_POSTFIELDS whatever the method is: libcurl can then send them again by
 * itself when a kept connection turns out to be closed, without asking us to seek.
 */
#include "backup/s3_http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup/endpoint.h"
#include "backup/secret.h"
#include "base/thread.h"

enum {
    CONNECT_MS_STANDARD = 5000,
    IDLE_MS_STANDARD = 30000,
    BUFFER_BYTES = 512 * 1024,
    BUFFER_BYTES_UPLOAD = 128 * 1024, /* between two calls of look_at_stop() */
    BUFFER_BYTES_SECRET = 16 * 1024,  /* credentials are small, and the buffer is wiped */
    HEAD_BYTES_MAX = 64 * 1024,
};

struct http {
    CURL *easy;              /* owned; keeps the connection */
    char *ca_file;           /* owned; NULL: the system's */
    uint64_t connect_ms_max; /* immutable, as below */
    uint64_t idle_ms_max;
    const struct stop *stop; /* borrowed; may be NULL */
};

/* One exchange, as the callbacks see it. */
struct transfer {
    const struct http *http;
    CURL *easy; /* borrowed */
    const struct s3_http_request *request;
    struct s3_http_reply *reply;
    size_t head_bytes;
    bool has_head;          /* it came to its end */
    bool has_length;        /* it tells where the body ends */
    enum s3_status failure; /* why a callback gave up; S3_OK: none did */
};

/* ---- Receiving ------------------------------------------------------------------------------ */

/* Copies a value without blanks around it, and without the quotes of an ETag; one that is too long
 * is dropped rather than cut, since half of it would be another one. */
static void take_value(struct view value, char *out, size_t out_bytes)
{
    while (value.len > 0 && strchr(" \t\"", value.ptr[0]) != NULL) {
        value = view_of(value.ptr + 1, value.len - 1);
    }
    while (value.len > 0 && strchr(" \t\r\n\"", value.ptr[value.len - 1]) != NULL) {
        value.len--;
    }
    if (value.len >= out_bytes || memchr(value.ptr, '\0', value.len) != NULL) {
        value.len = 0;
    }
    *put_view((uint8_t *)out, value) = '\0';
}

static bool is_header(struct view line, const char *name, struct view *value)
{
    size_t len = strlen(name);
    if (line.len <= len || strncasecmp((const char *)line.ptr, name, len) != 0 ||
        line.ptr[len] != ':') {
        return false;
    }
    *value = view_of(line.ptr + len + 1, line.len - len - 1);
    return true;
}

static int64_t time_of(struct view value)
{
    char text[64];
    take_value(value, text, sizeof text);
    time_t seconds = curl_getdate(text, NULL);
    return seconds > 0 ? (int64_t)seconds * 1000 : 0;
}

static void start_head(struct s3_http_reply *reply)
{
    reply->code = 0;
    reply->body.len = 0;
    reply->bytes = 0;
    reply->date_ms = 0;
    reply->modified_ms = 0;
    reply->etag[0] = '\0';
    reply->request_id[0] = '\0';
}

/* Called by libcurl for the status line, each header and the empty line behind them. */
static size_t receive_header(char *ptr, size_t size, size_t count, void *arg)
{
    struct transfer *self = arg;
    struct s3_http_reply *reply = self->reply;
    struct view line = view_of(ptr, size * count);
    struct view value;
    self->head_bytes += line.len;
    if (self->head_bytes > HEAD_BYTES_MAX) {
        self->failure = S3_TOO_LARGE;
        return 0;
    }
    if (line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
        start_head(reply); /* also of the reply behind a "100 Continue" */
        self->has_head = false;
        self->has_length = false;
    } else if (line.len > 0 && (line.ptr[0] == '\r' || line.ptr[0] == '\n')) {
        self->has_head = true;
    } else if (is_header(line, "Content-Length", &value) ||
               is_header(line, "Transfer-Encoding", &value)) {
        self->has_length = true;
    } else if (is_header(line, "ETag", &value)) {
        take_value(value, reply->etag, sizeof reply->etag);
    } else if (is_header(line, "x-amz-request-id", &value)) {
        take_value(value, reply->request_id, sizeof reply->request_id);
    } else if (is_header(line, "Date", &value)) {
        reply->date_ms = time_of(value);
    } else if (is_header(line, "Last-Modified", &value)) {
        reply->modified_ms = time_of(value);
    }
    return line.len;
}

/* What libcurl itself has found in the head. */
static void read_head(CURL *easy, struct s3_http_reply *reply)
{
    long code = 0;
    curl_off_t bytes = -1;
    if (reply->code == 0) {
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
        (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
        reply->code = code > 0 ? (unsigned)code : 0;
        reply->bytes = bytes > 0 ? (uint64_t)bytes : 0;
    }
}

static size_t receive_body(char *ptr, size_t size, size_t count, void *arg)
{
    struct transfer *self = arg;
    struct s3_http_reply *reply = self->reply;
    struct view bytes = view_of(ptr, size * count);
    read_head(self->easy, reply);
    if (self->request->sink != NULL && reply->code >= 200 && reply->code < 300) {
        if (!self->has_length) {
            self->failure = S3_BAD_REPLY; /* see check_ends() */
            return 0;
        }
        if (self->request->sink(self->request->sink_arg, bytes) != STATUS_OK) {
            self->failure = S3_STOPPED;
            return 0;
        }
        return bytes.len;
    }
    if (bytes.len > self->request->reply_bytes_max - reply->body.len) {
        self->failure = S3_TOO_LARGE;
        return 0;
    }
    if (buf_append(&reply->body, bytes) != STATUS_OK) {
        self->failure = S3_NO_MEMORY;
        return 0;
    }
    return bytes.len;
}

/* libcurl calls this between two buffers while bytes move, and once a second while none do. */
static int look_at_stop(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                        curl_off_t up)
{
    struct transfer *self = arg;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    thread_breathe();
    if (self->http->stop != NULL && stop_requested(self->http->stop)) {
        self->failure = S3_CANCELLED;
        return 1;
    }
    return 0;
}

/* ---- Sending -------------------------------------------------------------------------------- */

static enum s3_status list_headers(const struct s3_http_request *request,
                                   struct curl_slist **headers)
{
    /* What libcurl would add by itself is neither signed nor wanted. */
    static const char *const unwanted[] = {"Expect:", "Content-Type:", "Accept:"};
    size_t own = sizeof unwanted / sizeof unwanted[0];
    for (size_t i = 0; i < own + request->header_count; i++) {
        const char *line = i < own ? unwanted[i] : request->headers[i - own];
        struct curl_slist *longer = curl_slist_append(*headers, line);
        if (longer == NULL) {
            return S3_NO_MEMORY;
        }
        *headers = longer;
    }
    return S3_OK;
}

/* The type that each option wants is checked by libcurl's own macro where the compiler can. */
static void set_limits(const struct http *self, CURL *easy, const struct s3_http_request *request)
{
    uint64_t idle_ms = request->idle_ms_max != 0 ? request->idle_ms_max : self->idle_ms_max;
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)self->connect_ms_max);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((idle_ms + 999) / 1000));
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* signals are the main thread's */
    long buffer = request->has_secrets ? BUFFER_BYTES_SECRET : BUFFER_BYTES;
    long upload = request->has_secrets ? BUFFER_BYTES_SECRET : BUFFER_BYTES_UPLOAD;
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, buffer);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, upload);
}

static void set_safety(const struct http *self, CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (self->ca_file != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, self->ca_file);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static enum s3_status set_request(CURL *easy, const struct s3_http_request *request,
                                  const struct curl_slist *headers)
{
    char ignored[100];
    struct endpoint target;
    if (endpoint_parse(request->url, &target, ignored, sizeof ignored) == STATUS_OK &&
        (endpoint_is_loopback(&target) || endpoint_is_metadata(&target))) {
        (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "satchel/" SATCHEL_VERSION_TEXT);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (request->has_body) {
        const void *body = request->body.ptr != NULL ? (const void *)request->body.ptr : "";
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    } else if (strcmp(request->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, request->url);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    return code == CURLE_OK ? S3_OK : S3_NO_MEMORY;
}

/* ---- Signals -------------------------------------------------------------------------------- */

/* OpenSSL writes to sockets without MSG_NOSIGNAL, and with CURLOPT_NOSIGNAL libcurl leaves SIGPIPE
 * to us. It comes to the thread that writes, so that thread holds it back and takes it away. */
struct pipe_guard {
    sigset_t before;
    bool was_pending; /* somebody else's, which stays */
};

static void pipe_guard_begin(struct pipe_guard *self)
{
    sigset_t set;
    (void)sigpending(&set);
    self->was_pending = sigismember(&set, SIGPIPE) == 1;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, &self->before);
}

static void pipe_guard_end(const struct pipe_guard *self)
{
    static const struct timespec at_once = {0};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPIPE);
    while (!self->was_pending && sigtimedwait(&set, NULL, &at_once) < 0 && errno == EINTR) {
    }
    (void)pthread_sigmask(SIG_SETMASK, &self->before, NULL);
}

/* ---- The exchange --------------------------------------------------------------------------- */

static bool is_connected(CURL *easy)
{
    curl_off_t us = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us);
    return us > 0;
}

static enum s3_status status_of_curl(CURL *easy, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return S3_OK;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return S3_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return is_connected(easy) ? S3_TIMED_OUT : S3_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return S3_UNTRUSTED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or of what answers */
        return is_connected(easy) ? S3_BAD_REPLY : S3_INVALID;
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return S3_INVALID;
    case CURLE_OUT_OF_MEMORY:
        return S3_NO_MEMORY;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return S3_BAD_REPLY;
    default:
        return is_connected(easy) ? S3_CUT : S3_UNREACHABLE;
    }
}

/* libcurl takes the end of a connection for the end of a head, or of a body that does not say how
 * long it is; it may as well be the middle. */
static enum s3_status check_ends(const struct transfer *self)
{
    const struct s3_http_reply *reply = self->reply;
    if (!self->has_head) {
        return S3_CUT;
    }
    bool is_object = self->request->sink != NULL && reply->code >= 200 && reply->code < 300;
    return is_object && !self->has_length ? S3_BAD_REPLY : S3_OK;
}

static void set_callbacks(struct transfer *self, char why[static CURL_ERROR_SIZE])
{
    (void)curl_easy_setopt(self->easy, CURLOPT_HEADERFUNCTION, receive_header);
    (void)curl_easy_setopt(self->easy, CURLOPT_HEADERDATA, self);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, receive_body);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
    (void)curl_easy_setopt(self->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(self->easy, CURLOPT_XFERINFOFUNCTION, look_at_stop);
    (void)curl_easy_setopt(self->easy, CURLOPT_XFERINFODATA, self);
    (void)curl_easy_setopt(self->easy, CURLOPT_ERRORBUFFER, why);
}

static enum s3_status perform(struct transfer *self, char *errmsg, size_t errmsg_bytes)
{
    char why[CURL_ERROR_SIZE] = "";
    set_limits(self->http, self->easy, self->request);
    set_safety(self->http, self->easy);
    set_callbacks(self, why);
    CURLcode code = curl_easy_perform(self->easy);
    read_head(self->easy, self->reply);
    if (self->failure != S3_OK) {
        return self->failure;
    }
    if (code == CURLE_OK) {
        return check_ends(self);
    }
    (void)snprintf(errmsg, errmsg_bytes, "%s", why[0] != '\0' ? why : curl_easy_strerror(code));
    return status_of_curl(self->easy, code);
}

static enum s3_status run(struct transfer *self, char *errmsg, size_t errmsg_bytes)
{
    struct curl_slist *headers = NULL;
    enum s3_status status = list_headers(self->request, &headers);
    if (status == S3_OK) {
        status = set_request(self->easy, self->request, headers);
    }
    if (status == S3_OK) {
        status = perform(self, errmsg, errmsg_bytes);
    }
    curl_easy_reset(self->easy); /* the options point to what ends here; the connection stays */
    curl_slist_free_all(headers);
    if (status != S3_OK && errmsg[0] == '\0') {
        (void)snprintf(errmsg, errmsg_bytes, "%s", s3_status_text(status));
    }
    return status;
}

static enum s3_status exchange(void *arg, const struct s3_http_request *request,
                               struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes)
{
    struct http *self = arg;
    struct pipe_guard guard;
    pipe_guard_begin(&guard);
    /* The buffers of a handle are wiped when it goes (see set_up). */
    CURL *easy = request->has_secrets ? curl_easy_init() : self->easy;
    struct transfer transfer = {
        .http = self, .easy = easy, .request = request, .reply = reply, .failure = S3_OK};
    errmsg[0] = '\0';
    start_head(reply);
    enum s3_status status = S3_NO_MEMORY;
    if (easy != NULL) {
        status = run(&transfer, errmsg, errmsg_bytes);
    }
    if (request->has_secrets) {
        curl_easy_cleanup(easy);
    }
    pipe_guard_end(&guard);
    return status;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

/* Headers, and with them session tokens, pass through libcurl's buffers. */
static void set_up(void)
{
    CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_heap_malloc, secret_heap_free,
                                         secret_heap_realloc, secret_heap_strdup,
                                         secret_heap_calloc);
    assert(code == CURLE_OK);
    (void)code;
}

static void http_close(void *arg)
{
    struct http *self = arg;
    struct pipe_guard guard;
    pipe_guard_begin(&guard);
    curl_easy_cleanup(self->easy); /* says good-bye to the peer */
    pipe_guard_end(&guard);
    free(self->ca_file);
    free(self);
}

enum status s3_http_open(const struct s3_http_options *options, struct s3_transport *out,
                         char *errmsg, size_t errmsg_bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_up);
    *out = (struct s3_transport){0};
    if (options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read the CA file %s", options->ca_file);
        return STATUS_INVALID;
    }
    struct http *self = calloc(1, sizeof *self);
    if (self != NULL) {
        self->easy = curl_easy_init();
        self->ca_file = options->ca_file != NULL ? strdup(options->ca_file) : NULL;
        self->connect_ms_max = options->connect_ms_max != 0 ? options->connect_ms_max
                                                            : CONNECT_MS_STANDARD;
        self->idle_ms_max = options->idle_ms_max != 0 ? options->idle_ms_max : IDLE_MS_STANDARD;
        self->stop = options->stop;
    }
    if (self == NULL || self->easy == NULL || (options->ca_file != NULL && self->ca_file == NULL)) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        if (self != NULL) {
            http_close(self);
        }
        return STATUS_NO_MEMORY;
    }
    *out = (struct s3_transport){.exchange = exchange, .close = http_close, .arg = self};
    return STATUS_OK;
}

void s3_transport_close(struct s3_transport *self)
{
    if (self->close != NULL) {
        self->close(self->arg);
    }
    *self = (struct s3_transport){0};
}
