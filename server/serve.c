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

/* ---- Turns ---------------------------------------------------------------------------------- */

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
static void begin_turn(struct serve_worker *self, int64_t now_ns)
{
    if (!ownership_holds(&self->serve->owner)) {
        storage_death("the lease ran out: the storage was not reached in time");
    }
    self->has_run = true;
    self->now_ms = clock_wall_ms(self->serve->clock);
    self->now_ns = now_ns;
}

static void on_arrived(void *arg, struct conn *conn, struct view bytes)
{
    (void)arg;
    struct serve_worker *self = worker_state(conn_worker(conn));
    struct client *client = conn_state(conn);
    if (client->redis != NULL) {
        serve_redis_arrived(self, client, bytes);
    } else {
        serve_native_arrived(self, bytes);
    }
}

static void prefetch_expected(struct serve_worker *self)
{
    for (unsigned i = 0; i < self->expected_count; i++) {
        store_prefetch_session(self->serve->store, self->expected[i]);
    }
    self->expected_count = 0;
}

static size_t on_received(void *arg, struct conn *conn, struct view bytes, size_t *need)
{
    (void)arg;
    struct serve_worker *self = worker_state(conn_worker(conn));
    struct client *client = conn_state(conn);
    const int64_t received_ns = worker_received_ns(self->worker);
    if (!self->has_run) {
        begin_turn(self, received_ns);
    }
    self->came_ns = client->kept_ns != 0 ? client->kept_ns : received_ns;
    prefetch_expected(self);
    if (!client->has_spoken) {
        client->has_spoken = true;
        if (bytes.ptr[0] != SATCHEL_WIRE_MAGIC && !serve_redis_begin(client)) {
            conn_close(conn, CONN_CLOSE_LIMIT, "out of memory");
            return bytes.len;
        }
    }
    size_t used = client->redis != NULL ? serve_redis_received(self, client, bytes, need)
                                        : serve_native_received(self, client, bytes, need);
    /* Requests that are looked at again later have been here all the time; of half a request the
     * other half is still to come, and it is asked when that is here. */
    bool is_kept = used < bytes.len && *need == 0;
    client->kept_ns = is_kept ? self->came_ns : 0;
    return used;
}

static void on_sent(void *arg, struct conn *conn, size_t taken, size_t unsent)
{
    (void)arg;
    struct serve_worker *self = worker_state(conn_worker(conn));
    struct client *client = conn_state(conn);
    if (client == NULL || client->latency.count == 0) {
        return;
    }
    struct metric_histogram *const histograms[LATENCY_OPS] = {
        [LATENCY_READ] = &self->metrics.read_seconds,
        [LATENCY_CHANGE] = &self->metrics.change_seconds,
        [LATENCY_OTHER] = &self->metrics.other_seconds,
    };
    latency_sent(&client->latency, taken, unsent, clock_mono_ns(self->serve->clock), histograms);
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
        conn_close(client->conn, CONN_CLOSE_ASKED, NULL);
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
    if (client->ends && client->conn != NULL) {
        serve_end(client); /* closing the connection frees the client */
        return;
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
        if (client->conn != NULL) {
            if (buf_append(conn_out(client->conn), parked_frame(&self->parked)) == STATUS_OK) {
                serve_answered(client, first->op, first->came_ns);
            } else {
                conn_close(client->conn, CONN_CLOSE_LIMIT, "out of memory");
            }
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
        if (load->is_kept || serve_native_again(self, load)) {
            client->is_loading = false;
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
    begin_turn(self, clock_mono_ns(self->serve->clock));
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
        .sent = on_sent,
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
