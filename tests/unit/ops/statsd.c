/* Where packets go and when: a receiver that is there, that is not, and that comes back. */
#include "ops/statsd.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "ops/statsd_lines.h"

#define PUSH_METRICS(X) X(counter, gets, "satchel_gets_total", "", "Requests.")
METRIC_STRUCT(push_metrics, PUSH_METRICS)
#define METRIC_OWNER struct push_metrics
METRIC_TABLE(push_metrics, PUSH_METRICS)
#undef METRIC_OWNER

enum { INTERVAL_MS = 20, TURNS_MAX = 10000 };

static struct event_base *base;
static struct metric_registry registry;
static struct push_metrics work;
static struct statsd *statsd;

/* A socket that packets can be sent to; a port of 0 becomes the one it has. */
static int listen_udp(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(*port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert(eq(int, bind(fd, (struct sockaddr *)&address, len), 0));
    cr_assert(eq(int, getsockname(fd, (struct sockaddr *)&address, &len), 0));
    *port = ntohs(address.sin_port);
    return fd;
}

/* The system's resolver, but for one name, whose answer a test holds back. */
static const char slow_name[] = "slow.test";
static sem_t is_asked;
static sem_t may_answer;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *req,
                struct addrinfo **pai)
{
    int (*system_getaddrinfo)(const char *, const char *, const struct addrinfo *,
                              struct addrinfo **);
    *(void **)&system_getaddrinfo = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name != NULL && strcmp(name, slow_name) == 0) {
        (void)sem_post(&is_asked);
        (void)sem_wait(&may_answer);
        name = "127.0.0.1";
    }
    return system_getaddrinfo(name, service, req, pai);
}

static enum status start_with(const char *to, const char *prefix, char *errmsg, size_t errmsg_bytes)
{
    const struct statsd_options options = {
        .to = to, .dialect = STATSD_PLAIN, .interval_ms = INTERVAL_MS, .prefix = prefix};
    base = event_base_new();
    registry.count = 0;
    cr_assert(eq(int, metric_register(&registry, (struct metric_set){&push_metrics_table, &work}),
                 STATUS_OK));
    return statsd_start(&options, base, &registry, &statsd, errmsg, errmsg_bytes);
}

static void start(const char *host, uint16_t port)
{
    static char to[60]; /* the options are borrowed */
    char errmsg[200] = "";
    (void)snprintf(to, sizeof to, "%s:%u", host, (unsigned)port);
    cr_assert(eq(int, start_with(to, "t", errmsg, sizeof errmsg), STATUS_OK), "%s", errmsg);
    cr_assert(eq(int, statsd_register_metrics(statsd, &registry), STATUS_OK));
}

static void stop(void)
{
    statsd_stop(statsd);
    event_base_free(base);
}

/* The sum of what came for a counter until now, and how often it came. */
static double gained(int fd, const char *name, unsigned *times)
{
    char packet[STATSD_PACKET_BYTES_MAX + 1];
    double sum = 0;
    for (ssize_t len; (len = recv(fd, packet, sizeof packet - 1, 0)) > 0;) {
        packet[len] = '\0';
        char *rest = NULL;
        for (char *line = strtok_r(packet, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            if (strncmp(line, name, strlen(name)) == 0) {
                sum += strtod(line + strlen(name), NULL);
                *times += 1;
            }
        }
    }
    return sum;
}

/* Lets the loop turn until that much was gained; a turn is a timer or what a thread said. */
static void wait_for(int fd, double wanted)
{
    unsigned times = 0;
    double sum = 0;
    for (int turn = 0; sum < wanted; turn++) {
        cr_assert(lt(int, turn, TURNS_MAX), "only %g of %g came", sum, wanted);
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
        sum += gained(fd, "t.gets:", &times);
    }
    cr_assert(epsilon_eq(dbl, sum, wanted, 0));
}

static uint64_t own_counter(size_t offset)
{
    return metric_counter_get(
        (const struct metric_counter *)((const char *)registry.sets[1].values + offset));
}

static void wait_for_own(size_t offset, uint64_t wanted)
{
    for (int turn = 0; own_counter(offset) < wanted; turn++) {
        cr_assert(lt(int, turn, TURNS_MAX), "it stays at %lu", (unsigned long)own_counter(offset));
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
    }
}

Test(statsd, each_gain_is_sent_once)
{
    uint16_t port = 0;
    unsigned times = 0;
    int fd = listen_udp(&port);
    metric_add(&work.gets, 3); /* before there was a receiver */
    start("127.0.0.1", port);
    wait_for(fd, 3);
    metric_add(&work.gets, 4);
    wait_for(fd, 4);
    wait_for_own(offsetof(struct statsd_metrics, packets),
                 own_counter(offsetof(struct statsd_metrics, packets)) + 1);
    cr_assert(epsilon_eq(dbl, gained(fd, "t.gets:", &times), 0, 0));
    cr_assert(lt(uint, 0, times), "a gain of nothing is sent, too");
    stop();
    (void)close(fd);
}

Test(statsd, the_last_gains_are_sent_when_asked_for)
{
    uint16_t port = 0;
    unsigned times = 0;
    int fd = listen_udp(&port);
    start("127.0.0.1", port);
    wait_for_own(offsetof(struct statsd_metrics, packets), 1);
    metric_add(&work.gets, 7);
    statsd_send(statsd);
    stop();
    cr_assert(epsilon_eq(dbl, gained(fd, "t.gets:", &times), 7, 0));
    (void)close(fd);
}

Test(statsd, a_name_is_looked_up)
{
    uint16_t port = 0;
    int fd = listen_udp(&port);
    metric_add(&work.gets, 1);
    start("localhost", port);
    /* "localhost" can be [::1] first, where nobody listens: then there are only refusals. */
    for (int turn = 0; own_counter(offsetof(struct statsd_metrics, packets)) == 0; turn++) {
        cr_assert(lt(int, turn, TURNS_MAX));
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
    }
    cr_assert(eq(u64, own_counter(offsetof(struct statsd_metrics, failed_lookups)), 0));
    stop();
    (void)close(fd);
}

Test(statsd, packets_that_meet_nobody_are_counted_and_a_receiver_that_comes_back_is_found)
{
    uint16_t port = 0;
    int fd = listen_udp(&port);
    start("127.0.0.1", port);
    metric_add(&work.gets, 1);
    wait_for(fd, 1);
    (void)close(fd);
    wait_for_own(offsetof(struct statsd_metrics, lost_packets), 3);
    fd = listen_udp(&port);
    metric_add(&work.gets, 5);
    wait_for(fd, 5);
    stop();
    (void)close(fd);
}

Test(statsd, without_an_address_nothing_is_lost_and_it_is_looked_for_again)
{
    /* A name with an empty part is refused by every resolver, without asking anybody. */
    start("no..where", 8125);
    metric_add(&work.gets, 2);
    wait_for_own(offsetof(struct statsd_metrics, failed_lookups), 3);
    cr_assert(eq(u64, own_counter(offsetof(struct statsd_metrics, packets)), 0));
    cr_assert(eq(u64, own_counter(offsetof(struct statsd_metrics, lost_packets)), 0));
    stop();
}

Test(statsd, the_loop_turns_while_a_name_is_looked_up_and_nothing_is_lost)
{
    enum { TURNS = 5 };
    uint16_t port = 0;
    int fd = listen_udp(&port);
    cr_assert(eq(int, sem_init(&is_asked, 0, 0), 0));
    cr_assert(eq(int, sem_init(&may_answer, 0, 0), 0));
    start(slow_name, port);
    (void)sem_wait(&is_asked);
    metric_add(&work.gets, 2);
    for (int turn = 0; turn < TURNS; turn++) { /* each one is a timer's */
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
    }
    cr_assert(eq(u64, own_counter(offsetof(struct statsd_metrics, packets)), 0));
    cr_assert(eq(int, sem_trywait(&is_asked), -1), "it is asked again before it has answered");
    (void)sem_post(&may_answer);
    wait_for(fd, 2);
    stop();
    (void)close(fd);
}

Test(statsd, stopping_does_not_wait_for_an_answer)
{
    cr_assert(eq(int, sem_init(&is_asked, 0, 0), 0));
    cr_assert(eq(int, sem_init(&may_answer, 0, 0), 0));
    start(slow_name, 8125);
    (void)sem_wait(&is_asked);
    stop();
    (void)sem_post(&may_answer); /* the thread frees what is left */
}

Test(statsd, it_can_be_stopped_while_a_name_is_looked_up)
{
    for (int i = 0; i < 20; i++) {
        start("no..where", 8125);
        stop();
    }
}

Test(statsd, options_that_cannot_be_used_are_named)
{
    static const struct {
        const char *to;
        const char *prefix;
        const char *word;
    } cases[] = {
        {"nowhere", "t", "--statsd: "},
        {"127.0.0.1:99999", "t", "--statsd: "},
        {"127.0.0.1:0", "t", "port 0"},
        {"127.0.0.1:8125", "a b", "--statsd-prefix: \"a b\""},
        {"127.0.0.1:8125", "a|b", "--statsd-prefix"},
        {"127.0.0.1:8125", "a:b", "--statsd-prefix"},
        {"127.0.0.1:8125", "\n", "--statsd-prefix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char errmsg[300] = "";
        cr_assert(eq(int, start_with(cases[i].to, cases[i].prefix, errmsg, sizeof errmsg),
                     STATUS_INVALID));
        cr_assert_not_null(strstr(errmsg, cases[i].word), "%s", errmsg);
        cr_assert_null(statsd);
        stop();
    }
    char long_prefix[STATSD_PREFIX_BYTES_MAX + 2];
    char errmsg[300];
    memset(long_prefix, 'p', sizeof long_prefix - 1);
    long_prefix[STATSD_PREFIX_BYTES_MAX + 1] = '\0';
    cr_assert(
        eq(int, start_with("127.0.0.1:8125", long_prefix, errmsg, sizeof errmsg), STATUS_INVALID));
    stop();
}

Test(statsd, without_a_receiver_there_is_nothing)
{
    char errmsg[100] = "";
    statsd = (struct statsd *)&errmsg; /* must be overwritten */
    cr_assert(eq(int, start_with(NULL, "t", errmsg, sizeof errmsg), STATUS_OK));
    cr_assert_null(statsd);
    cr_assert(eq(int, statsd_register_metrics(statsd, &registry), STATUS_OK));
    cr_assert(eq(sz, registry.count, 1));
    statsd_send(statsd);
    stop();
}
