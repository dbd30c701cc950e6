/* See peer.h. */
#include "unit/backup/peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd;
    SSL *tls; /* NULL: plain */
};

static ssize_t receive(const struct connection *self, void *out, size_t len)
{
    return self->tls != NULL ? SSL_read(self->tls, out, (int)len) : recv(self->fd, out, len, 0);
}

static void send_all(const struct connection *self, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = self->tls != NULL ? SSL_write(self->tls, bytes, (int)len)
                                         : send(self->fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* How many bytes the whole request has; 0 while that is not known. */
static size_t request_bytes(const struct buf *request, bool head_only)
{
    const uint8_t *end = request->len != 0 ? memmem(request->ptr, request->len, "\r\n\r\n", 4)
                                           : NULL;
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - request->ptr) + 4;
    const char *length = memmem(request->ptr, head, "Content-Length: ", 16);
    return head + (length != NULL && !head_only ? strtoul(length + 16, NULL, 10) : 0);
}

/* False: the client has gone. */
static bool read_request(const struct connection *connection, struct buf *request, bool head_only)
{
    size_t wanted = 0;
    while (wanted == 0 || request->len < wanted) {
        cr_assert(eq(int, buf_reserve(request, 65536), STATUS_OK));
        ssize_t got = receive(connection, request->ptr + request->len, 65536);
        if (got <= 0) {
            return false;
        }
        request->len += (size_t)got;
        wanted = request_bytes(request, head_only);
    }
    return true;
}

static bool serve_one(struct peer *self, const struct connection *connection)
{
    size_t at = atomic_load(&self->requests_seen);
    char rest;
    if (at == self->reply_count) {
        return false;
    }
    const struct peer_reply *reply = &self->replies[at];
    if (!read_request(connection, &self->requests[at], reply->half)) {
        return false;
    }
    atomic_store(&self->requests_seen, at + 1);
    if (reply->bytes != NULL) {
        send_all(connection, reply->bytes, strlen(reply->bytes));
    }
    while (reply->waits && receive(connection, &rest, 1) > 0) {
    }
    return !reply->closes && !reply->waits;
}

static void *serve(void *arg)
{
    struct peer *self = arg;
    int fd;
    sigset_t pipe; /* OpenSSL writes to clients that have gone */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while ((fd = accept(self->listener, NULL, NULL)) >= 0) {
        struct connection connection = {.fd = fd};
        bool is_open = true;
        self->connections++;
        if (self->tls != NULL) {
            connection.tls = SSL_new(self->tls);
            (void)SSL_set_fd(connection.tls, fd);
            is_open = SSL_accept(connection.tls) == 1;
        }
        while (is_open && serve_one(self, &connection)) {
        }
        SSL_free(connection.tls);
        (void)close(fd);
    }
    return NULL;
}

void peer_start(struct peer *self, const struct peer_reply *replies, size_t count, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    *self = (struct peer){.replies = replies, .reply_count = count, .tls = tls};
    cr_assert(le(sz, count, PEER_REQUESTS_MAX));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(self->listener >= 0 &&
              bind(self->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
              listen(self->listener, 8) == 0 &&
              getsockname(self->listener, (struct sockaddr *)&address, &len) == 0);
    self->port = ntohs(address.sin_port);
    cr_assert(eq(int, pthread_create(&self->thread, NULL, serve, self), 0));
}

void peer_stop(struct peer *self)
{
    (void)shutdown(self->listener, SHUT_RDWR);
    (void)pthread_join(self->thread, NULL);
    (void)close(self->listener);
}

void peer_free(struct peer *self)
{
    for (size_t i = 0; i < PEER_REQUESTS_MAX; i++) {
        buf_free(&self->requests[i]);
    }
}

const char *peer_request(const struct peer *self, size_t i)
{
    struct buf *request = (struct buf *)(uintptr_t)&self->requests[i];
    cr_assert(eq(int, buf_reserve(request, 1), STATUS_OK));
    request->ptr[request->len] = '\0';
    return (const char *)request->ptr;
}
