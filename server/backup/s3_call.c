/*
 * One call in as many attempts as it takes:
 *
 *     keys ─▶ sign ─▶ exchange ─▶ read ──good──▶ done
 *      ▲                           │
 *      ├── at once ── fetch keys ◀─┤ EXPIRED, the first time
 *      ├── at once ── learn clock ◀┤ CLOCK, the first time
 *      ├── pause ◀─────────────────┤ what time may mend, until attempts_max
 *      └                           └─▶ done
 */
#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "backup/s3_private.h"
#include "backup/secret.h"

enum {
    REPLY_BYTES_MAX = 8 * 1024 * 1024, /* 1000 keys of 1024 bytes, each byte as %XX, and more */
    LINES_MAX = S3_CALL_PAIRS_MAX + 4,
    CHANCE_UNIT = 1 << 20,
};

/* What a call has tried already. */
struct progress {
    char payload_hash[SIGV4_HEX_BYTES];
    unsigned pauses;
    bool has_new_keys;
    bool has_new_clock;
};

/* ---- Errors --------------------------------------------------------------------------------- */

static enum s3_status note(struct s3 *self, enum s3_status status, const char *message)
{
    self->error.status = status;
    if (message[0] != '\0') {
        (void)snprintf(self->error.message, sizeof self->error.message, "%s", message);
    }
    return status;
}

enum s3_status s3_note_error(struct s3 *self, unsigned http_code, const struct s3_xml_error *error)
{
    memcpy(self->error.code, error->code, sizeof self->error.code);
    memcpy(self->error.message, error->message, sizeof self->error.message);
    if (error->request_id[0] != '\0') {
        memcpy(self->error.request_id, error->request_id, sizeof self->error.request_id);
    }
    return s3_status_of_reply(http_code, error->code);
}

enum s3_status s3_note_decoded(struct s3 *self, enum status status, const char *what)
{
    switch (status) {
    case STATUS_NO_MEMORY:
        return note(self, S3_NO_MEMORY, what);
    case STATUS_TOO_LARGE:
        return note(self, S3_TOO_LARGE, what);
    default:
        return note(self, S3_BAD_REPLY, what);
    }
}

/* What credentials that have expired meanwhile get says so in many ways: radosgw answers a plain
 * 403, and AWS a 400 to HEAD, which has no body that could tell more. */
static enum s3_status judge_expiry(struct s3 *self, enum s3_status status)
{
    int64_t now_ms = clock_wall_ms(self->deps.timing.clock) + self->clock_behind_ms;
    bool is_refusal = status == S3_DENIED || status == S3_REFUSED;
    return is_refusal && now_ms >= self->keys->expires_ms ? S3_EXPIRED : status;
}

static enum s3_status read_error(struct s3 *self)
{
    struct s3_xml_error error = {0};
    if (s3_xml_error(buf_view(&self->reply.body), &error) != STATUS_OK) {
        error = (struct s3_xml_error){0}; /* HEAD has none, and a proxy speaks HTML */
    }
    return judge_expiry(self, s3_note_error(self, self->reply.code, &error));
}

/* ---- One attempt ---------------------------------------------------------------------------- */

static enum s3_status take_keys(struct s3 *self)
{
    struct credentials *credentials = self->deps.credentials;
    if (credentials_get(credentials, self->keys) == S3_OK) {
        return S3_OK;
    }
    char why[S3_MESSAGE_BYTES] = "";
    if (credentials_refresh(credentials, self->keys->generation, why, sizeof why) == S3_OK &&
        credentials_get(credentials, self->keys) == S3_OK) {
        return S3_OK;
    }
    return note(self, S3_NO_CREDENTIALS, why);
}

static enum s3_status sign(struct s3 *self, const struct s3_call *call, const char *payload_hash)
{
    char path[S3_PATH_BYTES];
    bool is_object = call->key != NULL;
    int len = snprintf(path, sizeof path, "%s/%s%s", self->path_before,
                       is_object ? self->prefix : "", is_object ? call->key : "");
    if (len < 0 || (size_t)len > strlen(self->path_before) + 1 + S3_KEY_BYTES_MAX) {
        return note(self, S3_INVALID, "the key is too long");
    }
    const struct sigv4_request request = {
        .method = call->method,
        .host = self->host,
        .path = path,
        .query = call->query,
        .header = call->header,
        .query_count = call->query_count,
        .header_count = call->header_count,
        .payload_hash = payload_hash,
        .region = self->region,
        .service = "s3",
        .time_s = (clock_wall_ms(self->deps.timing.clock) + self->clock_behind_ms) / 1000,
    };
    const struct sigv4_keys keys = {.key_id = self->keys->key_id,
                                    .secret = self->keys->secret,
                                    .token = self->keys->token[0] != '\0' ? self->keys->token
                                                                          : NULL};
    switch (sigv4_sign(&request, &keys, &self->signature)) {
    case STATUS_OK:
        return S3_OK;
    case STATUS_NO_MEMORY:
        return note(self, S3_NO_MEMORY, "");
    default:
        return note(self, S3_INVALID, "cannot sign with this secret or at this time");
    }
}

/* Room for the lines, which hold a token for as long as the exchange takes. */
static enum status reserve_lines(struct s3 *self, size_t bytes)
{
    self->lines.len = 0;
    if (self->lines.cap >= bytes) {
        return STATUS_OK;
    }
    secret_heap_free(self->lines.ptr);
    self->lines = (struct buf){.ptr = secret_heap_malloc(bytes)};
    if (self->lines.ptr == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->lines.cap = bytes;
    return STATUS_OK;
}

/* Writes URL and header lines and points `at` to the lines; returns how many, 0 when out of memory.
 * Room for all of it is made first: growing would leave a token behind. */
static size_t write_head(struct s3 *self, const struct s3_call *call, const char *payload_hash,
                         const char *at[static LINES_MAX])
{
    struct sigv4_pair lines[LINES_MAX];
    size_t count = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < call->header_count; i++) {
        lines[count++] = call->header[i];
    }
    lines[count++] = (struct sigv4_pair){"Authorization",
                                         (const char *)self->signature.authorization.ptr};
    lines[count++] = (struct sigv4_pair){"x-amz-date", self->signature.date};
    lines[count++] = (struct sigv4_pair){"x-amz-content-sha256", payload_hash};
    if (self->keys->token[0] != '\0') {
        lines[count++] = (struct sigv4_pair){"x-amz-security-token", self->keys->token};
    }
    for (size_t i = 0; i < count; i++) {
        bytes += strlen(lines[i].name) + strlen(lines[i].value) + 3;
    }
    self->url.len = 0;
    if (reserve_lines(self, bytes + 1) != STATUS_OK ||
        buf_printf(&self->url, "%s%s%c", self->url_before, (const char *)self->signature.target.ptr,
                   '\0') != STATUS_OK) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        at[i] = (const char *)self->lines.ptr + self->lines.len;
        if (buf_printf(&self->lines, "%s: %s%c", lines[i].name, lines[i].value, '\0') !=
            STATUS_OK) {
            return 0;
        }
    }
    return count;
}

static void count_exchange(struct s3 *self, const struct s3_call *call, enum s3_status status)
{
    struct s3_metrics *metrics = self->deps.metrics;
    if (metrics != NULL) {
        bool is_good = status == S3_OK && self->reply.code < 300;
        metric_add_shared(&metrics->requests, 1);
        metric_add_shared(&metrics->failures, is_good ? 0 : 1);
        metric_add_shared(&metrics->sent_bytes, call->body.len);
    }
}

static enum s3_status exchange(struct s3 *self, const struct s3_call *call,
                               const char *payload_hash)
{
    const char *lines[LINES_MAX];
    char why[S3_MESSAGE_BYTES] = "";
    const struct s3_transport *transport = &self->deps.transport;
    size_t count = write_head(self, call, payload_hash, lines);
    if (count == 0) {
        return note(self, S3_NO_MEMORY, "");
    }
    const struct s3_http_request request = {.method = call->method,
                                            .url = (const char *)self->url.ptr,
                                            .headers = lines,
                                            .header_count = count,
                                            .has_body = call->has_body,
                                            .body = call->body,
                                            .reply_bytes_max = REPLY_BYTES_MAX,
                                            .idle_ms_max = call->idle_ms_max,
                                            .sink = call->sink,
                                            .sink_arg = call->arg};
    enum s3_status status = transport->exchange(transport->arg, &request, &self->reply, why,
                                                sizeof why);
    OPENSSL_cleanse(self->lines.ptr, self->lines.cap);
    count_exchange(self, call, status);
    self->storage_ms = self->reply.date_ms != 0 ? self->reply.date_ms : self->storage_ms;
    self->error.http_code = self->reply.code;
    memcpy(self->error.request_id, self->reply.request_id, sizeof self->error.request_id);
    return status == S3_OK ? S3_OK : note(self, status, why);
}

static enum s3_status attempt(struct s3 *self, struct s3_call *call, const char *payload_hash)
{
    self->error.http_code = 0;
    self->error.code[0] = '\0';
    self->error.message[0] = '\0';
    self->error.request_id[0] = '\0';
    if (call->prepare != NULL) {
        call->prepare(call);
    }
    enum s3_status status = take_keys(self);
    if (status == S3_OK) {
        status = sign(self, call, payload_hash);
    }
    if (status == S3_OK) {
        status = exchange(self, call, payload_hash);
    }
    if (status == S3_OK && (self->reply.code < 200 || self->reply.code > 299)) {
        status = read_error(self);
    } else if (status == S3_OK && call->read != NULL) {
        status = call->read(self, call);
    }
    OPENSSL_cleanse(self->keys->secret, sizeof self->keys->secret);
    OPENSSL_cleanse(self->keys->token, sizeof self->keys->token);
    return status;
}

/* ---- All attempts --------------------------------------------------------------------------- */

/* The pause before the next attempt: doubled each time, and half of it by chance. True: we are to
 * give up. */
static bool pause_before_next(struct s3 *self, unsigned pauses)
{
    const struct s3_timing *timing = &self->deps.timing;
    uint64_t ms = self->limits.pause_ms_first;
    for (unsigned i = 0; i < pauses && ms < self->limits.pause_ms_max; i++) {
        ms *= 2;
    }
    ms = ms < self->limits.pause_ms_max ? ms : self->limits.pause_ms_max;
    uint64_t chance = timing->random(timing->arg) % CHANCE_UNIT;
    return timing->pause(timing->arg, ms / 2 + ms * chance / CHANCE_UNIT);
}

static bool learn_clock(struct s3 *self, struct progress *progress)
{
    if (progress->has_new_clock || self->reply.date_ms == 0) {
        return false;
    }
    progress->has_new_clock = true;
    self->clock_behind_ms = self->reply.date_ms - clock_wall_ms(self->deps.timing.clock);
    return true;
}

static bool renew_keys(struct s3 *self, struct progress *progress)
{
    char why[S3_MESSAGE_BYTES];
    if (progress->has_new_keys) {
        return false;
    }
    progress->has_new_keys = true;
    return credentials_refresh(self->deps.credentials, self->keys->generation, why, sizeof why) ==
           S3_OK;
}

/* Does what the next attempt needs; false: there is to be none. */
static bool prepare_next(struct s3 *self, struct progress *progress)
{
    switch (s3_status_retry(self->error.status)) {
    case S3_RETRY_NEVER:
        return false;
    case S3_RETRY_CLOCK:
        return learn_clock(self, progress);
    case S3_RETRY_KEYS:
        return renew_keys(self, progress);
    case S3_RETRY_LATER:
        break;
    }
    if (progress->pauses + 1 >= self->limits.attempts_max) {
        return false;
    }
    if (pause_before_next(self, progress->pauses++)) {
        self->error.status = S3_CANCELLED;
        return false;
    }
    return true;
}

enum s3_status s3_call_run(struct s3 *self, struct s3_call *call)
{
    struct progress progress = {0};
    assert(call->query_count <= S3_CALL_PAIRS_MAX && call->header_count <= S3_CALL_PAIRS_MAX);
    self->error = (struct s3_error){0};
    if (sigv4_hash(call->body, progress.payload_hash) != STATUS_OK) {
        return note(self, S3_NO_MEMORY, "");
    }
    do {
        self->error.attempts++;
        enum s3_status status = attempt(self, call, progress.payload_hash);
        self->error.status = call->mend != NULL ? call->mend(call, status) : status;
        if (s3_status_maybe_done(self->error.status)) {
            self->error.maybe_done = true;
        }
    } while (prepare_next(self, &progress));
    return self->error.status;
}
