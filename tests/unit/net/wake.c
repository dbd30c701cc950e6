/* Waking a worker, and answers that become ready there. */
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(wake, .timeout = 60);

static const char sends[] = "satchel_net_send_calls_total";

struct gate {
    struct fixture fixture;
    sem_t entered;
    sem_t leave;
    uint64_t published; /* plain on purpose: worker_wake() is what makes it visible */
    uint64_t seen;
};

static void wait_in_woken(void *arg, struct worker *worker)
{
    struct gate *self = arg;
    (void)worker;
    self->seen = self->published;
    (void)sem_post(&self->entered);
    (void)sem_wait(&self->leave);
    self->fixture.woken++;
}

static void *no_state(void *arg, struct worker *worker)
{
    (void)worker;
    return arg;
}

static void nothing(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker;
}

Test(wake, wakes_between_two_turns_are_one_and_none_is_lost)
{
    struct gate self = {.published = 1};
    fixture_init(&self.fixture);
    (void)sem_init(&self.entered, 0, 0);
    (void)sem_init(&self.leave, 0, 0);
    self.fixture.handler.arg = &self;
    self.fixture.handler.woken = wait_in_woken;
    self.fixture.handler.worker_started = no_state;
    self.fixture.handler.worker_stopped = nothing;
    fixture_start(&self.fixture);
    struct worker *worker = net_worker(self.fixture.net, 0);
    worker_wake(worker);
    (void)sem_wait(&self.entered);
    cr_assert(eq(u64, self.seen, 1));
    self.published = 2;
    for (int i = 0; i < 1000; i++) {
        worker_wake(worker);
    }
    (void)sem_post(&self.leave);
    (void)sem_wait(&self.entered);
    cr_assert(eq(u64, self.seen, 2));
    (void)sem_post(&self.leave);
    await_count(&self.fixture.woken, 2);
    fixture_stop(&self.fixture);
    cr_assert(eq(uint, self.fixture.woken, 2));
}

/* What a protocol does whose answers wait for something: takes the requests, answers in woken. */
static size_t take_silently(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    struct view payload;
    (void)conn;
    size_t used = 0;
    for (size_t taken;
         (taken = frame_take(view_of(bytes.ptr + used, bytes.len - used), &payload, need)) != 0;) {
        used += taken;
        self->received++;
    }
    return used;
}

static void answer_part(void *arg, struct conn *conn)
{
    const char *text = arg;
    frame_put(conn_out(conn), view_str(text));
    conn_flush(conn);
}

/* Answers every connection three times, in turns. */
static void answer_all(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    static char part[3][8] = {"first", "second", "third"};
    for (int i = 0; i < 3; i++) {
        worker_each_conn(worker, answer_part, part[i]);
    }
    self->woken++;
}

Test(wake, answers_released_together_cost_one_send_a_connection)
{
    enum { CLIENTS = 300, ROUNDS = 3 }; /* more than there are spare buffers */
    struct fixture self;
    fixture_init(&self);
    self.handler.received = take_silently;
    self.handler.woken = answer_all;
    fixture_start(&self);
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&self);
    }
    await_count(&self.opened, CLIENTS);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            client_send_frame(clients[i], "please");
        }
        await_count(&self.received, CLIENTS * round);
        worker_wake(net_worker(self.net, 0));
        for (int i = 0; i < CLIENTS; i++) {
            client_expect_frame(clients[i], "first");
            client_expect_frame(clients[i], "second");
            client_expect_frame(clients[i], "third");
        }
        cr_assert(eq(u64, fixture_metric(&self, sends, ""), CLIENTS * round));
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)close(clients[i]);
    }
    fixture_stop(&self);
}

/* Appends later than it asked for the buffer; conn_flush() is what sends it. */
struct late {
    struct fixture fixture;
    struct conn *conn;
    struct buf *out;
};

static size_t ask_early(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct late *self = arg;
    (void)need;
    if (self->conn == NULL) {
        self->conn = conn; /* the first connection only */
    } else {
        self->out = conn_out(self->conn); /* another one's: its own buffer */
        frame_put(conn_out(conn), view_str("noted"));
    }
    return bytes.len;
}

static void append_late(void *arg, struct worker *worker)
{
    struct late *self = arg;
    (void)worker;
    frame_put(self->out, view_str("late"));
    conn_flush(self->conn);
}

Test(wake, flush_sends_what_was_appended_in_a_later_callback)
{
    struct late self = {0};
    fixture_init(&self.fixture);
    self.fixture.handler.arg = &self;
    self.fixture.handler.received = ask_early;
    self.fixture.handler.woken = append_late;
    fixture_start(&self.fixture);
    int first = client_connect(&self.fixture);
    client_send_frame(first, "x");
    fixture_await_metric(&self.fixture, "satchel_net_received_bytes_total", "", 5);
    int second = client_connect(&self.fixture);
    client_send_frame(second, "y");
    client_expect_frame(second, "noted");
    worker_wake(net_worker(self.fixture.net, 0));
    client_expect_frame(first, "late");
    (void)close(first);
    (void)close(second);
    fixture_stop(&self.fixture);
}

/* Large answers to a reader that is slow, from woken: they queue, choke and arrive in order. */
enum { LARGE_BYTES = 1024 * 1024 };

static void answer_large(void *arg, struct conn *conn)
{
    static uint8_t large[LARGE_BYTES];
    struct fixture *self = arg;
    memset(large, (int)self->woken, sizeof large);
    cr_assert(buf_append(conn_out(conn), view_of(large, sizeof large)) == STATUS_OK);
}

static void answer_large_to_all(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    worker_each_conn(worker, answer_large, self);
    self->woken++;
}

Test(wake, answers_behind_unsent_ones_keep_their_order)
{
    enum { ANSWERS = 12 };
    struct fixture self;
    fixture_init(&self);
    self.handler.woken = answer_large_to_all;
    fixture_start(&self);
    int client = client_connect(&self);
    await_count(&self.opened, 1);
    for (unsigned i = 0; i < ANSWERS; i++) {
        worker_wake(net_worker(self.net, 0));
        await_count(&self.woken, i + 1);
    }
    fixture_await_metric(&self, "satchel_net_choked_total", "", 1);
    client_send_frame(client, "read when there is room again");
    static uint8_t got[LARGE_BYTES];
    for (unsigned i = 0; i < ANSWERS; i++) {
        client_recv(client, got, sizeof got);
        for (size_t at = 0; at < sizeof got; at += 4095) {
            cr_assert(eq(uint, got[at], i), "answer %u at %zu", i, at);
        }
    }
    client_expect_frame(client, "read when there is room again");
    (void)close(client);
    fixture_stop(&self);
}
