/* From HOST:PORT to a listening socket. */
#include "ops/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOST_BYTES_MAX = 256, /* a DNS name has at most 253 characters (RFC 1035) */
    LISTEN_BACKLOG = 128,
};

/* Splits "HOST:PORT" at the last colon; a host with colons of its own stands in brackets. */
static enum status split_address(const char *address, char host[static HOST_BYTES_MAX],
                                 const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t host_len = colon != NULL ? (size_t)(colon - address) : 0;
    if (host_len >= 2 && address[0] == '[' && address[host_len - 1] == ']') {
        address++;
        host_len -= 2;
    } else if (memchr(address, ':', host_len) != NULL) {
        return STATUS_INVALID;
    }
    if (host_len == 0 || host_len >= HOST_BYTES_MAX) {
        return STATUS_INVALID;
    }
    memcpy(host, address, host_len);
    host[host_len] = '\0';
    *port = colon + 1;
    /* getaddrinfo() would cut a larger number to 16 bits and listen somewhere else. */
    size_t digits = strspn(*port, "0123456789");
    return digits >= 1 && digits <= 5 && (*port)[digits] == '\0' &&
                   strtoul(*port, NULL, 10) <= UINT16_MAX
               ? STATUS_OK
               : STATUS_INVALID;
}

/* A listening socket at one address, or -1 with errno. */
static int listen_at(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* SO_REUSEADDR lets a restarted server in while old connections are in TIME_WAIT; it does not
     * let two servers listen. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound = {.any = {0}};
    socklen_t len = sizeof bound;
    if (getsockname(fd, &bound.any, &len) != 0) {
        return 0;
    }
    return ntohs(bound.any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
}

enum status ops_listen(const char *address, int *fd, uint16_t *port, char *errmsg,
                       size_t errmsg_bytes)
{
    char host[HOST_BYTES_MAX];
    const char *service;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (split_address(address, host, &service) != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "--ops: \"%s\" is not HOST:PORT (an IPv6 address stands in brackets)",
                       address);
        return STATUS_INVALID;
    }
    int lookup = getaddrinfo(host, service, &hints, &found);
    if (lookup != 0) {
        (void)snprintf(errmsg, errmsg_bytes, "--ops: cannot find the address of %s: %s", address,
                       gai_strerror(lookup));
        return STATUS_INVALID;
    }
    *fd = listen_at(found); /* the first address is the one the system prefers */
    int error = errno;
    freeaddrinfo(found);
    if (*fd >= 0) {
        *port = bound_port(*fd);
        return STATUS_OK;
    }
    if (error == EADDRINUSE) {
        (void)snprintf(errmsg, errmsg_bytes, "--ops: %s is in use by another process", address);
        return STATUS_EXISTS;
    }
    (void)snprintf(errmsg, errmsg_bytes, "--ops: cannot listen on %s: %s", address,
                   strerror(error));
    return error == EADDRNOTAVAIL || error == EACCES ? STATUS_INVALID : STATUS_IO;
}
