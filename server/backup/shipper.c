/* The shipper's thread, and what others learn about it. */
#include "backup/shipper.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backup/shipper_private.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"

enum { INTERVAL_MS_STANDARD = 1000, PAUSE_MS_MAX_STANDARD = 10000, NS_PER_MS = 1000000 };

#define METRIC_OWNER struct shipper_metrics
METRIC_TABLE(shipper_metrics, SHIPPER_METRICS)

/* ---- State ---------------------------------------------------------------------------------- */

const char *shipper_state_text(enum shipper_state state)
{
    static const char *const texts[] = {
#define X(name, label) #label,
        SHIPPER_STATE_TABLE(X)
#undef X
    };
    return texts[state];
}

static void set_state(struct shipper *self, enum shipper_state state)
{
    (void)pthread_mutex_lock(&self->lock);
    self->status.state = state;
    (void)pthread_mutex_unlock(&self->lock);
#define X(name, label) metric_set(&self->metrics.state_##label, state == SHIPPER_##name ? 1 : 0);
    SHIPPER_STATE_TABLE(X)
#undef X
}

static void set_error(struct shipper *self)
{
    (void)pthread_mutex_lock(&self->lock);
    memcpy(self->status.error, self->chain.errmsg, sizeof self->status.error);
    (void)pthread_mutex_unlock(&self->lock);
}

static void begin_failing(struct shipper *self)
{
    char why[2 * CHAIN_ERRMSG_BYTES];
    (void)pthread_mutex_lock(&self->lock);
    bool is_first = self->failing_since_ns == 0;
    if (is_first) {
        self->failing_since_ns = clock_mono_ns(self->deps.clock);
    }
    (void)pthread_mutex_unlock(&self->lock);
    set_state(self, SHIPPER_FAILING);
    if (is_first) {
        log_warn("backup: nothing can be shipped at the moment", "why=%s",
                 log_quoted(why, sizeof why, self->chain.errmsg));
    }
}

static void end_failing(struct shipper *self)
{
    (void)pthread_mutex_lock(&self->lock);
    int64_t since_ns = self->failing_since_ns;
    self->failing_since_ns = 0;
    (void)pthread_mutex_unlock(&self->lock);
    set_state(self, SHIPPER_SHIPPING);
    if (since_ns != 0) {
        log_info("backup: changes are shipped again", "after_s=%" PRId64,
                 (clock_mono_ns(self->deps.clock) - since_ns) / NS_PER_MS / 1000);
    }
}

static void end_for_good(struct shipper *self, enum chain_status why)
{
    char quoted[2 * CHAIN_ERRMSG_BYTES];
    const enum shipper_state state = why == CHAIN_FENCED ? SHIPPER_FENCED : SHIPPER_REFUSED;
    set_state(self, state);
    log_error(state == SHIPPER_FENCED ? "backup: another process has taken over"
                                      : "backup: this archive cannot be used",
              "why=%s", log_quoted(quoted, sizeof quoted, self->chain.errmsg));
    self->deps.events.ended(self->deps.events.arg, state, self->chain.errmsg);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static bool is_stopping(struct shipper *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool stopping = self->is_stopping;
    (void)pthread_mutex_unlock(&self->lock);
    return stopping;
}

/* Waits until the next second, counted from the beginning of this round, or a MiB. */
static void wait_for_next(struct shipper *self, int64_t begin_ns)
{
    int64_t left_ns = (int64_t)self->options.interval_ms * NS_PER_MS -
                      (clock_mono_ns(self->deps.clock) - begin_ns);
    if (left_ns > 0) {
        feed_wait(self->deps.feed, (uint64_t)left_ns / NS_PER_MS + 1);
    }
}

/* Waits after a failure, longer each time; who is stopping has no time to lose. */
static void wait_after_failure(struct shipper *self, uint64_t *pause_ms)
{
    const uint64_t first_ms = self->options.interval_ms;
    feed_pause(self->deps.feed, is_stopping(self) ? first_ms : *pause_ms);
    *pause_ms = *pause_ms * 2 < self->options.pause_ms_max ? *pause_ms * 2
                                                           : self->options.pause_ms_max;
}

static void *run(void *arg)
{
    struct shipper *self = arg;
    uint64_t pause_ms = self->options.interval_ms;
    bool has_ended = false;
    while (!has_ended && !stop_requested(self->deps.stop)) {
        enum chain_status why;
        const int64_t begin_ns = clock_mono_ns(self->deps.clock);
        const bool was_stopping = is_stopping(self);
        enum shipper_round round = shipper_round(self, &why);
        if (why != CHAIN_OK) {
            metric_add(&self->metrics.failures, 1);
            set_error(self);
        }
        switch (round) {
        case ROUND_IDLE:
        case ROUND_SHIPPED:
            end_failing(self);
            pause_ms = self->options.interval_ms;
            has_ended = was_stopping && round == ROUND_IDLE;
            if (!is_stopping(self)) {
                wait_for_next(self, begin_ns);
            }
            break;
        case ROUND_FAILED:
            if (!stop_requested(self->deps.stop)) { /* else that is why */
                begin_failing(self);
            }
            wait_after_failure(self, &pause_ms);
            break;
        case ROUND_ENDED:
            end_for_good(self, why);
            has_ended = true;
            break;
        }
    }
    (void)pthread_mutex_lock(&self->lock);
    self->has_ended = true;
    (void)pthread_cond_broadcast(&self->ended);
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- Opening and stopping ------------------------------------------------------------------- */

static void init_locks(struct shipper *self)
{
    pthread_condattr_t monotonic;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->ended, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

enum status shipper_open(const struct shipper_options *options, const struct shipper_deps *deps,
                         struct shipper **out)
{
    struct shipper *self = calloc(1, sizeof *self);
    *out = NULL;
    if (self == NULL) {
        return STATUS_NO_MEMORY;
    }
    self->options = *options;
    if (self->options.interval_ms == 0) {
        self->options.interval_ms = INTERVAL_MS_STANDARD;
    }
    if (self->options.pause_ms_max == 0) {
        self->options.pause_ms_max = PAUSE_MS_MAX_STANDARD;
    }
    self->deps = *deps;
    self->told_gap_seq = UINT64_MAX;
    struct chain_options for_chain = {.epoch = options->epoch,
                                      .store_lsn = options->store_lsn,
                                      .is_single_writer = options->is_single_writer,
                                      .stale_ms = options->stale_ms};
    memcpy(for_chain.uuid, options->uuid, sizeof for_chain.uuid);
    random_bytes(for_chain.nonce, sizeof for_chain.nonce);
    chain_init(&self->chain, deps->s3, &for_chain, deps->clock);
    init_locks(self);
    set_state(self, SHIPPER_STARTING);
    enum status status = thread_start(&self->thread, "shipper", run, self);
    if (status != STATUS_OK) {
        shipper_close(self);
        return status;
    }
    *out = self;
    return STATUS_OK;
}

/* False: not within `ms`. */
static bool wait_for_end(struct shipper *self, uint64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + ms % 1000 * NS_PER_MS;
    until.tv_sec += (time_t)(ms / 1000 + ns / (1000 * (uint64_t)NS_PER_MS));
    until.tv_nsec = (long)(ns % (1000 * (uint64_t)NS_PER_MS));
    (void)pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    (void)pthread_mutex_unlock(&self->lock);
    feed_wake(self->deps.feed);
    (void)pthread_mutex_lock(&self->lock);
    int error = 0;
    while (!self->has_ended && error == 0) {
        error = pthread_cond_timedwait(&self->ended, &self->lock, &until);
    }
    bool has_ended = self->has_ended;
    (void)pthread_mutex_unlock(&self->lock);
    return has_ended;
}

enum status shipper_stop(struct shipper *self, uint64_t ms)
{
    if (!wait_for_end(self, ms)) {
        stop_request(self->deps.stop);
        feed_wake(self->deps.feed);
    }
    (void)pthread_join(self->thread, NULL);
    bool is_shipped = self->unshipped_ms == 0 && feed_oldest_ms(self->deps.feed) == 0;
    if (self->status.state != SHIPPER_FENCED && self->status.state != SHIPPER_REFUSED) {
        set_state(self, SHIPPER_STOPPED);
    }
    return is_shipped ? STATUS_OK : STATUS_AGAIN;
}

void shipper_close(struct shipper *self)
{
    if (self == NULL) {
        return;
    }
    feed_return(self->deps.feed, &self->taken);
    chain_close(&self->chain);
    (void)pthread_cond_destroy(&self->ended);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

/* ---- For others ----------------------------------------------------------------------------- */

bool shipper_position(struct shipper *self, struct shipper_position *out)
{
    (void)pthread_mutex_lock(&self->lock);
    *out = self->status.position;
    bool is_known = self->is_known;
    (void)pthread_mutex_unlock(&self->lock);
    return is_known;
}

void shipper_note_snapshot(struct shipper *self, uint64_t next_seq)
{
    (void)pthread_mutex_lock(&self->lock);
    if (next_seq > self->covered_seq) {
        self->covered_seq = next_seq;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

void shipper_status(struct shipper *self, struct shipper_status *out)
{
    const int64_t now_ns = clock_mono_ns(self->deps.clock);
    const int64_t now_ms = clock_wall_ms(self->deps.clock);
    /* In this order, since changes go from the feed to the shipper. */
    const uint64_t waiting_ms = feed_oldest_ms(self->deps.feed);
    (void)pthread_mutex_lock(&self->lock);
    const uint64_t oldest_ms = self->unshipped_ms != 0 ? self->unshipped_ms : waiting_ms;
    *out = self->status;
    out->is_shipped = self->is_known && oldest_ms == 0;
    if (oldest_ms != 0 && now_ms > (int64_t)oldest_ms) {
        out->lag_ms = (uint64_t)now_ms - oldest_ms;
    }
    if (self->failing_since_ns != 0 && now_ns > self->failing_since_ns) {
        out->failing_ms = (uint64_t)(now_ns - self->failing_since_ns) / NS_PER_MS;
    }
    (void)pthread_mutex_unlock(&self->lock);
}

static void refresh_metrics(void *arg)
{
    struct shipper *self = arg;
    struct shipper_status status;
    shipper_status(self, &status);
    metric_set(&self->metrics.lag_seconds, (int64_t)(status.lag_ms / 1000));
}

enum status shipper_register_metrics(struct shipper *self, struct metric_registry *registry)
{
    return metric_register(registry, (struct metric_set){.table = &shipper_metrics_table,
                                                         .values = &self->metrics,
                                                         .refresh = refresh_metrics,
                                                         .refresh_arg = self});
}
