/*
 * The blocking client: take a connection, send, wait, and ask the policy what to do when that
 * fails.
 */
#include "client/blocking.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/policy.h"
#include "client/result.h"

enum { NS_PER_MS = 1000000 };
#define DEADLINE_MS_MAX UINT64_C(86400000000) /* 1000 days: keeps the sums far from overflow */

static _Thread_local char last_message[ATTEMPT_TEXT_BYTES];

const char *satchel_last_message(void)
{
    return last_message;
}

static void set_last_message(struct view text)
{
    size_t len = text.len < sizeof last_message ? text.len : sizeof last_message - 1;
    if (len != 0) {
        memmove(last_message, text.ptr, len); /* it may be the last message itself */
    }
    last_message[len] = '\0';
}

enum satchel_status satchel_open(const struct satchel_options *options, struct satchel **out)
{
    *out = NULL;
    struct satchel *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return SATCHEL_NO_MEMORY;
    }
    enum satchel_status status = settings_init(&self->settings, options);
    if (status != SATCHEL_OK) {
        free(self);
        return status;
    }
    if (pool_init(&self->pool, self->settings.connections_max) != STATUS_OK) {
        settings_free(&self->settings);
        free(self);
        return SATCHEL_NO_MEMORY;
    }
    resolver_init(&self->resolver);
    *out = self;
    return SATCHEL_OK;
}

void satchel_close(struct satchel *self)
{
    if (self == NULL) {
        return;
    }
    pool_close(&self->pool);
    resolver_close(&self->resolver);
    settings_free(&self->settings);
    free(self);
}

int64_t blocking_deadline_ns(const struct satchel *self, uint64_t deadline_ms)
{
    uint64_t wanted_ms = deadline_ms != 0 ? deadline_ms : self->settings.deadline_ms;
    if (wanted_ms > DEADLINE_MS_MAX) {
        wanted_ms = DEADLINE_MS_MAX;
    }
    return clock_mono_ns(&clock_system) + (int64_t)wanted_ms * NS_PER_MS;
}

static uint64_t left_ms(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - clock_mono_ns(&clock_system);
    return left_ns <= 0 ? 0 : (uint64_t)left_ns / NS_PER_MS;
}

static void pause_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* One attempt. On return the caller holds a place in the pool (and the connection, if any, in
 * `*channel`), unless the result is false. */
static bool attempt_once(struct satchel *self, const struct request *request, int64_t deadline_ns,
                         struct channel **channel, struct attempt *ended)
{
    *ended = (struct attempt){0};
    if (!pool_take(&self->pool, deadline_ns, channel)) {
        (void)attempt_fail(ended, SATCHEL_BUSY, "all %u connections of the client are in use",
                           self->pool.taken_max);
        return false;
    }
    if (*channel == NULL &&
        channel_open(&self->settings, &self->resolver, deadline_ns, channel, ended) != SATCHEL_OK) {
        return true;
    }
    channel_call(*channel, request, deadline_ns, ended);
    return true;
}

/* Gives the place back; a connection without an answer is not used again, since the answer might
 * still come. */
static void put_back(struct satchel *self, struct channel *channel, const struct attempt *ended)
{
    if (channel != NULL && !ended->has_reply) {
        channel_close(channel);
        channel = NULL;
    }
    pool_give(&self->pool, channel);
}

static struct view message_of(const struct native_reply *reply)
{
    bool is_silent_failure = reply->status != SATCHEL_OK && reply->message.len == 0;
    return is_silent_failure ? view_str(satchel_status_text_of(reply->status)) : reply->message;
}

enum satchel_status blocking_run(struct satchel *self, const struct request *request,
                                 int64_t deadline_ns, blocking_take_fn take, void *arg)
{
    enum satchel_status ambiguous = SATCHEL_OK;
    for (unsigned failures = 1;; failures++) {
        struct attempt ended;
        struct channel *channel = NULL;
        bool has_place = attempt_once(self, request, deadline_ns, &channel, &ended);
        int64_t wait_ms = policy_pause_ms(&(struct policy_case){
            .status = ended.status,
            .sent = ended.sent,
            .repeatable = request->is_repeatable,
            .failures = failures,
            .retry_after_ms = ended.retry_after_ms,
            .left_ms = left_ms(deadline_ns),
            .random = random_u64(),
        });
        enum satchel_status status = ended.status;
        if (wait_ms == POLICY_GIVE_UP) {
            status = policy_final_status(status, ambiguous);
            if (ended.has_reply) {
                set_last_message(message_of(&ended.event.reply));
                enum satchel_status taken = take(arg, &ended.event);
                status = taken != ended.status ? taken : status;
            } else {
                set_last_message(view_str(ended.text));
            }
        }
        if (has_place) {
            put_back(self, channel, &ended);
        }
        if (wait_ms == POLICY_GIVE_UP) {
            return status;
        }
        if (request->is_change && policy_is_ambiguous(ended.status, ended.sent)) {
            ambiguous = ended.status;
        }
        pause_ms(wait_ms);
    }
}

static enum satchel_status take_result(void *arg, const struct core_event *event)
{
    struct satchel_result *into = arg;
    if (into == NULL) {
        return event->reply.status;
    }
    struct satchel_result borrowed = result_borrow(event);
    enum satchel_status status = result_copy(into, &borrowed);
    return status == SATCHEL_OK ? event->reply.status : status;
}

static void leave_message(struct satchel_result *result)
{
    if (result != NULL) {
        struct satchel_result failed = {.message = satchel_text(last_message)};
        (void)result_copy(result, &failed); /* without memory there is no message either */
    }
}

enum satchel_status blocking_run_result(struct satchel *self, const struct request *request,
                                        int64_t deadline_ns, struct satchel_result *result)
{
    if (result != NULL) {
        satchel_result_free(result);
    }
    enum satchel_status status = blocking_run(self, request, deadline_ns, take_result, result);
    if (status != SATCHEL_OK && result != NULL && result->memory == NULL) {
        leave_message(result);
    }
    return status;
}

enum satchel_status blocking_refuse(enum satchel_status status, const char *why,
                                    struct satchel_result *result)
{
    set_last_message(view_str(why));
    leave_message(result);
    return status;
}
