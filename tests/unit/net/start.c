/* Binding, starting, and what it says when it cannot. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(start, .timeout = 60);

static enum status start_on(struct fixture *self, const char *listen, char *errmsg, size_t bytes)
{
    self->options.listen = listen;
    return net_start(&self->options, &self->handler, &clock_system, &self->net, errmsg, bytes);
}

Test(start, a_port_in_use_is_named_even_by_another_server_that_shares_it)
{
    struct fixture first;
    struct fixture second;
    fixture_init(&first);
    fixture_init(&second);
    fixture_start(&first);
    char where[64];
    char expected[128];
    char errmsg[256] = "";
    (void)snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)net_port(first.net));
    (void)snprintf(expected, sizeof expected, "%s is in use by another process", where);
    cr_assert(eq(int, start_on(&second, where, errmsg, sizeof errmsg), STATUS_EXISTS));
    cr_assert(eq(str, errmsg, expected));

    /* Free again as soon as the first has gone, although its connections are in TIME_WAIT. */
    int client = client_connect(&first);
    await_count(&first.opened, 1);
    fixture_stop(&first);
    cr_assert(eq(int, start_on(&second, where, errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    net_free(second.net);
    (void)close(client);
}

Test(start, unusable_addresses_are_refused_with_a_reason)
{
    static const struct {
        const char *listen;
        const char *reason;
    } cases[] = {
        {"nonsense", "is not HOST:PORT"},
        {"192.0.2.1:0", "this machine has no such address"}, /* RFC 5737: nobody's */
        /* A label of more than 63 characters cannot be looked up anywhere (RFC 1035). */
        {"a-label-that-is-much-too-long-for-any-name-server-in-the-whole-wide-world:0",
         "no address is known"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture self;
        char errmsg[256] = "";
        fixture_init(&self);
        cr_assert(eq(int, start_on(&self, cases[i].listen, errmsg, sizeof errmsg), STATUS_INVALID),
                  "%s", cases[i].listen);
        cr_assert(strstr(errmsg, cases[i].reason) != NULL, "%s: %s", cases[i].listen, errmsg);
    }
}

Test(start, names_and_ipv6_addresses_can_be_listened_on)
{
    static const char *const where[] = {"localhost:0", "[::1]:0", "[::]:0", "0.0.0.0:0"};
    for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
        struct fixture self;
        char errmsg[256] = "";
        fixture_init(&self);
        int six = socket(AF_INET6, SOCK_STREAM, 0);
        bool has_six = six >= 0;
        if (has_six) {
            struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
                                            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
            has_six = bind(six, (struct sockaddr *)&loopback, sizeof loopback) == 0;
            (void)close(six);
        }
        if (where[i][0] == '[' && !has_six) {
            continue; /* a machine without IPv6 */
        }
        cr_assert(eq(int, start_on(&self, where[i], errmsg, sizeof errmsg), STATUS_OK), "%s: %s",
                  where[i], errmsg);
        cr_assert(net_port(self.net) != 0);
        net_free(self.net);
    }
}

static void check_signals(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    cr_assert(sigismember(&blocked, SIGTERM) == 1);
    cr_assert(sigismember(&blocked, SIGINT) == 1);
}

Test(start, every_worker_runs_before_start_returns_and_blocks_signals)
{
    struct fixture self;
    fixture_init(&self);
    self.options.workers = 4;
    self.handler.woken = check_signals;
    fixture_start(&self);
    cr_assert(eq(uint, self.started, 4));
    cr_assert(eq(uint, net_worker_count(self.net), 4));
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(worker_state(net_worker(self.net, i)) == &self);
        worker_wake(net_worker(self.net, i));
    }
    fixture_await_metric(&self, "satchel_net_wakeups_total", "", 4);
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    cr_assert(sigismember(&blocked, SIGTERM) == 0, "the caller's own mask is as before");
    fixture_stop(&self);
    cr_assert(eq(uint, self.stopped, 4));
}

Test(start, the_limit_of_open_files_is_raised_as_far_as_it_goes)
{
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit low = {.rlim_cur = 64, .rlim_max = limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &low) == 0);
    struct fixture self;
    fixture_init(&self);
    fixture_start(&self);
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_assert(eq(u64, limit.rlim_cur, limit.rlim_max));
    fixture_stop(&self);
}

/* The server's end of a client's connection, found among this process's descriptors. */
static int servers_end(int client)
{
    struct sockaddr_in mine = {0};
    socklen_t bytes = sizeof mine;
    cr_assert(getsockname(client, (struct sockaddr *)&mine, &bytes) == 0);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer = {0};
        bytes = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0 &&
            peer.sin_port == mine.sin_port) {
            return fd;
        }
    }
    return -1;
}

Test(start, accepted_sockets_send_at_once_and_notice_dead_peers)
{
    static const struct {
        int level;
        int name;
        int expected;
    } cases[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, /* a Network Load Balancer forgets after 350 s */
        {IPPROTO_TCP, TCP_KEEPINTVL, 15}, {IPPROTO_TCP, TCP_KEEPCNT, 4},
    };
    struct fixture self;
    fixture_init(&self);
    fixture_start(&self);
    int client = client_connect(&self);
    await_count(&self.opened, 1);
    int fd = servers_end(client);
    cr_assert(fd >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int value = 0;
        socklen_t bytes = sizeof value;
        cr_assert(getsockopt(fd, cases[i].level, cases[i].name, &value, &bytes) == 0);
        cr_assert(eq(int, value, cases[i].expected));
    }
    (void)close(client);
    fixture_stop(&self);
}
