/* A socket towards an agent. */
#include "ops/emf_agent.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SILENCE_MS_MAX = 10000 };

static int connect_to(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const unsigned silence_ms = SILENCE_MS_MAX;
    /* Also bounds how long the kernel tries to connect (tcp(7)). Without it the kernel's own,
     * longer limits hold, so a failure here is none. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) {
        const int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int emf_agent_connect(const struct host_port *agent)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)agent->port);
    if (getaddrinfo(agent->host, port, &wanted, &found) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int fd = connect_to(found);
    const int error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}
