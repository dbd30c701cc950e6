/* A pipelining connection for tests. */
#include "support/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECV_BYTES = 256 * 1024, HELLO_WAIT_MS = 30000 };

static void need(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "wire: %s\n", what);
        abort();
    }
}

static bool parse_address(const char *address, struct sockaddr_in *out)
{
    const char *colon = strrchr(address, ':');
    char host[INET_ADDRSTRLEN];
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        return false;
    }
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    *out = (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool say_hello(struct wire *self)
{
    size_t start = 0;
    need(native_frame_begin(&self->out, &start) == STATUS_OK &&
             native_put_u16(&self->out, SATCHEL_TAG_WIRE_VERSION, SATCHEL_WIRE_VERSION) ==
                 STATUS_OK,
         "out of memory");
    native_frame_end(
        &self->out, start,
        (struct native_header){.version = SATCHEL_WIRE_VERSION, .opcode = SATCHEL_OP_HELLO});
    struct native_reply reply;
    return wire_flush(self) && wire_take(self, HELLO_WAIT_MS, &reply) == STATUS_OK &&
           reply.status == SATCHEL_OK;
}

bool wire_open(struct wire *self, const char *address)
{
    struct sockaddr_in to;
    *self = (struct wire){.fd = -1};
    need(parse_address(address, &to), "the address is not IPV4:PORT");
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(self->fd >= 0, "no socket");
    int on = 1;
    (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(self->fd, (const struct sockaddr *)&to, sizeof to) == 0 && say_hello(self)) {
        return true;
    }
    wire_close(self);
    return false;
}

void wire_close(struct wire *self)
{
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    buf_free(&self->in);
    buf_free(&self->out);
    *self = (struct wire){.fd = -1};
}

void wire_put(struct wire *self, uint64_t request_id, uint8_t flags, const struct command *cmd)
{
    need(native_encode_command(&self->out, request_id, flags, cmd) == STATUS_OK, "out of memory");
}

bool wire_flush(struct wire *self)
{
    size_t sent = 0;
    while (sent < self->out.len) {
        ssize_t n = send(self->fd, self->out.ptr + sent, self->out.len - sent, MSG_NOSIGNAL);
        if (n < 0) {
            return false;
        }
        sent += (size_t)n;
    }
    self->out.len = 0;
    return true;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A whole reply from what was received. */
static enum status parse(struct wire *self, struct native_reply *out)
{
    struct view rest = view_of(self->in.ptr + self->in_head, self->in.len - self->in_head);
    struct native_header header;
    enum status status = native_decode_header(rest, &header);
    if (status == STATUS_OK && rest.len < SATCHEL_HEADER_BYTES + (size_t)header.body_bytes) {
        status = STATUS_AGAIN;
    }
    if (status != STATUS_OK) {
        return status;
    }
    self->in_head += SATCHEL_HEADER_BYTES + (size_t)header.body_bytes;
    return native_decode_reply(&header, view_of(rest.ptr + SATCHEL_HEADER_BYTES, header.body_bytes),
                               out);
}

static enum status receive(struct wire *self, int wait_ms)
{
    struct pollfd fd = {.fd = self->fd, .events = POLLIN};
    if (poll(&fd, 1, wait_ms) <= 0) {
        return STATUS_AGAIN;
    }
    buf_consume(&self->in, self->in_head);
    self->in_head = 0;
    need(buf_reserve(&self->in, RECV_BYTES) == STATUS_OK, "out of memory");
    ssize_t n = recv(self->fd, self->in.ptr + self->in.len, RECV_BYTES, 0);
    if (n <= 0) {
        return STATUS_IO;
    }
    self->in.len += (size_t)n;
    return STATUS_OK;
}

enum status wire_take(struct wire *self, int wait_ms, struct native_reply *out)
{
    int64_t until_ms = now_ms() + wait_ms;
    for (;;) {
        enum status status = parse(self, out);
        if (status == STATUS_OK && out->opcode == SATCHEL_OP_GOAWAY) {
            continue;
        }
        if (status != STATUS_AGAIN) {
            return status == STATUS_OK ? STATUS_OK : STATUS_INVALID;
        }
        int64_t left_ms = until_ms - now_ms();
        status = receive(self, left_ms > 0 ? (int)left_ms : 0);
        if (status != STATUS_OK) {
            return status;
        }
    }
}
