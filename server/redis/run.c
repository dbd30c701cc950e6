/* From a request to its reply; redis.h has the picture. */
#include "redis/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "redis/multi.h"
#include "redis/names.h"
#include "redis/pubsub.h"

enum {
    ARGS_MAX = 1024 * 1024,
    REQUEST_BYTES_EXTRA = 1024 * 1024, /* of a request, beside one value */
    QUOTED_BYTES_MAX = 128,            /* of what is repeated in an error */
};

/* ---- Naming keys ---------------------------------------------------------------------------- */

bool redis_keys_begin(struct redis_client *client, int64_t now_ms, size_t ids_bytes)
{
    struct redis_worker *worker = client->worker;
    transaction_begin(&worker->sessions, now_ms);
    worker->key_count = 0;
    worker->ids.len = 0;
    return buf_reserve(&worker->ids, ids_bytes) == STATUS_OK; /* SELECT may follow in a MULTI */
}

size_t redis_ids_bytes(const struct view *argv, size_t argc)
{
    size_t bytes = 0;
    for (size_t i = 0; i < argc; i++) {
        bytes += argv[i].len + REDIS_ID_PREFIX_BYTES;
    }
    return bytes;
}

/* The id of a key; in other databases than 0 it is built in memory that was reserved. */
static struct view id_of(struct redis_client *client, struct view key)
{
    if (client->db == 0) {
        return key;
    }
    struct buf *ids = &client->worker->ids;
    size_t before = ids->len;
    ids->len += redis_id_prefix(ids->ptr + before, client->db);
    (void)put_view(ids->ptr + ids->len, key);
    ids->len += key.len;
    return view_of(ids->ptr + before, ids->len - before);
}

bool redis_ids_add(struct redis_worker *worker, struct view id)
{
    if (worker->key_count == worker->key_cap) {
        size_t cap = worker->key_cap == 0 ? 16 : worker->key_cap * 2;
        uint32_t *keys = realloc(worker->keys, cap * sizeof *keys);
        if (keys == NULL) {
            return false;
        }
        worker->keys = keys;
        worker->key_cap = cap;
    }
    size_t index = 0;
    if (transaction_name(&worker->sessions, id, store_hash(worker->redis->store, id), &index) !=
        STATUS_OK) {
        return false;
    }
    worker->keys[worker->key_count++] = (uint32_t)index;
    return true;
}

bool redis_keys_add(struct redis_client *client, struct view key)
{
    return redis_ids_add(client->worker, id_of(client, key));
}

struct redis_places redis_find_places(const struct redis_command *command, const struct view *argv,
                                      size_t argc)
{
    if ((command->flags & REDIS_MOVABLE_KEYS) != 0) {
        int64_t count = 0; /* a number that makes no sense is for the handler to refuse */
        bool is_fine = argc > 2 && resp_parse_integer(argv[2], &count) && count > 0 &&
                       (uint64_t)count <= argc - 3;
        return (struct redis_places){is_fine ? 3 : 0, is_fine ? 3 + (size_t)count : 0, 1};
    }
    if (command->first_key == 0) {
        return (struct redis_places){0, 0, 1};
    }
    size_t last = command->last_key < 0 ? argc - (size_t)-command->last_key
                                        : (size_t)command->last_key;
    return (struct redis_places){(size_t)command->first_key, last + 1, (size_t)command->key_step};
}

/* A key that no session can have is not there, which is all that most commands need to know; only
 * one that may make a session refuses it. False: an error was answered. */
static bool are_keys_possible(const struct redis_client *client,
                              const struct redis_command *command, const struct view *argv,
                              size_t argc, struct resp_writer *out)
{
    struct redis_places places = redis_find_places(command, argv, argc);
    bool is_maker = (command->flags & (REDIS_DENYOOM | REDIS_MAKES_KEYS)) != 0;
    for (size_t i = places.first; is_maker && i < places.end; i += places.step) {
        if (!redis_key_is_possible(argv[i], client->db)) {
            resp_error(out, "ERR a key has to have between 1 and %d bytes here",
                       SATCHEL_ID_BYTES_MAX);
            return false;
        }
    }
    return true;
}

bool redis_keys_add_all(struct redis_client *client, const struct redis_command *command,
                        const struct view *argv, size_t argc, struct resp_writer *out)
{
    struct redis_places places = redis_find_places(command, argv, argc);
    if (!are_keys_possible(client, command, argv, argc, out)) {
        return false;
    }
    for (size_t i = places.first; i < places.end; i += places.step) {
        if (!redis_keys_add(client, argv[i])) {
            resp_error(out, "ERR too many keys, or out of memory");
            return false;
        }
    }
    if ((command->flags & REDIS_KEYS_ONLY) == 0) {
        client->worker->sessions.needs_content = true;
    }
    return true;
}

/* ---- Running -------------------------------------------------------------------------------- */

struct redis_call redis_call_of(struct redis_client *client, const struct redis_command *command,
                                const struct view *argv, size_t argc, struct resp_writer *out,
                                int64_t now_ms)
{
    struct redis_worker *worker = client->worker;
    return (struct redis_call){
        .client = client,
        .command = command,
        .argv = argv,
        .argc = argc,
        .sessions = &worker->sessions,
        .out = out,
        .scratch = &worker->scratch,
        .events = &worker->events,
        .value_bytes_max = worker->redis->options.value_bytes_max,
        .now_ms = now_ms,
    };
}

/* An expired session that is replaced or deleted is gone by that: nobody else will tell of it. */
static void tell_expired(struct redis *redis, const struct transaction *sessions)
{
    for (size_t i = 0; redis_wants_expired(redis) && i < sessions->count; i++) {
        if (sessions->keys[i].is_stale && sessions->keys[i].kind != CHANGE_NONE) {
            redis_tell_expired(redis, sessions->keys[i].id);
        }
    }
}

void redis_transact(struct redis_call *call, store_body_fn body, void *body_arg)
{
    struct redis_client *client = call->client;
    size_t before = call->out->to->len;
    struct store_outcome outcome;
    call->events->len = 0;
    call->is_waiting = store_transact(client->worker->redis->store, call->sessions, call->waiter,
                                      body, body_arg, &outcome) != STATUS_OK;
    if (call->is_waiting) {
        return;
    }
    call->gate_lsn = client->ack == ACK_FAST ? 0 : outcome.gate_lsn;
    if (outcome.status != SATCHEL_OK) {
        call->out->to->len = before;
        redis_refuse(call->out, outcome.status);
        return;
    }
    struct redis *redis = client->worker->redis;
    tell_expired(redis, call->sessions);
    if (call->events->len != 0) {
        redis_publish_events(redis, buf_view(call->events), outcome.gate_lsn);
    }
}

static void run_handler(void *arg, struct transaction *transaction)
{
    struct redis_call *call = arg;
    (void)transaction;
    call->command->handler(call);
}

/* Runs a command that is not queued. */
static void run(struct redis_call *call)
{
    struct redis_client *client = call->client;
    struct redis_worker *worker = client->worker;
    bool walks = (call->command->flags & REDIS_WALKS) != 0;
    /* A walk takes as long as there are many sessions: that is no read like others. */
    call->ran = call->command->flags & ~(walks ? (uint32_t)REDIS_READONLY : 0);
    if (walks ||
        (call->command->first_key == 0 && (call->command->flags & REDIS_MOVABLE_KEYS) == 0)) {
        call->command->handler(call);
        return;
    }
    if (!redis_keys_begin(client, call->now_ms, redis_ids_bytes(call->argv, call->argc))) {
        redis_refuse(call->out, SATCHEL_BUSY);
        return;
    }
    worker->sessions.needs_content = false;
    if (redis_keys_add_all(client, call->command, call->argv, call->argc, call->out)) {
        call->keys = worker->keys;
        call->key_count = worker->key_count;
        redis_transact(call, run_handler, call);
    }
}

/* ---- What comes before ---------------------------------------------------------------------- */

static int quoted_len(struct view bytes)
{
    return (int)(bytes.len < QUOTED_BYTES_MAX ? bytes.len : QUOTED_BYTES_MAX);
}

static void answer_unknown(const struct view *argv, size_t argc, struct resp_writer *out)
{
    char args[QUOTED_BYTES_MAX + 8] = "";
    size_t len = 0;
    for (size_t i = 1; i < argc && len < QUOTED_BYTES_MAX; i++) {
        int room = QUOTED_BYTES_MAX - (int)len;
        int part = quoted_len(argv[i]) < room ? quoted_len(argv[i]) : room;
        len += (size_t)snprintf(args + len, sizeof args - len, "'%.*s' ", part,
                                (const char *)argv[i].ptr);
        len = len < sizeof args ? len : sizeof args - 1;
    }
    resp_error(out, "ERR unknown command '%.*s', with args beginning with: %s", quoted_len(argv[0]),
               (const char *)argv[0].ptr, args);
}

static void answer_unknown_subcommand(const struct redis_command *container, struct view name,
                                      struct resp_writer *out)
{
    char upper[32];
    size_t len = strlen(container->name);
    for (size_t i = 0; i <= len; i++) {
        char c = container->name[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
    }
    resp_error(out, "ERR unknown subcommand '%.*s'. Try %s HELP.", quoted_len(name),
               (const char *)name.ptr, upper);
}

/* Finds the command and checks how many arguments it has; NULL: an error was answered. */
static const struct redis_command *find_command(const struct view *argv, size_t argc,
                                                struct resp_writer *out)
{
    const struct redis_command *command = redis_find_command(argv[0]);
    if (command == NULL) {
        answer_unknown(argv, argc, out);
        return NULL;
    }
    if (redis_is_container(command) && argc > 1) {
        const struct redis_command *container = command;
        command = redis_find_subcommand(container, argv[1]);
        if (command == NULL) {
            answer_unknown_subcommand(container, argv[1], out);
            return NULL;
        }
    }
    if (!redis_arity_fits(command, argc)) {
        resp_error(out, "ERR wrong number of arguments for '%s' command", command->name);
        return NULL;
    }
    return command;
}

/* Whether the connection may use the command now; otherwise an error was answered. */
static bool is_allowed(const struct redis_client *client, const struct redis_command *command,
                       struct resp_writer *out)
{
    if (client->multi.is_open && (command->flags & (REDIS_NO_MULTI | REDIS_WALKS)) != 0 &&
        (command->flags & REDIS_NO_QUEUE) == 0) {
        resp_error(out, "ERR Command not allowed inside a transaction");
        return false;
    }
    if (!client->is_greeted && (command->flags & REDIS_NO_AUTH) == 0) {
        resp_error(out, "NOAUTH Authentication required.");
        return false;
    }
    if (!client->is_resp3 && redis_is_subscribed(client) && (command->flags & REDIS_PUBSUB) == 0) {
        resp_error(out,
                   "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                   "RESET are allowed in this context",
                   command->name);
        return false;
    }
    if ((command->flags & REDIS_LOADING) == 0 &&
        store_state(client->worker->redis->store) == STORE_LOADING) {
        redis_refuse(out, SATCHEL_LOADING);
        return false;
    }
    return true;
}

/* An EXEC that may not run ends its transaction, and says so around the error behind `before`. */
static void abort_exec(struct redis_client *client, struct resp_writer *out, size_t before)
{
    char why[2 * QUOTED_BYTES_MAX];
    struct view error = view_of(out->to->ptr + before, out->to->len - before);
    size_t skipped = error.len > 5 && memcmp(error.ptr, "-ERR ", 5) == 0 ? 5 : 1;
    (void)snprintf(why, sizeof why, "%.*s", (int)(error.len - skipped - 2),
                   (const char *)error.ptr + skipped);
    out->to->len = before;
    resp_error(out, "EXECABORT Transaction discarded because of: %s", why);
    redis_multi_reset(client);
}

/* A page in a browser can be made to post anything to any port: what looks like HTTP ends the
 * connection before something behind it runs, as in Redis. */
static bool is_http(const struct redis_call *call)
{
    return resp_is_word(call->argv[0], "post") || resp_is_word(call->argv[0], "host:");
}

static void run_request(struct redis_call *call)
{
    struct redis_client *client = call->client;
    size_t before = call->out->to->len;
    if (is_http(call)) {
        log_warn("a Redis connection looks like HTTP and is closed", "peer=%s", client->peer);
        client->ends = true;
        return;
    }
    call->command = find_command(call->argv, call->argc, call->out);
    bool is_fine = call->command != NULL && is_allowed(client, call->command, call->out);
    if (!is_fine) {
        if (resp_is_word(call->argv[0], "exec") && !call->out->has_failed) {
            abort_exec(client, call->out, before);
        } else if (client->multi.is_open) {
            client->multi.is_broken = true;
        }
        return;
    }
    atomic_store_explicit(&client->last_command, call->command, memory_order_relaxed);
    atomic_store_explicit(&client->last_ms, call->now_ms, memory_order_relaxed);
    if (client->multi.is_open && (call->command->flags & REDIS_NO_QUEUE) == 0) {
        if (!are_keys_possible(client, call->command, call->argv, call->argc, call->out)) {
            client->multi.is_broken = true;
            return;
        }
        redis_multi_queue(client, call->command, call->argv, call->argc, call->out);
        return;
    }
    run(call);
    if (call->is_waiting) {
        call->out->to->len = before;
    }
}

/* What CLIENT REPLY asked for is not sent. */
static void withhold(struct redis_client *client, struct buf *out, size_t before)
{
    switch (client->reply_mode) {
    case REDIS_REPLY_ON:
        return;
    case REDIS_REPLY_SKIP_NEXT: /* this was the CLIENT REPLY SKIP itself */
        client->reply_mode = REDIS_REPLY_SKIP;
        break;
    case REDIS_REPLY_SKIP:
        client->reply_mode = REDIS_REPLY_ON;
        break;
    case REDIS_REPLY_OFF:
        break;
    }
    out->len = before;
}

static void note_effect(struct redis_request *request, const struct redis_call *call)
{
    request->changes = (call->ran & (REDIS_WRITE | REDIS_MAKES_KEYS)) != 0;
    request->reads = !request->changes && (call->ran & REDIS_READONLY) != 0;
}

static struct resp_limits limits_of(const struct redis_client *client)
{
    uint64_t value_bytes_max = client->worker->redis->options.value_bytes_max;
    return (struct resp_limits){
        .args_max = ARGS_MAX,
        .bulk_bytes_max = value_bytes_max,
        .request_bytes_max = value_bytes_max + REQUEST_BYTES_EXTRA,
        .is_stranger = !client->is_greeted,
    };
}

bool redis_peek(struct redis_client *self, struct view *bytes, uint64_t *hash)
{
    struct redis_worker *worker = self->worker;
    struct resp_request *peeked = &worker->peeked;
    const struct resp_limits limits = limits_of(self);
    struct resp_progress progress = {0};
    size_t used = 0;
    size_t need = 0;
    *hash = 0;
    /* Only arrays tell by their lengths where they end. */
    if (bytes->len == 0 || bytes->ptr[0] != '*' ||
        resp_decode(peeked, &limits, &progress, *bytes, &used, &need) != STATUS_OK) {
        return false;
    }
    *bytes = view_of(bytes->ptr + used, bytes->len - used);
    if (peeked->argc > 1 && self->db == 0) {
        *hash = store_hash(worker->redis->store, peeked->argv[1]);
    }
    return true;
}

enum redis_outcome redis_answer(struct redis_client *self, struct redis_request *request)
{
    struct redis_worker *worker = self->worker;
    const struct resp_limits limits = limits_of(self);
    struct resp_writer out = {.to = request->out, .is_resp3 = self->is_resp3};
    size_t before = request->out->len;
    request->gate_lsn = 0;
    request->reads = false;
    request->changes = false;
    request->ends = false;
    enum status status = resp_decode(&worker->request, &limits, &self->progress, request->bytes,
                                     &request->used, &request->need);
    if (status == STATUS_AGAIN) {
        return REDIS_INCOMPLETE;
    }
    if (status != STATUS_OK) {
        resp_error(&out, "ERR %s",
                   status == STATUS_INVALID ? worker->request.errmsg : "out of memory");
        request->used = request->bytes.len;
        request->ends = true;
        return REDIS_ANSWERED;
    }
    if (worker->request.argc != 0) {
        struct redis_call call = redis_call_of(self, NULL, worker->request.argv,
                                               worker->request.argc, &out, request->now_ms);
        call.waiter = request->waiter;
        run_request(&call);
        if (call.is_waiting) {
            return REDIS_WAITING;
        }
        request->gate_lsn = call.gate_lsn;
        note_effect(request, &call);
        withhold(self, request->out, before);
    }
    request->ends = self->ends || out.has_failed;
    return REDIS_ANSWERED;
}
