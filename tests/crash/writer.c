/* One writer: picks changes, sends them pipelined, holds the answers against the model. */
#include "crash/writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "session/fields.h"
#include "support/pattern.h"

enum {
    ANSWER_WAIT_MS = 30000,
    SHORT_IDLE_MS_LEAST = 300,
    LONG_IDLE_MS = 60000,
    BUSY_PAUSE_NS = 2000000
};

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static unsigned below(struct writer *self, unsigned limit)
{
    return (unsigned)(pattern_random(&self->random) % limit);
}

static void need(enum status status)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "writer: %s\n", status_text(status));
        abort();
    }
}

/* ---- Picking -------------------------------------------------------------------------------- */

static struct mark new_mark(struct writer *self, struct model *model, bool is_field)
{
    unsigned kind = below(self, 1000);
    unsigned len_max = kind < 600 ? 600 : kind < 950 ? 4096 : kind < 995 ? 20480 : 204800;
    if (is_field && len_max > 4096) {
        len_max = 4096;
    }
    return (struct mark){.number = ++model->last_mark, .len = below(self, len_max + 1)};
}

static void pick_set(struct writer *self, struct model *model, struct model_op *op, bool is_short)
{
    op->op = SATCHEL_OP_SET;
    op->kind = below(self, 2) == 0 ? SATCHEL_BLOB : SATCHEL_FIELDS;
    if (op->kind == SATCHEL_BLOB) {
        op->blob = new_mark(self, model, false);
    }
    for (unsigned i = 0; op->kind == SATCHEL_FIELDS && i < MODEL_FIELDS; i++) {
        if (below(self, 2) == 0) {
            op->fields[i] = new_mark(self, model, true);
        }
    }
    if (is_short) {
        op->idle_ttl_ms = SHORT_IDLE_MS_LEAST + below(self, 1200);
    } else if (below(self, 4) == 0) {
        op->idle_ttl_ms = LONG_IDLE_MS;
    }
}

/* A condition whose outcome is known, for a session that surely lives or surely does not. */
static void pick_condition(struct writer *self, const struct state *now, struct model_op *op)
{
    unsigned choice = below(self, 8);
    if (choice == 0) {
        op->condition = CONDITION_ABSENT;
        op->fails = now->present;
    } else if (choice == 1) {
        op->condition = CONDITION_PRESENT;
        op->fails = !now->present;
    } else if (choice == 2) {
        op->condition = CONDITION_VERSION;
        op->condition_version = now->present ? now->version : 1;
        op->fails = !now->present;
    } else if (choice == 3) {
        op->condition = CONDITION_VERSION;
        op->condition_version = now->version + 1;
        op->fails = true;
    }
}

static void pick_patch(struct writer *self, struct model *model, struct model_op *op)
{
    op->op = SATCHEL_OP_PATCH;
    unsigned count = 1 + below(self, MODEL_OPS_MAX);
    for (unsigned i = 0; i < count; i++) {
        op->ops[i].field = (below(self, MODEL_FIELDS / MODEL_OPS_MAX)) * MODEL_OPS_MAX + i;
        op->ops[i].op = (enum satchel_field_op)(SATCHEL_FIELD_SET + below(self, 4));
        if (op->ops[i].op == SATCHEL_FIELD_INCREMENT) {
            if (i != 0) {
                op->ops[i].op = SATCHEL_FIELD_SET; /* one is enough to tell */
            } else {
                op->ops[i].delta = 1 + below(self, 9);
            }
        }
        if (op->ops[i].op != SATCHEL_FIELD_INCREMENT && op->ops[i].op != SATCHEL_FIELD_DELETE) {
            op->ops[i].value = new_mark(self, model, true);
        }
    }
}

static void pick(struct writer *self, struct model *model, struct model_op *op)
{
    const struct state *now = model_now(model);
    bool is_short = model->number % 8 == 7;
    bool is_sure = !now->present || model_surely_lives(now, wall_ms());
    bool takes_patch = !now->present || now->kind == SATCHEL_FIELDS;
    unsigned choice = below(self, 100);
    *op = (struct model_op){.sent_ms = wall_ms()};
    if (choice < 10) {
        op->op = SATCHEL_OP_GET;
    } else if (choice < (is_short ? 40 : 15)) {
        op->op = SATCHEL_OP_TOUCH;
    } else if (choice < (is_short ? 50 : 22)) {
        op->op = SATCHEL_OP_DELETE;
    } else if (choice < 65 && is_sure && takes_patch && !is_short) {
        pick_patch(self, model, op);
    } else {
        pick_set(self, model, op, is_short);
        op->keep_ttl = is_sure && !is_short && op->idle_ttl_ms == 0 && below(self, 3) == 0;
    }
    if (op->op != SATCHEL_OP_GET && is_sure) {
        pick_condition(self, now, op);
    }
    op->fast = op->op != SATCHEL_OP_GET && model->count < MODEL_HISTORY_MAX - 2 &&
               below(self, 8) == 0;
}

/* ---- Sending -------------------------------------------------------------------------------- */

static struct view value_of(struct writer *self, const struct model *model, struct mark mark)
{
    self->value.len = 0;
    need(buf_reserve(&self->value, mark.len + 1));
    pattern_fill(self->value.ptr, mark.len, model->number, mark.number);
    return view_of(self->value.ptr, mark.len);
}

static void put_fields(struct writer *self, const struct model *model, const struct model_op *op,
                       struct buf *to)
{
    for (unsigned i = 0; i < MODEL_FIELDS; i++) {
        char name = (char)('a' + i);
        if (op->fields[i].number != 0) {
            need(fields_append(to, view_of(&name, 1), value_of(self, model, op->fields[i])));
        }
    }
}

static void put_ops(struct writer *self, const struct model *model, const struct model_op *op,
                    struct buf *to)
{
    for (unsigned i = 0; i < MODEL_OPS_MAX && op->ops[i].op != 0; i++) {
        char name = (char)('a' + op->ops[i].field);
        struct view value = {0};
        if (op->ops[i].op == SATCHEL_FIELD_INCREMENT) {
            need(ops_append(to, SATCHEL_FIELD_INCREMENT, view_str("count"),
                            view_of(&op->ops[i].delta, sizeof op->ops[i].delta)));
            continue;
        }
        if (op->ops[i].op != SATCHEL_FIELD_DELETE) {
            value = value_of(self, model, op->ops[i].value);
        }
        need(ops_append(to, op->ops[i].op, view_of(&name, 1), value));
    }
}

static uint8_t ack_flag(const struct model_op *op)
{
    return op->op == SATCHEL_OP_GET ? 0
           : op->fast               ? SATCHEL_FLAG_ACK_FAST
                                    : SATCHEL_FLAG_ACK_DURABLE;
}

static void send_op(struct writer *self, const struct sent *sent, uint64_t request_id)
{
    char id[16];
    struct buf content = {0};
    const struct model_op *op = &sent->op;
    struct command cmd = {
        .op = op->op,
        .condition = op->condition,
        .condition_version = op->condition_version,
        .keep_ttl = op->keep_ttl,
        .idle_ttl_ms = op->idle_ttl_ms,
        .kind = op->kind,
        .id = model_id(sent->model, id),
    };
    if (op->op == SATCHEL_OP_SET && op->kind == SATCHEL_BLOB) {
        cmd.content = value_of(self, sent->model, op->blob);
    } else if (op->op == SATCHEL_OP_SET) {
        put_fields(self, sent->model, op, &content);
        cmd.content = buf_view(&content);
    } else if (op->op == SATCHEL_OP_PATCH) {
        put_ops(self, sent->model, op, &content);
        cmd.ops = buf_view(&content);
    }
    wire_put(&self->wire, request_id, ack_flag(op), &cmd);
    buf_free(&content);
}

static void send_increment(struct writer *self, const struct sent *sent, uint64_t request_id)
{
    char id[16];
    struct buf ops = {0};
    int64_t one = 1;
    need(ops_append(&ops, SATCHEL_FIELD_INCREMENT, view_str("n"), view_of(&one, sizeof one)));
    struct command cmd = {
        .op = SATCHEL_OP_PATCH, .id = counter_id(sent->counter, id), .ops = buf_view(&ops)};
    wire_put(&self->wire, request_id, ack_flag(&sent->op), &cmd);
    buf_free(&ops);
}

static bool is_busy_with(const struct writer *self, const struct model *model)
{
    for (unsigned i = 0; i < WRITER_WINDOW; i++) {
        if (self->sent[i].used && self->sent[i].model == model) {
            return true;
        }
    }
    return false;
}

static void fill_window(struct writer *self)
{
    for (unsigned i = 0; i < WRITER_WINDOW; i++) {
        struct sent *sent = &self->sent[i];
        if (sent->used) {
            continue;
        }
        *sent = (struct sent){.used = true};
        if (below(self, 10) == 0) {
            sent->counter = &self->counters[below(self, COUNTERS)];
            sent->op = (struct model_op){.op = SATCHEL_OP_PATCH, .fast = below(self, 8) == 0};
            send_increment(self, sent, i);
            continue;
        }
        struct model *model = NULL;
        do {
            model = &self->models[below(self, self->model_count)];
        } while (is_busy_with(self, model));
        sent->model = model;
        pick(self, model, &sent->op);
        send_op(self, sent, i);
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void complain(struct writer *self, const struct sent *sent, const struct native_reply *reply,
                     const char *why)
{
    self->violations++;
    (void)fprintf(stderr, "%s%u: %s (%s%s answered %s, version %" PRIu64 ")\n",
                  sent->model != NULL ? "s" : "c",
                  sent->model != NULL ? sent->model->number : sent->counter->number, why,
                  native_opcode_word(sent->op.op), sent->op.fast ? " fast" : "",
                  satchel_status_text_of(reply->status), reply->version);
}

/* The field that was incremented has to be in the answer. */
static bool tells_count(const struct native_reply *reply, int64_t count)
{
    struct view value;
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64, count);
    return reply->has_content && fields_find(reply->content, view_str("count"), &value) &&
           view_equal(value, view_str(text));
}

static const char *take_change(struct writer *self, struct model *model, const struct model_op *op,
                               const struct native_reply *reply)
{
    struct state next = model_after(model_now(model), op, wall_ms());
    if (next.present && next.version != 0 && reply->version != next.version) {
        return "the version moved although nothing changed";
    }
    if (next.present && next.version == 0 &&
        (reply->version <= model->version_max || reply->version <= self->version_floor)) {
        return "the new version is not above the earlier ones";
    }
    if (op->ops[0].op == SATCHEL_FIELD_INCREMENT && !tells_count(reply, next.count)) {
        return "the increment was answered with another number";
    }
    next.version = next.present ? reply->version : 0;
    model_acknowledge(model, &next, !op->fast);
    self->version_max = next.version > self->version_max ? next.version : self->version_max;
    self->acknowledged += !op->fast;
    self->fast += op->fast;
    return NULL;
}

static const char *take_answer(struct writer *self, struct model *model, const struct model_op *op,
                               const struct native_reply *reply)
{
    struct state now = *model_now(model);
    int64_t now_ms = wall_ms();
    if (op->fails) {
        return reply->status == SATCHEL_CONDITION_FAILED ? NULL
                                                         : "the condition should not have held";
    }
    if (op->op == SATCHEL_OP_GET) {
        const char *differs = model_differs(model, &now, reply, false, op->sent_ms, now_ms);
        if (differs == NULL && (reply->status == SATCHEL_OK || !now.present)) {
            model_acknowledge(model, &now, true); /* what a GET shows is durable */
        }
        return differs;
    }
    if (reply->status == SATCHEL_OK) {
        return op->op != SATCHEL_OP_SET && op->op != SATCHEL_OP_PATCH && !now.present
                   ? "there should be no session"
                   : take_change(self, model, op, reply);
    }
    if (reply->status == SATCHEL_NOT_FOUND) {
        return now.present && model_surely_lives(&now, now_ms) ? "it is gone" : NULL;
    }
    return "an unexpected answer";
}

static void take(struct writer *self, const struct native_reply *reply)
{
    struct sent *sent = reply->request_id < WRITER_WINDOW ? &self->sent[reply->request_id] : NULL;
    if (sent == NULL || !sent->used) {
        (void)fprintf(stderr, "an answer to nothing: request %" PRIu64 "\n", reply->request_id);
        self->violations++;
        return;
    }
    const char *why = NULL;
    if (satchel_status_retry_of(reply->status) > SATCHEL_RETRY_FINAL) {
        self->busy++; /* nothing happened */
        self->is_told_to_wait = true;
    } else if (sent->model != NULL) {
        why = take_answer(self, sent->model, &sent->op, reply);
    } else {
        why = counter_answered(sent->counter, reply, !sent->op.fast);
        self->acknowledged += !sent->op.fast;
        self->fast += sent->op.fast;
    }
    if (why != NULL) {
        complain(self, sent, reply, why);
    }
    sent->used = false;
}

/* The connection broke: what is unanswered may have happened, or not. */
static void give_up(struct writer *self)
{
    for (unsigned i = 0; i < WRITER_WINDOW; i++) {
        struct sent *sent = &self->sent[i];
        if (!sent->used) {
            continue;
        }
        self->unanswered++;
        sent->used = false;
        if (sent->model == NULL) {
            atomic_fetch_add_explicit(&sent->counter->maybe, 1, memory_order_relaxed);
        } else if (!sent->op.fails && sent->op.op != SATCHEL_OP_GET) {
            const struct state *now = model_now(sent->model);
            if (now->present || sent->op.op == SATCHEL_OP_SET || sent->op.op == SATCHEL_OP_PATCH) {
                struct state next = model_after(now, &sent->op, wall_ms());
                model_maybe(sent->model, &next);
            }
        }
    }
}

/* Who is told BUSY does not ask again at once. */
static void back_off(struct writer *self)
{
    if (self->is_told_to_wait) {
        self->is_told_to_wait = false;
        (void)nanosleep(&(struct timespec){.tv_nsec = BUSY_PAUSE_NS}, NULL);
    }
}

void *writer_run(void *arg)
{
    struct writer *self = arg;
    if (wire_open(&self->wire, self->address)) {
        enum status status = STATUS_OK;
        while (status == STATUS_OK) {
            fill_window(self);
            if (!wire_flush(&self->wire)) {
                break;
            }
            struct native_reply reply;
            status = wire_take(&self->wire, ANSWER_WAIT_MS, &reply);
            for (; status == STATUS_OK; status = wire_take(&self->wire, 0, &reply)) {
                take(self, &reply);
            }
            status = status == STATUS_AGAIN ? STATUS_OK : status;
            back_off(self);
        }
        if (status == STATUS_INVALID) {
            (void)fprintf(stderr, "what came is not a reply\n");
            self->violations++;
        }
        /* Answers that had arrived before the end still count. */
        struct native_reply reply;
        while (wire_take(&self->wire, 0, &reply) == STATUS_OK) {
            take(self, &reply);
        }
    }
    give_up(self);
    wire_close(&self->wire);
    buf_free(&self->value);
    return NULL;
}
