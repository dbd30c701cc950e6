/* Pausing, resuming and closing, from wherever a handler may do it. */
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(life, .timeout = 60);

static const char received_bytes[] = "satchel_net_received_bytes_total";
static const char closed_total[] = "satchel_net_connections_closed_total";

/* ---- pause and resume ---- */

/* Echoes one frame, then pauses. */
static size_t one_then_pause(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    struct view payload;
    size_t taken = frame_take(bytes, &payload, need);
    if (taken != 0) {
        frame_put(conn_out(conn), payload);
        conn_pause(conn);
        self->received++;
    }
    return taken;
}

static void resume(void *arg, struct conn *conn)
{
    (void)arg;
    conn_resume(conn);
}

static void resume_all(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    worker_each_conn(worker, resume, NULL);
    self->woken++;
}

Test(life, a_paused_connection_keeps_what_came_and_goes_on_by_itself_after_resume)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = one_then_pause;
    self.handler.woken = resume_all;
    fixture_start(&self);
    int client = client_connect(&self);
    struct buf stream = {0};
    frame_put(&stream, view_str("one"));
    frame_put(&stream, view_str("two"));
    frame_put(&stream, view_str("three"));
    client_send(client, buf_view(&stream));
    uint64_t arrived = stream.len;
    fixture_await_metric(&self, received_bytes, "", arrived);
    client_expect_frame(client, "one");
    cr_assert(eq(uint, self.received, 1));

    /* Nothing is read while it is paused: the wake-up of a second connection is handled, so the
     * worker had its chance. */
    client_send(client, buf_view(&stream));
    int other = client_connect(&self);
    client_send_frame(other, "other");
    client_expect_frame(other, "other");
    cr_assert(eq(u64, fixture_metric(&self, received_bytes, ""), arrived + 9));
    (void)close(other);

    static const char *const rest[] = {"two", "three", "one", "two", "three"};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        worker_wake(net_worker(self.net, 0));
        client_expect_frame(client, rest[i]);
    }
    buf_free(&stream);
    (void)close(client);
    worker_wake(net_worker(self.net, 0));
    await_count(&self.closed, 2);
    fixture_stop(&self);
}

/* Pauses and changes its mind after every frame. */
static size_t pause_and_resume(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    size_t taken = one_then_pause(arg, conn, bytes, need);
    conn_resume(conn);
    return taken;
}

Test(life, pausing_and_resuming_in_one_call_leaves_nothing_behind)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = pause_and_resume;
    fixture_start(&self);
    int client = client_connect(&self);
    struct buf stream = {0};
    for (int i = 0; i < 100; i++) {
        frame_put(&stream, view_str("again"));
    }
    client_send(client, buf_view(&stream));
    for (int i = 0; i < 100; i++) {
        client_expect_frame(client, "again");
    }
    buf_free(&stream);
    (void)close(client);
    fixture_stop(&self);
}

/* Takes one frame of each batch and pauses; a paused connection is not stalled. */
Test(life, a_paused_connection_is_not_closed_as_stalled)
{
    struct fixture self;
    fixture_init(&self);
    self.options.stall_ms = 40;
    self.handler.received = one_then_pause;
    self.handler.woken = resume_all;
    fixture_start(&self);
    int client = client_connect(&self);
    struct buf stream = {0};
    frame_put(&stream, view_str("whole"));
    frame_put(&stream, view_str("cut"));
    client_send(client, view_of(stream.ptr, stream.len - 1));
    client_expect_frame(client, "whole");
    /* A second connection that is stalled for sure shows that the check has run. */
    int stalled = client_connect(&self);
    uint64_t arrived = stream.len - 1;
    client_send(stalled, view_of(stream.ptr, 1));
    fixture_await_metric(&self, received_bytes, "", arrived + 1);
    fixture_pass_ms(&self, 1000);
    client_expect_end(stalled);
    await_count(&self.closed, 1);
    cr_assert(eq(uint, self.closed, 1));

    /* Resumed, it has its full time again. */
    worker_wake(net_worker(self.net, 0));
    await_count(&self.woken, 1);
    fixture_await_tick(&self);
    cr_assert(eq(uint, self.closed, 1));
    client_send(client, view_of(stream.ptr + stream.len - 1, 1));
    client_expect_frame(client, "cut");
    buf_free(&stream);
    (void)close(client);
    (void)close(stalled);
    worker_wake(net_worker(self.net, 0));
    await_count(&self.closed, 2);
    fixture_stop(&self);
}

/* ---- closing ---- */

static void say(struct conn *conn, const char *text)
{
    frame_put(conn_out(conn), view_str(text));
}

static void close_in_opened(void *arg, struct conn *conn)
{
    struct fixture *self = arg;
    self->opened++;
    say(conn, "goodbye");
    conn_close(conn, CONN_CLOSE_PROTOCOL, "in opened");
    cr_assert(eq(uint, self->closed, 0), "closed is called after opened has returned");
}

Test(life, closing_in_opened_sends_the_last_words)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.opened = close_in_opened;
    fixture_start(&self);
    int client = client_connect(&self);
    client_expect_frame(client, "goodbye");
    client_expect_end(client);
    fixture_await_metric(&self, closed_total, "reason=\"protocol\"", 1);
    (void)close(client);
    fixture_stop(&self);
}

static size_t close_in_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    (void)bytes;
    (void)need;
    say(conn, "what was that?");
    conn_close(conn, CONN_CLOSE_PROTOCOL, "in received");
    conn_close(conn, CONN_CLOSE_ERROR, "only the first call counts");
    conn_pause(conn);
    conn_resume(conn);
    say(conn, "I am leaving");
    cr_assert(eq(uint, self->closed, 0), "closed is called after received has returned");
    return 0;
}

Test(life, closing_in_received_sends_the_last_words_although_more_was_coming)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = close_in_received;
    fixture_start(&self);
    int client = client_connect(&self);
    /* More than one recv takes, so that unread bytes are waiting when the socket is closed. */
    static uint8_t flood[400 * 1024];
    client_send(client, view_of(flood, sizeof flood));
    client_expect_frame(client, "what was that?");
    client_expect_frame(client, "I am leaving");
    client_expect_end(client);
    fixture_await_metric(&self, closed_total, "reason=\"protocol\"", 1);
    (void)close(client);
    fixture_stop(&self);
}

enum { LAST_WORDS_BYTES = 256 * 1024 };

/* Closes only after the client says that it has sent more. */
static size_t close_later(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    (void)bytes;
    (void)need;
    self->received++;
    await_count(&self->woken, 1);
    static const uint8_t last_words[LAST_WORDS_BYTES];
    cr_assert(buf_append(conn_out(conn), view_of(last_words, sizeof last_words)) == STATUS_OK);
    conn_close(conn, CONN_CLOSE_PROTOCOL, "with unread bytes in the kernel");
    return 0;
}

/* Closing over unread bytes would reset the connection and drop what the kernel has not sent yet.
 */
Test(life, unread_bytes_do_not_cost_the_last_words)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.received = close_later;
    fixture_start(&self);
    int client = client_connect(&self);
    int window_bytes = 4096; /* so that most of the last words wait on the server's side */
    (void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &window_bytes, sizeof window_bytes);
    client_send_frame(client, "nonsense");
    await_count(&self.received, 1);
    client_send_frame(client, "more of it"); /* on loopback it has arrived when send returns */
    self.woken = 1;
    fixture_await_metric(&self, closed_total, "reason=\"protocol\"", 1);
    static uint8_t got[LAST_WORDS_BYTES];
    client_recv(client, got, sizeof got);
    client_expect_end(client);
    (void)close(client);
    fixture_stop(&self);
}

static void close_again(void *arg, struct conn *conn)
{
    struct fixture *self = arg;
    self->closed++;
    conn_close(conn, CONN_CLOSE_ERROR, "in closed");
    conn_pause(conn);
    conn_resume(conn);
    conn_flush(conn);
}

Test(life, everything_in_closed_does_nothing)
{
    struct fixture self;
    fixture_init(&self);
    self.handler.closed = close_again;
    fixture_start(&self);
    int client = client_connect(&self);
    client_send_frame(client, "hello");
    client_expect_frame(client, "hello");
    (void)close(client);
    fixture_await_metric(&self, closed_total, "reason=\"peer\"", 1);
    fixture_stop(&self);
}

struct all_conns {
    struct conn *conns[16];
    unsigned count;
};

static void collect(void *arg, struct conn *conn)
{
    struct all_conns *all = arg;
    all->conns[all->count++] = conn;
}

/* Closes every connection but its own from inside `received`. */
static size_t close_the_others(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct all_conns all = {.count = 0};
    worker_each_conn(conn_worker(conn), collect, &all);
    for (unsigned i = 0; i < all.count; i++) {
        if (all.conns[i] != conn) {
            say(all.conns[i], "you are next");
            conn_close(all.conns[i], CONN_CLOSE_STOPPING, NULL);
        }
    }
    return echo_received(arg, conn, bytes, need);
}

Test(life, a_callback_of_one_connection_may_close_the_others)
{
    enum { CLIENTS = 10 };
    struct fixture self;
    fixture_init(&self);
    self.handler.received = close_the_others;
    fixture_start(&self);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&self);
    }
    await_count(&self.opened, CLIENTS);
    client_send_frame(clients[4], "me");
    client_expect_frame(clients[4], "me");
    for (int i = 0; i < CLIENTS; i++) {
        if (i != 4) {
            client_expect_frame(clients[i], "you are next");
            client_expect_end(clients[i]);
        }
    }
    client_send_frame(clients[4], "alone");
    client_expect_frame(clients[4], "alone");
    for (int i = 0; i < CLIENTS; i++) {
        (void)close(clients[i]);
    }
    fixture_stop(&self);
}

/* Closes all connections it has not come to yet, and itself. */
static void close_everything(void *arg, struct conn *conn)
{
    struct fixture *self = arg;
    struct all_conns all = {.count = 0};
    self->received++;
    worker_each_conn(conn_worker(conn), collect, &all);
    for (unsigned i = 0; i < all.count; i++) {
        say(all.conns[i], "all of you");
        conn_close(all.conns[i], CONN_CLOSE_PROTOCOL, "in a walk");
    }
}

static void walk_and_close(void *arg, struct worker *worker)
{
    worker_each_conn(worker, close_everything, arg);
}

Test(life, a_walk_goes_on_over_connections_that_close_during_it)
{
    enum { CLIENTS = 10 };
    struct fixture self;
    fixture_init(&self);
    self.handler.woken = walk_and_close;
    fixture_start(&self);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&self);
    }
    await_count(&self.opened, CLIENTS);
    worker_wake(net_worker(self.net, 0));
    for (int i = 0; i < CLIENTS; i++) {
        client_expect_frame(clients[i], "all of you");
        client_expect_end(clients[i]);
        (void)close(clients[i]);
    }
    cr_assert(eq(uint, self.received, 1), "the first visit closed all others");
    fixture_stop(&self);
}

/* ---- stopping ---- */

Test(life, stop_accepting_keeps_connections_and_takes_no_new_ones)
{
    struct fixture self;
    fixture_init(&self);
    self.options.workers = 2;
    fixture_start(&self);
    int client = client_connect(&self);
    int waiting = client_connect(&self); /* perhaps still in the kernel's queue */
    net_stop_accepting(self.net);
    net_stop_accepting(self.net); /* again does nothing */
    cr_assert(eq(uint, self.opened, 2));
    client_send_frame(client, "still served");
    client_expect_frame(client, "still served");
    client_send_frame(waiting, "me too");
    client_expect_frame(waiting, "me too");
    struct fixture second;
    fixture_init(&second);
    char where[64];
    (void)snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)net_port(self.net));
    second.options.listen = where;
    fixture_start(&second); /* the port is free */
    fixture_stop(&second);
    (void)close(client);
    (void)close(waiting);
    fixture_stop(&self);
}

struct stopper {
    struct fixture *fixture;
    _Atomic unsigned is_stopping;
};

static void *stop_accepting(void *arg)
{
    struct stopper *self = arg;
    self->is_stopping = 1;
    net_stop_accepting(self->fixture->net);
    return NULL;
}

/* Keeps the worker busy until the test sets `received`. */
static void wait_for_received(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    (void)worker;
    self->woken++;
    await_count(&self->received, 1);
}

Test(life, connections_that_wait_in_the_kernel_are_accepted_before_the_listener_closes)
{
    enum { CLIENTS = 200 }; /* more than are accepted in one turn */
    struct fixture self;
    fixture_init(&self);
    self.handler.woken = wait_for_received;
    fixture_start(&self);
    worker_wake(net_worker(self.net, 0));
    await_count(&self.woken, 1);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&self);
    }
    struct stopper stopper = {.fixture = &self};
    pthread_t thread;
    cr_assert(pthread_create(&thread, NULL, stop_accepting, &stopper) == 0);
    await_count(&stopper.is_stopping, 1);
    self.received = 1;
    (void)pthread_join(thread, NULL);
    cr_assert(eq(uint, self.opened, CLIENTS));
    for (int i = 0; i < CLIENTS; i++) {
        client_send_frame(clients[i], "in");
        client_expect_frame(clients[i], "in");
        (void)close(clients[i]);
    }
    fixture_stop(&self);
}

struct flood {
    struct fixture *fixture;
    _Atomic unsigned replies;
};

/* Sends and receives until the server goes away. */
static void *flood(void *arg)
{
    struct flood *self = arg;
    int client = client_connect(self->fixture);
    struct buf batch = {0};
    for (int i = 0; i < 100; i++) {
        frame_put(&batch, view_str("flood"));
    }
    uint8_t echo[4096];
    while (send(client, batch.ptr, batch.len, MSG_NOSIGNAL) == (ssize_t)batch.len &&
           recv(client, echo, sizeof echo, 0) > 0) {
        self->replies++;
    }
    buf_free(&batch);
    (void)close(client);
    return NULL;
}

Test(life, stopping_while_busy_ends_every_connection)
{
    enum { CLIENTS = 8 };
    struct fixture self;
    fixture_init(&self);
    self.options.workers = 2;
    fixture_start(&self);
    struct flood floods = {.fixture = &self};
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert(pthread_create(&threads[i], NULL, flood, &floods) == 0);
    }
    await_count(&self.opened, CLIENTS);
    await_count(&floods.replies, 1000);
    net_stop(self.net);
    worker_wake(net_worker(self.net, 0)); /* late, from a thread that does not know yet */
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    cr_assert(eq(u64, fixture_metric(&self, closed_total, "reason=\"stopping\""), CLIENTS));
    cr_assert(eq(uint, self.stopped, 2));
    fixture_stop(&self);
}
