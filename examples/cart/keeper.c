/*
 * The ways of a request through the store, each arrow one answer:
 *
 *     read        GET ──▶ DONE
 *
 *     change      PATCH ──ok──────────────▶ DONE            (now and then: forget old markers)
 *                   │ ├──no answer, key──▶ PATCH again, once
 *                   │ └──out of range────▶ GET ─▶ DONE (made before) · KEY_TOO_OLD · TOO_MANY
 *
 *     checkout    GET ──not what was seen─▶ DONE (made before) · KEY_TOO_OLD · CHANGED · EMPTY
 *                  └──▶ PATCH if it still has that version ──▶ as above; refused: GET, as here
 *
 * Everywhere: the store is away ─▶ STORE_AWAY. The client library has by then tried for
 * DEADLINE_MS.
 */
#include "keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/util.h>

enum {
    DEADLINE_MS = 1500,
    SESSION_ID_BYTES_MAX = sizeof("user:") - 1 + KEEPER_EMAIL_BYTES_MAX,
};

/** A cart that nobody looked at for this long expires. */
static const uint64_t idle_ttl_ms = UINT64_C(30) * 24 * 60 * 60 * 1000;

struct keeper {
    struct satchel_async *store; /* owned */
    struct metrics *metrics;     /* borrowed */
    int64_t quantity_max;
    bool forgets; /* a PATCH that forgets markers is in flight; one at a time is enough */
};

/* One call from its start to its answer. */
struct job {
    struct keeper *keeper; /* borrowed; outlives it */
    keeper_fn done;
    void *arg;
    bool sent_again;
    bool may_have_happened; /* a PATCH is on its way, and nothing has refused it */
    struct change change;
    satchel_async_fn on_answer; /* what the call that is in flight does next */
    double sent_ms;             /* when it was sent, on the clock of metrics.h */
    char session_id[SESSION_ID_BYTES_MAX + 1];
};

static void send_patch(struct job *job);
static void read_after_refusal(struct job *job);

struct keeper *keeper_new(struct event_base *base, const char *server, const char *token,
                          int64_t quantity_max, struct metrics *metrics)
{
    struct keeper *self = calloc(1, sizeof(*self));
    if (!self) {
        return NULL;
    }
    self->metrics = metrics;
    self->quantity_max = quantity_max;
    struct satchel_options options = {
        .server = server,
        .token = *token ? token : NULL,
        .client_name = "cart",
        .deadline_ms = DEADLINE_MS,
    };
    if (satchel_async_open(base, &options, &self->store) != SATCHEL_OK) {
        free(self);
        return NULL;
    }
    return self;
}

void keeper_free(struct keeper *self)
{
    if (self) {
        satchel_async_close(self->store);
        free(self);
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void finish(struct job *job, const struct cart_answer *answer)
{
    job->done(job->arg, answer);
    free(job);
}

static void finish_with_cart(struct job *job, enum cart_outcome outcome,
                             const struct satchel_result *result)
{
    finish(job, &(struct cart_answer){
                    .outcome = outcome,
                    .has_cart = true,
                    .cart = cart_from_result(result),
                    .order_number = job->change.order_number,
                });
}

static bool has_key(const struct job *job)
{
    return job->change.key.text[0] != '\0';
}

/* For a status that leaves nothing to do but to say so. */
static void finish_without_cart(struct job *job, enum satchel_status status)
{
    enum cart_outcome outcome = CART_STORE_REFUSED;
    switch (satchel_status_retry(status)) {
    case SATCHEL_RETRY_SAME:
    case SATCHEL_RETRY_OTHER:
        outcome = CART_STORE_AWAY;
        break;
    case SATCHEL_RETRY_MAYBE_APPLIED:
        /* With a key trying again is harmless, and so is reading again. */
        outcome = job->may_have_happened && !has_key(job) ? CART_UNKNOWN : CART_STORE_AWAY;
        break;
    case SATCHEL_RETRY_NONE:
    case SATCHEL_RETRY_FINAL:
        outcome = status == SATCHEL_CLOSED ? CART_STORE_AWAY : CART_STORE_REFUSED;
        break;
    }
    finish(job, &(struct cart_answer){
                    .outcome = outcome,
                    .store_message = satchel_status_text(status),
                });
}

/* ---- Calls of the store ---------------------------------------------------------------------- */

static void on_store_answer(void *arg, enum satchel_status status,
                            const struct satchel_result *result)
{
    struct job *job = arg;
    metrics_query(job->keeper->metrics, metrics_now_ms() - job->sent_ms);
    job->on_answer(job, status, result);
}

/* Notes that a call is sent, which `done` goes on from; returns what to hand to the library. */
static satchel_async_fn begin_call(struct job *job, satchel_async_fn done)
{
    job->on_answer = done;
    job->sent_ms = metrics_now_ms();
    return on_store_answer;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static struct satchel_bytes session_id(const struct job *job)
{
    return (struct satchel_bytes){job->session_id, strlen(job->session_id)};
}

static void send_get(struct job *job, satchel_async_fn done)
{
    /* To look at the cart keeps it alive; the store writes such a touch down only now and then. */
    satchel_async_get(job->keeper->store, session_id(job),
                      &(struct satchel_command_options){.touch = true}, begin_call(job, done), job);
}

/* NOT_FOUND is an empty cart: nothing was ever put into it, or it expired. */
static bool has_read(enum satchel_status status)
{
    return status == SATCHEL_OK || status == SATCHEL_NOT_FOUND;
}

static void on_read(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct job *job = arg;
    if (has_read(status)) {
        finish_with_cart(job, CART_DONE, result);
    } else {
        finish_without_cart(job, status);
    }
}

/* ---- Changing ------------------------------------------------------------------------------- */

static void on_forgotten(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct keeper *self = arg;
    (void)status; /* whatever came of it: the next change sees the markers and tries again */
    (void)result;
    self->forgets = false;
}

static void forget_old_markers(struct job *job, const struct satchel_result *result)
{
    struct change_ops ops;
    if (!job->keeper->forgets && change_forget_ops(result, &ops)) {
        job->keeper->forgets = true;
        satchel_async_patch(job->keeper->store, session_id(job), ops.list, ops.count,
                            &(struct satchel_command_options){.condition = SATCHEL_IF_PRESENT},
                            on_forgotten, job->keeper);
    }
}

static void on_patched(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct job *job = arg;
    if (status == SATCHEL_OK) {
        forget_old_markers(job, result);
        finish_with_cart(job, CART_DONE, result);
    } else if (status == SATCHEL_OUT_OF_RANGE || status == SATCHEL_CONDITION_FAILED) {
        read_after_refusal(job);
    } else if (satchel_status_retry(status) == SATCHEL_RETRY_MAYBE_APPLIED && has_key(job) &&
               !job->sent_again) {
        job->sent_again = true;
        send_patch(job);
    } else {
        finish_without_cart(job, status);
    }
}

static void send_patch(struct job *job)
{
    struct change_ops ops;
    change_ops(&job->change, job->keeper->quantity_max, &ops);
    bool buys = job->change.kind == CHANGE_CHECKOUT;
    struct satchel_command_options options = {
        .condition = buys ? SATCHEL_IF_VERSION : SATCHEL_ALWAYS,
        .if_version = buys ? job->change.seen_version : 0,
        .idle_ttl_ms = idle_ttl_ms,
        .return_content = true,
    };
    job->may_have_happened = true;
    satchel_async_patch(job->keeper->store, session_id(job), ops.list, ops.count, &options,
                        begin_call(job, on_patched), job);
}

static void on_read_after_refusal(void *arg, enum satchel_status status,
                                  const struct satchel_result *result)
{
    struct job *job = arg;
    if (!has_read(status)) {
        finish_without_cart(job, status);
        return;
    }
    job->change.order_number = 0; /* nothing was bought with it */
    switch (change_state(result, &job->change.key, &job->change.order_number)) {
    case CHANGE_MADE:
        finish_with_cart(job, CART_DONE, result);
        return;
    case CHANGE_KEY_TOO_OLD:
        finish_with_cart(job, CART_KEY_TOO_OLD, result);
        return;
    case CHANGE_NOT_MADE:
        finish_with_cart(job, job->change.kind == CHANGE_CHECKOUT ? CART_CHANGED : CART_TOO_MANY,
                         result);
        return;
    }
}

static void read_after_refusal(struct job *job)
{
    job->may_have_happened = false;
    send_get(job, on_read_after_refusal);
}

/* ---- Buying --------------------------------------------------------------------------------- */

/* Nine random digits. A real shop would write down what was bought, with this number, before or in
 * the same transaction as it empties the cart. */
static int64_t new_order_number(void)
{
    uint32_t random = 0;
    evutil_secure_rng_get_bytes(&random, sizeof(random));
    return 100000000 + random % 900000000;
}

static void on_read_before_checkout(void *arg, enum satchel_status status,
                                    const struct satchel_result *result)
{
    struct job *job = arg;
    if (!has_read(status)) {
        finish_without_cart(job, status);
        return;
    }
    if (result->version != job->change.seen_version) {
        on_read_after_refusal(job, status, result);
        return;
    }
    struct cart cart = cart_from_result(result);
    if (cart.line_count == 0) {
        finish_with_cart(job, CART_EMPTY, result);
        return;
    }
    send_patch(job);
}

/* ---- Starting ------------------------------------------------------------------------------- */

static struct job *job_new(struct keeper *keeper, const char *prefix, const char *id,
                           keeper_fn done, void *arg)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job) {
        abort(); /* a web task without memory for this is better started anew */
    }
    job->keeper = keeper;
    job->done = done;
    job->arg = arg;
    snprintf(job->session_id, sizeof(job->session_id), "%s%s", prefix, id);
    return job;
}

void keeper_read(struct keeper *self, const char *id, keeper_fn done, void *arg)
{
    send_get(job_new(self, "cart:", id, done, arg), on_read);
}

void keeper_change(struct keeper *self, const char *id, const struct change *change, keeper_fn done,
                   void *arg)
{
    struct job *job = job_new(self, "cart:", id, done, arg);
    job->change = *change;
    if (change->kind == CHANGE_CHECKOUT) {
        job->change.order_number = new_order_number();
        send_get(job, on_read_before_checkout);
    } else {
        send_patch(job);
    }
}

static void on_signed_up(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct job *job = arg;
    (void)result;
    if (status == SATCHEL_OK) {
        metrics_sign_up(job->keeper->metrics);
        finish(job, &(struct cart_answer){.outcome = CART_DONE});
    } else if (status == SATCHEL_CONDITION_FAILED) {
        finish(job, &(struct cart_answer){.outcome = CART_SIGNED_UP});
    } else {
        finish_without_cart(job, status);
    }
}

void keeper_sign_up(struct keeper *self, const char *email, const char *id, keeper_fn done,
                    void *arg)
{
    struct job *job = job_new(self, "user:", email, done, arg);
    struct satchel_command_options options = {.condition = SATCHEL_IF_ABSENT,
                                              .idle_ttl_ms = idle_ttl_ms};
    struct satchel_bytes cart_id = satchel_text(id);
    job->may_have_happened = true;
    satchel_async_set(self->store, session_id(job), cart_id, &options,
                      begin_call(job, on_signed_up), job);
}

static void on_ping(void *arg, enum satchel_status status, const struct satchel_result *result)
{
    struct job *job = arg;
    (void)result;
    finish(job, &(struct cart_answer){
                    .outcome = status == SATCHEL_OK ? CART_DONE : CART_STORE_AWAY,
                    .store_message = satchel_status_text(status),
                });
}

void keeper_ping(struct keeper *self, keeper_fn done, void *arg)
{
    satchel_async_ping(self->store, on_ping, job_new(self, "", "", done, arg));
}
