/* Renewing credentials before they end. These tests run on the real clock. */
#include "backup/credentials.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup/secret.h"
#include "unit/backup/kit.h"

enum { DEADLINE_MS = 20000, MINUTE_MS = 60000 };

Test(credentials, they_are_fetched_again_in_good_time)
{
    static const struct {
        int64_t left_ms;
        uint64_t chance;
        int64_t before_end_ms;
    } cases[] = {
        {6 * 60 * MINUTE_MS, 0, 5 * MINUTE_MS},
        {6 * 60 * MINUTE_MS, 30000, 5 * MINUTE_MS + 30000}, /* the most that chance adds */
        {6 * 60 * MINUTE_MS, 30001, 5 * MINUTE_MS},
        {10 * MINUTE_MS, 0, 5 * MINUTE_MS},
        {8 * MINUTE_MS, 0, 4 * MINUTE_MS},
        {12000, 0, 6000},
        {12000, 600, 6600},
        {1, 0, 0},
        {0, 5, 0},
    };
    const int64_t now_ms = 1369353600000;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t expires_ms = now_ms + cases[i].left_ms;
        cr_assert(eq(i64, expires_ms - credentials_due_ms(now_ms, expires_ms, cases[i].chance),
                     cases[i].before_end_ms),
                  "case %zu", i);
    }
    cr_assert(eq(i64, credentials_due_ms(now_ms, INT64_MAX, 7), INT64_MAX));
    cr_assert(eq(i64, credentials_due_ms(now_ms, now_ms - 5, 7), now_ms - 5));
}

/* A provider whose keys live for `life_ms` and are numbered. */
struct provider {
    pthread_mutex_t lock;
    int64_t life_ms;
    unsigned fetches;
    unsigned code; /* what it answers */
    bool closed;
    atomic_uint entered; /* requests that came, whether answered or not */
};

static enum s3_status provide(void *arg, const struct s3_http_request *request,
                              struct s3_http_reply *reply, char *errmsg, size_t errmsg_bytes)
{
    struct provider *self = arg;
    char expiration[40];
    cr_assert(request->has_secrets);
    atomic_fetch_add(&self->entered, 1);
    (void)pthread_mutex_lock(&self->lock);
    self->fetches++;
    int64_t expires_ms = clock_wall_ms(&clock_system) + self->life_ms;
    time_t seconds = (time_t)(expires_ms / 1000);
    struct tm utc;
    size_t len = strftime(expiration, sizeof expiration, "%Y-%m-%dT%H:%M:%S",
                          gmtime_r(&seconds, &utc));
    (void)snprintf(expiration + len, sizeof expiration - len, ".%03dZ", (int)(expires_ms % 1000));
    reply->code = self->code;
    reply->body.len = 0;
    cr_assert(eq(int,
                 buf_printf(&reply->body,
                            "{\"AccessKeyId\":\"AK%u\",\"SecretAccessKey\":\"" KIT_SECRET
                            "\",\"Token\":\"t\",\"Expiration\":\"%s\"}",
                            self->fetches, expiration),
                 STATUS_OK));
    (void)pthread_mutex_unlock(&self->lock);
    (void)snprintf(errmsg, errmsg_bytes, "%s", "");
    return S3_OK;
}

static void note_close(void *arg)
{
    struct provider *self = arg;
    self->closed = true;
}

static unsigned fetches(struct provider *self)
{
    (void)pthread_mutex_lock(&self->lock);
    unsigned count = self->fetches;
    (void)pthread_mutex_unlock(&self->lock);
    return count;
}

static void set_answer(struct provider *self, unsigned code, int64_t life_ms)
{
    (void)pthread_mutex_lock(&self->lock);
    self->code = code;
    self->life_ms = life_ms;
    (void)pthread_mutex_unlock(&self->lock);
}

static struct provider provider = {.lock = PTHREAD_MUTEX_INITIALIZER, .code = 200};
static struct credentials *credentials;
static struct credentials_keys *keys;

static uint64_t no_chance(void)
{
    return 0;
}

static void start(int64_t life_ms)
{
    static const char *const environment[] = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/keys",
                                              NULL};
    char errmsg[200] = "";
    provider.life_ms = life_ms;
    kit_environment = environment;
    const struct credentials_deps deps = {
        .environ_get = kit_getenv,
        .transport = {.exchange = provide, .close = note_close, .arg = &provider},
        .clock = &clock_system,
        .random = no_chance};
    keys = secret_new(sizeof *keys);
    cr_assert(eq(int, credentials_open(&deps, &credentials, errmsg, sizeof errmsg), STATUS_OK),
              "%s", errmsg);
}

static void stop(void)
{
    credentials_close(credentials);
    cr_assert(provider.closed);
    secret_free(keys, sizeof *keys);
}

static enum s3_status refresh(uint64_t generation)
{
    char errmsg[200] = "";
    enum s3_status status = credentials_refresh(credentials, generation, errmsg, sizeof errmsg);
    cr_assert_null(strstr(errmsg, KIT_SECRET));
    return status;
}

Test(credentials, they_are_renewed_by_themselves_and_never_missing)
{
    int64_t end_ms = clock_wall_ms(&clock_system) + DEADLINE_MS;
    start(4000);
    cr_assert(eq(int, refresh(0), S3_OK));
    do {
        cr_assert(lt(i64, clock_wall_ms(&clock_system), end_ms));
        cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
        cr_assert(eq(str, keys->secret, KIT_SECRET));
        (void)usleep(2000);
    } while (keys->generation < 2);
    stop();
}

Test(credentials, a_refresh_that_another_has_made_costs_nothing)
{
    start(3600000);
    cr_assert(eq(int, refresh(0), S3_OK));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    uint64_t old = keys->generation;
    unsigned before = fetches(&provider);
    cr_assert(eq(int, refresh(old), S3_OK));
    cr_assert(eq(uint, fetches(&provider), before + 1));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    cr_assert(ne(u64, keys->generation, old));
    cr_assert(eq(int, refresh(old), S3_OK)); /* somebody who still had the old ones */
    cr_assert(eq(uint, fetches(&provider), before + 1));
    stop();
}

Test(credentials, old_ones_serve_until_their_end_while_the_provider_fails)
{
    start(3600000);
    cr_assert(eq(int, refresh(0), S3_OK));
    set_answer(&provider, 500, 0);
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    cr_assert(eq(int, refresh(keys->generation), S3_SERVER_ERROR));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    cr_assert(lt(i64, 3500000, credentials_left_ms(credentials)));
    set_answer(&provider, 200, 3600000);
    cr_assert(eq(int, refresh(keys->generation), S3_OK));
    stop();
}

Test(credentials, after_their_end_there_are_none_until_new_ones_come)
{
    int64_t end_ms = clock_wall_ms(&clock_system) + DEADLINE_MS;
    start(2000); /* long enough to be seen on a busy machine */
    cr_assert(eq(int, refresh(0), S3_OK));
    set_answer(&provider, 503, 0);
    while (credentials_get(credentials, keys) == S3_OK) {
        cr_assert(lt(i64, clock_wall_ms(&clock_system), end_ms));
        (void)usleep(2000);
    }
    cr_assert(eq(i64, credentials_left_ms(credentials), 0));
    set_answer(&provider, 200, 3600000);
    /* By a request, or by the thread's own next attempt, whichever is sooner. */
    cr_assert(eq(int, refresh(0), S3_OK));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    stop();
}

Test(credentials, a_clock_that_is_ahead_does_not_make_them_useless)
{
    start(-3600000);
    cr_assert(eq(int, refresh(0), S3_OK));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    cr_assert(lt(i64, 0, credentials_left_ms(credentials)));
    stop();
}

static void *refresh_old(void *arg)
{
    uint64_t *old = arg;
    cr_assert(eq(int, refresh(*old), S3_OK));
    return NULL;
}

Test(credentials, many_who_ask_at_once_share_what_comes)
{
    pthread_t threads[8];
    start(3600000);
    cr_assert(eq(int, refresh(0), S3_OK));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    uint64_t old = keys->generation;
    unsigned before = fetches(&provider);
    /* The provider is held, so that all but the first ask while its answer is under way. */
    (void)pthread_mutex_lock(&provider.lock);
    for (size_t i = 0; i < COUNT(threads); i++) {
        cr_assert(eq(int, pthread_create(&threads[i], NULL, refresh_old, &old), 0));
        while (atomic_load(&provider.entered) == before) {
            (void)usleep(1000);
        }
    }
    /* For them to ask; those who come later make the test weaker, not wrong. */
    (void)usleep(100000);
    (void)pthread_mutex_unlock(&provider.lock);
    for (size_t i = 0; i < COUNT(threads); i++) {
        (void)pthread_join(threads[i], NULL);
    }
    cr_assert(eq(uint, fetches(&provider), before + 1));
    cr_assert(eq(int, credentials_get(credentials, keys), S3_OK));
    cr_assert(lt(u64, old, keys->generation));
    stop();
}

Test(credentials, what_cannot_be_opened_leaves_nothing_behind)
{
    static const char *const environment[] = {NULL};
    char errmsg[200] = "";
    kit_environment = environment;
    const struct credentials_deps deps = {
        .environ_get = kit_getenv,
        .transport = {.exchange = provide, .close = note_close, .arg = &provider},
        .clock = &clock_system,
        .random = no_chance};
    cr_assert(
        eq(int, credentials_open(&deps, &credentials, errmsg, sizeof errmsg), STATUS_NOT_FOUND));
    cr_assert_null(credentials);
    cr_assert(provider.closed);
    cr_assert_not_null(strstr(errmsg, "no AWS credentials"));
    credentials_close(NULL);
}
