/* Transactions of a connection; see multi.h. */
#include "redis/multi.h"

#include <stdlib.h>

#include "redis/connection.h"
#include "redis/run.h"

enum {
    QUEUE_BYTES_MAX = 64 * 1024 * 1024, /* of one connection's arguments */
    QUEUED_MAX = 65536,
    WATCHED_MAX = 1024,                  /* each new one is compared with all */
    MULTI_BYTES_MAX = 256 * 1024 * 1024, /* queued and watched by all connections together */
    KEPT_BYTES = 64 * 1024,              /* by a connection after its transaction */
};

/* ---- What connections hold ------------------------------------------------------------------ */

/* Counts memory that the connection is going to hold until its transaction is over. False: all of
 * them together hold too much. */
static bool hold(struct redis_client *client, size_t bytes)
{
    _Atomic uint64_t *all = &client->worker->redis->multi_bytes;
    /* Relaxed: a sum, that guards nothing else. */
    if (atomic_fetch_add_explicit(all, bytes, memory_order_relaxed) + bytes > MULTI_BYTES_MAX) {
        (void)atomic_fetch_sub_explicit(all, bytes, memory_order_relaxed);
        return false;
    }
    client->multi.held_bytes += bytes;
    return true;
}

static void release(struct redis_client *client)
{
    (void)atomic_fetch_sub_explicit(&client->worker->redis->multi_bytes, client->multi.held_bytes,
                                    memory_order_relaxed);
    client->multi.held_bytes = 0;
}

/* ---- The queue ------------------------------------------------------------------------------ */

static bool grow_queue(struct redis_multi *multi)
{
    if (multi->queued_count < multi->queued_cap) {
        return true;
    }
    size_t cap = multi->queued_cap == 0 ? 8 : multi->queued_cap * 2;
    struct redis_queued *queued = realloc(multi->queued, cap * sizeof *queued);
    if (queued == NULL || multi->queued_count == QUEUED_MAX) {
        multi->queued = queued != NULL ? queued : multi->queued;
        return false;
    }
    multi->queued = queued;
    multi->queued_cap = cap;
    return true;
}

static bool append_args(struct buf *bytes, const struct view *argv, size_t argc)
{
    for (size_t i = 0; i < argc; i++) {
        uint8_t len[sizeof(uint32_t)];
        store_u32(len, (uint32_t)argv[i].len);
        if (argv[i].len > QUEUE_BYTES_MAX - bytes->len ||
            buf_append(bytes, view_of(len, sizeof len)) != STATUS_OK ||
            buf_append(bytes, argv[i]) != STATUS_OK || bytes->len > QUEUE_BYTES_MAX) {
            return false;
        }
    }
    return true;
}

static size_t args_bytes(const struct view *argv, size_t argc)
{
    size_t bytes = argc * sizeof(uint32_t);
    for (size_t i = 0; i < argc; i++) {
        bytes += argv[i].len;
    }
    return bytes;
}

void redis_multi_queue(struct redis_client *client, const struct redis_command *command,
                       const struct view *argv, size_t argc, struct resp_writer *out)
{
    struct redis_multi *multi = &client->multi;
    size_t before = multi->bytes.len;
    if (!hold(client, sizeof(struct redis_queued) + args_bytes(argv, argc)) || !grow_queue(multi) ||
        !append_args(&multi->bytes, argv, argc)) {
        multi->bytes.len = before;
        multi->is_broken = true;
        resp_error(out, "ERR the transaction is too large");
        return;
    }
    multi->queued[multi->queued_count++] = (struct redis_queued){command, argc};
    multi->queued_args += argc;
    resp_simple(out, "QUEUED");
}

static void forget_watched(struct redis_multi *multi)
{
    multi->watched_count = 0;
    multi->watched_ids.len = 0;
}

void redis_multi_reset(struct redis_client *client)
{
    struct redis_multi *multi = &client->multi;
    multi->is_open = false;
    multi->is_broken = false;
    multi->queued_count = 0;
    multi->queued_args = 0;
    multi->bytes.len = 0;
    if (multi->bytes.cap > KEPT_BYTES) {
        buf_free(&multi->bytes);
    }
    forget_watched(multi);
    release(client);
}

void redis_multi_free(struct redis_client *client)
{
    struct redis_multi *multi = &client->multi;
    release(client);
    free(multi->queued);
    free(multi->watched);
    buf_free(&multi->bytes);
    buf_free(&multi->watched_ids);
    *multi = (struct redis_multi){0};
}

/* ---- EXEC ----------------------------------------------------------------------------------- */

/* A queued command with its arguments and keys. */
struct step {
    const struct redis_command *command;
    const struct view *argv; /* borrowed */
    size_t argc;
    size_t first_key; /* in the worker's keys */
    size_t key_count;
};

struct exec {
    struct redis_call *call;
    struct step *steps; /* owned */
    size_t count;       /* of steps */
    struct view *args;  /* owned: of all steps; borrowed from the queue */
};

static bool unpack(struct exec *self, const struct redis_multi *multi)
{
    self->count = multi->queued_count;
    self->steps = calloc(self->count + 1, sizeof *self->steps);
    self->args = calloc(multi->queued_args + 1, sizeof *self->args);
    if (self->steps == NULL || self->args == NULL) {
        return false;
    }
    const uint8_t *at = multi->bytes.ptr;
    size_t used = 0;
    for (size_t i = 0; i < self->count; i++) {
        const struct redis_queued *queued = &multi->queued[i];
        self->steps[i] = (struct step){
            .command = queued->command, .argv = self->args + used, .argc = queued->argc};
        for (size_t arg = 0; arg < queued->argc; arg++) {
            uint32_t len = load_u32(at);
            self->args[used++] = view_of(at + sizeof len, len);
            at += sizeof len + len;
        }
    }
    return true;
}

/* The database that a step leads to: the keys of those behind a SELECT are of that one. */
static uint8_t db_after(const struct step *step, uint8_t db)
{
    int64_t chosen = 0;
    bool selects = step->command->handler == redis_select &&
                   resp_parse_integer(step->argv[1], &chosen) && chosen >= 0 &&
                   chosen < REDIS_DATABASES;
    return selects ? (uint8_t)chosen : db;
}

/* Names the keys of all steps. False: an error was answered. */
static bool name_steps(const struct exec *self)
{
    struct redis_client *client = self->call->client;
    uint8_t db = client->db;
    bool is_fine = true;
    for (size_t i = 0; is_fine && i < self->count; i++) {
        struct step *step = &self->steps[i];
        step->first_key = client->worker->key_count;
        is_fine = redis_keys_add_all(client, step->command, step->argv, step->argc,
                                     self->call->out);
        step->key_count = client->worker->key_count - step->first_key;
        client->db = db_after(step, client->db);
    }
    client->db = db; /* until SELECT runs */
    return is_fine;
}

/* Names the watched sessions, by their ids, and then the keys of all steps. False: an error was
 * answered. */
static bool name_all(struct exec *self)
{
    struct redis_client *client = self->call->client;
    struct redis_worker *worker = client->worker;
    const struct redis_multi *multi = &client->multi;
    if (!redis_keys_begin(client, self->call->now_ms,
                          redis_ids_bytes(self->args, multi->queued_args))) {
        redis_refuse(self->call->out, SATCHEL_BUSY);
        return false;
    }
    worker->sessions.needs_content = false;
    for (size_t i = 0; i < multi->watched_count; i++) {
        const struct redis_watched *watched = &multi->watched[i];
        if (!redis_ids_add(worker,
                           view_of(multi->watched_ids.ptr + watched->id_at, watched->id_len))) {
            redis_refuse(self->call->out, SATCHEL_BUSY);
            return false;
        }
    }
    return name_steps(self);
}

static bool is_as_watched(const struct redis_watched *watched, const struct session *now)
{
    return now == NULL ? !watched->is_there
                       : watched->is_there && now->version == watched->version &&
                             now->expires_ms == watched->expires_ms;
}

/* All of it, with the sessions locked. */
static void exec_body(void *arg, struct transaction *transaction)
{
    const struct exec *self = arg;
    struct redis_client *client = self->call->client;
    const struct redis_multi *multi = &client->multi;
    struct resp_writer *out = self->call->out;
    for (size_t i = 0; i < multi->watched_count; i++) {
        if (!is_as_watched(&multi->watched[i],
                           transaction_find(transaction, client->worker->keys[i]))) {
            resp_null_array(out);
            return;
        }
    }
    resp_array(out, self->count);
    for (size_t i = 0; i < self->count; i++) {
        const struct step *step = &self->steps[i];
        struct redis_call call = redis_call_of(client, step->command, step->argv, step->argc, out,
                                               self->call->now_ms);
        call.keys = client->worker->keys + step->first_key;
        call.key_count = step->key_count;
        self->call->ran |= step->command->flags;
        out->is_resp3 = client->is_resp3; /* HELLO may be one of them */
        step->command->handler(&call);
    }
}

void redis_exec(struct redis_call *call)
{
    struct redis_client *client = call->client;
    struct exec exec = {.call = call};
    if (!client->multi.is_open) {
        resp_error(call->out, "ERR EXEC without MULTI");
        return;
    }
    if (client->multi.is_broken) {
        resp_error(call->out, "EXECABORT Transaction discarded because of previous errors.");
    } else if (!unpack(&exec, &client->multi)) {
        redis_refuse(call->out, SATCHEL_BUSY);
    } else if (name_all(&exec)) {
        redis_transact(call, exec_body, &exec);
    }
    free(exec.steps);
    free(exec.args);
    if (!call->is_waiting) {
        redis_multi_reset(client);
    }
}

/* ---- The other commands --------------------------------------------------------------------- */

void redis_multi(struct redis_call *call)
{
    if (call->client->multi.is_open) {
        resp_error(call->out, "ERR MULTI calls can not be nested");
        return;
    }
    call->client->multi.is_open = true;
    redis_ok(call);
}

void redis_discard(struct redis_call *call)
{
    if (!call->client->multi.is_open) {
        resp_error(call->out, "ERR DISCARD without MULTI");
        return;
    }
    redis_multi_reset(call->client);
    redis_ok(call);
}

static bool is_watched(const struct redis_multi *multi, struct view id)
{
    for (size_t i = 0; i < multi->watched_count; i++) {
        const struct redis_watched *watched = &multi->watched[i];
        if (view_equal(id, view_of(multi->watched_ids.ptr + watched->id_at, watched->id_len))) {
            return true;
        }
    }
    return false;
}

static bool add_watched(struct redis_client *client, struct view id, const struct session *session)
{
    struct redis_multi *multi = &client->multi;
    if (multi->watched_count == WATCHED_MAX ||
        !hold(client, sizeof(struct redis_watched) + id.len)) {
        return false;
    }
    if (multi->watched_count == multi->watched_cap) {
        size_t cap = multi->watched_cap == 0 ? 8 : multi->watched_cap * 2;
        struct redis_watched *watched = realloc(multi->watched, cap * sizeof *watched);
        if (watched == NULL) {
            return false;
        }
        multi->watched = watched;
        multi->watched_cap = cap;
    }
    struct redis_watched *added = &multi->watched[multi->watched_count];
    *added = (struct redis_watched){.id_at = multi->watched_ids.len, .id_len = id.len};
    if (buf_append(&multi->watched_ids, id) != STATUS_OK) {
        return false;
    }
    if (session != NULL) {
        added->is_there = true;
        added->version = session->version;
        added->expires_ms = session->expires_ms;
    }
    multi->watched_count++;
    return true;
}

void redis_watch(struct redis_call *call)
{
    struct redis_multi *multi = &call->client->multi;
    if (multi->is_open) {
        resp_error(call->out, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (size_t i = 0; i < call->key_count; i++) {
        struct view id = call->sessions->keys[call->keys[i]].id;
        if (!is_watched(multi, id) && !add_watched(call->client, id, redis_session(call, i))) {
            resp_error(call->out, "ERR no more than %d keys can be watched, or out of memory",
                       WATCHED_MAX);
            return;
        }
    }
    redis_ok(call);
}

void redis_unwatch(struct redis_call *call)
{
    struct redis_client *client = call->client;
    forget_watched(&client->multi);
    if (!client->multi.is_open) { /* otherwise EXEC is going to release all */
        release(client);
    }
    redis_ok(call);
}
