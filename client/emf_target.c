/* Where lines go. */
#include "client/emf_target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "client/dial.h"
#include "client/policy.h"

enum { CONNECT_MS = 2000 };

static const int64_t ns_of_ms = 1000000;

enum status emf_target_init(struct emf_target *self, const struct emf_settings *settings)
{
    *self = (struct emf_target){
        .kind = settings->target, .fd = -1, .host = settings->host, .port = settings->port};
    if (self->kind == EMF_TARGET_FD) {
        self->fd = fcntl(settings->fd, F_DUPFD_CLOEXEC, 3);
        if (self->fd < 0) {
            return STATUS_NO_MEMORY;
        }
    }
    resolver_init(&self->resolver);
    return STATUS_OK;
}

void emf_target_close(struct emf_target *self)
{
    if (self->fd >= 0) {
        (void)close(self->fd); /* nothing is left in it that closing could lose */
    }
    resolve_release(self->job);
    resolver_close(&self->resolver);
}

static enum status wait_for(struct emf_wait *wait, int fd, short events, int64_t until_ns)
{
    *wait = (struct emf_wait){.poll = {.fd = fd, .events = events}, .until_ns = until_ns};
    return STATUS_AGAIN;
}

/* ---- A descriptor ---------------------------------------------------------------------------- */

static enum status write_fd(struct emf_target *self, struct view line, struct emf_wait *wait)
{
    struct pollfd room = {.fd = self->fd, .events = POLLOUT};
    if (poll(&room, 1, 0) == 0) {
        return wait_for(wait, self->fd, POLLOUT, INT64_MAX);
    }
    ssize_t written = write(self->fd, line.ptr + self->sent, line.len - self->sent);
    if (written < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return wait_for(wait, self->fd, POLLOUT, INT64_MAX);
        }
        self->sent = 0;
        return STATUS_IO; /* the reader is gone, or the disk is full */
    }
    self->sent += (size_t)written;
    if (self->sent < line.len) {
        return wait_for(wait, self->fd, POLLOUT, INT64_MAX);
    }
    self->sent = 0;
    return STATUS_OK;
}

/* ---- An agent -------------------------------------------------------------------------------- */

static void hang_up(struct emf_target *self)
{
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    self->fd = -1;
    self->is_connected = false;
    self->sent = 0;
}

/* Pauses, longer each time, before the name is looked up anew. */
static enum status give_up_for_now(struct emf_target *self, int64_t now_ns, struct emf_wait *wait)
{
    hang_up(self);
    resolve_release(self->job);
    self->job = NULL;
    self->try = NULL;
    self->failures++;
    self->retry_ns = now_ns + (int64_t)policy_backoff_ms(self->failures, random_u64()) * ns_of_ms;
    return wait_for(wait, -1, 0, self->retry_ns);
}

/* Starts with the address `try` or one behind it. AGAIN: on its way. */
static enum status dial(struct emf_target *self, int64_t now_ns, struct emf_wait *wait)
{
    hang_up(self);
    for (; self->try != NULL; self->try = self->try->ai_next) {
        int error = 0;
        self->fd = dial_start(self->try, &error);
        if (self->fd >= 0) {
            self->connect_by_ns = now_ns + CONNECT_MS * ns_of_ms;
            return wait_for(wait, self->fd, POLLOUT, self->connect_by_ns);
        }
    }
    return give_up_for_now(self, now_ns, wait);
}

static enum status look_up(struct emf_target *self, int64_t now_ns, struct emf_wait *wait)
{
    if (now_ns < self->retry_ns) {
        return wait_for(wait, -1, 0, self->retry_ns);
    }
    if (self->job == NULL) {
        self->job = resolver_start(&self->resolver, self->host, self->port);
        if (self->job == NULL) {
            return give_up_for_now(self, now_ns, wait);
        }
    }
    if (!resolve_is_done(self->job)) {
        return wait_for(wait, resolve_done_fd(self->job), POLLIN, INT64_MAX);
    }
    const char *why = NULL;
    self->try = resolve_addresses(self->job, &why);
    return dial(self, now_ns, wait);
}

/* OK: connected. */
static enum status finish_dialling(struct emf_target *self, int64_t now_ns, struct emf_wait *wait)
{
    struct pollfd ready = {.fd = self->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 0) {
        if (now_ns < self->connect_by_ns) {
            return wait_for(wait, self->fd, POLLOUT, self->connect_by_ns);
        }
    } else if (dial_error(self->fd) == 0) {
        self->is_connected = true;
        return STATUS_OK;
    }
    self->try = self->try->ai_next;
    return dial(self, now_ns, wait);
}

/* An agent never sends anything: something to read is its end. Seen before a line is sent, it does
 * not take that line with it. */
static bool has_hung_up(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&ready, 1, 0) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static enum status write_agent(struct emf_target *self, struct view line, int64_t now_ns,
                               struct emf_wait *wait)
{
    if (self->is_connected && self->sent == 0 && has_hung_up(self->fd)) {
        hang_up(self);
    }
    enum status status = STATUS_OK;
    if (self->fd < 0) {
        status = look_up(self, now_ns, wait);
    } else if (!self->is_connected) {
        status = finish_dialling(self, now_ns, wait);
    }
    if (status != STATUS_OK) {
        return status;
    }
    ssize_t sent = send(self->fd, line.ptr + self->sent, line.len - self->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return give_up_for_now(self, now_ns, wait);
    }
    self->sent += sent > 0 ? (size_t)sent : 0;
    if (self->sent < line.len) {
        return wait_for(wait, self->fd, POLLOUT, INT64_MAX);
    }
    self->sent = 0;
    self->failures = 0;
    return STATUS_OK;
}

enum status emf_target_write(struct emf_target *self, struct view line, int64_t now_ns,
                             struct emf_wait *wait)
{
    return self->kind == EMF_TARGET_AGENT ? write_agent(self, line, now_ns, wait)
                                          : write_fd(self, line, wait);
}
