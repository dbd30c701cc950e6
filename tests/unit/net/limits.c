/* What a client can not do to the server. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(limits, .timeout = 60);

static const char choked[] = "satchel_net_choked_total";
static const char closed_total[] = "satchel_net_connections_closed_total";

enum { REPLY_BYTES = 32 * 1024, REQUESTS = 4000 }; /* 125 MiB of replies */

/* Answers each frame with REPLY_BYTES bytes that carry the request's text. */
static size_t verbose_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    size_t used = 0;
    while (!conn_is_full(conn)) {
        struct view payload;
        size_t taken = frame_take(view_of(bytes.ptr + used, bytes.len - used), &payload, need);
        if (taken == 0) {
            break;
        }
        uint8_t reply[REPLY_BYTES] = {0};
        memcpy(reply, payload.ptr, payload.len);
        cr_assert(buf_append(conn_out(conn), view_of(reply, sizeof reply)) == STATUS_OK);
        used += taken;
    }
    if (conn_out(conn)->len > self->out_bytes_most) {
        self->out_bytes_most = conn_out(conn)->len;
    }
    return used;
}

static void shrink_receive_buffer(int client)
{
    int bytes = 64 * 1024;
    (void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* Sends all requests without reading a reply; they fit into the kernel's buffers. */
static void send_requests(int client)
{
    struct buf stream = {0};
    for (int i = 0; i < REQUESTS; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        frame_put(&stream, view_str(text));
    }
    client_send(client, buf_view(&stream));
    buf_free(&stream);
}

Test(limits, a_slow_reader_is_not_read_from_and_loses_nothing)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = verbose_received;
    fixture_start(&self);
    int client = client_connect(&self);
    shrink_receive_buffer(client);
    send_requests(client);
    fixture_await_metric(&self, choked, "", 1);

    /* Others are served meanwhile. */
    int other = client_connect(&self);
    static uint8_t reply[REPLY_BYTES];
    client_send_frame(other, "other");
    client_recv(other, reply, sizeof reply);
    cr_assert(eq(str, (char *)reply, "other"));
    (void)close(other);

    for (int i = 0; i < REQUESTS; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        client_recv(client, reply, sizeof reply);
        cr_assert(eq(str, (char *)reply, text));
    }
    /* Unsent bytes keep the limit up to one reply; as many that are sent may stand before them. */
    cr_assert(le(u64, self.out_bytes_most, 2 * (self.options.unsent_bytes_max + REPLY_BYTES)));
    (void)close(client);
    fixture_await_metric(&self, closed_total, "reason=\"peer\"", 2);
    fixture_stop(&self);
}

Test(limits, a_reader_that_has_stopped_is_closed_after_its_time)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = verbose_received;
    fixture_start(&self);
    int client = client_connect(&self);
    shrink_receive_buffer(client);
    send_requests(client);
    fixture_await_metric(&self, choked, "", 1);
    cr_assert(eq(u64, fixture_metric(&self, closed_total, NULL), 0));
    fixture_pass_ms(&self, 2 * (int64_t)self.options.stall_ms);
    fixture_await_metric(&self, closed_total, "reason=\"stalled\"", 1);
    await_count(&self.closed, 1);
    (void)close(client);
    fixture_stop(&self);
}

Test(limits, half_requests_of_all_together_have_a_limit)
{
    enum { LARGE = 700 * 1024 };
    struct fixture self;
    fixture_init(&self);
    self.options.held_bytes_max = 1024 * 1024;
    fixture_start(&self);
    static uint8_t frame[FRAME_HEADER_BYTES + LARGE];
    static uint8_t answer[sizeof frame];
    store_u32(frame, LARGE);
    int first = client_connect(&self);
    client_send(first, view_of(frame, sizeof frame / 2));
    fixture_await_metric(&self, "satchel_net_received_bytes_total", "", sizeof frame / 2);
    cr_assert(ge(u64, fixture_metric(&self, "satchel_net_held_bytes", ""), LARGE));
    int second = client_connect(&self);
    client_send(second, view_of(frame, 64));
    fixture_await_metric(&self, closed_total, "reason=\"limit\"", 1);
    int small = client_connect(&self);
    client_send_frame(small, "what is small goes on");
    client_expect_frame(small, "what is small goes on");
    client_send(first, view_of(frame + sizeof frame / 2, sizeof frame - sizeof frame / 2));
    client_recv(first, answer, sizeof answer);
    cr_assert(view_equal(view_of(answer, sizeof answer), view_of(frame, sizeof frame)));
    (void)close(first);
    (void)close(second);
    (void)close(small);
    fixture_stop(&self);
}

Test(limits, slow_progress_is_progress)
{
    struct fixture self;
    fixture_init(&self);
    self.options.stall_ms = 40;
    self.options.unsent_bytes_max = 16 * 1024 * 1024; /* more than is read below: never drained */
    self.handler.received = verbose_received;
    fixture_start(&self);
    int reader = client_connect(&self);
    shrink_receive_buffer(reader);
    send_requests(reader);
    fixture_await_metric(&self, choked, "", 1);
    int writer = client_connect(&self);
    uint64_t arrived = fixture_metric(&self, "satchel_net_received_bytes_total", "");
    static uint8_t frame[FRAME_HEADER_BYTES + 5] = {5, 0, 0, 0, 'a', 'b', 'c', 'd'};
    for (size_t i = 0; i < sizeof frame - 1; i++) {
        client_send(writer, view_of(frame + i, 1));
        fixture_await_metric(&self, "satchel_net_received_bytes_total", "", ++arrived);
        uint64_t sent = fixture_metric(&self, "satchel_net_sent_bytes_total", "");
        static uint8_t some[1024 * 1024 * 3 / 2];
        client_recv(reader, some, sizeof some);
        fixture_await_metric(&self, "satchel_net_sent_bytes_total", "", sent + 1);
        fixture_pass_ms(&self, (int64_t)self.options.stall_ms);
        fixture_await_tick(&self);
        cr_assert(eq(uint, self.closed, 0), "after %zu bytes", i);
    }
    /* Once neither makes any; the kernel may still be taking bytes for the reader at first. */
    for (int i = 0; i < 100 && self.closed < 2; i++) {
        fixture_pass_ms(&self, (int64_t)self.options.stall_ms);
        fixture_await_tick(&self);
    }
    cr_assert(eq(uint, self.closed, 2));
    (void)close(reader);
    (void)close(writer);
    fixture_stop(&self);
}

Test(limits, half_a_request_is_closed_after_its_time_and_idle_connections_live_on)
{
    struct fixture self;
    fixture_init(&self);
    fixture_start(&self);
    int idle = client_connect(&self);
    int used = client_connect(&self);
    int half = client_connect(&self);
    client_send_frame(used, "hello");
    client_expect_frame(used, "hello");
    uint64_t arrived = fixture_metric(&self, "satchel_net_received_bytes_total", "");
    uint8_t header[FRAME_HEADER_BYTES];
    store_u32(header, 100);
    client_send(half, view_of(header, sizeof header));
    fixture_await_metric(&self, "satchel_net_received_bytes_total", "", arrived + sizeof header);

    fixture_pass_ms(&self, 2 * (int64_t)self.options.stall_ms);
    client_expect_end(half);
    fixture_await_metric(&self, closed_total, "reason=\"stalled\"", 1);
    client_send_frame(idle, "still here");
    client_expect_frame(idle, "still here");
    client_send_frame(used, "so am I");
    client_expect_frame(used, "so am I");
    cr_assert(eq(uint, self.closed, 1));
    (void)close(idle);
    (void)close(used);
    (void)close(half);
    fixture_stop(&self);
}

Test(limits, connections_over_the_maximum_are_closed_at_once_until_one_leaves)
{
    struct fixture self;
    fixture_init(&self);
    self.options.connections_max = 2;
    fixture_start(&self);
    int first = client_connect(&self);
    int second = client_connect(&self);
    await_count(&self.opened, 2);
    for (int i = 0; i < 20; i++) {
        int refused = client_connect(&self);
        client_expect_end(refused);
        (void)close(refused);
    }
    fixture_await_metric(&self, "satchel_net_connections_refused_total", "", 20);
    cr_assert(eq(uint, self.opened, 2));
    (void)close(first);
    await_count(&self.closed, 1);
    int third = client_connect(&self);
    client_send_frame(third, "in");
    client_expect_frame(third, "in");
    client_send_frame(second, "all the time");
    client_expect_frame(second, "all the time");
    (void)close(second);
    (void)close(third);
    fixture_stop(&self);
}

Test(limits, without_descriptors_accepting_waits_instead_of_spinning)
{
    struct fixture self;
    fixture_init(&self);
    fixture_start(&self);
    int first = client_connect(&self);
    await_count(&self.opened, 1);
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    int second = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit none = {.rlim_cur = (rlim_t)second + 1, .rlim_max = limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    (void)close(second);
    second = client_connect(&self); /* takes the last one; the server's end finds none */

    fixture_await_metric(&self, "satchel_net_accept_pauses_total", "", 3);
    uint64_t pauses = fixture_metric(&self, "satchel_net_accept_pauses_total", "");
    cr_assert(lt(u64, pauses, 100), "a pause each 100 ms, not thousands");
    client_send_frame(first, "served meanwhile");
    client_expect_frame(first, "served meanwhile");

    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    client_send_frame(second, "at last");
    client_expect_frame(second, "at last");
    (void)close(first);
    (void)close(second);
    fixture_stop(&self);
}

Test(limits, an_idle_connection_owns_no_buffers)
{
    enum { CLIENTS = 400, CONN_BYTES_MAX = 1024 };
    struct fixture self;
    fixture_init(&self);
    fixture_start(&self);
    int clients[CLIENTS];
    /* Warm: the buffers of the worker and libevent's tables are there. */
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&self);
    }
    await_count(&self.opened, CLIENTS);
    uint64_t arrived = fixture_metric(&self, "satchel_net_received_bytes_total", "");
    struct mallinfo2 before = mallinfo2();
    /* Half a frame each: now every connection owns a buffer. */
    static const uint8_t half[FRAME_HEADER_BYTES] = {200, 8, 0, 0};
    for (int i = 0; i < CLIENTS; i++) {
        client_send(clients[i], view_of(half, sizeof half));
    }
    arrived += CLIENTS * sizeof half;
    fixture_await_metric(&self, "satchel_net_received_bytes_total", "", arrived);
    struct mallinfo2 halfway = mallinfo2();
    static uint8_t payload[8 * 256 + 200];
    for (int i = 0; i < CLIENTS; i++) {
        client_send(clients[i], view_of(payload, sizeof payload));
    }
    for (int i = 0; i < CLIENTS; i++) {
        uint8_t echo[FRAME_HEADER_BYTES + sizeof payload];
        client_recv(clients[i], echo, sizeof echo);
    }
    struct mallinfo2 after = mallinfo2();
    if (before.uordblks != 0) { /* sanitizers bring an allocator that does not count */
        cr_assert(lt(sz, before.uordblks + before.hblkhd + CLIENTS * 1024,
                     halfway.uordblks + halfway.hblkhd));
        cr_assert(lt(sz, after.uordblks, before.uordblks + CLIENTS * 64));
        for (int i = 0; i < CLIENTS; i++) {
            (void)close(clients[i]);
        }
        await_count(&self.closed, CLIENTS);
        fixture_await_metric(&self, closed_total, NULL, CLIENTS);
        /* What they cost altogether: the connection and libevent's share. */
        worker_wake(net_worker(self.net, 0));
        await_count(&self.woken, 1);
        struct mallinfo2 gone = mallinfo2();
        cr_assert(lt(sz, before.uordblks - gone.uordblks, CLIENTS * CONN_BYTES_MAX));
    }
    fixture_stop(&self);
}
