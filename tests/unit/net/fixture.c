/* The echo server and its clients. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t real_ms(void)
{
    return clock_mono_ns(&clock_system) / 1000000;
}

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static int64_t fake_wall_ms(void *arg)
{
    (void)arg;
    return 0;
}

static int64_t fake_mono_ns(void *arg)
{
    struct fixture *self = arg;
    self->clock_reads++;
    return self->mono_ns;
}

static void *on_started(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    (void)worker;
    self->started++;
    return self;
}

static void on_stopped(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    (void)worker;
    self->stopped++;
}

static void on_opened(void *arg, struct conn *conn)
{
    struct fixture *self = arg;
    (void)conn;
    self->opened++;
}

static void on_closed(void *arg, struct conn *conn)
{
    struct fixture *self = arg;
    (void)conn;
    self->closed++;
}

static void on_turned(void *arg, struct worker *worker)
{
    (void)worker;
    struct fixture *self = arg;
    self->turns++;
}

static void on_woken(void *arg, struct worker *worker)
{
    struct fixture *self = arg;
    (void)worker;
    self->woken++;
}

size_t frame_take(struct view bytes, struct view *payload, size_t *need)
{
    if (bytes.len < FRAME_HEADER_BYTES) {
        *need = FRAME_HEADER_BYTES;
        return 0;
    }
    size_t frame_bytes = FRAME_HEADER_BYTES + (size_t)load_u32(bytes.ptr);
    if (bytes.len < frame_bytes) {
        *need = frame_bytes;
        return 0;
    }
    *payload = view_of(bytes.ptr + FRAME_HEADER_BYTES, frame_bytes - FRAME_HEADER_BYTES);
    return frame_bytes;
}

void frame_put(struct buf *to, struct view payload)
{
    uint8_t header[FRAME_HEADER_BYTES];
    store_u32(header, (uint32_t)payload.len);
    cr_assert(buf_append(to, view_of(header, sizeof header)) == STATUS_OK);
    cr_assert(buf_append(to, payload) == STATUS_OK);
}

size_t echo_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    struct fixture *self = arg;
    size_t used = 0;
    self->received++;
    while (!conn_is_full(conn)) {
        struct view payload;
        size_t taken = frame_take(view_of(bytes.ptr + used, bytes.len - used), &payload, need);
        if (taken == 0) {
            break;
        }
        frame_put(conn_out(conn), payload);
        used += taken;
    }
    if (conn_out(conn)->len > self->out_bytes_most) {
        self->out_bytes_most = conn_out(conn)->len;
    }
    return used;
}

static void on_arrived(void *arg, struct conn *conn, struct view bytes)
{
    struct fixture *self = arg;
    (void)conn;
    (void)bytes;
    self->arrived++;
}

void fixture_init(struct fixture *self)
{
    *self = (struct fixture){
        .options = {.listen = "127.0.0.1:0",
                    .workers = 1,
                    .connections_max = 1000,
                    .unsent_bytes_max = 1024 * 1024,
                    .held_bytes_max = 64 * 1024 * 1024,
                    .stall_ms = 1000},
        .handler = {.worker_started = on_started,
                    .worker_stopped = on_stopped,
                    .opened = on_opened,
                    .arrived = on_arrived,
                    .received = echo_received,
                    .closed = on_closed,
                    .turned = on_turned,
                    .woken = on_woken,
                    .arg = self},
    };
}

void fixture_start(struct fixture *self)
{
    struct clock clock = {.wall_ms = fake_wall_ms, .mono_ns = fake_mono_ns, .arg = self};
    char errmsg[256] = "";
    enum status status = net_start(&self->options, &self->handler, &clock, &self->net, errmsg,
                                   sizeof errmsg);
    cr_assert(status == STATUS_OK, "%s", errmsg);
    cr_assert(net_register_metrics(self->net, &self->registry) == STATUS_OK);
}

void fixture_stop(struct fixture *self)
{
    net_stop(self->net);
    cr_assert(eq(u64, net_connection_count(self->net), 0));
    cr_assert(eq(u64, fixture_metric(self, "satchel_net_connections", ""), 0));
    cr_assert(eq(u64, fixture_metric(self, "satchel_net_connections_closed_total", NULL),
                 fixture_metric(self, "satchel_net_connections_accepted_total", "")));
    cr_assert(eq(uint, self->opened, self->closed));
    net_free(self->net);
}

struct metric_wanted {
    const char *name;
    const char *labels;
    double value;
};

static void add_sample(void *arg, const struct metric_sample *sample)
{
    struct metric_wanted *wanted = arg;
    if (strcmp(sample->desc->name, wanted->name) == 0 &&
        (wanted->labels == NULL || strcmp(sample->desc->labels, wanted->labels) == 0)) {
        wanted->value += sample->value;
    }
}

uint64_t fixture_metric(struct fixture *self, const char *name, const char *labels)
{
    struct metric_wanted wanted = {.name = name, .labels = labels};
    metric_visit(&self->registry, add_sample, &wanted);
    return (uint64_t)wanted.value;
}

void fixture_await_metric(struct fixture *self, const char *name, const char *labels,
                          uint64_t least)
{
    int64_t end_ms = real_ms() + DEADLINE_MS;
    while (fixture_metric(self, name, labels) < least) {
        cr_assert(real_ms() < end_ms, "%s{%s} stays below %llu", name, labels,
                  (unsigned long long)least);
        nap();
    }
}

void await_count(const _Atomic unsigned *value, unsigned least)
{
    int64_t end_ms = real_ms() + DEADLINE_MS;
    while (*value < least) {
        cr_assert(real_ms() < end_ms, "a count stays at %u below %u", *value, least);
        nap();
    }
}

void fixture_pass_ms(struct fixture *self, int64_t ms)
{
    self->mono_ns += ms * 1000000;
}

void fixture_await_tick(struct fixture *self)
{
    /* A tick reads the clock before it looks, so after the second reading from now the first look
     * is over. */
    await_count(&self->clock_reads, self->clock_reads + 2);
}

int client_connect(struct fixture *self)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0);
    struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(net_port(self->net)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    cr_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect: %d", errno);
    return fd;
}

void client_send(int fd, struct view bytes)
{
    while (bytes.len != 0) {
        ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        cr_assert(sent > 0, "send: %d", errno);
        bytes = view_of(bytes.ptr + sent, bytes.len - (size_t)sent);
    }
}

void client_send_frame(int fd, const char *text)
{
    struct buf frame = {0};
    frame_put(&frame, view_str(text));
    client_send(fd, buf_view(&frame));
    buf_free(&frame);
}

void client_recv(int fd, void *out, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t more = recv(fd, (uint8_t *)out + got, len - got, 0);
        cr_assert(more > 0, "recv: %zd, errno %d after %zu of %zu bytes", more, errno, got, len);
        got += (size_t)more;
    }
}

void client_expect_frame(int fd, const char *text)
{
    char header[FRAME_HEADER_BYTES];
    char payload[4096];
    client_recv(fd, header, sizeof header);
    size_t len = load_u32((const uint8_t *)header);
    cr_assert(len < sizeof payload);
    client_recv(fd, payload, len);
    payload[len] = '\0';
    cr_assert(eq(str, payload, (char *)text));
}

void client_expect_end(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    cr_assert(got == 0 || (got < 0 && errno == ECONNRESET), "recv: %zd, errno %d", got, errno);
}
