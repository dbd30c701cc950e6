/* See bucket.h. */
#include "unit/backup/bucket.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "unit/backup/kit.h"

#define PLACE "http://127.0.0.1:9/bucket-1"

struct bucket bucket;

/* ---- Time ----------------------------------------------------------------------------------- */

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_wall_ms(&clock_system) + atomic_load(&bucket.clock_ahead_ms);
}

static int64_t mono_ns(void *arg)
{
    (void)arg;
    return clock_mono_ns(&clock_system) + atomic_load(&bucket.clock_ahead_ms) * 1000000;
}

const struct clock bucket_clock = {.wall_ms = wall_ms, .mono_ns = mono_ns};

/* ---- Objects: all with the lock held -------------------------------------------------------- */

/* The first object whose key is not less. */
static size_t lower_bound(const char *key)
{
    size_t at = 0;
    while (at < bucket.count && strcmp(bucket.objects[at].key, key) < 0) {
        at++;
    }
    return at;
}

static struct bucket_object *find(const char *key)
{
    size_t at = lower_bound(key);
    bool is_there = at < bucket.count && strcmp(bucket.objects[at].key, key) == 0;
    return is_there ? &bucket.objects[at] : NULL;
}

static void store(const char *key, struct view body)
{
    struct bucket_object *object = find(key);
    if (object == NULL) {
        size_t at = lower_bound(key);
        cr_assert(lt(sz, bucket.count, BUCKET_OBJECTS_MAX));
        memmove(&bucket.objects[at + 1], &bucket.objects[at],
                (bucket.count - at) * sizeof bucket.objects[0]);
        bucket.count++;
        object = &bucket.objects[at];
        *object = (struct bucket_object){0};
        (void)snprintf(object->key, sizeof object->key, "%s", key);
    }
    object->modified_ms = wall_ms(NULL);
    object->body.len = 0;
    cr_assert(eq(int, buf_append(&object->body, body), STATUS_OK));
}

static void erase(const char *key)
{
    struct bucket_object *object = find(key);
    if (object != NULL) {
        size_t at = (size_t)(object - bucket.objects);
        buf_free(&object->body);
        memmove(object, object + 1, (bucket.count - at - 1) * sizeof *object);
        bucket.count--;
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

static bool has_condition(const struct s3_http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i], "if-none-match: *") == 0) {
            return true;
        }
    }
    return false;
}

static void put(const struct s3_http_request *request, struct s3_http_reply *reply, const char *key)
{
    bool is_conditional = has_condition(request);
    reply->code = 200;
    if (is_conditional && bucket.refuses_conditions) {
        reply->code = 501;
    } else if (is_conditional && !bucket.ignores_conditions && find(key) != NULL) {
        reply->code = 412;
    } else {
        store(key, request->body);
        bucket.puts++;
    }
}

/* The part of an object that the request asks for; NULL: it begins behind the end. */
static struct view part_of(const struct s3_http_request *request, struct view body, bool *is_part)
{
    unsigned long long from = 0;
    unsigned long long to = ULLONG_MAX;
    *is_part = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *line = request->headers[i];
        if (strncasecmp(line, "range: bytes=", 13) == 0) {
            cr_assert(ge(int, sscanf(line + 13, "%llu-%llu", &from, &to), 1), "%s", line);
            *is_part = true;
        }
    }
    if (from >= body.len && *is_part) {
        return view_of(NULL, 0);
    }
    size_t end = to < body.len ? (size_t)to + 1 : body.len;
    return view_of(body.ptr + from, end - (size_t)from);
}

static enum s3_status get(const struct s3_http_request *request, struct s3_http_reply *reply,
                          const char *key, bool is_flipped)
{
    const struct bucket_object *object = find(key);
    reply->code = object != NULL ? 200 : 404;
    if (object == NULL || request->sink == NULL) {
        return S3_OK;
    }
    bool is_part = false;
    struct view body = part_of(request, buf_view(&object->body), &is_part);
    if (is_part) {
        reply->code = body.ptr != NULL ? 206 : 416;
    }
    if (reply->code == 416) {
        return S3_OK;
    }
    reply->bytes = body.len;
    uint8_t *middle = body.len != 0
                          ? object->body.ptr + (body.ptr - object->body.ptr) + body.len / 2
                          : NULL;
    if (is_flipped && middle != NULL) {
        *middle ^= 1U;
    }
    enum status status = request->sink(request->sink_arg, body);
    if (is_flipped && middle != NULL) {
        *middle ^= 1U;
    }
    return status == STATUS_OK ? S3_OK : S3_STOPPED;
}

/* A parameter of the query, decoded as far as our keys need it. */
static void parameter(const char *url, const char *name, char out[static BUCKET_KEY_BYTES])
{
    const size_t len = strlen(name);
    const char *at = strchr(url, '?');
    size_t used = 0;
    while (at != NULL && !(strncmp(at + 1, name, len) == 0 && at[len + 1] == '=')) {
        at = strchr(at + 1, '&');
    }
    at = at != NULL ? at + len + 2 : "";
    for (; *at != '\0' && *at != '&'; at++) {
        bool is_slash = strncmp(at, "%2F", 3) == 0;
        out[used++] = is_slash ? '/' : *at;
        at += is_slash ? 2 : 0;
    }
    out[used] = '\0';
}

static void put_time(char out[static 32], int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    cr_assert(gmtime_r(&seconds, &utc) != NULL);
    cr_assert(ne(sz, strftime(out, 32, "%Y-%m-%dT%H:%M:%S.000Z", &utc), 0));
}

/* Pages of three keys, so that every list of a test has several. */
static void list(struct s3_http_reply *reply, const char *url)
{
    char prefix[BUCKET_KEY_BYTES];
    char after[BUCKET_KEY_BYTES];
    char token[BUCKET_KEY_BYTES];
    unsigned told = 0;
    parameter(url, "prefix", prefix);
    parameter(url, "start-after", after);
    parameter(url, "continuation-token", token);
    const char *from = strcmp(token, after) > 0 ? token : after;
    size_t at = lower_bound(strcmp(from, prefix) > 0 ? from : prefix);
    at += at < bucket.count && strcmp(bucket.objects[at].key, from) == 0 ? 1 : 0;
    cr_assert(eq(int, buf_printf(&reply->body, "<ListBucketResult>"), STATUS_OK));
    for (; at < bucket.count && told < 3; at++, told++) {
        const struct bucket_object *object = &bucket.objects[at];
        char modified[32];
        put_time(modified, object->modified_ms);
        if (strncmp(object->key, prefix, strlen(prefix)) != 0) {
            break;
        }
        cr_assert(eq(int,
                     buf_printf(&reply->body,
                                "<Contents><Key>%s</Key><Size>%zu</Size><LastModified>%s"
                                "</LastModified></Contents>",
                                object->key, object->body.len, modified),
                     STATUS_OK));
    }
    bool is_truncated = told == 3 && at < bucket.count &&
                        strncmp(bucket.objects[at].key, prefix, strlen(prefix)) == 0;
    if (is_truncated) {
        cr_assert(eq(int,
                     buf_printf(&reply->body,
                                "<IsTruncated>true</IsTruncated><NextContinuationToken>%s"
                                "</NextContinuationToken>",
                                bucket.objects[at - 1].key),
                     STATUS_OK));
    } else {
        cr_assert(eq(int, buf_printf(&reply->body, "<IsTruncated>false</IsTruncated>"), STATUS_OK));
    }
    cr_assert(eq(int, buf_printf(&reply->body, "</ListBucketResult>"), STATUS_OK));
    reply->code = 200;
    bucket.lists++;
}

static enum s3_status serve(const struct s3_http_request *request, struct s3_http_reply *reply,
                            bool is_flipped)
{
    char key[BUCKET_KEY_BYTES];
    cr_assert(eq(int, strncmp(request->url, PLACE, sizeof PLACE - 1), 0), "%s", request->url);
    const char *path = request->url + sizeof PLACE - 1;
    path += *path == '/' ? 1 : 0;
    (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(path, "?"), path);
    if (key[0] == '\0') {
        list(reply, request->url);
        return S3_OK;
    }
    if (strcmp(request->method, "PUT") == 0) {
        put(request, reply, key);
    } else if (strcmp(request->method, "DELETE") == 0) {
        erase(key);
        reply->code = 204;
    } else {
        return get(request, reply, key, is_flipped);
    }
    return S3_OK;
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void add_rule(struct bucket_rule rule)
{
    (void)pthread_mutex_lock(&bucket.lock);
    cr_assert(lt(sz, bucket.rule_count, BUCKET_FAULTS_MAX));
    bucket.rules[bucket.rule_count++] = rule;
    (void)pthread_mutex_unlock(&bucket.lock);
}

void bucket_add_fault(const char *method, enum bucket_fault fault, unsigned skip, unsigned times)
{
    add_rule((struct bucket_rule){.method = method, .fault = fault, .skip = skip, .times = times});
}

void bucket_add_meanwhile_after(const char *method, unsigned skip, void (*meanwhile)(void *arg),
                                void *arg)
{
    add_rule((struct bucket_rule){.method = method,
                                  .fault = FAULT_MEANWHILE,
                                  .skip = skip,
                                  .times = 1,
                                  .meanwhile = meanwhile,
                                  .arg = arg});
}

void bucket_add_meanwhile(const char *method, void (*meanwhile)(void *arg), void *arg)
{
    bucket_add_meanwhile_after(method, 0, meanwhile, arg);
}

void bucket_clear_faults(void)
{
    (void)pthread_mutex_lock(&bucket.lock);
    bucket.rule_count = 0;
    (void)pthread_mutex_unlock(&bucket.lock);
}

/* The rule for this request, times 0: none. With the lock held. */
static struct bucket_rule pick_rule(const char *method)
{
    for (size_t i = 0; i < bucket.rule_count; i++) {
        struct bucket_rule *rule = &bucket.rules[i];
        if (rule->times == 0 || (rule->method != NULL && strcmp(rule->method, method) != 0)) {
            continue;
        }
        if (rule->skip > 0) {
            rule->skip--;
            continue;
        }
        struct bucket_rule picked = *rule;
        rule->times--;
        return picked;
    }
    return (struct bucket_rule){0};
}

static enum s3_status exchange(void *arg, const struct s3_http_request *request,
                               struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes)
{
    (void)arg;
    (void)snprintf(errmsg, errmsg_bytes, "as the test has it");
    struct buf body = reply->body;
    *reply = (struct s3_http_reply){.body = body, .date_ms = wall_ms(NULL) / 1000 * 1000};
    reply->body.len = 0;
    (void)pthread_mutex_lock(&bucket.lock);
    bucket.requests++;
    const struct bucket_rule rule = pick_rule(request->method);
    if (rule.times > 0 && rule.fault == FAULT_MEANWHILE) {
        (void)pthread_mutex_unlock(&bucket.lock);
        rule.meanwhile(rule.arg);
        (void)pthread_mutex_lock(&bucket.lock);
    }
    enum s3_status status = S3_OK;
    if (rule.times > 0 && rule.fault == FAULT_REFUSE) {
        reply->code = 403;
    } else if (rule.times > 0 && rule.fault == FAULT_BUSY) {
        reply->code = 503;
    } else if (rule.times > 0 && rule.fault == FAULT_LOSE_REQUEST) {
        status = S3_CUT;
    } else {
        status = serve(request, reply, rule.times > 0 && rule.fault == FAULT_FLIP_BIT);
        if (rule.times > 0 && rule.fault == FAULT_LOSE_REPLY) {
            reply->code = 0;
            status = S3_CUT;
        }
    }
    (void)pthread_mutex_unlock(&bucket.lock);
    return status;
}

/* ---- For tests ------------------------------------------------------------------------------ */

void bucket_open(void)
{
    (void)pthread_mutex_init(&bucket.lock, NULL);
}

void bucket_close(void)
{
    for (size_t i = 0; i < bucket.count; i++) {
        buf_free(&bucket.objects[i].body);
    }
    bucket.count = 0;
    bucket.rule_count = 0;
    (void)pthread_mutex_destroy(&bucket.lock);
}

struct view bucket_get(const char *key)
{
    (void)pthread_mutex_lock(&bucket.lock);
    const struct bucket_object *object = find(key);
    struct view body = object != NULL ? buf_view(&object->body) : view_of(NULL, 0);
    (void)pthread_mutex_unlock(&bucket.lock);
    return body;
}

void bucket_put(const char *key, struct view body)
{
    (void)pthread_mutex_lock(&bucket.lock);
    store(key, body);
    (void)pthread_mutex_unlock(&bucket.lock);
}

void bucket_remove(const char *key)
{
    (void)pthread_mutex_lock(&bucket.lock);
    erase(key);
    (void)pthread_mutex_unlock(&bucket.lock);
}

size_t bucket_requests(void)
{
    (void)pthread_mutex_lock(&bucket.lock);
    size_t requests = bucket.requests;
    (void)pthread_mutex_unlock(&bucket.lock);
    return requests;
}

static uint64_t no_chance(void)
{
    return 0;
}

static uint64_t some_chance(void *arg)
{
    static _Atomic uint64_t next;
    (void)arg;
    return atomic_fetch_add(&next, 1);
}

static bool no_pause(void *arg, uint64_t ms)
{
    (void)ms;
    return stop_requested(arg);
}

void bucket_client_open(struct bucket_client *client, unsigned attempts_max)
{
    static const char *const environment[] = {"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE",
                                              "AWS_SECRET_ACCESS_KEY", KIT_SECRET, NULL};
    char errmsg[200] = "";
    *client = (struct bucket_client){0};
    stop_init(&client->stop);
    kit_environment = environment;
    const struct credentials_deps for_credentials = {
        .environ_get = kit_getenv, .clock = &bucket_clock, .random = no_chance};
    cr_assert(eq(int,
                 credentials_open(&for_credentials, &client->credentials, errmsg, sizeof errmsg),
                 STATUS_OK),
              "%s", errmsg);
    const struct s3_options options = {.url = "s3://bucket-1",
                                       .endpoint = "http://127.0.0.1:9",
                                       .region = "eu-central-1",
                                       .path_style = true,
                                       .attempts_max = attempts_max};
    const struct s3_deps deps = {.transport = {.exchange = exchange},
                                 .credentials = client->credentials,
                                 .timing = {.clock = &bucket_clock,
                                            .random = some_chance,
                                            .pause = no_pause,
                                            .arg = &client->stop}};
    cr_assert(eq(int, s3_open(&options, &deps, &client->s3, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
}

void bucket_client_close(struct bucket_client *client)
{
    s3_close(client->s3);
    credentials_close(client->credentials);
    stop_close(&client->stop);
}
