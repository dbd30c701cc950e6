/*
 * satchel health --live, --ready, --leader: asks a page of the ops address, as a container's health
 * check does that has no shell and no curl. One HTTP/1.0 request; the status is all that counts,
 * and the first line of the body is shown.
 *
 * Only numeric addresses, since a look-up has no deadline and a check asks its own container.
 */
#include "client/cli/cli.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS_STANDARD = 2000, PORT_MAX = 65535, ANSWER_BYTES = 2048, ADDRESS_BYTES = 256 };

struct probe {
    const char *address; /* borrowed, as the user gave it */
    int64_t until_ms;    /* monotonic */
    char answer[ANSWER_BYTES];
    char why[160]; /* why there is no answer */
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool fail(struct probe *self, const char *what)
{
    (void)snprintf(self->why, sizeof self->why, "%s", what);
    return false;
}

/* Waits for the socket until the deadline; false: it came first. */
static bool wait_for(struct probe *self, int fd, short events)
{
    for (;;) {
        int64_t left_ms = self->until_ms - now_ms();
        struct pollfd watched = {.fd = fd, .events = events};
        int ready = left_ms <= 0 ? 0 : poll(&watched, 1, (int)left_ms);
        if (ready > 0) {
            return true;
        }
        if (ready == 0 || errno != EINTR) {
            return fail(self, ready == 0 ? "no answer in time" : strerror(errno));
        }
    }
}

/* "127.0.0.1:7402" or "[::1]:7402"; the caller owns the result. NULL: it is none of these. */
static struct addrinfo *address_of(const char *text)
{
    char host[ADDRESS_BYTES];
    const char *colon = strrchr(text, ':');
    size_t host_len = colon == NULL ? 0 : (size_t)(colon - text);
    bool is_bracketed = host_len > 2 && text[0] == '[' && text[host_len - 1] == ']';
    if (host_len == 0 || host_len >= sizeof host || strtoul(colon + 1, NULL, 10) > PORT_MAX) {
        return NULL;
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)host_len - (is_bracketed ? 2 : 0),
                   text + (is_bracketed ? 1 : 0));
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

static bool connect_to(struct probe *self, const struct addrinfo *address, int fd)
{
    int error = 0;
    socklen_t error_bytes = sizeof error;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return true;
    }
    if (errno != EINPROGRESS) {
        return fail(self, strerror(errno));
    }
    if (!wait_for(self, fd, POLLOUT)) {
        return false;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) {
        error = errno;
    }
    return error == 0 || fail(self, strerror(error));
}

/* Sends the request (which fits into any socket's buffer) and reads to the answer's end, or as much
 * of it as is wanted. */
static bool exchange(struct probe *self, int fd, const char *page)
{
    char request[ADDRESS_BYTES + 64];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: satchel\r\n\r\n", page);
    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        return fail(self, strerror(errno));
    }
    size_t got = 0;
    while (got < sizeof self->answer - 1) {
        if (!wait_for(self, fd, POLLIN)) {
            return false;
        }
        ssize_t more = recv(fd, self->answer + got, sizeof self->answer - 1 - got, 0);
        if (more < 0 && errno != EAGAIN && errno != EINTR) {
            return fail(self, strerror(errno));
        }
        if (more == 0) {
            break;
        }
        got += more > 0 ? (size_t)more : 0;
    }
    self->answer[got] = '\0';
    return true;
}

/* The status of the answer; 0: it is none. */
static int status_of(const char *answer)
{
    static const char version[] = "HTTP/1.";
    const char *space = strchr(answer, ' ');
    if (strncmp(answer, version, sizeof version - 1) != 0 || space == NULL) {
        return 0;
    }
    char *end = NULL;
    long status = strtol(space + 1, &end, 10);
    return end == space + 4 && status >= 100 && status <= 599 ? (int)status : 0;
}

static bool ask(struct probe *self, const char *page)
{
    struct addrinfo *address = address_of(self->address);
    int fd = address == NULL
                 ? -1
                 : socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_answered = fd >= 0 ? connect_to(self, address, fd) && exchange(self, fd, page)
                               : fail(self, address == NULL ? "not ADDRESS:PORT with a numeric "
                                                              "address"
                                                            : strerror(errno));
    if (fd >= 0) {
        (void)close(fd); /* nothing is lost by it */
    }
    if (address != NULL) {
        freeaddrinfo(address);
    }
    return is_answered;
}

enum cli_exit cli_probe(struct cli *cli)
{
    uint64_t deadline_ms = cli->deadline_ms != 0 ? cli->deadline_ms : DEADLINE_MS_STANDARD;
    struct probe probe = {.address = cli->ops, .until_ms = now_ms() + (int64_t)deadline_ms};
    int status = ask(&probe, cli->page) ? status_of(probe.answer) : 0;
    char *body = strstr(probe.answer, "\r\n\r\n");
    const char *text = body != NULL ? body + 4 : "";
    int text_len = (int)strcspn(text, "\r\n");
    bool is_well = status == 200;
    if (status == 0 && probe.why[0] == '\0') {
        (void)fail(&probe, "that is no HTTP");
    }
    if (cli->json) {
        json_t *object = json_pack("{s:s, s:s, s:i, s:b}", "ops", cli->ops, "page", cli->page,
                                   "status", status, "healthy", is_well);
        (void)json_object_set_new(object, "text",
                                  status != 0 ? json_stringn(text, (size_t)text_len)
                                              : json_string(probe.why));
        cli_print_json(object);
    } else if (status != 0) {
        (void)fprintf(is_well ? stdout : stderr, "%.*s\n", text_len, text);
    } else {
        (void)fprintf(stderr, "satchel: %s: %s\n", cli->ops, probe.why);
    }
    return is_well ? CLI_DONE : CLI_UNAVAILABLE;
}
