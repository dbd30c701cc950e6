/* Keeping credentials fresh; the picture is in credentials.h. */
#include "backup/credentials.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/secret.h"
#include "base/log.h"
#include "base/thread.h"

enum {
    LEAD_MS_MAX = 5 * 60 * 1000,
    RETRY_MS_FIRST = 1000,
    RETRY_MS_MAX = 60 * 1000,
    LOOK_MS_MAX = 60 * 1000, /* the wall clock may be set, so it is looked at now and then */
    TELL_MS = 60 * 1000,     /* between two lines about the same trouble */
    WHY_BYTES = 256,
};

struct credentials {
    struct credentials_deps deps; /* immutable; the transport is used by the thread only */
    struct credentials_source source;
    pthread_t thread;
    bool has_thread;
    struct credentials_keys *fetched; /* owned, secret; the thread only */
    int64_t told_ms;                  /* monotonic: of the last line about a failure; likewise */

    pthread_mutex_t lock;          /* guards what follows */
    pthread_cond_t wake;           /* the thread waits */
    pthread_cond_t done;           /* credentials_refresh() waits */
    struct credentials_keys *keys; /* owned, secret; generation 0: none yet */
    uint64_t asked;                /* fetches that were asked for */
    uint64_t answered;             /* … and made */
    enum s3_status status;         /* of the last fetch */
    char why[WHY_BYTES];           /* … when it failed */
    bool stopping;
};

int64_t credentials_due_ms(int64_t now_ms, int64_t expires_ms, uint64_t chance)
{
    if (expires_ms == INT64_MAX) {
        return INT64_MAX;
    }
    int64_t left_ms = expires_ms > now_ms ? expires_ms - now_ms : 0;
    int64_t lead_ms = left_ms / 2 < LEAD_MS_MAX ? left_ms / 2 : LEAD_MS_MAX;
    lead_ms += (int64_t)(chance % (uint64_t)(lead_ms / 10 + 1));
    return expires_ms - lead_ms;
}

/* ---- The thread ----------------------------------------------------------------------------- */

/* Waits for a request to fetch, or until `due_ms`; false: it is time to end. With the lock held. */
static bool wait_until_due(struct credentials *self, int64_t due_ms)
{
    while (!self->stopping && self->asked == self->answered) {
        int64_t now_ms = clock_wall_ms(self->deps.clock);
        if (now_ms >= due_ms) {
            break;
        }
        int64_t wait_ms = due_ms - now_ms < LOOK_MS_MAX ? due_ms - now_ms : LOOK_MS_MAX;
        const struct timespec until = clock_moment_in(wait_ms * 1000000);
        (void)pthread_cond_timedwait(&self->wake, &self->lock, &until);
    }
    return !self->stopping;
}

/* When our clock is ahead by more than their life, everything looks expired. The storage decides
 * what is; we only see to it that they are renewed. */
static void mend_expiry(struct credentials_keys *keys, int64_t now_ms)
{
    if (keys->expires_ms <= now_ms) {
        log_warn("credentials come expired: is the clock right?", "seconds=%" PRId64,
                 (now_ms - keys->expires_ms) / 1000);
        keys->expires_ms = now_ms + LEAD_MS_MAX;
    }
}

/* Every request to the storage that finds no credentials asks for some, so a failure is told when
 * it begins and now and then. The thread only. */
static void tell_failure(struct credentials *self, unsigned failures, const char *why)
{
    char quoted[WHY_BYTES + 64];
    int64_t now_ms = clock_mono_ns(self->deps.clock) / 1000000;
    if (failures == 1 || now_ms - self->told_ms >= TELL_MS) {
        self->told_ms = now_ms;
        log_warn("credentials cannot be fetched", "failures=%u why=%s", failures,
                 log_quoted(quoted, sizeof quoted, why));
    }
}

/* With the lock held; returns when to fetch again. */
static int64_t take_fetched(struct credentials *self, uint64_t asked_before, enum s3_status status,
                            const char *why, unsigned *failures)
{
    int64_t now_ms = clock_wall_ms(self->deps.clock);
    uint64_t chance = self->deps.random();
    int64_t due_ms;
    self->status = status;
    if (status == S3_OK) {
        mend_expiry(self->fetched, now_ms);
        self->fetched->generation = self->keys->generation + 1;
        *self->keys = *self->fetched;
        self->answered = self->asked; /* who asked meanwhile gets new ones as well */
        if (*failures != 0) {
            log_info("credentials are fetched again", "failures=%u", *failures);
        }
        *failures = 0;
        due_ms = credentials_due_ms(now_ms, self->keys->expires_ms, chance);
    } else {
        int64_t wait_ms = RETRY_MS_FIRST;
        for (unsigned i = 0; i < *failures && wait_ms < RETRY_MS_MAX; i++) {
            wait_ms *= 2;
        }
        wait_ms = wait_ms < RETRY_MS_MAX ? wait_ms : RETRY_MS_MAX;
        (void)snprintf(self->why, sizeof self->why, "%s", why);
        self->answered = asked_before;
        (*failures)++;
        due_ms = now_ms + wait_ms / 2 + (int64_t)(chance % (uint64_t)(wait_ms / 2 + 1));
        if (status != S3_CANCELLED) { /* the process is stopping */
            tell_failure(self, *failures, why);
        }
    }
    explicit_bzero(self->fetched, sizeof *self->fetched);
    (void)pthread_cond_broadcast(&self->done);
    return due_ms;
}

static void *keep_fresh(void *arg)
{
    struct credentials *self = arg;
    int64_t due_ms = INT64_MIN;
    unsigned failures = 0;
    (void)pthread_mutex_lock(&self->lock);
    while (wait_until_due(self, due_ms)) {
        uint64_t asked_before = self->asked;
        char why[WHY_BYTES] = "";
        (void)pthread_mutex_unlock(&self->lock);
        enum s3_status status = credentials_source_fetch(&self->source, &self->deps.transport,
                                                         self->fetched, why, sizeof why);
        (void)pthread_mutex_lock(&self->lock);
        due_ms = take_fetched(self, asked_before, status, why, &failures);
    }
    (void)pthread_cond_broadcast(&self->done);
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static void init_locks(struct credentials *self)
{
    pthread_condattr_t monotonic;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->wake, &monotonic);
    (void)pthread_cond_init(&self->done, NULL);
    (void)pthread_condattr_destroy(&monotonic);
}

static enum status start(struct credentials *self, char *errmsg, size_t errmsg_bytes)
{
    enum status status = credentials_source_open(self->deps.environ_get, &self->source, errmsg,
                                                 errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    self->keys = secret_new(sizeof *self->keys);
    self->fetched = secret_new(sizeof *self->fetched);
    status = self->keys != NULL && self->fetched != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK && self->source.is_fixed) {
        enum s3_status fetched = credentials_source_fetch(&self->source, &self->deps.transport,
                                                          self->keys, errmsg, errmsg_bytes);
        self->keys->generation = 1;
        return fetched == S3_OK ? STATUS_OK : STATUS_INVALID;
    }
    if (status == STATUS_OK) {
        status = thread_start(&self->thread, "credentials", keep_fresh, self);
        self->has_thread = status == STATUS_OK;
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
    }
    return status;
}

enum status credentials_open(const struct credentials_deps *deps, struct credentials **out,
                             char *errmsg, size_t errmsg_bytes)
{
    struct credentials *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self == NULL) {
        struct s3_transport transport = deps->transport;
        s3_transport_close(&transport);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    self->deps = *deps;
    self->status = S3_NO_CREDENTIALS;
    init_locks(self);
    enum status status = start(self, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        credentials_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

void credentials_close(struct credentials *self)
{
    if (self == NULL) {
        return;
    }
    if (self->has_thread) {
        (void)pthread_mutex_lock(&self->lock);
        self->stopping = true;
        (void)pthread_cond_broadcast(&self->wake);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
    }
    s3_transport_close(&self->deps.transport);
    (void)pthread_cond_destroy(&self->done);
    (void)pthread_cond_destroy(&self->wake);
    (void)pthread_mutex_destroy(&self->lock);
    secret_free(self->fetched, sizeof *self->fetched);
    secret_free(self->keys, sizeof *self->keys);
    free(self);
}

/* ---- Asking --------------------------------------------------------------------------------- */

/* With the lock held. */
static bool is_usable(const struct credentials *self)
{
    return self->keys->generation != 0 && clock_wall_ms(self->deps.clock) < self->keys->expires_ms;
}

/* With the lock held. */
static bool has_newer(const struct credentials *self, uint64_t generation)
{
    return self->keys->generation != generation && is_usable(self);
}

enum s3_status credentials_get(struct credentials *self, struct credentials_keys *out)
{
    (void)pthread_mutex_lock(&self->lock);
    bool usable = is_usable(self);
    if (usable) {
        *out = *self->keys;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return usable ? S3_OK : S3_NO_CREDENTIALS;
}

enum s3_status credentials_refresh(struct credentials *self, uint64_t generation, char *errmsg,
                                   size_t errmsg_bytes)
{
    if (self->source.is_fixed) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "the credentials of the environment are refused, and there are no others");
        return S3_EXPIRED;
    }
    (void)pthread_mutex_lock(&self->lock);
    if (!has_newer(self, generation)) {
        uint64_t mine = ++self->asked;
        (void)pthread_cond_signal(&self->wake);
        while (self->answered < mine && !self->stopping) {
            (void)pthread_cond_wait(&self->done, &self->lock);
        }
    }
    enum s3_status status = S3_OK;
    if (!has_newer(self, generation)) {
        status = self->status != S3_OK ? self->status : S3_NO_CREDENTIALS;
        (void)snprintf(errmsg, errmsg_bytes, "%s", self->why);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return status;
}

int64_t credentials_left_ms(struct credentials *self)
{
    (void)pthread_mutex_lock(&self->lock);
    int64_t left_ms = 0;
    if (is_usable(self)) {
        left_ms = self->keys->expires_ms == INT64_MAX
                      ? INT64_MAX
                      : self->keys->expires_ms - clock_wall_ms(self->deps.clock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return left_ms;
}
