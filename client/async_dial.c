/*
 * Getting a connection: look the name up, try one address after the other, and pause between
 * rounds. Only done while somebody waits for it.
 *
 *     IDLE ──▶ RESOLVING ──▶ DIALING ──▶ OPEN
 *      ▲           │          │  ▲ next    │
 *      │           ▼          ▼  └ address │
 *      └────────── BACKOFF ◀──┴────────────┘ lost before it was of use
 */
#include "client/async.h"

#include <errno.h>

#include "base/random.h"
#include "client/dial.h"
#include "client/policy.h"

enum { RETRY_AFTER_MS_MAX = 60000 }; /* a server that asks for more is asked once a minute */

static void forget_job(struct satchel_async *self)
{
    if (self->resolved != NULL) {
        event_free(self->resolved);
        self->resolved = NULL;
    }
    resolve_release(self->job);
    self->job = NULL;
    self->address = NULL;
}

static void arm_dial_timer(struct satchel_async *self, uint64_t ms)
{
    struct timeval pause = async_ms(ms);
    (void)event_add(self->dial_timer, &pause); /* fails only for an event that is no event */
}

static void back_off(struct satchel_async *self)
{
    forget_job(self);
    self->phase = ASYNC_BACKOFF;
    self->dial_failures++;
    uint64_t asked_ms = self->not_connected.retry_after_ms;
    arm_dial_timer(self, (asked_ms < RETRY_AFTER_MS_MAX ? asked_ms : RETRY_AFTER_MS_MAX) +
                             policy_backoff_ms(self->dial_failures, random_u64()));
    if (satchel_status_retry_of(self->not_connected.status) == SATCHEL_RETRY_FINAL) {
        async_fail_waiting(self); /* a wrong token does not get better by waiting */
    }
}

/* Tries addresses until one of them is at least on its way. */
static void try_addresses(struct satchel_async *self)
{
    for (; self->address != NULL; self->address = self->address->ai_next) {
        int error;
        int fd = dial_start(self->address, &error);
        if (fd < 0) {
            (void)attempt_fail(&self->not_connected, SATCHEL_UNREACHABLE,
                               "cannot connect to %s: %s", self->settings.server,
                               attempt_errno_text(error));
            continue;
        }
        self->link = async_link_open(self, fd);
        if (self->link == NULL) {
            (void)attempt_fail(&self->not_connected, SATCHEL_UNREACHABLE,
                               "cannot connect to %s: out of memory", self->settings.server);
            continue;
        }
        self->phase = ASYNC_DIALING;
        arm_dial_timer(self, self->settings.connect_ms);
        return;
    }
    back_off(self);
}

static void use_addresses(struct satchel_async *self)
{
    const char *why = NULL;
    self->address = resolve_addresses(self->job, &why);
    if (self->address == NULL) {
        (void)attempt_fail(&self->not_connected, SATCHEL_UNREACHABLE, "cannot look up %s: %s",
                           self->settings.host, why);
    }
    try_addresses(self);
}

static void on_resolved(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct satchel_async *self = arg;
    event_free(self->resolved);
    self->resolved = NULL;
    use_addresses(self);
}

void async_dial(struct satchel_async *self)
{
    self->not_connected.retry_after_ms = 0;
    self->job = resolver_start(&self->resolver, self->settings.host, self->settings.port);
    if (self->job != NULL && resolve_is_done(self->job)) {
        use_addresses(self);
        return;
    }
    if (self->job != NULL) {
        (void)attempt_fail(&self->not_connected, SATCHEL_UNREACHABLE,
                           "cannot look up %s: no answer within the deadline", self->settings.host);
        self->resolved = event_new(self->base, resolve_done_fd(self->job), EV_READ, on_resolved,
                                   self);
        if (self->resolved != NULL && event_add(self->resolved, NULL) == 0) {
            self->phase = ASYNC_RESOLVING;
            return;
        }
    }
    (void)attempt_fail(&self->not_connected, SATCHEL_UNREACHABLE,
                       "cannot look up %s: out of memory", self->settings.host);
    back_off(self);
}

void async_dial_failed(struct satchel_async *self)
{
    (void)event_del(self->dial_timer);
    if (satchel_status_retry_of(self->not_connected.status) == SATCHEL_RETRY_FINAL) {
        back_off(self);
        return;
    }
    self->address = self->address->ai_next;
    try_addresses(self);
}

void async_dial_succeeded(struct satchel_async *self)
{
    (void)event_del(self->dial_timer);
    forget_job(self);
    self->phase = ASYNC_OPEN;
    self->not_connected.status = SATCHEL_OK;
}

void async_dial_again(struct satchel_async *self, bool was_of_use)
{
    if (!was_of_use) {
        /* Accepted and dropped again: without a pause this would be a busy loop. */
        back_off(self);
        return;
    }
    self->dial_failures = 0;
    self->phase = ASYNC_IDLE;
    if (!TAILQ_EMPTY(&self->waiting)) {
        async_kick(self);
    }
}

void async_on_dial_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct satchel_async *self = arg;
    if (self->phase == ASYNC_DIALING) {
        async_link_close(self->link, SATCHEL_UNREACHABLE,
                         self->link->is_connected ? "no answer to HELLO"
                                                  : attempt_errno_text(ETIMEDOUT));
    } else if (self->phase == ASYNC_BACKOFF) {
        self->phase = ASYNC_IDLE;
        if (!TAILQ_EMPTY(&self->waiting)) {
            async_dial(self);
        }
    }
}

void async_dial_stop(struct satchel_async *self)
{
    (void)event_del(self->dial_timer);
    forget_job(self);
}
