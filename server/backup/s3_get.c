/* Reading an object, in one attempt or several that join without a seam. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/s3_private.h"

struct download {
    struct s3 *client;
    struct s3_range range;
    uint64_t got; /* given to the sink */
    s3_sink_fn sink;
    void *sink_arg;
    char etag[S3_ETAG_BYTES]; /* of the first reply; "" before it, or when it had none */
    char wanted[64];          /* the Range header of this attempt; "" none */
    bool is_first_piece;      /* of this attempt */
    enum s3_status failure;   /* why the transfer was ended; S3_OK: it was not */
};

/* Asks for what is still missing. */
static void prepare(struct s3_call *call)
{
    struct download *self = call->arg;
    uint64_t begin = self->range.offset + self->got;
    self->is_first_piece = true;
    self->failure = S3_OK;
    self->wanted[0] = '\0';
    if (self->range.bytes != 0) {
        (void)snprintf(self->wanted, sizeof self->wanted, "bytes=%" PRIu64 "-%" PRIu64, begin,
                       self->range.offset + self->range.bytes - 1);
    } else if (begin != 0) {
        (void)snprintf(self->wanted, sizeof self->wanted, "bytes=%" PRIu64 "-", begin);
    }
    call->header_count = 0;
    if (self->wanted[0] != '\0') {
        call->header[call->header_count++] = (struct sigv4_pair){"Range", self->wanted};
    }
}

/* Is this reply a part of the object that the first one began with? */
static enum s3_status check_head(struct download *self)
{
    const struct s3_http_reply *reply = &self->client->reply;
    if (reply->code != (self->wanted[0] != '\0' ? 206 : 200)) {
        return S3_BAD_REPLY; /* the whole object where a part was wanted */
    }
    if (self->got == 0) {
        memcpy(self->etag, reply->etag, sizeof self->etag);
        return S3_OK;
    }
    /* Without an ETag nobody can tell, and mixing two objects is worse than failing. */
    return reply->etag[0] != '\0' && strcmp(reply->etag, self->etag) == 0 ? S3_OK : S3_CHANGED;
}

static enum status receive(void *arg, struct view bytes)
{
    struct download *self = arg;
    if (self->is_first_piece) {
        self->is_first_piece = false;
        self->failure = check_head(self);
    }
    if (self->failure == S3_OK && self->range.bytes != 0 &&
        bytes.len > self->range.bytes - self->got) {
        self->failure = S3_BAD_REPLY; /* more than was asked for */
    }
    if (self->failure == S3_OK && self->sink(self->sink_arg, bytes) != STATUS_OK) {
        self->failure = S3_STOPPED;
    }
    if (self->failure != S3_OK) {
        return STATUS_INVALID;
    }
    self->got += bytes.len;
    return STATUS_OK;
}

static enum s3_status check_empty(struct s3 *client, struct s3_call *call)
{
    (void)client;
    struct download *self = call->arg;
    if (self->is_first_piece) {
        self->is_first_piece = false;
        return check_head(self); /* an empty body */
    }
    return S3_OK;
}

/* A transfer that we have ended ourselves comes back as STOPPED; here stands why. */
static enum s3_status mend(const struct s3_call *call, enum s3_status status)
{
    const struct download *self = call->arg;
    return status == S3_STOPPED && self->failure != S3_OK ? self->failure : status;
}

enum s3_status s3_get(struct s3 *self, const char *key, const struct s3_range *range,
                      s3_sink_fn sink, void *sink_arg, struct s3_object *out)
{
    struct download download = {.client = self, .sink = sink, .sink_arg = sink_arg};
    struct s3_call call = {.method = "GET",
                           .key = key,
                           .sink = receive,
                           .prepare = prepare,
                           .read = check_empty,
                           .mend = mend,
                           .arg = &download};
    if (range != NULL) {
        download.range = *range;
    }
    enum s3_status status = s3_call_run(self, &call);
    if (self->deps.metrics != NULL) {
        metric_add_shared(&self->deps.metrics->received_bytes, download.got);
    }
    if (out != NULL) {
        *out = (struct s3_object){.bytes = download.got, .modified_ms = self->reply.modified_ms};
        memcpy(out->etag, download.etag, sizeof out->etag);
    }
    return status;
}
