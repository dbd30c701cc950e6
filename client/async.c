/* The asynchronous client: its life, and the lives of its requests. */
#include "client/async.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/policy.h"

/* ---- Time ----------------------------------------------------------------------------------- */

struct timeval async_until(int64_t at_ns)
{
    int64_t left_ns = at_ns - clock_mono_ns(&clock_system);
    int64_t left_us = left_ns <= 0 ? 0 : (left_ns + 999) / 1000;
    return (struct timeval){.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
}

struct timeval async_ms(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

/* Arms the timer for the first entry, unless it fires early enough anyway: a timer that fires for
 * nothing costs less than one that is moved with each request. */
static void arm_due_timer(struct satchel_async *self)
{
    struct due_entry *first = due_first(&self->due);
    if (first == NULL || first->at_ns >= self->due_timer_ns) {
        return;
    }
    struct timeval left = async_until(first->at_ns);
    if (event_add(self->due_timer, &left) == 0) {
        self->due_timer_ns = first->at_ns;
    }
}

static struct async_request *request_of(struct due_entry *entry)
{
    return (struct async_request *)(void *)((char *)entry - offsetof(struct async_request, due));
}

/* ---- The end of a request ------------------------------------------------------------------- */

static void request_done(struct satchel_async *self, struct async_request *request,
                         enum satchel_status status, const struct satchel_result *result)
{
    due_remove(&self->due, &request->due);
    self->request_count--;
    self->request_bytes -= request->wire.frame.len;
    request->done(request->arg, status, result);
    request_free(&request->wire);
    free(request);
}

static void request_done_text(struct satchel_async *self, struct async_request *request,
                              enum satchel_status status, const char *text)
{
    struct satchel_result result = {.message = {.ptr = text, .len = strlen(text)}};
    request_done(self, request, policy_final_status(status, request->ambiguous), &result);
}

static uint64_t left_ms(const struct async_request *request)
{
    int64_t left_ns = request->deadline_ns - clock_mono_ns(&clock_system);
    return left_ns <= 0 ? 0 : (uint64_t)(left_ns / ASYNC_NS_PER_MS);
}

void async_attempt_ended(struct satchel_async *self, struct async_request *request,
                         const struct attempt *ended)
{
    request->link = NULL;
    int64_t wait_ms = policy_pause_ms(&(struct policy_case){
        .status = ended->status,
        .sent = ended->sent,
        .repeatable = request->wire.is_repeatable,
        .failures = ++request->failures,
        .retry_after_ms = ended->retry_after_ms,
        .left_ms = left_ms(request),
        .random = random_u64(),
    });
    if (wait_ms != POLICY_GIVE_UP && !self->is_closing) {
        if (request->wire.is_change && policy_is_ambiguous(ended->status, ended->sent)) {
            request->ambiguous = ended->status;
        }
        request->state = ASYNC_PAUSED;
        TAILQ_INSERT_TAIL(&self->paused, request, entry);
        due_move(&self->due, &request->due,
                 clock_mono_ns(&clock_system) + wait_ms * ASYNC_NS_PER_MS);
        arm_due_timer(self);
    } else if (ended->has_reply) {
        struct satchel_result result = result_borrow(&ended->event);
        request_done(self, request, policy_final_status(ended->status, request->ambiguous),
                     &result);
    } else {
        request_done_text(self, request, ended->status, ended->text);
    }
}

void async_wait_first(struct satchel_async *self, struct async_request *request)
{
    request->link = NULL;
    request->state = ASYNC_WAITING;
    TAILQ_INSERT_HEAD(&self->waiting, request, entry);
}

static void fail_unsent(struct satchel_async *self, struct async_request *request)
{
    const struct attempt *why = &self->not_connected;
    if (self->phase == ASYNC_OPEN) {
        request_done_text(self, request, SATCHEL_BUSY, "too many requests are unanswered");
    } else if (why->status == SATCHEL_OK) {
        request_done_text(self, request, SATCHEL_UNREACHABLE, "still connecting at the deadline");
    } else {
        request_done_text(self, request, why->status, why->text);
    }
}

void async_fail_waiting(struct satchel_async *self)
{
    /* Only those of now: a callback that asks again goes through the usual way. */
    struct async_list failing = TAILQ_HEAD_INITIALIZER(failing);
    TAILQ_CONCAT(&failing, &self->waiting, entry);
    struct async_request *request;
    while ((request = TAILQ_FIRST(&failing)) != NULL) {
        TAILQ_REMOVE(&failing, request, entry);
        fail_unsent(self, request);
    }
}

/* ---- Deadlines and pauses ------------------------------------------------------------------- */

static void deadline_in_flight(struct satchel_async *self, struct async_request *request,
                               int64_t now_ns)
{
    struct async_link *link = request->link;
    TAILQ_REMOVE(&link->in_flight, request, entry);
    core_abandon(&link->core, request->id);
    int64_t heard_ns = link->received_ns > request->put_ns ? link->received_ns : request->put_ns;
    bool is_silent = now_ns - heard_ns >= (int64_t)self->settings.deadline_ms * ASYNC_NS_PER_MS / 2;
    request_done_text(self, request, SATCHEL_TIMED_OUT, "no answer within the deadline");
    if (is_silent) {
        /* Not one late answer but none at all: a fresh connection may reach a living server. */
        async_link_close(link, SATCHEL_DISCONNECTED, "the server no longer answers");
    }
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct satchel_async *self = arg;
    self->due_timer_ns = INT64_MAX;
    int64_t now_ns = clock_mono_ns(&clock_system);
    struct due_entry *first;
    while ((first = due_first(&self->due)) != NULL && first->at_ns <= now_ns) {
        struct async_request *request = request_of(first);
        switch (request->state) {
        case ASYNC_PAUSED:
            TAILQ_REMOVE(&self->paused, request, entry);
            request->state = ASYNC_WAITING;
            TAILQ_INSERT_TAIL(&self->waiting, request, entry);
            due_move(&self->due, &request->due, request->deadline_ns);
            async_kick(self);
            break;
        case ASYNC_WAITING:
            TAILQ_REMOVE(&self->waiting, request, entry);
            fail_unsent(self, request);
            break;
        case ASYNC_IN_FLIGHT:
            deadline_in_flight(self, request, now_ns);
            break;
        case ASYNC_REFUSED: /* is not in the heap */
            break;
        }
    }
    arm_due_timer(self);
}

/* ---- The beginning of a request ------------------------------------------------------------- */

void async_kick(struct satchel_async *self)
{
    event_active(self->kick, EV_TIMEOUT, 0);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct satchel_async *self = arg;
    struct async_list refused = TAILQ_HEAD_INITIALIZER(refused);
    TAILQ_CONCAT(&refused, &self->refused, entry);
    struct async_request *request;
    while ((request = TAILQ_FIRST(&refused)) != NULL) {
        TAILQ_REMOVE(&refused, request, entry);
        request_done_text(self, request, request->refused, request->why);
    }
    if (self->phase == ASYNC_OPEN) {
        async_link_send(self->link);
    } else if (self->phase == ASYNC_IDLE && !TAILQ_EMPTY(&self->waiting)) {
        async_dial(self);
    }
}

static void refuse(struct async_request *request, enum satchel_status status, const char *why)
{
    request->refused = status;
    request->why = why;
}

void async_submit(struct satchel_async *self, struct async_request *request)
{
    uint64_t deadline_ms = request->wire.deadline_ms;
    if (deadline_ms == 0) {
        deadline_ms = self->settings.deadline_ms;
    }
    if (deadline_ms > SATCHEL_TTL_MS_MAX) {
        deadline_ms = SATCHEL_TTL_MS_MAX;
    }
    request->deadline_ns = clock_mono_ns(&clock_system) + (int64_t)deadline_ms * ASYNC_NS_PER_MS;
    if (self->is_closing) {
        refuse(request, SATCHEL_CLOSED, "the client is being closed");
    } else if (request->refused == SATCHEL_OK &&
               (self->request_count >= ASYNC_REQUESTS_MAX ||
                self->request_bytes + request->wire.frame.len > ASYNC_BYTES_MAX)) {
        refuse(request, SATCHEL_BUSY, "too many requests are unanswered");
    }
    if (request->refused == SATCHEL_OK &&
        due_add(&self->due, &request->due, request->deadline_ns) != STATUS_OK) {
        refuse(request, SATCHEL_NO_MEMORY, "out of memory");
    }
    self->request_count++;
    self->request_bytes += request->wire.frame.len;
    if (self->is_closing) {
        request_done_text(self, request, request->refused, request->why);
        return;
    }
    if (request->refused != SATCHEL_OK) {
        request->state = ASYNC_REFUSED;
        TAILQ_INSERT_TAIL(&self->refused, request, entry);
    } else {
        request->state = ASYNC_WAITING;
        TAILQ_INSERT_TAIL(&self->waiting, request, entry);
        arm_due_timer(self);
    }
    async_kick(self);
}

/* ---- The client ----------------------------------------------------------------------------- */

static void free_event(struct event *event)
{
    if (event != NULL) {
        event_free(event);
    }
}

static void client_free(struct satchel_async *self)
{
    free_event(self->due_timer);
    free_event(self->kick);
    free_event(self->dial_timer);
    due_free(&self->due);
    resolver_close(&self->resolver);
    settings_free(&self->settings);
    free(self);
}

enum satchel_status satchel_async_open(struct event_base *base,
                                       const struct satchel_options *options,
                                       struct satchel_async **out)
{
    *out = NULL;
    struct satchel_async *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return SATCHEL_NO_MEMORY;
    }
    enum satchel_status status = settings_init(&self->settings, options);
    if (status != SATCHEL_OK) {
        free(self);
        return status;
    }
    resolver_init(&self->resolver);
    self->base = base;
    self->due_timer_ns = INT64_MAX;
    TAILQ_INIT(&self->waiting);
    TAILQ_INIT(&self->paused);
    TAILQ_INIT(&self->refused);
    TAILQ_INIT(&self->leaving);
    self->due_timer = event_new(base, -1, 0, on_due, self);
    self->kick = event_new(base, -1, 0, on_kick, self);
    self->dial_timer = event_new(base, -1, 0, async_on_dial_timer, self);
    if (self->due_timer == NULL || self->kick == NULL || self->dial_timer == NULL) {
        client_free(self);
        return SATCHEL_NO_MEMORY;
    }
    *out = self;
    return SATCHEL_OK;
}

static void answer_closed(struct satchel_async *self, struct async_list *list)
{
    struct async_request *request;
    while ((request = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, request, entry);
        request_done_text(self, request, SATCHEL_CLOSED, "the client is closed");
    }
}

void satchel_async_close(struct satchel_async *self)
{
    if (self == NULL) {
        return;
    }
    self->is_closing = true;
    async_dial_stop(self);
    struct async_link *link;
    while ((link = TAILQ_FIRST(&self->leaving)) != NULL || (link = self->link) != NULL) {
        answer_closed(self, &link->in_flight);
        async_link_close(link, SATCHEL_OK, NULL);
    }
    answer_closed(self, &self->waiting);
    answer_closed(self, &self->paused);
    answer_closed(self, &self->refused);
    client_free(self);
}
