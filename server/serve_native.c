/*
 * The glue of the native protocol: its replies are matched by request ids, so they leave in any
 * order, and a value that has to be read back holds up nothing but its own request.
 *
 *     received ─▶ decode a batch ─▶ prefetch ─▶ store_execute ─▶ encode (serve_reply.c)
 */
#include <assert.h>
#include <stdlib.h>

#include "serve_private.h"

/* ---- Executing ------------------------------------------------------------------------------ */

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

static bool is_command(unsigned opcode)
{
    return opcode >= SATCHEL_OP_GET && opcode <= SATCHEL_OP_PATCH;
}

static enum latency_op op_of(unsigned opcode)
{
    return opcode == SATCHEL_OP_GET ? LATENCY_READ
           : is_command(opcode)     ? LATENCY_CHANGE
                                    : LATENCY_OTHER;
}

/* Keeps a request whose value has to be read first; NULL when there is no memory. */
static struct waiting_load *waiting_load_new(struct serve_worker *self, struct client *client,
                                             const struct native_request *request, struct view body)
{
    struct waiting_load *load = malloc(sizeof *load + body.len);
    if (load != NULL) {
        *load = (struct waiting_load){.worker = self,
                                      .client = client,
                                      .came_ns = self->came_ns,
                                      .header = request->header,
                                      .body_len = body.len};
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

static void run_request(struct serve_worker *self, struct client *client,
                        const struct native_request *request, struct view body, uint64_t hash)
{
    const struct native_header *header = &request->header;
    self->op = op_of(header->opcode);
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
        self->op = LATENCY_OTHER;
        serve_refuse(self, client, &item->request.header, item->verdict, item->why);
    }
    if (item->close_detail != NULL) {
        client->dismissed = true;
        conn_close(client->conn, CONN_CLOSE_PROTOCOL, item->close_detail);
    }
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
    self->op = LATENCY_OTHER;
    serve_refuse(self, client, &header, SATCHEL_HELLO_REQUIRED, NULL);
    conn_close(client->conn, CONN_CLOSE_PROTOCOL, "no HELLO first");
}

/* The first step towards the session that a connection's first request is about; on_received()
 * makes the second one. Requests behind it are a batch of their own. */
void serve_native_arrived(struct serve_worker *self, struct view bytes)
{
    struct batch_item item;
    size_t need = 0;
    if (self->expected_count < BATCH_MAX && decode_frame(self, bytes, &item, &need) != 0 &&
        item.verdict == SATCHEL_OK && is_command(item.request.header.opcode)) {
        uint64_t hash = store_hash(self->serve->store, item.request.command.id);
        store_prefetch_slot(self->serve->store, hash);
        self->expected[self->expected_count++] = hash;
    }
}

size_t serve_native_received(struct serve_worker *self, struct client *client, struct view bytes,
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

bool serve_native_again(struct serve_worker *self, struct waiting_load *load)
{
    struct native_request request = {.header = load->header};
    const char *why = NULL;
    enum satchel_status verdict = native_decode_request(
        &request, view_of(load->body, load->body_len), (enum ack)self->serve->options.ack,
        self->serve->options.value_bytes_max, &why);
    assert(verdict == SATCHEL_OK); /* it was decoded before */
    (void)verdict;
    uint64_t hash = store_hash(self->serve->store, request.command.id);
    self->op = op_of(load->header.opcode);
    self->came_ns = load->came_ns;
    return load->client->conn == NULL ||
           execute(self, load->client, &request, hash, load) == STATUS_OK;
}
