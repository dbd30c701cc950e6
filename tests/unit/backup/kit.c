/* See kit.h. */
#include "unit/backup/kit.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Script --------------------------------------------------------------------------------- */

static void note_request(struct asked *asked, const struct s3_http_request *request)
{
    (void)snprintf(asked->method, sizeof asked->method, "%s", request->method);
    (void)snprintf(asked->url, sizeof asked->url, "%s", request->url);
    size_t used = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        used += (size_t)snprintf(asked->headers + used, sizeof asked->headers - used, "%s\n",
                                 request->headers[i]);
        cr_assert(lt(sz, used, sizeof asked->headers));
    }
    cr_assert(eq(int, buf_append(&asked->body, request->body), STATUS_OK));
    asked->has_body = request->has_body;
    asked->has_secrets = request->has_secrets;
}

static enum s3_status feed_sink(const struct script *self, const struct s3_http_request *request,
                                struct view body)
{
    while (body.len > 0) {
        size_t len = self->piece_bytes != 0 && self->piece_bytes < body.len ? self->piece_bytes
                                                                            : body.len;
        if (request->sink(request->sink_arg, view_of(body.ptr, len)) != STATUS_OK) {
            return S3_STOPPED;
        }
        body = view_of(body.ptr + len, body.len - len);
    }
    return S3_OK;
}

static enum s3_status play(void *arg, const struct s3_http_request *request,
                           struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes)
{
    struct script *self = arg;
    size_t at = atomic_load(&self->asked_count);
    cr_assert(lt(sz, at, self->reply_count), "one more: %s %s", request->method, request->url);
    const struct scripted *next = &self->replies[at];
    note_request(&self->asked[at], request);
    reply->code = next->code;
    reply->body.len = 0;
    reply->bytes = next->bytes;
    reply->date_ms = next->date_ms;
    reply->modified_ms = 0;
    (void)snprintf(reply->etag, sizeof reply->etag, "%s", next->etag != NULL ? next->etag : "");
    (void)snprintf(reply->request_id, sizeof reply->request_id, "request-%zu", at);
    if (next->meanwhile != NULL) {
        next->meanwhile();
    }
    enum s3_status status = next->outcome;
    if (next->body != NULL) {
        size_t len = next->body_len != 0 ? next->body_len : strlen(next->body);
        if (request->sink != NULL && next->code >= 200 && next->code < 300) {
            enum s3_status fed = feed_sink(self, request, view_of(next->body, len));
            status = fed != S3_OK ? fed : status;
        } else {
            cr_assert(le(sz, len, request->reply_bytes_max));
            cr_assert(eq(int, buf_append(&reply->body, view_of(next->body, len)), STATUS_OK));
        }
    }
    (void)snprintf(errmsg, errmsg_bytes, "%s", status == S3_OK ? "" : "as the script has it");
    atomic_store(&self->asked_count, at + 1);
    return status;
}

static void note_close(void *arg)
{
    struct script *self = arg;
    atomic_store(&self->closed, true);
}

struct s3_transport script_transport(struct script *script)
{
    return (struct s3_transport){.exchange = play, .close = note_close, .arg = script};
}

void script_free(struct script *script)
{
    for (size_t i = 0; i < SCRIPT_REQUESTS_MAX; i++) {
        buf_free(&script->asked[i].body);
    }
}

char *asked_header(const struct asked *asked, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *line = asked->headers; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 2;
            return strndup(value, strcspn(value, "\n"));
        }
    }
    return NULL;
}

/* ---- Environment and time ------------------------------------------------------------------- */

const char *const *kit_environment;

char *kit_getenv(const char *name)
{
    for (size_t i = 0; kit_environment[i] != NULL; i += 2) {
        if (strcmp(kit_environment[i], name) == 0) {
            return (char *)(uintptr_t)kit_environment[i + 1];
        }
    }
    return NULL;
}

static struct kit *open_kit;

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return open_kit != NULL ? open_kit->wall_ms : clock_wall_ms(&clock_system);
}

static int64_t mono_ns(void *arg)
{
    return wall_ms(arg) * 1000000;
}

const struct clock kit_clock = {.wall_ms = wall_ms, .mono_ns = mono_ns};

static uint64_t chance(void *arg)
{
    struct kit *kit = arg;
    return kit->chance;
}

static uint64_t no_chance(void)
{
    return 0;
}

static bool note_pause(void *arg, uint64_t ms)
{
    struct kit *kit = arg;
    cr_assert(lt(sz, kit->pause_count, KIT_PAUSES_MAX));
    kit->pauses_ms[kit->pause_count++] = ms;
    kit->wall_ms += (int64_t)ms;
    return kit->pause_count == kit->stop_in_pause;
}

/* ---- Kit ------------------------------------------------------------------------------------ */

static struct credentials *fixed_credentials(void)
{
    static const char *const environment[] = {"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE",
                                              "AWS_SECRET_ACCESS_KEY", KIT_SECRET, NULL};
    struct credentials *credentials = NULL;
    char errmsg[200] = "";
    kit_environment = environment;
    const struct credentials_deps deps = {
        .environ_get = kit_getenv, .clock = &kit_clock, .random = no_chance};
    cr_assert(eq(int, credentials_open(&deps, &credentials, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
    return credentials;
}

void kit_open(struct kit *kit, const struct scripted *replies, size_t count,
              struct credentials *credentials)
{
    char errmsg[200] = "";
    *kit = (struct kit){.script = {.replies = replies, .reply_count = count}};
    kit->wall_ms = INT64_C(1369353600000);
    open_kit = kit;
    kit->credentials = credentials != NULL ? credentials : fixed_credentials();
    const struct s3_options options = {.url = "s3://bucket-1/some/prefix",
                                       .endpoint = "http://127.0.0.1:9",
                                       .region = "eu-central-1",
                                       .path_style = true};
    const struct s3_deps deps = {
        .transport = script_transport(&kit->script),
        .credentials = kit->credentials,
        .timing = {.clock = &kit_clock, .random = chance, .pause = note_pause, .arg = kit},
        .metrics = &kit->metrics};
    cr_assert(eq(int, s3_open(&options, &deps, &kit->s3, errmsg, sizeof errmsg), STATUS_OK), "%s",
              errmsg);
}

void kit_close(struct kit *kit)
{
    char text[600];
    s3_describe_error(kit->s3, text, sizeof text);
    cr_assert_null(strstr(text, KIT_SECRET), "%s", text);
    for (size_t i = 0; i < kit->script.asked_count; i++) {
        cr_assert_null(strstr(kit->script.asked[i].headers, KIT_SECRET));
        cr_assert_null(strstr(kit->script.asked[i].url, KIT_SECRET));
    }
    cr_assert(eq(sz, kit->script.asked_count, kit->script.reply_count));
    s3_close(kit->s3);
    credentials_close(kit->credentials);
    cr_assert(kit->script.closed);
    script_free(&kit->script);
    open_kit = NULL;
}
