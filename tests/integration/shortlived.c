/*
 * shortlived --server HOST:PORT [--alive N] [--idle-ms N] [--value-bytes N] [--seconds N]
 *            [--warm-up N]
 *
 * Sessions that come, are touched and expire, at a rate that keeps about `alive` of them, while a
 * second connection reads sessions that stay, once a millisecond, and takes the time.
 *
 * A session's idle time is 1/2 to 3/2 of `idle-ms`; it is touched none to two times, each time when
 * 6/10 of its idle time have passed. One of 16 is looked at when 8/10 of its last idle time have
 * passed, and must be there, and again when it has expired, and must be gone.
 *
 * Every REPORT_MS a line says what the model has, and when by the monotonic clock: sessions alive,
 * those that expired within the last RECENT_MS, and how many were created. At the end: answers'
 * times since `warm-up` seconds.
 *
 * Exit code 1: an answer was wrong; 2: usage.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/pattern.h"
#include "support/require.h"
#include "support/wire.h"

enum {
    WINDOW = 900,     /* requests on the way; a server takes 1024 from a connection */
    WAIT_MS = 60000,  /* for an answer, before the test fails */
    MARGIN_MS = 250,  /* how far the server's clock may be behind ours on a busy machine */
    RECENT_MS = 3000, /* the sweeper's second, the rounding of expiries to one, and one more */
    REPORT_MS = 250,
    BEHIND_MS = 200,    /* what is created later than this is not created at all */
    RETRY_MS = 50,      /* after BUSY */
    TICK_MS = 10,       /* of the wheel */
    WHEEL_TICKS = 8192, /* 82 s */
    SAMPLE_EVERY = 16,
    STAYING = 1000,       /* sessions that the second connection reads */
    STAYING_ID = 1 << 30, /* their numbers begin here */
    PROBE_NS = 1000000,
    ID_BYTES = 17
};

static const uint32_t NONE = UINT32_MAX; /* no session */

/* What is to be done next with a session; one request of it is on the way at most. */
enum step { STEP_CREATE, STEP_TOUCH, STEP_LOOK, STEP_LOOK_AGAIN };

struct life {
    int64_t sent_ms;
    int64_t expires_min_ms; /* it is there before, */
    int64_t expires_max_ms; /* and gone after: the server's clock stood somewhere between sending
                               and answer */
    uint32_t idle_ms;
    uint32_t next; /* in its tick of the wheel */
    uint8_t step;
    uint8_t touches_left;
    bool in_use;
};

struct load {
    const char *server;
    uint32_t alive;
    uint32_t idle_ms;
    uint32_t value_bytes;
    uint32_t seconds;
    uint32_t warm_up;
    struct wire wire;
    uint8_t *value;     /* owned: scratch */
    struct life *lives; /* owned: a ring, session number modulo life_count */
    uint32_t life_count;
    uint32_t wheel[WHEEL_TICKS];   /* first session of a tick, or NONE */
    int64_t expiring[WHEEL_TICKS]; /* sessions whose time ends in a tick */
    int64_t expired[RECENT_MS / TICK_MS];
    int64_t past; /* ticks before it are over: their sessions are not live */
    int64_t tick; /* the next one to be worked off */
    uint32_t on_the_way;
    uint32_t created; /* numbers given out */
    int64_t live;
    uint64_t touched, looked, seen_gone, busy;
};

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ms(void)
{
    return now_ns() / 1000000;
}

static void fail(const char *why, uint32_t session)
{
    (void)fprintf(stderr, "shortlived: session %" PRIu32 ": %s\n", session, why);
    exit(EXIT_FAILURE);
}

static struct view id_of(uint32_t session, char out[ID_BYTES])
{
    return view_of(out, (size_t)snprintf(out, ID_BYTES, "brief-%010" PRIu32, session));
}

/* ---- Requests ------------------------------------------------------------------------------- */

static struct life *life_of(struct load *self, uint32_t session)
{
    return &self->lives[session % self->life_count];
}

static void put_set(struct wire *wire, uint8_t *value, size_t value_bytes, uint32_t session,
                    uint64_t idle_ttl_ms)
{
    char id[ID_BYTES];
    pattern_fill(value, value_bytes, session, 1);
    struct command set = {.op = SATCHEL_OP_SET,
                          .kind = SATCHEL_BLOB,
                          .idle_ttl_ms = idle_ttl_ms,
                          .id = id_of(session, id),
                          .content = view_of(value, value_bytes)};
    wire_put(wire, session, SATCHEL_FLAG_ACK_DURABLE, &set);
}

static void put_plain(struct wire *wire, enum satchel_opcode op, uint32_t session)
{
    char id[ID_BYTES];
    struct command command = {.op = op, .id = id_of(session, id)};
    wire_put(wire, session, op == SATCHEL_OP_TOUCH ? SATCHEL_FLAG_ACK_DURABLE : 0, &command);
}

static void schedule(struct load *self, uint32_t session, int64_t at_ms)
{
    int64_t tick = at_ms / TICK_MS;
    tick = tick < self->tick ? self->tick : tick;
    REQUIRE(tick - self->tick < WHEEL_TICKS);
    life_of(self, session)->next = self->wheel[tick % WHEEL_TICKS];
    self->wheel[tick % WHEEL_TICKS] = session;
}

/* Sends the request of the session's step. */
static void act(struct load *self, uint32_t session)
{
    struct life *life = life_of(self, session);
    life->sent_ms = now_ms();
    self->on_the_way++;
    if (life->step == STEP_CREATE) {
        put_set(&self->wire, self->value, self->value_bytes, session, life->idle_ms);
    } else {
        put_plain(&self->wire, life->step == STEP_TOUCH ? SATCHEL_OP_TOUCH : SATCHEL_OP_GET,
                  session);
    }
}

static void create(struct load *self)
{
    uint32_t session = self->created++;
    struct life *life = life_of(self, session);
    REQUIRE(!life->in_use); /* otherwise the ring is too small */
    uint64_t random = session;
    random = pattern_random(&random);
    *life = (struct life){
        .idle_ms = self->idle_ms / 2 + (uint32_t)(random % (self->idle_ms + 1)),
        .touches_left = (uint8_t)((random >> 40) % 3),
        .step = STEP_CREATE,
        .in_use = true,
    };
    act(self, session);
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Its time begins again; `number` sessions expire then. */
static void count_expiry(struct load *self, const struct life *life, int number)
{
    int64_t tick = life->expires_max_ms / TICK_MS;
    if (tick >= self->past) {
        self->expiring[tick % WHEEL_TICKS] += number;
        self->live += number;
    }
}

static bool is_sampled(uint32_t session)
{
    return session % SAMPLE_EVERY == 0;
}

static void begin_idle_time(struct load *self, uint32_t session, struct life *life)
{
    life->expires_min_ms = life->sent_ms + life->idle_ms;
    life->expires_max_ms = now_ms() + life->idle_ms;
    count_expiry(self, life, 1);
    if (life->touches_left > 0) {
        life->touches_left--;
        life->step = STEP_TOUCH;
        schedule(self, session, life->sent_ms + life->idle_ms * INT64_C(6) / 10);
    } else if (is_sampled(session)) {
        life->step = STEP_LOOK;
        schedule(self, session, life->sent_ms + life->idle_ms * INT64_C(8) / 10);
    } else {
        life->in_use = false;
    }
}

/* A GET or TOUCH was answered: is that what the model says? */
static void judge(const struct life *life, uint32_t session, const struct native_reply *reply)
{
    if (reply->status == SATCHEL_OK && life->sent_ms > life->expires_max_ms + MARGIN_MS) {
        fail("was returned although it has expired", session);
    }
    if (reply->status == SATCHEL_NOT_FOUND && now_ms() < life->expires_min_ms - MARGIN_MS) {
        fail("is gone before its time", session);
    }
    if (reply->status != SATCHEL_OK && reply->status != SATCHEL_NOT_FOUND) {
        fail(satchel_status_text_of(reply->status), session);
    }
}

static void on_reply(struct load *self, const struct native_reply *reply)
{
    uint32_t session = (uint32_t)reply->request_id;
    struct life *life = life_of(self, session);
    self->on_the_way--;
    if (satchel_status_retry_of(reply->status) == SATCHEL_RETRY_SAME) {
        self->busy++;
        schedule(self, session, now_ms() + RETRY_MS);
        return;
    }
    if (life->step != STEP_CREATE) {
        judge(life, session, reply);
    } else if (reply->status != SATCHEL_OK) {
        fail(satchel_status_text_of(reply->status), session);
    }
    switch ((enum step)life->step) {
    case STEP_TOUCH:
        self->touched++;
        if (reply->status == SATCHEL_NOT_FOUND) { /* our touch came too late */
            life->in_use = false;
            return;
        }
        count_expiry(self, life, -1);
        begin_idle_time(self, session, life);
        return;
    case STEP_CREATE:
        begin_idle_time(self, session, life);
        return;
    case STEP_LOOK:
        if (reply->status == SATCHEL_OK &&
            !pattern_matches(reply->content, self->value_bytes, session, 1)) {
            fail("holds other bytes than were written", session);
        }
        self->looked += reply->status == SATCHEL_OK;
        life->step = STEP_LOOK_AGAIN;
        schedule(self, session, life->expires_max_ms + MARGIN_MS + TICK_MS);
        return;
    case STEP_LOOK_AGAIN:
        self->seen_gone++;
        life->in_use = false;
        return;
    }
}

/* ---- The run -------------------------------------------------------------------------------- */

/* Works off the ticks up to now, as far as requests may go out. False: there is more to do. */
static bool turn_wheel(struct load *self, int64_t until_tick)
{
    for (; self->tick <= until_tick; self->tick++) {
        uint32_t *first = &self->wheel[self->tick % WHEEL_TICKS];
        while (*first != NONE) {
            if (self->on_the_way >= WINDOW) {
                return false;
            }
            uint32_t session = *first;
            *first = life_of(self, session)->next;
            act(self, session);
        }
    }
    return true;
}

static void take_replies(struct load *self, int wait_ms)
{
    struct native_reply reply;
    enum status status = wire_flush(&self->wire) ? wire_take(&self->wire, wait_ms, &reply)
                                                 : STATUS_IO;
    for (; status == STATUS_OK; status = wire_take(&self->wire, 0, &reply)) {
        on_reply(self, &reply);
    }
    REQUIRE(status == STATUS_AGAIN); /* otherwise the connection broke */
}

/* Counts those off whose time is over, also when requests are late. */
static void let_expire(struct load *self)
{
    for (; self->past < now_ms() / TICK_MS; self->past++) {
        int64_t *expiring = &self->expiring[self->past % WHEEL_TICKS];
        self->live -= *expiring;
        self->expired[self->past % (RECENT_MS / TICK_MS)] = *expiring;
        *expiring = 0;
    }
}

static void report(struct load *self)
{
    int64_t recent = 0;
    let_expire(self);
    for (size_t i = 0; i < RECENT_MS / TICK_MS; i++) {
        recent += self->expired[i];
    }
    (void)printf("at %" PRId64 " live %" PRId64 " recent %" PRId64 " created %" PRIu32
                 " touched %" PRIu64 " busy %" PRIu64 "\n",
                 now_ms(), self->live, recent, self->created, self->touched, self->busy);
    (void)fflush(stdout);
}

static void run(struct load *self)
{
    /* A session lives for one idle time, and 6/10 of one for each touch, of which it gets one. */
    double lives_for_ms = self->idle_ms * 1.6;
    double creates_a_ms = self->alive / lives_for_ms;
    int64_t start_ms = now_ms();
    int64_t reported_ms = 0;
    double given_up = 0; /* of those to be created: what was late would make too many at a time */
    self->tick = start_ms / TICK_MS;
    self->past = self->tick;
    int64_t passed_ms = 0;
    for (; passed_ms < self->seconds * INT64_C(1000); passed_ms = now_ms() - start_ms) {
        bool in_time = turn_wheel(self, (start_ms + passed_ms) / TICK_MS);
        double due = (double)passed_ms * creates_a_ms;
        given_up = fmax(given_up, due - self->created - creates_a_ms * BEHIND_MS);
        while (in_time && self->created + given_up + 1 < due && self->on_the_way < WINDOW) {
            create(self);
        }
        take_replies(self, self->on_the_way >= WINDOW ? WAIT_MS : 1);
        REQUIRE(self->on_the_way < WINDOW); /* otherwise nothing was answered for WAIT_MS */
        if (passed_ms >= reported_ms + REPORT_MS) {
            reported_ms = passed_ms;
            report(self);
        }
    }
}

/* ---- The other connection ------------------------------------------------------------------- */

/* Longer than the sweeper's round and a checkpoint. */
static const int64_t WINDOW_NS = INT64_C(4000000000);

struct probe {
    const struct load *load;
    _Atomic bool stop;
    float *took_ms;  /* owned */
    uint8_t *window; /* owned: of each, in which WINDOW_NS since the warm-up, modulo 256 */
    size_t count;
};

static int by_value(const void *a, const void *b)
{
    const float *left = a;
    const float *right = b;
    return (*left > *right) - (*left < *right);
}

static void *run_probe(void *arg)
{
    struct probe *self = arg;
    const struct load *load = self->load;
    struct wire wire;
    struct native_reply reply;
    uint8_t *value = malloc(load->value_bytes + 1);
    REQUIRE(value != NULL && wire_open(&wire, load->server));
    for (uint32_t i = 0; i < STAYING; i++) {
        put_set(&wire, value, load->value_bytes, STAYING_ID + i, 0);
    }
    REQUIRE(wire_flush(&wire));
    for (uint32_t i = 0; i < STAYING; i++) {
        REQUIRE(wire_take(&wire, WAIT_MS, &reply) == STATUS_OK && reply.status == SATCHEL_OK);
    }
    int64_t warm_ns = now_ns() + load->warm_up * INT64_C(1000000000);
    for (uint32_t i = 0; !atomic_load_explicit(&self->stop, memory_order_relaxed); i++) {
        uint32_t session = STAYING_ID + i % STAYING;
        int64_t start_ns = now_ns();
        put_plain(&wire, SATCHEL_OP_GET, session);
        REQUIRE(wire_flush(&wire) && wire_take(&wire, WAIT_MS, &reply) == STATUS_OK);
        int64_t end_ns = now_ns();
        if (reply.status != SATCHEL_OK ||
            !pattern_matches(reply.content, load->value_bytes, session, 1)) {
            fail("stays, but was not answered with its value", session);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = PROBE_NS}, NULL);
        if (start_ns >= warm_ns && self->count < (size_t)load->seconds * 1000) {
            self->took_ms[self->count] = (float)((double)(end_ns - start_ns) / 1e6);
            self->window[self->count] = (uint8_t)((start_ns - warm_ns) / WINDOW_NS);
            self->count++;
        }
    }
    free(value);
    wire_close(&wire);
    return NULL;
}

struct times {
    float p99_ms;
    float p999_ms;
    float longest_ms;
};

/* Sorts them. */
static struct times times_of(float *took_ms, size_t count)
{
    qsort(took_ms, count, sizeof *took_ms, by_value);
    return (struct times){.p99_ms = took_ms[count * 99 / 100],
                          .p999_ms = took_ms[count * 999 / 1000],
                          .longest_ms = took_ms[count - 1]};
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static void print_times(const char *what, struct times times)
{
    (void)printf("%s: p99 %.3f ms, p99.9 %.3f ms, longest %.3f ms\n", what, (double)times.p99_ms,
                 (double)times.p999_ms, (double)times.longest_ms);
}

/* What the server does comes again in every window; what else goes on on the machine does not. */
static void report_probe(struct probe *self)
{
    struct times quietest = {INFINITY, INFINITY, INFINITY};
    size_t from = 0;
    for (size_t at = 0; at < self->count; at++) {
        if (self->window[at] != self->window[from]) { /* the last one is not whole: left out */
            struct times times = times_of(self->took_ms + from, at - from);
            quietest = (struct times){.p99_ms = least(quietest.p99_ms, times.p99_ms),
                                      .p999_ms = least(quietest.p999_ms, times.p999_ms),
                                      .longest_ms = least(quietest.longest_ms, times.longest_ms)};
            from = at;
        }
    }
    REQUIRE(from != 0);
    print_times("answers to the reader", times_of(self->took_ms, self->count));
    print_times("least of any 4 s", quietest);
}

/* ---- Composition ---------------------------------------------------------------------------- */

static bool parse(struct load *self, int argc, char *argv[])
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i];
        uint32_t number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(name, "--server") == 0) {
            self->server = argv[i + 1];
        } else if (strcmp(name, "--alive") == 0) {
            self->alive = number;
        } else if (strcmp(name, "--idle-ms") == 0) {
            self->idle_ms = number;
        } else if (strcmp(name, "--value-bytes") == 0) {
            self->value_bytes = number;
        } else if (strcmp(name, "--seconds") == 0) {
            self->seconds = number;
        } else if (strcmp(name, "--warm-up") == 0) {
            self->warm_up = number;
        } else {
            return false;
        }
    }
    return argc % 2 == 1 && self->server != NULL && self->alive != 0 && self->idle_ms >= 1000 &&
           self->idle_ms <= WHEEL_TICKS * TICK_MS / 2 && self->seconds > self->warm_up;
}

int main(int argc, char *argv[])
{
    static struct load self = {
        .alive = 100000, .idle_ms = 4000, .value_bytes = 200, .seconds = 30, .warm_up = 15};
    if (!parse(&self, argc, argv)) {
        (void)fprintf(stderr, "usage: shortlived --server HOST:PORT [--alive N] [--idle-ms N] …\n");
        return 2;
    }
    /* The longest life, 3/2 * (1 + 2 * 6/10) idle times, is twice the mean one; as much again is
     * for what is late. */
    self.life_count = self.alive * 4;
    self.lives = calloc(self.life_count, sizeof *self.lives);
    self.value = malloc(self.value_bytes + 1);
    memset(self.wheel, 0xff, sizeof self.wheel);
    struct probe probe = {.load = &self,
                          .took_ms = calloc(self.seconds, 1000 * sizeof(float)),
                          .window = calloc(self.seconds, 1000)};
    pthread_t thread;
    REQUIRE(self.lives != NULL && self.value != NULL && probe.took_ms != NULL &&
            probe.window != NULL && wire_open(&self.wire, self.server) &&
            pthread_create(&thread, NULL, run_probe, &probe) == 0);
    run(&self);
    atomic_store_explicit(&probe.stop, true, memory_order_relaxed);
    REQUIRE(pthread_join(thread, NULL) == 0);
    (void)printf("looked at %" PRIu64 " that were there and %" PRIu64 " that had expired\n",
                 self.looked, self.seen_gone);
    report_probe(&probe);
    wire_close(&self.wire);
    free(self.lives);
    free(self.value);
    free(probe.took_ms);
    free(probe.window);
    return EXIT_SUCCESS;
}
