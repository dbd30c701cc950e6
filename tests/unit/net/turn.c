/* Several connections are received from before the first of them is answered. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(turn, .timeout = 60);

enum { CLIENTS = 40, TOGETHER = 16 };

/* A server whose worker is held until all clients have sent, so that one turn meets them all. */
struct crowd {
    struct fixture net; /* first: handlers get it as their argument */
    int clients[CLIENTS];
    _Atomic unsigned is_let_go;
    char calls[2 * CLIENTS + 1]; /* a: arrived, r: received; in the order they came */
    size_t call_count;
};

static void hold(void *arg, struct worker *worker)
{
    struct crowd *self = arg;
    (void)worker;
    self->net.woken++;
    await_count(&self->is_let_go, 1);
}

static void note_arrived(void *arg, struct conn *conn, struct view bytes)
{
    struct crowd *self = arg;
    (void)conn;
    cr_assert(ne(sz, bytes.len, 0));
    self->calls[self->call_count++] = 'a';
}

static size_t note_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct crowd *self = arg;
    self->calls[self->call_count++] = 'r';
    return echo_received(arg, conn, bytes, need);
}

static void crowd_start(struct crowd *self)
{
    fixture_start(&self->net);
    for (size_t i = 0; i < CLIENTS; i++) {
        self->clients[i] = client_connect(&self->net);
    }
    await_count(&self->net.opened, CLIENTS);
    worker_wake(net_worker(self->net.net, 0));
    await_count(&self->net.woken, 1);
}

static void crowd_stop(struct crowd *self)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)close(self->clients[i]);
    }
    fixture_stop(&self->net);
}

Test(turn, sixteen_connections_arrive_before_the_first_is_answered)
{
    static struct crowd self;
    fixture_init(&self.net);
    self.net.handler.woken = hold;
    self.net.handler.arrived = note_arrived;
    self.net.handler.received = note_received;
    crowd_start(&self);
    for (size_t i = 0; i < CLIENTS; i++) {
        client_send_frame(self.clients[i], "hello");
    }
    self.is_let_go = 1;
    for (size_t i = 0; i < CLIENTS; i++) {
        client_expect_frame(self.clients[i], "hello");
    }
    crowd_stop(&self);
    /* Groups of arrivals, each followed by as many deliveries; the first one is full. */
    cr_assert(eq(sz, strlen(self.calls), 2 * CLIENTS));
    size_t first = strspn(self.calls, "a");
    cr_assert(eq(sz, first, TOGETHER));
    for (const char *at = self.calls; *at != '\0';) {
        size_t arrived = strspn(at, "a");
        size_t received = strspn(at + arrived, "r");
        cr_assert(le(sz, arrived, TOGETHER));
        cr_assert(eq(sz, received, arrived), "in %s", self.calls);
        at += arrived + received;
    }
}

struct closing {
    struct conn *conns[CLIENTS];
    size_t count;
};

static void collect(void *arg, struct conn *conn)
{
    struct closing *self = arg;
    self->conns[self->count++] = conn;
}

static size_t close_the_others(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct closing all = {.count = 0};
    worker_each_conn(conn_worker(conn), collect, &all);
    for (size_t i = 0; i < all.count; i++) {
        if (all.conns[i] != conn) {
            conn_close(all.conns[i], CONN_CLOSE_STOPPING, NULL);
        }
    }
    return echo_received(arg, conn, bytes, need);
}

Test(turn, what_a_connection_sent_is_not_looked_at_after_another_one_closed_it)
{
    static struct crowd self;
    fixture_init(&self.net);
    self.net.handler.woken = hold;
    self.net.handler.received = close_the_others;
    crowd_start(&self);
    for (size_t i = 0; i < CLIENTS; i++) {
        client_send_frame(self.clients[i], "me");
    }
    self.is_let_go = 1;
    await_count(&self.net.closed, CLIENTS - 1);
    cr_assert(eq(uint, self.net.received, 1));
    cr_assert(lt(uint, 1, self.net.arrived));
    crowd_stop(&self);
}

Test(turn, more_than_the_receive_buffer_holds_arrives_unchanged)
{
    enum { FRAME_BYTES = 60 * 1024 };
    static struct crowd self;
    fixture_init(&self.net);
    self.net.handler.woken = hold;
    crowd_start(&self);
    uint8_t *payload = malloc(FRAME_BYTES);
    uint8_t *echo = malloc(FRAME_BYTES + FRAME_HEADER_BYTES);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct buf frame = {0};
        memset(payload, (int)i, FRAME_BYTES);
        frame_put(&frame, view_of(payload, i % 2 == 0 ? FRAME_BYTES : 1 + i));
        client_send(self.clients[i], buf_view(&frame));
        buf_free(&frame);
    }
    self.is_let_go = 1;
    for (size_t i = 0; i < CLIENTS; i++) {
        size_t len = i % 2 == 0 ? FRAME_BYTES : 1 + i;
        memset(payload, (int)i, FRAME_BYTES);
        client_recv(self.clients[i], echo, FRAME_HEADER_BYTES + len);
        cr_assert(memcmp(echo + FRAME_HEADER_BYTES, payload, len) == 0, "client %zu", i);
    }
    free(payload);
    free(echo);
    crowd_stop(&self);
}
