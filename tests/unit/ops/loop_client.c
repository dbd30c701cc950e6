/* See loop_client.h. */
#include "unit/ops/loop_client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

enum { DEADLINE_S = 10 };

int client_connect(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %s",
              strerror(errno));
    return fd;
}

void loop_turn(struct event_base *base)
{
    cr_assert(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

void client_send(struct event_base *base, int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            break;
        }
        text += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
        loop_turn(base);
    }
}

char *client_read_all(struct event_base *base, int fd)
{
    size_t len = 0;
    size_t cap = 4096;
    char *text = malloc(cap);
    time_t deadline = time(NULL) + DEADLINE_S;
    for (;;) {
        cr_assert(time(NULL) < deadline, "no end of the answer; so far: %.*s", (int)len, text);
        loop_turn(base);
        ssize_t got = recv(fd, text + len, cap - len - 1, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            (void)poll(&wait, 1, 1); /* what the client waits for may be a timer of the server */
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
        if (cap - len < 4096) {
            cap *= 2;
            text = realloc(text, cap);
        }
    }
    text[len] = '\0';
    (void)close(fd);
    loop_turn(base);
    return text;
}

char *client_request(struct event_base *base, uint16_t port, const char *text)
{
    int fd = client_connect(port);
    client_send(base, fd, text, strlen(text));
    return client_read_all(base, fd);
}

const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    cr_assert_not_null(end, "no end of headers in: %s", answer);
    return end + 4;
}

char *header_of(const char *answer, const char *name)
{
    size_t name_len = strlen(name);
    const char *end = body_of(answer);
    for (const char *line = strstr(answer, "\r\n") + 2; line < end - 2;
         line = strstr(line, "\r\n") + 2) {
        if (strncmp(line, name, name_len) == 0 && strncmp(line + name_len, ": ", 2) == 0) {
            line += name_len + 2;
            return strndup(line, (size_t)(strstr(line, "\r\n") - line));
        }
    }
    return NULL;
}
