/* Sockets as both clients want them. */
#include "client/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 15, KEEPALIVE_PROBES = 4 };

static void set_option(int fd, int level, int option, int value)
{
    /* Wishes, not needs: a connection without them works. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

int dial_start(const struct addrinfo *address, int *error)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *error = errno;
        return -1;
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    *error = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (*error == EINTR) {
        *error = EINPROGRESS; /* an interrupted connect goes on by itself */
    }
    if (*error != 0 && *error != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int dial_error(int fd)
{
    int error = 0;
    socklen_t error_bytes = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) == 0 ? error : errno;
}
