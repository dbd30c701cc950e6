/* One client: picks operations, sends a few at a time, writes down what happens. */
#include "histories/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/pattern.h"
#include "support/require.h"

enum { ANSWER_WAIT_MS = 20000, RETRY_NS = 1000000, SHORT_TTL_MS = 60, LONG_IDLE_TTL_MS = 3000 };

static unsigned below(struct client *self, unsigned bound)
{
    return (unsigned)(pattern_random(&self->random) % bound);
}

static bool one_in(struct client *self, unsigned bound)
{
    return below(self, bound) == 0;
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- Picking -------------------------------------------------------------------------------- */

/* A number that nobody else writes, or a text that INCREMENT refuses. */
static int64_t new_value(struct client *self)
{
    int64_t value = (int64_t)self->number << 32 | ++self->last_value;
    return one_in(self, 10) || self->run.padding_most > 0 ? HISTORY_TEXT_LEAST + value : value;
}

static void pick_content(struct client *self, struct history_op *op)
{
    bool is_blob = one_in(self, op->session % 5 == 0 ? 2 : 12);
    op->content.kind = is_blob ? SATCHEL_BLOB : SATCHEL_FIELDS;
    for (unsigned i = 0; i < HISTORY_FIELDS; i++) {
        op->content.there[i] = is_blob ? i == 0 : below(self, 3) != 0;
        op->content.values[i] = op->content.there[i] ? new_value(self) : 0;
    }
}

static void pick_ops(struct client *self, struct history_op *op)
{
    op->ops_count = 1 + below(self, HISTORY_OPS_MAX);
    for (unsigned i = 0; i < op->ops_count; i++) {
        struct history_field_op *step = &op->ops[i];
        step->field = below(self, HISTORY_FIELDS);
        step->op = one_in(self, 2) ? SATCHEL_FIELD_INCREMENT
                                   : (enum satchel_field_op)(SATCHEL_FIELD_SET + below(self, 4));
        if (step->op == SATCHEL_FIELD_INCREMENT) {
            step->value = 1 + below(self, 9);
        } else if (step->op != SATCHEL_FIELD_DELETE) {
            step->value = new_value(self);
        }
    }
    op->return_content = one_in(self, 4);
}

/* Every fourth session lives for moments only. */
static void pick_times(struct client *self, struct history_op *op)
{
    if (op->session % 4 != 3) {
        op->idle_ttl_ms = one_in(self, 8) ? LONG_IDLE_TTL_MS : 0;
        return;
    }
    unsigned choice = below(self, 4);
    if (choice == 0) {
        op->ttl_ms = 1 + below(self, SHORT_TTL_MS);
    } else if (choice == 1) {
        op->idle_ttl_ms = 1 + below(self, SHORT_TTL_MS);
    } else if (choice == 2) {
        op->keep_ttl = op->op == SATCHEL_OP_SET;
    }
}

static void pick_condition(struct client *self, struct history_op *op)
{
    uint64_t known = self->known[op->session % CLIENT_KNOWN];
    unsigned choice = below(self, 8);
    if (choice < 3 && known != 0) {
        op->condition = CONDITION_VERSION;
        op->condition_version = known;
    } else if (choice == 3) {
        op->condition = CONDITION_ABSENT;
    } else if (choice == 4) {
        op->condition = CONDITION_PRESENT;
    }
}

static struct history_op pick(struct client *self)
{
    uint32_t sessions = stage_sessions(self->stage);
    /* Half of all go to the same one, and a few to one that may be in the data file only by now. */
    uint32_t back = one_in(self, 16)  ? below(self, 64)
                    : one_in(self, 2) ? 0
                                      : below(self, STAGE_WINDOW);
    struct history_op op = {.session = sessions - 1 - (back < sessions ? back : 0)};
    unsigned choice = below(self, 100);
    if (choice < 30) {
        op.op = SATCHEL_OP_GET;
        op.touch = one_in(self, 8);
    } else if (choice < 50) {
        op.op = SATCHEL_OP_SET;
        op.owner = one_in(self, 4) ? 1 + below(self, 100) : 0;
        pick_content(self, &op);
        pick_times(self, &op);
    } else if (choice < 83) {
        op.op = SATCHEL_OP_PATCH;
        op.owner = one_in(self, 12) ? 1 + below(self, 100) : 0;
        pick_ops(self, &op);
        if (one_in(self, 6)) {
            pick_times(self, &op);
        }
    } else if (choice < 90) {
        op.op = SATCHEL_OP_DELETE;
    } else {
        op.op = SATCHEL_OP_TOUCH;
        if (one_in(self, 3)) {
            pick_times(self, &op);
        }
    }
    if (op.op != SATCHEL_OP_GET) {
        pick_condition(self, &op);
    }
    op.fast = below(self, 64) < self->run.fast_in_64;
    return op;
}

/* ---- Sending -------------------------------------------------------------------------------- */

static void put(struct client *self, const struct history_op *op, uint64_t request_id)
{
    char id[48];
    char owner[16];
    struct buf content = {0};
    (void)snprintf(id, sizeof id, "h%" PRIu64 "-%" PRIu32, self->stage->round, op->session);
    (void)snprintf(owner, sizeof owner, "%" PRIu32, op->owner);
    struct command cmd = {
        .op = op->op,
        .condition = op->condition,
        .condition_version = op->condition_version,
        .keep_ttl = op->keep_ttl,
        .touch = op->touch,
        .return_content = op->return_content,
        .ttl_ms = op->ttl_ms,
        .idle_ttl_ms = op->idle_ttl_ms,
        .has_owner = op->owner != 0,
        .owner = op->owner != 0 ? view_str(owner) : (struct view){0},
        .kind = op->content.kind,
        .id = view_str(id),
    };
    unsigned padding = self->run.padding_most == 0 ? 0 : below(self, self->run.padding_most);
    if (op->op == SATCHEL_OP_SET) {
        history_content_encode(&op->content, padding, &content);
        cmd.content = buf_view(&content);
    } else if (op->op == SATCHEL_OP_PATCH) {
        history_ops_encode(op, padding, &content);
        cmd.ops = buf_view(&content);
    }
    wire_put(&self->wire, request_id, op->fast ? SATCHEL_FLAG_ACK_FAST : SATCHEL_FLAG_ACK_DURABLE,
             &cmd);
    buf_free(&content);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static bool is_refusal(enum satchel_status status)
{
    enum satchel_retry_class retry = satchel_status_retry_of(status);
    return retry == SATCHEL_RETRY_SAME || retry == SATCHEL_RETRY_OTHER;
}

/* What a client that asks rightly is told. */
static bool is_outcome(enum satchel_status status)
{
    return status == SATCHEL_OK || status == SATCHEL_NOT_FOUND ||
           status == SATCHEL_CONDITION_FAILED || status == SATCHEL_WRONG_KIND ||
           status == SATCHEL_NOT_A_NUMBER;
}

static uint32_t read_owner(struct view owner)
{
    char text[16] = "";
    if (owner.len != 0 && owner.len < sizeof text) {
        memcpy(text, owner.ptr, owner.len);
    }
    return (uint32_t)strtoul(text, NULL, 10);
}

static void wrong(struct client *self, const struct history_op *op, const char *why)
{
    char line[512];
    history_op_text(op, op->invoke_ns, line, sizeof line);
    (void)fprintf(stderr, "session %" PRIu32 ": %s: %s\n", op->session, why, line);
    self->wrong++;
}

static void take(struct client *self, struct history_op *op, const struct native_reply *reply)
{
    op->return_ns = now_ns(CLOCK_MONOTONIC);
    op->return_ms = now_ns(CLOCK_REALTIME) / 1000000;
    op->status = reply->status;
    if (reply->status == SATCHEL_UNKNOWN_OUTCOME) {
        return;
    }
    op->outcome = is_refusal(reply->status) ? HISTORY_REFUSED : HISTORY_ANSWERED;
    if (op->outcome == HISTORY_REFUSED) {
        return;
    }
    op->version = reply->version;
    op->expires_in_ms = reply->expires_in_ms;
    op->has_content = reply->has_content;
    op->answer_owner = read_owner(reply->owner);
    if (!is_outcome(reply->status)) {
        wrong(self, op, "this status fits no such request");
    } else if (reply->has_content &&
               !history_content_decode(reply->kind, reply->content, &op->answer)) {
        wrong(self, op, "the content is nothing that anybody wrote");
    }
    if (reply->version != 0) {
        self->known[op->session % CLIENT_KNOWN] = reply->version;
    }
}

/* Sends operations and waits for all their answers. False: the connection is broken. */
static bool run_batch(struct client *self, struct history_op *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put(self, &ops[i], i);
    }
    int64_t invoke_ns = now_ns(CLOCK_MONOTONIC);
    int64_t invoke_ms = now_ns(CLOCK_REALTIME) / 1000000;
    for (unsigned i = 0; i < count; i++) {
        ops[i].client = self->number;
        ops[i].run = self->run.number;
        ops[i].invoke_ns = invoke_ns;
        ops[i].invoke_ms = invoke_ms;
        ops[i].return_ns = HISTORY_NEVER;
        ops[i].outcome = HISTORY_UNKNOWN;
    }
    bool whole = wire_flush(&self->wire);
    bool refused = false;
    for (unsigned left = count; left > 0 && whole; left--) {
        struct native_reply reply;
        enum status status = wire_take(&self->wire, ANSWER_WAIT_MS, &reply);
        whole = status == STATUS_OK && reply.request_id < count &&
                ops[reply.request_id].return_ns == HISTORY_NEVER;
        if (whole) {
            take(self, &ops[reply.request_id], &reply);
            refused = refused || ops[reply.request_id].outcome == HISTORY_REFUSED;
            stage_count_answer(self->stage);
        } else if (status != STATUS_IO) {
            wrong(self, &ops[0], status == STATUS_AGAIN ? "no answer" : "not an answer");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        history_add(&self->history, &ops[i]);
    }
    if (refused) { /* who is told to wait does not ask again at once */
        (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
    return whole;
}

/* Looks at this client's share of the sessions below `to`. */
static bool look(struct client *self, uint32_t from, uint32_t to)
{
    struct history_op ops[CLIENT_LOOKS_MAX];
    unsigned count = 0;
    bool whole = true;
    for (uint32_t session = from; session < to && whole; session++) {
        if (session % self->stage->client_count == self->number) {
            ops[count++] = (struct history_op){.op = SATCHEL_OP_GET, .session = session};
        }
        if (count == CLIENT_LOOKS_MAX || (count > 0 && session + 1 == to)) {
            whole = run_batch(self, ops, count);
            count = 0;
        }
    }
    return whole && (count == 0 || run_batch(self, ops, count));
}

static void take_part(struct client *self)
{
    uint32_t from = self->run.closing ? 0 : self->run.look_from;
    bool whole = look(self, from, stage_sessions(self->stage));
    while (whole && !self->run.closing) {
        struct history_op ops[CLIENT_BATCH_MAX];
        unsigned count = 1 + below(self, CLIENT_BATCH_MAX);
        for (unsigned i = 0; i < count; i++) {
            ops[i] = pick(self);
        }
        /* Relaxed: about so many. */
        atomic_fetch_add_explicit(&self->stage->ops, count, memory_order_relaxed);
        whole = run_batch(self, ops, count);
    }
}

static void *run_client(void *arg)
{
    struct client *self = arg;
    for (uint16_t least = 0; !self->run.closing && stage_wait_run(self->stage, least, &self->run);
         least = self->run.number + 1) {
        while (!wire_open(&self->wire, self->run.address) &&
               stage_is_serving(self->stage, self->run.number)) {
            (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
        }
        if (self->wire.fd >= 0) {
            take_part(self);
        }
        wire_close(&self->wire);
    }
    return NULL;
}

void client_start(struct client *self)
{
    self->wire.fd = -1;
    REQUIRE(pthread_create(&self->thread, NULL, run_client, self) == 0);
}

void client_join(struct client *self)
{
    REQUIRE(pthread_join(self->thread, NULL) == 0);
}

void client_free(struct client *self)
{
    history_free(&self->history);
}
