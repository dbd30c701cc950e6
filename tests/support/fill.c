/*
 * fill MODE --server HOST:PORT [--sessions N] [--value-bytes N] [--count N] [--state FILE]
 *
 *     load    writes sessions 0..N-1, pipelined, with durable acknowledgements
 *     sample  reads `count` sessions spread over all and compares them byte by byte
 *     probe   reads the first `count` sessions in turn, one at a time, until its input ends, and
 *             prints how long the answers took
 *     churn   overwrites sessions until the server stops or breaks the connection, then writes to
 *             FILE what was acknowledged last and what was on the way, for each session
 *     check   compares the server with such a FILE
 *
 * Value `n` of a session is what pattern.h says, so every process knows them. Exit code 1: not what
 * was expected; 2: usage.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/pattern.h"
#include "support/wire.h"

enum { WINDOW = 256, WAIT_MS = 60000, LATENCIES_MAX = 1 << 22, ID_BYTES = 17 };

struct fill {
    const char *server;
    const char *state_path;
    uint32_t sessions;
    uint32_t value_bytes;
    uint32_t count;
    struct wire wire;
    uint8_t *value; /* owned: scratch */
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *why)
{
    (void)fprintf(stderr, "fill: %s\n", why);
    return EXIT_FAILURE;
}

static struct view id_of(uint32_t session, char out[ID_BYTES])
{
    return view_of(out, (size_t)snprintf(out, ID_BYTES, "session-%08" PRIu32, session));
}

static void put_set(struct fill *self, uint64_t request_id, uint32_t session, uint32_t number)
{
    char id[ID_BYTES];
    pattern_fill(self->value, self->value_bytes, session, number);
    struct command set = {.op = SATCHEL_OP_SET,
                          .kind = SATCHEL_BLOB,
                          .id = id_of(session, id),
                          .content = view_of(self->value, self->value_bytes)};
    wire_put(&self->wire, request_id, SATCHEL_FLAG_ACK_DURABLE, &set);
}

static void put_get(struct fill *self, uint64_t request_id, uint32_t session)
{
    char id[ID_BYTES];
    struct command get = {.op = SATCHEL_OP_GET, .id = id_of(session, id)};
    wire_put(&self->wire, request_id, 0, &get);
}

static bool should_ask_again(const struct native_reply *reply)
{
    return satchel_status_retry_of(reply->status) == SATCHEL_RETRY_SAME;
}

/* ---- load ----------------------------------------------------------------------------------- */

static int load(struct fill *self)
{
    double start_s = now_s();
    uint32_t next = 0;
    uint32_t on_the_way = 0;
    uint32_t done = 0;
    while (done < self->sessions) {
        for (; next < self->sessions && on_the_way < WINDOW; next++, on_the_way++) {
            put_set(self, next, next, 1);
        }
        struct native_reply reply;
        enum status status = wire_flush(&self->wire) ? wire_take(&self->wire, WAIT_MS, &reply)
                                                     : STATUS_IO;
        for (; status == STATUS_OK; status = wire_take(&self->wire, 0, &reply)) {
            if (reply.status == SATCHEL_OK) {
                done++;
                on_the_way--;
            } else if (should_ask_again(&reply)) {
                put_set(self, reply.request_id, (uint32_t)reply.request_id, 1);
            } else {
                return fail(satchel_status_text_of(reply.status));
            }
        }
        if (status != STATUS_AGAIN) {
            return fail("the connection broke while loading");
        }
    }
    (void)printf("loaded %" PRIu32 " sessions of %" PRIu32 " bytes in %.2f s\n", done,
                 self->value_bytes, now_s() - start_s);
    return EXIT_SUCCESS;
}

/* ---- sample --------------------------------------------------------------------------------- */

/* The i-th of the sample; spread over all, in an order without order. */
static uint32_t sampled(const struct fill *self, uint64_t i)
{
    uint64_t state = i;
    return (uint32_t)(pattern_random(&state) % self->sessions);
}

static int sample(struct fill *self)
{
    double start_s = now_s();
    uint32_t next = 0;
    uint32_t on_the_way = 0;
    uint32_t done = 0;
    while (done < self->count) {
        for (; next < self->count && on_the_way < WINDOW; next++, on_the_way++) {
            put_get(self, next, sampled(self, next));
        }
        struct native_reply reply;
        enum status status = wire_flush(&self->wire) ? wire_take(&self->wire, WAIT_MS, &reply)
                                                     : STATUS_IO;
        for (; status == STATUS_OK; status = wire_take(&self->wire, 0, &reply)) {
            uint32_t session = sampled(self, reply.request_id);
            if (should_ask_again(&reply)) {
                put_get(self, reply.request_id, session);
                continue;
            }
            if (reply.status != SATCHEL_OK ||
                !pattern_matches(reply.content, self->value_bytes, session, 1)) {
                (void)fprintf(stderr, "fill: session %" PRIu32 ": %s, %zu bytes\n", session,
                              satchel_status_text_of(reply.status), reply.content.len);
                return fail("a value is not what was written");
            }
            done++;
            on_the_way--;
        }
        if (status != STATUS_AGAIN) {
            return fail("the connection broke while reading");
        }
    }
    (void)printf("compared %" PRIu32 " values of %" PRIu32 " bytes in %.2f s: all equal\n", done,
                 self->value_bytes, now_s() - start_s);
    return EXIT_SUCCESS;
}

/* ---- probe ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const float *left = a;
    const float *right = b;
    return (*left > *right) - (*left < *right);
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static int probe(struct fill *self)
{
    float *took_ms = malloc(LATENCIES_MAX * sizeof *took_ms);
    size_t count = 0;
    int code = took_ms == NULL ? fail("out of memory") : EXIT_SUCCESS;
    while (code == EXIT_SUCCESS && (count == 0 || !input_ended())) {
        uint32_t session = (uint32_t)(count % self->count);
        struct native_reply reply;
        double start_s = now_s();
        put_get(self, count, session);
        if (!wire_flush(&self->wire) || wire_take(&self->wire, WAIT_MS, &reply) != STATUS_OK ||
            reply.status != SATCHEL_OK ||
            !pattern_matches(reply.content, self->value_bytes, session, 1)) {
            code = fail("a probe was not answered with its value");
        } else if (count < LATENCIES_MAX) {
            took_ms[count++] = (float)((now_s() - start_s) * 1e3);
        }
    }
    if (code == EXIT_SUCCESS) {
        qsort(took_ms, count, sizeof *took_ms, by_value);
        (void)printf("probed %zu times: p50 %.3f ms, p99 %.3f ms, longest %.3f ms\n", count,
                     (double)took_ms[count / 2], (double)took_ms[count * 99 / 100],
                     (double)took_ms[count - 1]);
    }
    free(took_ms);
    return code;
}

/* ---- churn and check ------------------------------------------------------------------------ */

/* One session as churn left it. */
struct left {
    uint32_t acknowledged; /* number of the value; 0: none */
    uint32_t sent;         /* acknowledged, or on the way */
};

static int write_state(const struct fill *self, const struct left *left)
{
    FILE *file = fopen(self->state_path, "w");
    if (file == NULL) {
        return fail("cannot write the state");
    }
    uint64_t acknowledged = 0;
    for (uint32_t i = 0; i < self->sessions; i++) {
        acknowledged += left[i].acknowledged;
        (void)fprintf(file, "%" PRIu32 " %" PRIu32 "\n", left[i].acknowledged, left[i].sent);
    }
    if (fclose(file) != 0) {
        return fail("cannot write the state");
    }
    (void)printf("churned %" PRIu64 " acknowledged\n", acknowledged);
    return EXIT_SUCCESS;
}

static int churn(struct fill *self)
{
    struct left *left = calloc(self->sessions, sizeof *left);
    if (left == NULL) {
        return fail("out of memory");
    }
    enum status status = STATUS_OK;
    uint32_t next = 0;
    uint32_t on_the_way = 0;
    while (status == STATUS_OK || on_the_way != 0) {
        while (status == STATUS_OK && on_the_way < WINDOW && on_the_way < self->sessions) {
            struct left *session = &left[next % self->sessions];
            if (session->sent == session->acknowledged) { /* one at a time of each */
                put_set(self, next % self->sessions, next % self->sessions, ++session->sent);
                on_the_way++;
            }
            next++;
        }
        struct native_reply reply;
        if (!wire_flush(&self->wire) || wire_take(&self->wire, WAIT_MS, &reply) != STATUS_OK) {
            break;
        }
        struct left *session = &left[reply.request_id % self->sessions];
        on_the_way--;
        if (reply.status == SATCHEL_OK) {
            session->acknowledged = session->sent;
        } else {
            session->sent = session->acknowledged; /* it says that nothing happened */
            status = should_ask_again(&reply) ? status : STATUS_END;
        }
    }
    int code = write_state(self, left);
    free(left);
    return code;
}

static int check(struct fill *self)
{
    FILE *file = fopen(self->state_path, "r");
    if (file == NULL) {
        return fail("cannot read the state");
    }
    int code = EXIT_SUCCESS;
    uint64_t checked = 0;
    for (uint32_t i = 0; code == EXIT_SUCCESS && i < self->sessions; i++) {
        struct left left;
        struct native_reply reply;
        if (fscanf(file, "%" SCNu32 " %" SCNu32, &left.acknowledged, &left.sent) != 2) {
            code = fail("the state ends early");
            break;
        }
        put_get(self, i, i);
        if (!wire_flush(&self->wire) || wire_take(&self->wire, WAIT_MS, &reply) != STATUS_OK) {
            code = fail("no answer");
            break;
        }
        bool allowed = reply.status == SATCHEL_NOT_FOUND && left.acknowledged == 0;
        for (uint32_t n = left.acknowledged; n <= left.sent && reply.status == SATCHEL_OK; n++) {
            allowed = allowed || pattern_matches(reply.content, self->value_bytes, i, n);
        }
        if (!allowed) {
            (void)fprintf(stderr,
                          "fill: session %" PRIu32 " lost its acknowledged value %" PRIu32 ": %s\n",
                          i, left.acknowledged, satchel_status_text_of(reply.status));
            code = EXIT_FAILURE;
        }
        checked += left.acknowledged;
    }
    (void)fclose(file);
    if (code == EXIT_SUCCESS) {
        (void)printf("checked %" PRIu64 " acknowledgements: 0 lost\n", checked);
    }
    return code;
}

/* ---- Composition ---------------------------------------------------------------------------- */

static int run(struct fill *self, const char *mode)
{
    static const struct {
        const char *name;
        int (*run)(struct fill *self);
    } modes[] = {
        {"load", load}, {"sample", sample}, {"probe", probe}, {"churn", churn}, {"check", check}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            return wire_open(&self->wire, self->server) ? modes[i].run(self)
                                                        : fail("cannot connect");
        }
    }
    return 2;
}

static bool parse(struct fill *self, int argc, char *argv[])
{
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i];
        uint32_t number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(name, "--server") == 0) {
            self->server = argv[i + 1];
        } else if (strcmp(name, "--state") == 0) {
            self->state_path = argv[i + 1];
        } else if (strcmp(name, "--sessions") == 0) {
            self->sessions = number;
        } else if (strcmp(name, "--value-bytes") == 0) {
            self->value_bytes = number;
        } else if (strcmp(name, "--count") == 0) {
            self->count = number;
        } else {
            return false;
        }
    }
    return argc >= 2 && argc % 2 == 0 && self->server != NULL && self->sessions != 0;
}

int main(int argc, char *argv[])
{
    struct fill self = {.sessions = 1000, .value_bytes = 512, .count = 1000, .wire = {.fd = -1}};
    int code = 2;
    if (parse(&self, argc, argv)) {
        self.value = malloc(self.value_bytes + 1);
        code = self.value == NULL ? fail("out of memory") : run(&self, argv[1]);
    }
    if (code == 2) {
        (void)fprintf(stderr, "usage: fill load|sample|probe|churn|check --server HOST:PORT …\n");
    }
    wire_close(&self.wire);
    free(self.value);
    return code;
}
