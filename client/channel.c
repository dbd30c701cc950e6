/* One blocking connection. */
#include "client/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/dial.h"

enum { NS_PER_MS = 1000000 };

/* ---- Waiting and moving bytes --------------------------------------------------------------- */

/* Waits until `fd` is ready for `events`; false at the deadline. Errors count as ready: the next
 * call on the socket tells which. */
static bool wait_ready(int fd, short events, int64_t deadline_ns)
{
    for (;;) {
        int64_t left_ns = deadline_ns - clock_mono_ns(&clock_system);
        int64_t left_ms = left_ns <= 0 ? 0 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
        struct pollfd wanted = {.fd = fd, .events = events};
        int ready = poll(&wanted, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready > 0) {
            return true;
        }
        if (left_ms == 0 || (ready < 0 && errno != EINTR)) {
            return false;
        }
    }
}

/* Writes what is in the output, as far as the socket takes it now. 0 or an errno value. */
static int push_output(struct channel *self)
{
    for (;;) {
        struct view out = core_output(&self->core);
        if (out.len == 0) {
            return 0;
        }
        ssize_t written = send(self->fd, out.ptr, out.len, MSG_NOSIGNAL);
        if (written >= 0) {
            core_output_written(&self->core, (size_t)written);
        } else if (errno == EAGAIN) {
            return 0;
        } else if (errno != EINTR) {
            return errno;
        }
    }
}

enum pull { PULL_SOME, PULL_NOTHING, PULL_END, PULL_ERROR };

/* Receives once, without waiting. */
static enum pull pull_input(struct channel *self)
{
    uint8_t *at;
    size_t room;
    if (core_input_space(&self->core, &at, &room) != STATUS_OK) {
        errno = ENOMEM;
        return PULL_ERROR;
    }
    ssize_t got;
    do {
        got = recv(self->fd, at, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN ? PULL_NOTHING : PULL_ERROR;
    }
    core_input_received(&self->core, (size_t)got);
    return got == 0 ? PULL_END : PULL_SOME;
}

/* Moves bytes until there is an event; false when there will be none: ended->status is TIMED_OUT or
 * DISCONNECTED. */
static bool next_event(struct channel *self, int64_t deadline_ns, struct attempt *ended)
{
    for (;;) {
        if (core_next(&self->core, &ended->event) == STATUS_OK) {
            return true;
        }
        int error = push_output(self);
        if (error == 0) {
            bool is_writing = core_output(&self->core).len != 0;
            if (!wait_ready(self->fd, is_writing ? POLLIN | POLLOUT : POLLIN, deadline_ns)) {
                (void)attempt_fail(ended, SATCHEL_TIMED_OUT, "no answer within the deadline");
                return false;
            }
        }
        /* After a failed write the reason may still be waiting to be read. */
        enum pull pulled = pull_input(self);
        if (pulled == PULL_END || pulled == PULL_ERROR || (error != 0 && pulled == PULL_NOTHING)) {
            (void)attempt_fail(ended, SATCHEL_DISCONNECTED, "the connection broke: %s",
                               attempt_errno_text(pulled == PULL_ERROR ? errno : EPIPE));
            return false;
        }
    }
}

/* ---- Opening -------------------------------------------------------------------------------- */

static int connect_socket(const struct addrinfo *address, int64_t deadline_ns, int *error)
{
    int fd = dial_start(address, error);
    if (fd >= 0 && *error == EINPROGRESS) {
        *error = wait_ready(fd, POLLOUT, deadline_ns) ? dial_error(fd) : ETIMEDOUT;
    }
    if (fd >= 0 && *error != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static enum satchel_status greet(struct channel *self, const struct settings *settings,
                                 int64_t deadline_ns, struct attempt *ended)
{
    if (!next_event(self, deadline_ns, ended)) {
        return attempt_fail(
            ended, SATCHEL_UNREACHABLE, "cannot connect to %s: %s", settings->server,
            ended->status == SATCHEL_TIMED_OUT ? "no answer to HELLO" : "closed during HELLO");
    }
    if (ended->event.kind != CORE_EVENT_OPENED) {
        return attempt_fail_greeting(ended, settings->server, &ended->event);
    }
    return SATCHEL_OK;
}

static enum satchel_status open_address(const struct settings *settings,
                                        const struct addrinfo *address, int64_t deadline_ns,
                                        struct channel **out, struct attempt *ended)
{
    int error;
    int fd = connect_socket(address, deadline_ns, &error);
    if (fd < 0) {
        return attempt_fail(ended, SATCHEL_UNREACHABLE, "cannot connect to %s: %s",
                            settings->server, attempt_errno_text(error));
    }
    struct channel *self = calloc(1, sizeof *self);
    struct core_greeting greeting = {.token = settings->token,
                                     .client_name = settings->client_name};
    if (self == NULL || core_init(&self->core, &greeting) != STATUS_OK) {
        free(self);
        (void)close(fd);
        return attempt_fail(ended, SATCHEL_NO_MEMORY, "out of memory");
    }
    self->fd = fd;
    enum satchel_status status = greet(self, settings, deadline_ns, ended);
    if (status != SATCHEL_OK) {
        channel_close(self);
        return status;
    }
    *out = self;
    return SATCHEL_OK;
}

static enum satchel_status open_any(const struct settings *settings,
                                    const struct addrinfo *addresses, int64_t deadline_ns,
                                    struct channel **out, struct attempt *ended)
{
    enum satchel_status status = SATCHEL_UNREACHABLE;
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        int64_t now_ns = clock_mono_ns(&clock_system);
        int64_t attempt_ns = now_ns + (int64_t)settings->connect_ms * NS_PER_MS;
        status = open_address(settings, at, attempt_ns < deadline_ns ? attempt_ns : deadline_ns,
                              out, ended);
        if (status == SATCHEL_OK || satchel_status_retry_of(status) == SATCHEL_RETRY_FINAL ||
            clock_mono_ns(&clock_system) >= deadline_ns) {
            break;
        }
    }
    return status;
}

enum satchel_status channel_open(const struct settings *settings, struct resolver *resolver,
                                 int64_t deadline_ns, struct channel **out, struct attempt *ended)
{
    struct resolve_job *job = resolver_start(resolver, settings->host, settings->port);
    if (job == NULL) {
        return attempt_fail(ended, SATCHEL_NO_MEMORY, "cannot look up %s: out of memory",
                            settings->host);
    }
    enum satchel_status status;
    const char *why;
    const struct addrinfo *addresses = NULL;
    if (!wait_ready(resolve_done_fd(job), POLLIN, deadline_ns)) {
        status = attempt_fail(ended, SATCHEL_UNREACHABLE,
                              "cannot look up %s: no answer within the deadline", settings->host);
    } else if ((addresses = resolve_addresses(job, &why)) == NULL) {
        status = attempt_fail(ended, SATCHEL_UNREACHABLE, "cannot look up %s: %s", settings->host,
                              why);
    } else {
        status = open_any(settings, addresses, deadline_ns, out, ended);
    }
    resolve_release(job);
    return status;
}

void channel_close(struct channel *self)
{
    (void)close(self->fd); /* nothing that matters is unwritten: answers were received */
    core_free(&self->core);
    free(self);
}

/* ---- Using ---------------------------------------------------------------------------------- */

bool channel_is_usable(struct channel *self)
{
    /* Nothing is outstanding, so anything that arrives ends the connection: GOAWAY, the end of the
     * stream, or nonsense. */
    struct core_event event;
    return core_can_send(&self->core) && core_output(&self->core).len == 0 &&
           core_next(&self->core, &event) == STATUS_AGAIN && pull_input(self) == PULL_NOTHING;
}

static enum satchel_status end_without_reply(struct attempt *ended)
{
    /* The server's parting words, or bytes that make no sense: the request was not answered. */
    const struct native_reply *reply = &ended->event.reply;
    enum satchel_status status = reply->status == SATCHEL_BAD_REPLY ? SATCHEL_BAD_REPLY
                                                                    : SATCHEL_DISCONNECTED;
    struct view said = reply->message.len != 0 && reply->message.len < ATTEMPT_TEXT_BYTES
                           ? reply->message
                           : view_str(satchel_status_text_of(reply->status));
    return attempt_fail(ended, status, "the connection ended: %.*s", (int)said.len,
                        (const char *)said.ptr);
}

void channel_call(struct channel *self, const struct request *request, int64_t deadline_ns,
                  struct attempt *ended)
{
    uint64_t id;
    uint64_t end;
    *ended = (struct attempt){0};
    enum satchel_status status = core_send(&self->core,
                                           &(struct core_request){.opcode = request->opcode,
                                                                  .flags = request->flags,
                                                                  .body = request_body(request),
                                                                  .owner = self},
                                           &id, &end);
    if (status != SATCHEL_OK) {
        (void)attempt_fail(ended, status, "%s", satchel_status_text_of(status));
        return;
    }
    while (next_event(self, deadline_ns, ended)) {
        switch (ended->event.kind) {
        case CORE_EVENT_REPLIED:
            ended->has_reply = true;
            ended->sent = true;
            ended->status = ended->event.reply.status;
            ended->retry_after_ms = ended->event.reply.retry_after_ms;
            return;
        case CORE_EVENT_FAILED:
            ended->sent = core_was_sent(&self->core, end);
            ended->retry_after_ms = ended->event.reply.retry_after_ms;
            (void)end_without_reply(ended);
            return;
        case CORE_EVENT_LEAVING: /* this request will still be answered */
        case CORE_EVENT_OPENED:
            break;
        }
    }
    ended->sent = core_was_sent(&self->core, end);
}
