/* Clients of two workers; see room.h. */
#include "room.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { VALUE_BYTES_MAX = 1024 * 1024 };

#define NOW_MS INT64_C(1750000000000)

static int64_t wall_ms(void *arg)
{
    const struct room *self = arg;
    return self->now_ms;
}

static int64_t mono_ns(void *arg)
{
    struct room *self = arg;
    return self->mono_ns += self->step_ns;
}

static void on_wake(void *worker_arg)
{
    struct room *self = worker_arg;
    self->wakes++;
}

static void on_loaded(void *waiter)
{
    struct guest *guest = waiter;
    guest->room->reruns++;
}

void room_open(struct room *self, const char *token)
{
    *self = (struct room){.now_ms = NOW_MS};
    self->clock = (struct clock){.wall_ms = wall_ms, .mono_ns = mono_ns, .arg = self};
    stand_init(&self->stand);
    stand_open(&self->stand);
    const struct redis_options options = {.value_bytes_max = VALUE_BYTES_MAX,
                                          .ack = ACK_DURABLE,
                                          .token = view_str(token),
                                          .clock = &self->clock,
                                          .registry = &self->registry,
                                          .wake = on_wake,
                                          .loaded = on_loaded};
    cr_assert_eq(redis_open(&options, &self->redis), STATUS_OK);
    redis_set_store(self->redis, self->stand.store);
    for (size_t i = 0; i < ROOM_WORKERS; i++) {
        self->workers[i] = redis_worker_new(self->redis, self);
        cr_assert_not_null(self->workers[i]);
    }
}

void room_close(struct room *self)
{
    for (size_t i = 0; i < self->guest_count; i++) {
        room_leave(&self->guests[i]);
        buf_free(&self->guests[i].reply);
        buf_free(&self->guests[i].heard);
    }
    for (size_t i = 0; i < ROOM_WORKERS; i++) {
        redis_worker_free(self->workers[i]);
    }
    redis_close(self->redis);
    stand_end(&self->stand);
}

struct guest *room_enter(struct room *self, unsigned worker)
{
    char peer[32];
    cr_assert_lt(self->guest_count, ROOM_GUESTS_MAX);
    struct guest *guest = &self->guests[self->guest_count++];
    *guest = (struct guest){.room = self};
    (void)snprintf(peer, sizeof peer, "203.0.113.7:%zu", 4000 + self->guest_count);
    guest->client = redis_client_new(self->workers[worker], peer, self->guest_count, guest);
    cr_assert_not_null(guest->client);
    return guest;
}

void room_leave(struct guest *self)
{
    redis_client_free(self->client);
    self->client = NULL;
}

struct view room_say(struct guest *self, const char *line)
{
    struct buf bytes = {0};
    cr_assert_eq(buf_printf(&bytes, "%s\r\n", line), STATUS_OK);
    enum redis_outcome outcome = REDIS_WAITING;
    struct redis_request request = {
        .bytes = buf_view(&bytes), .now_ms = self->room->now_ms, .out = &self->reply};
    for (int tries = 0; outcome == REDIS_WAITING && tries < 100000; tries++) {
        self->reply.len = 0;
        outcome = redis_answer(self->client, &request);
        request.waiter = self;
    }
    cr_assert(outcome == REDIS_ANSWERED && request.used == bytes.len, "%s", line);
    self->gate_lsn = request.gate_lsn;
    self->ends = request.ends;
    buf_free(&bytes);
    return buf_view(&self->reply);
}

/* Asserts bytes, and shows what differs with its line breaks made visible. */
static void expect_bytes(const char *what, struct view got, const char *wanted)
{
    char text[1024];
    size_t len = 0;
    for (size_t i = 0; i < got.len && len + 1 < sizeof text; i++) {
        text[len++] = got.ptr[i] == '\r' ? '~' : (char)got.ptr[i];
    }
    text[len] = '\0';
    cr_expect(view_equal(got, view_str(wanted)), "%s:\n%s, not\n%s", what, text, wanted);
}

void room_expect(struct guest *self, const char *line, const char *reply)
{
    expect_bytes(line, room_say(self, line), reply);
}

void room_expect_all(struct guest *self, const struct room_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        room_expect(self, cases[i].line, cases[i].reply);
    }
}

static void on_message(void *conn, struct view bytes, uint64_t gate_lsn, bool ends)
{
    struct guest *guest = conn;
    cr_assert_not_null(guest->client, "nobody writes to who has left");
    cr_assert_eq(buf_append(&guest->heard, bytes), STATUS_OK);
    guest->heard_gate_lsn = gate_lsn > guest->heard_gate_lsn ? gate_lsn : guest->heard_gate_lsn;
    guest->was_ended |= ends;
    if (ends) {
        room_leave(guest); /* as the glue does, from within */
    }
}

void room_hears(struct guest *self, const char *messages)
{
    for (size_t i = 0; i < ROOM_WORKERS; i++) {
        redis_deliver(self->room->workers[i], on_message);
    }
    expect_bytes("heard", buf_view(&self->heard), messages);
    self->heard.len = 0;
}
