/* Connections of the ops server: what peers may send, how long they may take, how many there are.
 */
#include "ops/http.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/address.h"
#include "unit/ops/loop_client.h"

static struct event_base *base;
static struct http_server *server;
static uint16_t port;
static size_t body_bytes; /* of the answer to /big */

static void answer_path(void *arg, const struct http_request *request, struct http_reply *reply)
{
    const struct view path = request->path;
    cr_assert(eq(ptr, arg, &port));
    if (view_equal(path, view_str("/big"))) {
        cr_assert(eq(int, buf_reserve(&reply->body, body_bytes), STATUS_OK));
        memset(reply->body.ptr, 'x', body_bytes);
        reply->body.len = body_bytes;
        return;
    }
    if (request->method == HTTP_OTHER) {
        reply->code = 405;
        reply->allow = "GET, HEAD";
    }
    cr_assert(eq(int, buf_printf(&reply->body, "you asked for %.*s", (int)path.len, path.ptr),
                 STATUS_OK));
}

static void start(struct http_limits limits)
{
    char errmsg[200];
    int fd = -1;
    (void)signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    cr_assert(
        eq(int, address_listen("127.0.0.1:0", 1, &fd, &port, errmsg, sizeof errmsg), STATUS_OK));
    cr_assert(eq(int, http_server_new(base, fd, &limits, answer_path, &port, &server), STATUS_OK));
}

static void stop(void)
{
    http_server_free(server);
    event_base_free(base);
}

static const struct http_limits roomy = {
    .connections_max = 100, .head_bytes_max = 1000, .deadline_ms = 60000};

static void expect(const char *request, const char *first_line, const char *body)
{
    char *answer = client_request(base, port, request);
    cr_assert(eq(int, strncmp(answer, first_line, strlen(first_line)), 0), "%s", answer);
    cr_assert(eq(str, (char *)body_of(answer), (char *)body));
    free(answer);
}

Test(http, answers_each_request_by_its_path_and_closes)
{
    start(roomy);
    expect("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", "you asked for /a");
    expect("GET /b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "you asked for /b");
    expect("HEAD /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nDate", "");
    expect("POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
           "you asked for /a");
    cr_assert(eq(u64, metric_counter_get(&http_server_metrics(server)->requests), 4));
    cr_assert(eq(i64, metric_gauge_get(&http_server_metrics(server)->connections), 0));
    stop();
}

Test(http, refuses_what_it_does_not_do)
{
    start(roomy);
    expect("POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
           "HTTP/1.1 413 Content Too Large\r\n", "Content Too Large\n");
    expect("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "Bad Request\n");
    expect("GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 ", "HTTP Version Not Supported\n");
    expect("HEAD / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 ", "");
    char *answer = client_request(base, port, "PUT / HTTP/1.1\r\n\r\n");
    char *allow = header_of(answer, "Allow");
    cr_assert(eq(str, allow, "GET, HEAD"));
    free(allow);
    free(answer);
    stop();
}

Test(http, a_request_may_come_byte_by_byte)
{
    static const char request[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    start(roomy);
    int fd = client_connect(port);
    for (size_t i = 0; i + 1 < sizeof request; i++) {
        client_send(base, fd, request + i, 1);
    }
    char *answer = client_read_all(base, fd);
    cr_assert(eq(str, (char *)body_of(answer), "you asked for /slow"));
    free(answer);
    stop();
}

Test(http, a_peer_that_has_ended_its_side_still_gets_the_whole_answer)
{
    static const char request[] = "GET /big HTTP/1.1\r\n\r\n";
    body_bytes = 8 * 1024 * 1024; /* more than the socket takes at once */
    start(roomy);
    int fd = client_connect(port);
    client_send(base, fd, request, strlen(request));
    cr_assert(eq(int, shutdown(fd, SHUT_WR), 0));
    char *answer = client_read_all(base, fd);
    cr_assert(eq(sz, strlen(body_of(answer)), body_bytes));
    free(answer);
    cr_assert(eq(i64, metric_gauge_get(&http_server_metrics(server)->connections), 0));
    stop();
}

Test(http, a_head_over_the_limit_is_refused_and_what_follows_is_thrown_away)
{
    enum { BYTES = 4 * 1024 * 1024 };
    start(roomy);
    char *flood = malloc(BYTES + 1);
    memset(flood, 'a', BYTES);
    flood[BYTES] = '\0';
    memcpy(flood, "GET / HTTP/1.1\r\nX: ", 19);
    expect(flood, "HTTP/1.1 431 Request Header Fields Too Large\r\n",
           "Request Header Fields Too Large\n");

    /* A whole head that is one byte too long, and the longest that is not. */
    memcpy(flood + 997, "\r\n\r\n", 5);
    expect(flood, "HTTP/1.1 431 ", "Request Header Fields Too Large\n");
    memcpy(flood + 996, "\r\n\r\n", 5);
    expect(flood, "HTTP/1.1 200 ", "you asked for /");
    free(flood);
    stop();
}

Test(http, whoever_dawdles_is_closed_at_the_deadline)
{
    start((struct http_limits){.connections_max = 10, .head_bytes_max = 1000, .deadline_ms = 50});
    const struct http_metrics *metrics = http_server_metrics(server);
    int silent = client_connect(port);
    int half = client_connect(port);
    client_send(base, half, "GET / HT", 8);
    char *answer = client_read_all(base, silent);
    cr_assert(eq(str, answer, ""));
    free(answer);
    answer = client_read_all(base, half);
    cr_assert(eq(str, answer, ""));
    free(answer);
    cr_assert(eq(u64, metric_counter_get(&metrics->closed_deadline), 2));

    /* One that never closes after its answer is no different. */
    int lingering = client_connect(port);
    client_send(base, lingering, "GET / HTTP/1.1\r\n\r\n", 18);
    while (metric_counter_get(&metrics->closed_deadline) < 3) {
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
    }
    cr_assert(eq(i64, metric_gauge_get(&metrics->connections), 0));
    (void)close(lingering);
    stop();
}

Test(http, a_connection_over_the_limit_replaces_the_oldest)
{
    start((struct http_limits){.connections_max = 3, .head_bytes_max = 1000, .deadline_ms = 60000});
    const struct http_metrics *metrics = http_server_metrics(server);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_connect(port);
        loop_turn(base);
    }
    cr_assert(eq(i64, metric_gauge_get(&metrics->connections), 3));
    expect("GET /probe HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "you asked for /probe");
    cr_assert(eq(u64, metric_counter_get(&metrics->closed_limit), 1));
    char *answer = client_read_all(base, fds[0]);
    cr_assert(eq(str, answer, ""));
    free(answer);
    for (int i = 1; i < 3; i++) {
        client_send(base, fds[i], "GET /late HTTP/1.1\r\n\r\n", 22);
        answer = client_read_all(base, fds[i]);
        cr_assert(eq(str, (char *)body_of(answer), "you asked for /late"));
        free(answer);
    }
    stop();
}

Test(http, peers_that_go_in_the_middle_leave_nothing_behind)
{
    static const char request[] = "GET /big HTTP/1.1\r\n\r\n";
    static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    body_bytes = 8 * 1024 * 1024;
    start(roomy);
    for (size_t len = 0; len < sizeof request; len++) {
        int fd = client_connect(port);
        client_send(base, fd, request, len);
        loop_turn(base);
        if (len % 2 == 0) {
            cr_assert(eq(int, setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0));
        }
        (void)close(fd);
    }
    while (metric_gauge_get(&http_server_metrics(server)->connections) > 0) {
        cr_assert(eq(int, event_base_loop(base, EVLOOP_ONCE), 0));
    }
    expect("GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "you asked for /a");
    stop();
}

Test(http, without_file_descriptors_accepting_pauses_and_goes_on_by_itself)
{
    struct rlimit usual;
    start(roomy);
    const struct http_metrics *metrics = http_server_metrics(server);
    int fd = client_connect(port);
    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &usual), 0));
    struct rlimit none = {.rlim_cur = 0, .rlim_max = usual.rlim_max};
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &none), 0));
    for (int turn = 0; turn < 10; turn++) { /* without a pause each turn would fail again */
        loop_turn(base);
    }
    cr_assert(eq(u64, metric_counter_get(&metrics->accept_errors), 1));
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &usual), 0));
    client_send(base, fd, "GET /a HTTP/1.1\r\n\r\n", 19);
    char *answer = client_read_all(base, fd);
    cr_assert(eq(str, (char *)body_of(answer), "you asked for /a"));
    free(answer);
    stop();
}

Test(http, freeing_the_server_closes_what_is_open)
{
    start(roomy);
    int fd = client_connect(port);
    client_send(base, fd, "GET / HT", 8);
    http_server_free(server);
    http_server_free(NULL);
    char *answer = client_read_all(base, fd);
    cr_assert(eq(str, answer, ""));
    free(answer);
    event_base_free(base);
}
