/* What a handler is told about time: when bytes came, and when the kernel took the answers. */
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

TestSuite(sent, .timeout = 60);

enum { REPLY_BYTES = 32 * 1024, REQUESTS = 1000 }; /* more than the kernel holds */

struct teller {
    struct fixture net; /* first: handlers get it as their argument */
    struct conn *conn;  /* the last that opened */
    uint64_t appended;  /* bytes of answers; worker only, until the net has stopped */
    uint64_t taken;
    unsigned short_sends; /* that left something */
    _Atomic unsigned sends;
    _Atomic int64_t received_ns;
};

/* Answers each frame with REPLY_BYTES bytes. */
static size_t verbose_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct teller *self = arg;
    size_t used = 0;
    self->received_ns = worker_received_ns(conn_worker(conn));
    while (!conn_is_full(conn)) {
        struct view payload;
        size_t taken = frame_take(view_of(bytes.ptr + used, bytes.len - used), &payload, need);
        if (taken == 0) {
            break;
        }
        static const uint8_t reply[REPLY_BYTES];
        cr_assert(buf_append(conn_out(conn), view_of(reply, sizeof reply)) == STATUS_OK);
        self->appended += sizeof reply;
        used += taken;
    }
    self->net.received++;
    return used;
}

static void note_sent(void *arg, struct conn *conn, size_t taken, size_t unsent)
{
    struct teller *self = arg;
    (void)conn;
    cr_assert(lt(sz, 0, taken));
    self->taken += taken;
    cr_assert(eq(u64, self->appended - self->taken, unsent));
    self->short_sends += unsent != 0;
    self->sends++;
}

static void note_opened(void *arg, struct conn *conn)
{
    struct teller *self = arg;
    self->conn = conn;
    self->net.opened++;
}

static void teller_start(struct teller *self)
{
    fixture_init(&self->net);
    self->net.handler.opened = note_opened;
    self->net.handler.received = verbose_received;
    self->net.handler.sent = note_sent;
}

Test(sent, every_byte_is_told_once_although_the_peer_reads_slowly)
{
    static struct teller self;
    teller_start(&self);
    fixture_start(&self.net);
    int client = client_connect(&self.net);
    (void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &(int){64 * 1024}, sizeof(int));
    for (int i = 0; i < REQUESTS; i++) {
        client_send_frame(client, "more");
    }
    fixture_await_metric(&self.net, "satchel_net_choked_total", "", 1);
    static uint8_t reply[REPLY_BYTES];
    for (int i = 0; i < REQUESTS; i++) {
        client_recv(client, reply, sizeof reply);
    }
    (void)close(client);
    fixture_stop(&self.net);
    cr_assert(eq(u64, self.taken, (uint64_t)REQUESTS * REPLY_BYTES));
    cr_assert(lt(uint, 0, self.short_sends));
}

static void say_goodbye(void *arg, struct worker *worker)
{
    struct teller *self = arg;
    (void)worker;
    cr_assert(buf_append(conn_out(self->conn), view_str("goodbye")) == STATUS_OK);
    self->appended += strlen("goodbye");
    conn_close(self->conn, CONN_CLOSE_ASKED, NULL);
}

Test(sent, the_last_words_of_a_connection_are_told_as_well)
{
    static struct teller self;
    teller_start(&self);
    self.net.handler.woken = say_goodbye;
    fixture_start(&self.net);
    int client = client_connect(&self.net);
    await_count(&self.net.opened, 1);
    worker_wake(net_worker(self.net.net, 0));
    char words[7];
    client_recv(client, words, sizeof words);
    client_expect_end(client);
    await_count(&self.sends, 1);
    (void)close(client);
    fixture_stop(&self.net);
    cr_assert(eq(u64, self.taken, strlen("goodbye")));
}

Test(sent, bytes_have_the_time_at_which_they_came)
{
    static struct teller self;
    teller_start(&self);
    fixture_start(&self.net);
    int client = client_connect(&self.net);
    static uint8_t reply[REPLY_BYTES];
    for (int i = 0; i < 3; i++) {
        fixture_pass_ms(&self.net, 7);
        client_send_frame(client, "what time is it?");
        client_recv(client, reply, sizeof reply);
        cr_assert(eq(i64, self.received_ns, self.net.mono_ns));
    }
    (void)close(client);
    fixture_stop(&self.net);
}

Test(sent, what_comes_in_pieces_has_the_time_of_the_last)
{
    static struct teller self;
    teller_start(&self);
    fixture_start(&self.net);
    int client = client_connect(&self.net);
    enum { LARGE_BYTES = 300 * 1024 }; /* more than the worker's buffer: received where it stays */
    static uint8_t frame[FRAME_HEADER_BYTES + LARGE_BYTES];
    store_u32(frame, LARGE_BYTES);
    client_send(client, view_of(frame, sizeof frame / 2));
    fixture_await_metric(&self.net, "satchel_net_received_bytes_total", "", sizeof frame / 2);
    fixture_pass_ms(&self.net, 500);
    client_send(client, view_of(frame + sizeof frame / 2, sizeof frame - sizeof frame / 2));
    static uint8_t reply[REPLY_BYTES];
    client_recv(client, reply, sizeof reply);
    cr_assert(eq(i64, self.received_ns, INT64_C(500000000)));
    (void)close(client);
    fixture_stop(&self.net);
}
