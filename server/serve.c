/*
 * From bytes to commands to replies; the picture is in serve.h.
 *
 * The order in which durable_lsn and a worker's gate are read and written decides whether a wake-up
 * can be lost: the worker sets its gate and then looks at durable_lsn again; the journal thread
 * sets durable_lsn and then looks at the gates. A full fence stands between the two steps on both
 * sides, so at least one of them sees the other.
 */
#include "serve.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "serve_private.h"
#include "storage_death.h"

#define METRIC_OWNER struct serve_metrics
METRIC_TABLE(serve_metrics, SERVE_METRICS)

/* ---- Executing ------------------------------------------------------------------------------ */

static void count_busy(struct serve_worker *self)
{
    /* Relaxed: serve_is_idle() asks again and again. */
    atomic_store_explicit(&self->busy_count, (uint64_t)self->parked.count + self->waiting,
                          memory_order_relaxed);
    metric_set(&self->metrics.parked, self->parked.count);
}

static void client_free_if_unused(struct client *client)
{
    if (client->conn == NULL && client->in_flight == 0) {
        free(client);
    }
}

static void count_request(struct serve_metrics *metrics, unsigned opcode)
{
    struct metric_counter *const counters[] = {
        [SATCHEL_OP_HELLO] = &metrics->op_hello,   [SATCHEL_OP_PING] = &metrics->op_ping,
        [SATCHEL_OP_GET] = &metrics->op_get,       [SATCHEL_OP_SET] = &metrics->op_set,
        [SATCHEL_OP_DELETE] = &metrics->op_delete, [SATCHEL_OP_TOUCH] = &metrics->op_touch,
        [SATCHEL_OP_PATCH] = &metrics->op_patch,   [SATCHEL_OP_STATS] = &metrics->op_stats,
        [SATCHEL_OP_SCAN] = &metrics->op_scan,
    };
    metric_add(counters[opcode], 1);
}

/* Keeps a request whose value has to be read first; NULL when there is no memory. */
static struct waiting_load *waiting_load_new(struct serve_worker *self, struct client *client,
                                             const struct native_request *request, struct view body)
{
    struct waiting_load *load = malloc(sizeof *load + body.len);
    if (load != NULL) {
        *load = (struct waiting_load){
            .worker = self, .client = client, .header = request->header, .body_len = body.len};
        (void)put_view(load->body, body);
    }
    return load;
}

static enum status execute(struct serve_worker *self, struct client *client,
                           const struct native_request *request, uint64_t hash,
                           struct waiting_load *load)
{
    struct serve_answer answer = {.worker = self, .client = client, .request = request};
    return store_execute(self->serve->store, &request->command, hash, self->now_ms, &self->scratch,
                         load, serve_answer, &answer);
}

/* Executes a command. A waiter costs a copy of the request, so it is made only when the first try
 * says that the value has to be read. */
static void run_command(struct serve_worker *self, struct client *client,
                        const struct native_request *request, struct view body, uint64_t hash)
{
    if (execute(self, client, request, hash, NULL) == STATUS_OK) {
        return;
    }
    struct waiting_load *load = waiting_load_new(self, client, request, body);
    if (load == NULL) {
        serve_refuse(self, client, &request->header, SATCHEL_BUSY, "out of memory");
        return;
    }
    client->in_flight++;
    self->waiting++;
    if (execute(self, client, request, hash, load) == STATUS_OK) {
        client->in_flight--;
        self->waiting--;
        free(load);
    }
}

static bool is_command(unsigned opcode)
{
    return opcode >= SATCHEL_OP_GET && opcode <= SATCHEL_OP_PATCH;
}

static void run_request(struct serve_worker *self, struct client *client,
                        const struct native_request *request, struct view body, uint64_t hash)
{
    const struct native_header *header = &request->header;
    if (!client->greeted && header->opcode != SATCHEL_OP_HELLO &&
        header->opcode != SATCHEL_OP_PING) {
        serve_refuse(self, client, header, SATCHEL_HELLO_REQUIRED, NULL);
        client->dismissed = true;
        conn_close(client->conn, CONN_CLOSE_PROTOCOL, "no HELLO first");
        return;
    }
    count_request(&self->metrics, header->opcode);
    /* Relaxed: a request that runs a moment longer is answered as well. */
    if (atomic_load_explicit(&self->serve->draining, memory_order_relaxed) &&
        header->opcode != SATCHEL_OP_PING) {
        serve_refuse(self, client, header, SATCHEL_STOPPING, NULL);
    } else if (is_command(header->opcode)) {
        run_command(self, client, request, body, hash);
    } else if (header->opcode == SATCHEL_OP_HELLO) {
        serve_hello(self, client, request);
    } else if (header->opcode == SATCHEL_OP_PING) {
        serve_ping(self, client, request);
    } else if (header->opcode == SATCHEL_OP_STATS) {
        serve_stats(self, client, request);
    } else {
        serve_scan(self, client, request);
    }
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* A frame behind which nothing can be found or trusted. Returns the bytes that it takes: all. */
static size_t refuse_all(struct batch_item *item, struct view rest, enum satchel_status verdict,
                         const char *why, const char *close_detail)
{
    item->verdict = verdict;
    item->why = why;
    item->close_detail = close_detail;
    return rest.len;
}

/* Decodes the frame at the front of `rest` into `item`. Returns how many bytes it takes; 0: `*need`
 * bytes are wanted first. */
static size_t decode_frame(const struct serve_worker *self, struct view rest,
                           struct batch_item *item, size_t *need)
{
    const struct serve_options *options = &self->serve->options;
    struct native_header *header = &item->request.header;
    enum status status = native_decode_header(rest, header);
    item->is_frame = status == STATUS_OK || status == STATUS_UNSUPPORTED;
    item->verdict = SATCHEL_OK;
    item->close_detail = NULL;
    if (status == STATUS_AGAIN) {
        *need = SATCHEL_HEADER_BYTES;
        return 0;
    }
    if (status == STATUS_UNSUPPORTED) {
        return refuse_all(item, rest, SATCHEL_UNSUPPORTED,
                          "this server speaks version 1, with reserved bits zero",
                          "unknown protocol version");
    }
    if (status != STATUS_OK) {
        return refuse_all(item, rest, SATCHEL_BAD_REQUEST, NULL, "not a Satchel frame");
    }
    if (header->body_bytes > native_body_bytes_max(header->opcode, options->value_bytes_max)) {
        /* Its end is not waited for, so what follows cannot be found. */
        return refuse_all(item, rest, SATCHEL_TOO_LARGE,
                          "the request is larger than the server takes", "oversized request");
    }
    size_t frame_len = SATCHEL_HEADER_BYTES + (size_t)header->body_bytes;
    if (rest.len < frame_len) {
        *need = frame_len;
        return 0;
    }
    item->body = view_of(rest.ptr + SATCHEL_HEADER_BYTES, header->body_bytes);
    item->verdict = native_decode_request(&item->request, item->body, (enum ack)options->ack,
                                          options->value_bytes_max, &item->why);
    return frame_len;
}

/* Decodes up to BATCH_MAX requests and starts loading what they will need into the cache. Returns
 * how many; `*stop` is set when what follows cannot be decoded now. */
static unsigned decode_batch(struct serve_worker *self, const struct client *client,
                             struct view bytes, size_t *used, size_t *need, bool *stop)
{
    unsigned count = 0;
    while (count < BATCH_MAX && client->in_flight + count < IN_FLIGHT_MAX) {
        struct view rest = view_of(bytes.ptr + *used, bytes.len - *used);
        struct batch_item *item = &self->batch[count];
        size_t taken = rest.len == 0 ? 0 : decode_frame(self, rest, item, need);
        if (taken == 0) {
            *stop = true;
            break;
        }
        item->at = *used;
        *used += taken;
        if (item->verdict == SATCHEL_OK && is_command(item->request.header.opcode)) {
            item->hash = store_hash(self->serve->store, item->request.command.id);
            store_prefetch_slot(self->serve->store, item->hash);
        }
        count++;
    }
    return count;
}

static void run_item(struct serve_worker *self, struct client *client,
                     const struct batch_item *item)
{
    if (item->verdict == SATCHEL_OK) {
        run_request(self, client, &item->request, item->body, item->hash);
        return;
    }
    metric_add(&self->metrics.malformed, 1);
    if (item->is_frame) {
        serve_refuse(self, client, &item->request.header, item->verdict, item->why);
    }
    if (item->close_detail != NULL) {
        client->dismissed = true;
        conn_close(client->conn, CONN_CLOSE_PROTOCOL, item->close_detail);
    }
}

/* The storage lags, or too many bytes wait for it here. */
static bool is_behind(const struct serve_worker *self)
{
    return store_pressure(self->serve->store) != PRESSURE_NONE ||
           parked_bytes(&self->parked) > PARKED_BYTES_MAX;
}

bool serve_pause_if_needed(struct serve_worker *self, struct client *client)
{
    bool lagging = client->in_flight > 0 && is_behind(self);
    if (!lagging && client->in_flight < IN_FLIGHT_MAX) {
        return false;
    }
    self->lagging = self->lagging || lagging;
    if (!client->paused) {
        client->paused = true;
        conn_pause(client->conn);
    }
    return true;
}

/* Notes the time that the commands of this turn run at. What the table says is true at this moment,
 * if the directory is ours at this moment; whoever is not the owner any more answers nothing. */
static void begin_turn(struct serve_worker *self)
{
    if (!ownership_holds(&self->serve->owner)) {
        storage_death("the lease ran out: the storage was not reached in time");
    }
    self->has_run = true;
    self->now_ms = clock_wall_ms(self->serve->clock);
    self->now_ns = clock_mono_ns(self->serve->clock);
}

/* Nobody without a HELLO makes the server collect more than a HELLO: what he begins to send cannot
 * be one, whatever it turns out to be. */
static void refuse_long_request_of_stranger(struct serve_worker *self, struct client *client,
                                            struct view rest, size_t need)
{
    struct native_header header;
    if (client->greeted || client->conn == NULL ||
        need <= SATCHEL_HEADER_BYTES + SATCHEL_HELLO_BODY_BYTES_MAX ||
        native_decode_header(rest, &header) != STATUS_OK) {
        return;
    }
    serve_refuse(self, client, &header, SATCHEL_HELLO_REQUIRED, NULL);
    conn_close(client->conn, CONN_CLOSE_PROTOCOL, "no HELLO first");
}

/* The first step towards the session that a connection's first request is about; on_received()
 * makes the second one. Requests behind it are a batch of their own. */
static void on_arrived(void *arg, struct conn *conn, struct view bytes)
{
    (void)arg;
    struct serve_worker *self = worker_state(conn_worker(conn));
    struct batch_item item;
    size_t need = 0;
    if (self->expected_count < BATCH_MAX && decode_frame(self, bytes, &item, &need) != 0 &&
        item.verdict == SATCHEL_OK && is_command(item.request.header.opcode)) {
        uint64_t hash = store_hash(self->serve->store, item.request.command.id);
        store_prefetch_slot(self->serve->store, hash);
        self->expected[self->expected_count++] = hash;
    }
}

static void prefetch_expected(struct serve_worker *self)
{
    for (unsigned i = 0; i < self->expected_count; i++) {
        store_prefetch_session(self->serve->store, self->expected[i]);
    }
    self->expected_count = 0;
}

static size_t answer_native(struct serve_worker *self, struct client *client, struct view bytes,
                            size_t *need)
{
    struct conn *conn = client->conn;
    size_t used = 0;
    bool stop = false;
    while (!stop && used < bytes.len && !conn_is_full(conn) &&
           !serve_pause_if_needed(self, client)) {
        unsigned count = decode_batch(self, client, bytes, &used, need, &stop);
        for (unsigned i = 0; count > 1 && i < count; i++) {
            const struct batch_item *item = &self->batch[i];
            if (item->verdict == SATCHEL_OK && is_command(item->request.header.opcode)) {
                store_prefetch_session(self->serve->store, item->hash);
            }
        }
        for (unsigned i = 0; i < count; i++) {
            if (i > 0 && (conn_is_full(conn) || parked_bytes(&self->parked) > PARKED_BYTES_MAX)) {
                /* Large replies: the rest of the batch comes again when there is room. */
                used = self->batch[i].at;
                *need = 0;
                stop = false;
                break;
            }
            run_item(self, client, &self->batch[i]);
            if (client->dismissed) {
                used = bytes.len;
                break;
            }
        }
    }
    if (stop && used < bytes.len) {
        refuse_long_request_of_stranger(self, client, view_of(bytes.ptr + used, bytes.len - used),
                                        *need);
    }
    return used;
}

static size_t on_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    (void)arg;
    struct serve_worker *self = worker_state(conn_worker(conn));
    struct client *client = conn_state(conn);
    if (!self->has_run) {
        begin_turn(self);
    }
    prefetch_expected(self);
    if (!client->has_spoken) {
        client->has_spoken = true;
        if (bytes.ptr[0] != SATCHEL_WIRE_MAGIC && !serve_redis_begin(client)) {
            conn_close(conn, CONN_CLOSE_LIMIT, "out of memory");
            return bytes.len;
        }
    }
    return client->redis != NULL ? serve_redis_received(self, client, bytes, need)
                                 : answer_native(self, client, bytes, need);
}

/* ---- Waking up ------------------------------------------------------------------------------ */

static void resume_client(struct client *client)
{
    if (!client->is_loading && !client->ends) {
        client->paused = false;
        conn_resume(client->conn);
    }
}

void serve_end(struct client *client)
{
    client->ends = true;
    if (client->conn != NULL && client->in_flight == 0) {
        conn_close(client->conn, CONN_CLOSE_PEER, "it asked for it");
    } else if (client->conn != NULL && !client->paused) {
        client->paused = true;
        conn_pause(client->conn);
    }
}

/* One request of the client less is unanswered. */
static void settle(const struct serve_worker *self, struct client *client)
{
    client->in_flight--;
    if (client->paused && client->in_flight <= IN_FLIGHT_MAX / 2 && !self->lagging) {
        resume_client(client);
    }
    if (client->ends) {
        serve_end(client);
    }
    client_free_if_unused(client);
}

/* Sends what has become durable, oldest first. */
static void release_parked(struct serve_worker *self)
{
    uint64_t durable_lsn = store_durable_lsn(self->serve->store);
    const struct parked_reply *first = NULL;
    while ((first = parked_first(&self->parked)) != NULL && first->gate_lsn <= durable_lsn) {
        struct client *client = first->client;
        if (client->conn != NULL &&
            buf_append(conn_out(client->conn), parked_frame(&self->parked)) != STATUS_OK) {
            conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
        }
        metric_observe_ns(&self->metrics.durable_seconds, self->now_ns - first->since_ns);
        parked_pop(&self->parked);
        settle(self, client);
    }
    atomic_store_explicit(&self->gate_lsn, first == NULL ? 0 : first->gate_lsn,
                          memory_order_relaxed);
}

static struct waiting_load *take_loaded(struct serve_worker *self)
{
    (void)pthread_mutex_lock(&self->loaded_lock);
    struct waiting_load *newest = self->loaded;
    self->loaded = NULL;
    (void)pthread_mutex_unlock(&self->loaded_lock);
    struct waiting_load *oldest = NULL; /* the list was built from its front: turn it round */
    while (newest != NULL) {
        struct waiting_load *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* Whether the oldest parked reply may leave. Its gate was set before: see the top of this file. */
static bool is_released(const struct serve_worker *self)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t gate_lsn = atomic_load_explicit(&self->gate_lsn, memory_order_relaxed);
    return gate_lsn != 0 && gate_lsn <= store_durable_lsn(self->serve->store);
}

/* A turn's changes go to the storage together, and what has become durable meanwhile leaves now:
 * a worker with much to do would come to its wake-up late. */
static void on_turned(void *arg, struct worker *worker)
{
    (void)arg;
    struct serve_worker *self = worker_state(worker);
    if (!self->has_run) {
        return;
    }
    store_flush(self->serve->store, self->is_awaiting);
    self->has_run = false;
    self->is_awaiting = false;
    while (is_released(self)) {
        release_parked(self);
    }
    count_busy(self);
}

/* Runs commands again whose values have been read. */
static void run_loaded(struct serve_worker *self)
{
    for (struct waiting_load *load = take_loaded(self), *next = NULL; load != NULL; load = next) {
        next = load->next;
        struct client *client = load->client;
        if (load->is_kept) {
            client->is_loading = false;
            self->waiting--;
            settle(self, client);
            free(load);
            continue;
        }
        struct native_request request = {.header = load->header};
        const char *why = NULL;
        enum satchel_status verdict = native_decode_request(
            &request, view_of(load->body, load->body_len), (enum ack)self->serve->options.ack,
            self->serve->options.value_bytes_max, &why);
        assert(verdict == SATCHEL_OK); /* it was decoded before */
        (void)verdict;
        uint64_t hash = store_hash(self->serve->store, request.command.id);
        if (client->conn == NULL || execute(self, client, &request, hash, load) == STATUS_OK) {
            self->waiting--;
            settle(self, client);
            free(load);
        }
    }
}

static void resume_paused(void *arg, struct conn *conn)
{
    (void)arg;
    struct client *client = conn_state(conn);
    if (client != NULL && client->paused && client->in_flight < IN_FLIGHT_MAX) {
        resume_client(client);
    }
}

static void send_goaway(void *arg, struct conn *conn)
{
    (void)arg;
    struct client *client = conn_state(conn);
    if (client != NULL && client->redis != NULL) {
        serve_end(client);
    } else if (client != NULL) {
        serve_goaway(client);
    }
}

static void on_woken(void *arg, struct worker *worker)
{
    (void)arg;
    struct serve_worker *self = worker_state(worker);
    begin_turn(self);
    release_parked(self);
    run_loaded(self);
    serve_redis_deliver(self);
    if (self->lagging && !is_behind(self)) {
        self->lagging = false;
        worker_each_conn(worker, resume_paused, NULL);
    }
    if (!self->drained && atomic_load_explicit(&self->serve->draining, memory_order_relaxed)) {
        self->drained = true;
        worker_each_conn(worker, send_goaway, self);
    }
}

void serve_on_durable(struct serve *self)
{
    atomic_thread_fence(memory_order_seq_cst); /* see the top of this file */
    unsigned count = atomic_load_explicit(&self->worker_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        struct serve_worker *worker = self->workers[i];
        uint64_t gate_lsn = atomic_load_explicit(&worker->gate_lsn, memory_order_relaxed);
        if (gate_lsn != 0 && gate_lsn <= store_durable_lsn(self->store)) {
            worker_wake(worker->worker);
        }
    }
}

void serve_on_loaded(void *waiter)
{
    struct waiting_load *load = waiter;
    struct serve_worker *worker = load->worker;
    (void)pthread_mutex_lock(&worker->loaded_lock);
    load->next = worker->loaded;
    worker->loaded = load;
    (void)pthread_mutex_unlock(&worker->loaded_lock);
    worker_wake(worker->worker);
}

/* ---- Connections and workers ---------------------------------------------------------------- */

static void on_opened(void *arg, struct conn *conn)
{
    (void)arg;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        conn_close(conn, CONN_CLOSE_LIMIT, "out of memory");
        return;
    }
    client->conn = conn;
    conn_set_state(conn, client);
    const struct serve_worker *self = worker_state(conn_worker(conn));
    if (self->drained) {
        serve_goaway(client);
    }
}

static void on_closed(void *arg, struct conn *conn)
{
    (void)arg;
    struct client *client = conn_state(conn);
    if (client == NULL) {
        return;
    }
    redis_client_free(client->redis);
    client->redis = NULL;
    client->paused = false;
    client->conn = NULL;
    client_free_if_unused(client);
}

static void *on_worker_started(void *arg, struct worker *worker)
{
    struct serve_worker *self = calloc(1, sizeof *self);
    if (self == NULL) {
        abort(); /* at start, before anything was served */
    }
    self->serve = arg;
    self->worker = worker;
    self->redis = redis_worker_new(self->serve->redis, self);
    if (self->redis == NULL) {
        abort(); /* likewise */
    }
    (void)pthread_mutex_init(&self->loaded_lock, NULL);
    return self;
}

static void on_worker_stopped(void *arg, struct worker *worker)
{
    (void)arg;
    (void)worker; /* its state is freed with the rest: the store's threads may still name it */
}

struct net_handler serve_handler(struct serve *self)
{
    return (struct net_handler){
        .worker_started = on_worker_started,
        .worker_stopped = on_worker_stopped,
        .opened = on_opened,
        .arrived = on_arrived,
        .received = on_received,
        .closed = on_closed,
        .turned = on_turned,
        .woken = on_woken,
        .arg = self,
    };
}

void serve_set_net(struct serve *self, struct net *net)
{
    unsigned count = net_worker_count(net);
    assert(count <= WORKERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        self->workers[i] = worker_state(net_worker(net, i));
    }
    /* Release: who sees the count sees the workers. */
    atomic_store_explicit(&self->worker_count, count, memory_order_release);
    serve_on_durable(self); /* what became durable before anybody could be told */
}
