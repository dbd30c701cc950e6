/* Where to listen: parsing, looking up, binding. */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 4096,  /* the kernel cuts it to net.core.somaxconn */
    KEEPALIVE_IDLE_S = 60,  /* a silent peer is asked after this time, */
    KEEPALIVE_EVERY_S = 15, /* again in these steps, */
    KEEPALIVE_PROBES = 4,   /* and given up after so many unanswered ones */
};

static enum status parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; digits++) {
        value = value * 10 + (uint32_t)(text[digits] - '0');
    }
    if (digits == 0 || text[digits] != '\0' || value > UINT16_MAX) {
        return STATUS_INVALID;
    }
    *port = (uint16_t)value;
    return STATUS_OK;
}

enum status host_port_parse(const char *text, struct host_port *out, char *errmsg,
                            size_t errmsg_bytes)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        snprintf(errmsg, errmsg_bytes, "\"%s\" is not HOST:PORT: there is no colon", text);
        return STATUS_INVALID;
    }
    const char *host = text;
    size_t host_bytes = (size_t)(colon - text);
    bool in_brackets = host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']';
    if (in_brackets) {
        host++;
        host_bytes -= 2;
    } else if (memchr(host, ':', host_bytes) != NULL) {
        snprintf(errmsg, errmsg_bytes,
                 "\"%s\" is not HOST:PORT: write an IPv6 address in brackets, as in [::1]:7401",
                 text);
        return STATUS_INVALID;
    }
    if (host_bytes == 0) {
        snprintf(errmsg, errmsg_bytes,
                 "\"%s\" is not HOST:PORT: the host is missing (0.0.0.0 means every address)",
                 text);
        return STATUS_INVALID;
    }
    if (host_bytes >= sizeof out->host) {
        snprintf(errmsg, errmsg_bytes, "the host of a listening address is too long");
        return STATUS_INVALID;
    }
    if (parse_port(colon + 1, &out->port) != STATUS_OK) {
        snprintf(errmsg, errmsg_bytes, "\"%s\" is not HOST:PORT: the port is a number up to 65535",
                 text);
        return STATUS_INVALID;
    }
    memcpy(out->host, host, host_bytes);
    out->host[host_bytes] = '\0';
    return STATUS_OK;
}

static enum status explain(int error, const char *where, char *errmsg, size_t errmsg_bytes)
{
    switch (error) {
    case EADDRINUSE:
        snprintf(errmsg, errmsg_bytes, "%s is in use by another process", where);
        return STATUS_EXISTS;
    case EADDRNOTAVAIL:
        snprintf(errmsg, errmsg_bytes, "cannot listen on %s: this machine has no such address",
                 where);
        return STATUS_INVALID;
    case EACCES:
        snprintf(errmsg, errmsg_bytes, "cannot listen on %s: not permitted (a port below 1024?)",
                 where);
        return STATUS_INVALID;
    default:
        snprintf(errmsg, errmsg_bytes, "cannot listen on %s: %s", where, strerror(error));
        return STATUS_IO;
    }
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* A bound socket, or -1 with errno. SO_REUSEADDR lets a restarted server in while connections of
 * the one before are in TIME_WAIT; it does not let two servers listen. */
static int open_bound(const struct addrinfo *at, bool share_port)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0 ||
        (share_port && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0) ||
        bind(fd, at->ai_addr, at->ai_addrlen) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Accepted sockets inherit these from the listening one, which saves five calls a connection. */
static int listen_with_options(int fd)
{
    if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) != 0 ||
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) != 0 ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) != 0 ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S) != 0 ||
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES) != 0) {
        return -1;
    }
    return listen(fd, LISTEN_BACKLOG);
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {.v6 = {0}};
    socklen_t bound_bytes = sizeof bound;
    if (getsockname(fd, &bound.any, &bound_bytes) != 0) {
        return 0;
    }
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
}

static void set_port(struct addrinfo *at, uint16_t port)
{
    if (at->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)at->ai_addr)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)at->ai_addr)->sin_port = htons(port);
    }
}

/* Opens all sockets at one address; 0, or errno with none open. */
static int listen_at(struct addrinfo *at, uint16_t port, unsigned count, int *fds)
{
    set_port(at, port);
    if (port != 0) {
        /* With SO_REUSEPORT a second server of the same user could bind too and would silently
         * take a part of the connections, so a socket without it asks first. A port of the
         * kernel's choice is free for sure. */
        int probe = open_bound(at, false);
        if (probe < 0) {
            return errno;
        }
        (void)close(probe);
    }
    for (unsigned i = 0; i < count; i++) {
        fds[i] = open_bound(at, true);
        if (fds[i] < 0 || listen_with_options(fds[i]) != 0) {
            int error = errno;
            for (unsigned opened = 0; opened <= i; opened++) {
                if (fds[opened] >= 0) {
                    (void)close(fds[opened]);
                }
            }
            return error;
        }
        if (i == 0 && port == 0) {
            set_port(at, bound_port(fds[0]));
        }
    }
    return 0;
}

enum status address_listen(const char *where, unsigned count, int *fds, uint16_t *port,
                           char *errmsg, size_t errmsg_bytes)
{
    struct host_port parsed;
    enum status status = host_port_parse(where, &parsed, errmsg, errmsg_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int lookup = getaddrinfo(parsed.host, NULL, &hints, &found);
    if (lookup != 0) {
        snprintf(errmsg, errmsg_bytes, "no address is known for the host \"%s\": %s", parsed.host,
                 gai_strerror(lookup));
        return STATUS_INVALID;
    }
    /* A name may stand for several addresses; the first usable one is taken. In use is an answer,
     * not a reason to look further. */
    int error = EADDRNOTAVAIL;
    for (struct addrinfo *at = found; at != NULL && error != 0; at = at->ai_next) {
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6) {
            error = listen_at(at, parsed.port, count, fds);
        }
        if (error == EADDRINUSE) {
            break;
        }
    }
    freeaddrinfo(found);
    if (error != 0) {
        return explain(error, where, errmsg, errmsg_bytes);
    }
    *port = bound_port(fds[0]);
    return STATUS_OK;
}

void address_text(const struct sockaddr_storage *address, char out[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        bool is_four = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
        (void)(is_four ? inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof host)
                       : inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host));
        snprintf(out, ADDRESS_TEXT_BYTES, is_four ? "%s:%u" : "[%s]:%u", host,
                 (unsigned)ntohs(six->sin6_port));
        return;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    (void)inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
    snprintf(out, ADDRESS_TEXT_BYTES, "%s:%u", host, (unsigned)ntohs(four->sin_port));
}
