/* One connection of the asynchronous client: a core, a socket and two events. */
#include "client/async.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/dial.h"

static bool is_dialing(const struct async_link *self)
{
    return self->client->link == self && self->client->phase == ASYNC_DIALING;
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void flush(struct async_link *self)
{
    if (!self->is_connected) {
        return;
    }
    struct view out;
    while ((out = core_output(&self->core)).len != 0) {
        ssize_t written = send(self->fd, out.ptr, out.len, MSG_NOSIGNAL);
        if (written >= 0) {
            core_output_written(&self->core, (size_t)written);
        } else if (errno == EAGAIN) {
            (void)event_add(self->writable, NULL);
            return;
        } else if (errno != EINTR) {
            /* The socket is readable now: reading will tell why, and may find answers first. */
            break;
        }
    }
    (void)event_del(self->writable);
}

void async_link_send(struct async_link *self)
{
    struct satchel_async *client = self->client;
    struct async_request *request;
    int64_t now_ns = clock_mono_ns(&clock_system);
    while (core_can_send(&self->core) && (request = TAILQ_FIRST(&client->waiting)) != NULL) {
        TAILQ_REMOVE(&client->waiting, request, entry);
        enum satchel_status status = core_send(
            &self->core,
            &(struct core_request){.opcode = request->wire.opcode,
                                   .flags = request->wire.flags,
                                   .body = request_body(&request->wire),
                                   .owner = request},
            &request->id, &request->end);
        if (status != SATCHEL_OK) {
            struct attempt ended = {0};
            (void)attempt_fail(&ended, status, "%s", satchel_status_text_of(status));
            async_attempt_ended(client, request, &ended);
            continue;
        }
        request->state = ASYNC_IN_FLIGHT;
        request->link = self;
        request->put_ns = now_ns;
        TAILQ_INSERT_TAIL(&self->in_flight, request, entry);
    }
    flush(self);
}

/* ---- Ending --------------------------------------------------------------------------------- */

static void link_free(struct async_link *self)
{
    if (self->readable != NULL) {
        event_free(self->readable);
    }
    if (self->writable != NULL) {
        event_free(self->writable);
    }
    (void)close(self->fd);
    core_free(&self->core);
    free(self);
}

/* Only when the link is about to go: frames in the output of one that lives on are still sent. */
static void return_unsent(struct async_link *self)
{
    struct async_request *request = TAILQ_LAST(&self->in_flight, async_list);
    while (request != NULL && !core_was_sent(&self->core, request->end)) {
        TAILQ_REMOVE(&self->in_flight, request, entry); /* they stand in the order of sending */
        async_wait_first(self->client, request);
        request = TAILQ_LAST(&self->in_flight, async_list);
    }
}

void async_link_close(struct async_link *self, enum satchel_status status, const char *text)
{
    struct satchel_async *client = self->client;
    bool was_dialing = is_dialing(self);
    bool was_current = client->link == self;
    return_unsent(self);
    if (was_current) {
        client->link = NULL;
    } else {
        TAILQ_REMOVE(&client->leaving, self, entry);
    }
    struct async_list broken = TAILQ_HEAD_INITIALIZER(broken);
    TAILQ_CONCAT(&broken, &self->in_flight, entry);
    bool was_of_use = self->has_answered;
    if (client->is_closing) {
        link_free(self);
        return;
    }
    if (was_dialing) {
        if (text != NULL) { /* otherwise the server's own words are there already */
            (void)attempt_fail(&client->not_connected, status, "cannot connect to %s: %s",
                               client->settings.server, text);
        }
    } else if (was_current) {
        (void)attempt_fail(&client->not_connected, SATCHEL_UNREACHABLE, "lost %s: %s",
                           client->settings.server, text);
    }
    link_free(self);
    if (was_dialing) {
        async_dial_failed(client);
    } else if (was_current) {
        async_dial_again(client, was_of_use);
    }
    struct attempt ended = {.sent = true};
    struct async_request *request;
    while ((request = TAILQ_FIRST(&broken)) != NULL) {
        TAILQ_REMOVE(&broken, request, entry);
        (void)attempt_fail(&ended, status, "the connection broke: %s", text);
        async_attempt_ended(client, request, &ended);
    }
}

/* ---- Receiving ------------------------------------------------------------------------------ */

static void on_replied(struct async_link *self, const struct core_event *event)
{
    struct async_request *request = event->owner;
    TAILQ_REMOVE(&self->in_flight, request, entry);
    self->has_answered = true;
    self->client->dial_failures = 0;
    struct attempt ended = {.status = event->reply.status,
                            .has_reply = true,
                            .sent = true,
                            .retry_after_ms = event->reply.retry_after_ms,
                            .event = *event};
    async_attempt_ended(self->client, request, &ended);
}

static void on_leaving(struct async_link *self)
{
    struct satchel_async *client = self->client;
    if (client->link == self) {
        client->link = NULL;
        TAILQ_INSERT_TAIL(&client->leaving, self, entry);
        (void)attempt_fail(&client->not_connected, SATCHEL_STOPPING, "%s is stopping",
                           client->settings.server);
        async_dial_again(client, self->has_answered);
    }
}

/* The server's parting words, or bytes that make no sense. */
static void on_failed(struct async_link *self, const struct core_event *event)
{
    enum satchel_status status = event->reply.status;
    if (is_dialing(self)) {
        (void)attempt_fail_greeting(&self->client->not_connected, self->client->settings.server,
                                    event);
        async_link_close(self, status, NULL);
        return;
    }
    char text[ATTEMPT_TEXT_BYTES];
    size_t len = event->reply.message.len < sizeof text ? event->reply.message.len : 0;
    if (len != 0) {
        memcpy(text, event->reply.message.ptr, len);
    }
    text[len] = '\0';
    async_link_close(self, status == SATCHEL_BAD_REPLY ? SATCHEL_BAD_REPLY : SATCHEL_DISCONNECTED,
                     len != 0 ? text : satchel_status_text_of(status));
}

/* False when the link is gone. */
static bool handle_events(struct async_link *self)
{
    struct core_event event;
    while (core_next(&self->core, &event) == STATUS_OK) {
        switch (event.kind) {
        case CORE_EVENT_OPENED:
            async_dial_succeeded(self->client);
            break;
        case CORE_EVENT_REPLIED:
            on_replied(self, &event);
            break;
        case CORE_EVENT_LEAVING:
            on_leaving(self);
            break;
        case CORE_EVENT_FAILED:
            on_failed(self, &event);
            return false;
        }
    }
    if (self->client->link == self) {
        async_link_send(self); /* answers may have made room */
    } else if (TAILQ_EMPTY(&self->in_flight)) {
        async_link_close(self, SATCHEL_OK, NULL);
        return false;
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct async_link *self = arg;
    uint8_t *at;
    size_t room;
    if (core_input_space(&self->core, &at, &room) != STATUS_OK) {
        async_link_close(self, SATCHEL_DISCONNECTED, "out of memory");
        return;
    }
    ssize_t got = recv(fd, at, room, 0);
    if (got > 0) {
        core_input_received(&self->core, (size_t)got);
        self->received_ns = clock_mono_ns(&clock_system);
        (void)handle_events(self);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        const char *text = attempt_errno_text(got == 0 ? EPIPE : errno);
        async_link_close(self, is_dialing(self) ? SATCHEL_UNREACHABLE : SATCHEL_DISCONNECTED, text);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct async_link *self = arg;
    if (!self->is_connected) {
        int error = dial_error(fd);
        if (error != 0) {
            async_link_close(self, SATCHEL_UNREACHABLE, attempt_errno_text(error));
            return;
        }
        self->is_connected = true;
    }
    flush(self);
}

struct async_link *async_link_open(struct satchel_async *client, int fd)
{
    struct async_link *self = calloc(1, sizeof *self);
    if (self == NULL) {
        (void)close(fd);
        return NULL;
    }
    self->client = client;
    self->fd = fd;
    TAILQ_INIT(&self->in_flight);
    self->readable = event_new(client->base, fd, EV_READ | EV_PERSIST, on_readable, self);
    self->writable = event_new(client->base, fd, EV_WRITE | EV_PERSIST, on_writable, self);
    struct core_greeting greeting = {.token = client->settings.token,
                                     .client_name = client->settings.client_name};
    /* A socket that is connecting counts as readable when it fails, so reading starts with the
     * rest: on_readable meets the same error as on_writable. */
    if (self->readable == NULL || self->writable == NULL ||
        core_init(&self->core, &greeting) != STATUS_OK || event_add(self->readable, NULL) != 0 ||
        event_add(self->writable, NULL) != 0) {
        link_free(self);
        return NULL;
    }
    return self;
}
